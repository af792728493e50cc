"""Sabotages: navicert with one protection taken out, so that the kit can prove that it would notice.

Each is a function that replaces something in the running process, as small as the protection that it removes. They are
for deployments that the kit makes and throws away; nothing but the kit imports them, and no setting leads here.
"""

from navicert.conformance.twins import context, drift, identity, interception, policy, records, suspension, verdicts  # noqa: F401 - registers its twins
from navicert.conformance.twins.registry import TWINS, twin

__all__ = ["TWINS", "twin"]
