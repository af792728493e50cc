"""Resolvers: where the value of a missing fact comes from (R4.b); one file per kind of source."""
