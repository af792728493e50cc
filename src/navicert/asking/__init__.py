"""Asking: what people see of a waiting action and what they do to it, on a terminal and on the page alike (R4.a)."""
