"""Identity: verifiers that turn claims into an ActionIdentity with evidence (R6)."""
