"""The resident owner: one process holds policy, keys and log; agents talk to it over a socket (DESIGN.md section 2)."""
