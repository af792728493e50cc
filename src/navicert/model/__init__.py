"""Values: frozen msgspec Structs, and nothing that acts (DESIGN.md section 4)."""
