"""Authority as a log tells it: every change is the next, from the state that stood, and decisions rest on it (R6.c).

* All standings are one row, whose every change is one epoch, and each decision is made on the row as it is: so epochs
  only go up in the order of the log, and by one.
* A rule lowers the agent's authority in the receipt that it decides. Where something stricter stands beside it, that
  receipt does not show how far; until a record tells, the agent's state is only known to be at least what it was.
"""

from __future__ import annotations

from navicert.core.canonical import percent
from navicert.model.errors import VerificationError
from navicert.model.receipt import AuthorityPart, Receipt
from navicert.verification.forms import PERMITTING, STATES


class Standing:
    """What is known of every subject's authority, as a log is gone through."""

    def __init__(self) -> None:
        self.epoch = 0
        self._known: dict[str, str] = {}
        self._at_least: set[str] = set()

    def check(self, receipt: Receipt, place: str) -> None:
        """Hold a receipt against the changes before it; raises `VerificationError`, `authority`."""
        part = receipt.authority
        if part is None:
            return
        if receipt.kind == "authority":
            self._change(part, part.subject or "", place)
        else:
            self._decision(receipt, part, place)
        self.epoch = part.epoch

    def _change(self, part: AuthorityPart, subject: str, place: str) -> None:
        if part.epoch != self.epoch + 1:
            message = f"{place}: change {part.epoch} of authority, and {self.epoch} was the last before it"
            raise VerificationError("authority", message)
        held = self._known.get(subject, "full")
        fits = STATES.index(part.before) >= STATES.index(held) if subject in self._at_least else part.before == held
        if not fits:
            message = f"{place}: the authority of `{subject}` was {held}, not {part.before}"
            raise VerificationError("authority", message)
        self._at_least.discard(subject)
        self._known[subject] = part.after

    def _decision(self, receipt: Receipt, part: AuthorityPart, place: str) -> None:
        lowered = part.epoch - self.epoch
        if lowered not in {0, 1} or (part.before != part.after and not lowered):
            message = f"{place}: it rests on change {part.epoch} of authority, and {self.epoch} is the last before it"
            raise VerificationError("authority", message)
        strictest = max((self._known.get(name, "full") for name in _subjects(receipt)), key=STATES.index)
        if STATES.index(part.before) < STATES.index(strictest):
            message = f"{place}: it was judged as if authority were {part.before}, and it is {strictest}"
            raise VerificationError("authority", message)
        if part.before in {"suspended", "revoked"} and receipt.decision and receipt.decision.result in PERMITTING:
            raise VerificationError("authority", f"{place}: it was permitted although authority is {part.before}")
        if lowered and receipt.requester_context is not None:
            agent = percent(f"agent/{receipt.requester_context.agent}")
            if part.before != part.after:
                self._known[agent] = part.after
                self._at_least.discard(agent)
            else:
                self._at_least.add(agent)


def _subjects(receipt: Receipt) -> list[str]:
    """Return whose authority an action needs, as records name them; sessions that delegated are not shown."""
    action, requester = receipt.action, receipt.requester_context
    found = ["all"]
    if action is not None:
        parts = [*action.tool.split("."), action.operation]
        found += [f"tool/{'.'.join(parts[:count])}" for count in range(1, len(parts) + 1)]
        found.append(f"tool/{action.tool}.{action.operation}")
    if requester is not None:
        found += [f"human/{requester.human}", f"session/{requester.session}"]
        agents = [requester.agent, *(link.delegator for link in requester.delegation)]
        found += [percent(f"agent/{agent}") for agent in agents]
    return found
