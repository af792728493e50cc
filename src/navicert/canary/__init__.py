"""Canaries: actions that must be denied, sent over every surface, so that a gate that is dead is seen (R1.c).

* `agent` is the other side: a process of its own that acts as an agent's does, over one surface.
* `probes` knows which surfaces there are, sends a canary over each, and judges what came of it.
* `standing` tells from the log alone what is known of each surface, and what is overdue.
"""
