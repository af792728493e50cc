"""Policy files: text → PolicySet, and the bytes that a policy set is known by (R3.a, R5; DESIGN.md section 4).

* The language is docs/reference/policy-language.md. What a file cannot mean does not load: `PolicyError` says where,
  what, and what to do. Reading is a pure function of the text.
* The hash is over what the file means: layout, comments, the order of keys and the spelling of sugar do not change it.
* The canonical bytes read back to the same policy set, and no other bytes do.
"""

from __future__ import annotations

from navicert.syntax.form import canonical_policy, decode_policy, policy_hash
from navicert.syntax.policy import Spans, read_policy

__all__ = ["Spans", "canonical_policy", "decode_policy", "policy_hash", "read_policy"]
