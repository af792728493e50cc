"""What the tests of receipts share: an honest home made through the SDK, and a forger who holds its keys."""
