"""Intent: what the user asked for, where values came from, what follows for an action (R3, R7; T1-T6, T10, T11)."""
