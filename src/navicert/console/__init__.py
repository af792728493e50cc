"""The console in a browser; its first stone is the approval page of the resident owner (R4.a; ADR 0023)."""
