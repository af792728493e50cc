"""Keys of disclosures."""
