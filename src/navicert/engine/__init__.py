"""The engine: one state machine for every action, and two drivers for it (DESIGN.md sections 1 and 3)."""
