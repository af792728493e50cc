"""Pure functions over values: no I/O, clock, randomness, logging or async (DESIGN.md section 2)."""
