"""A witness of transparency logs (C2SP tlog-witness): it cosigns what only ever grows (R5)."""
