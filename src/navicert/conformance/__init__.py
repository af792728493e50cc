"""The conformance kit: the 21 rows and the MUST clauses of AARM v1.0 as checks against a running system.

* Black box: a system is put under test through an adapter (`contract`), effects are seen by observers that are not the
  product's (`world`), challenged with values drawn at run time.
* Every check has twins: the same check against a system that is broken on purpose, where it must fail.
* A result is pass, fail or unmeasurable, with the reason; an unmeasurable MUST counts as not passed.
"""
