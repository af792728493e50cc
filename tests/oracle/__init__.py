"""A second policy decision point, slow and obviously right, and the comparison of the fast one with it."""
