"""The base of every value: frozen, keyword-only, closed to unknown fields (DESIGN.md section 4).

* Constructors do not validate; data from outside enters through a decoder only.
* A value is never changed; state advances by replacing one value with another.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
    """What JSON can hold, as Python sees it."""
else:
    Json = Any  # msgspec cannot decode into a type that contains itself; a JSON decoder yields nothing else anyhow


class Value(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Frozen, keyword-only, closed. Fields that hold their default are not encoded."""
