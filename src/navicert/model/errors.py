"""The exception tree: errors are named for who must act (DESIGN.md section 12, rule 7).

* Messages are lower case, without a full stop, user input in backticks, the place first, then what to do.
* Verification raises with a reason code; nothing returns success as a boolean.
* A refusal carries a *denial contract*: what kind it is, a reason fit for a model, and what may be tried next.
"""

from __future__ import annotations

from enum import StrEnum


class NavicertError(Exception):
    """Everything that navicert raises."""


class PolicyError(NavicertError):
    """The author of a policy or a configuration must act; the message starts with `file:line:column` where known."""


class IdentityError(NavicertError):
    """The caller must act: the claims do not make a verifiable identity (R6.c, R6.d)."""


class IntegrityError(NavicertError):
    """The operator must act: stored state contradicts itself, or was changed."""


class VerificationError(IntegrityError):
    """A receipt, a log or a package does not verify. `code` is stable and documented in docs/reference/verify.md."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


class Unavailable(NavicertError):
    """A part of the system did not answer; nothing ran; try later (R1.c)."""


class Unvouched(IdentityError, Unavailable):
    """Whoever vouches for an identity does not answer now: nothing is permitted, and what waits goes on waiting."""


class InvalidAction(NavicertError):
    """The call cannot be put into canonical form, so nothing about it can be judged; nothing ran."""


class ResultWithheld(NavicertError):
    """The action ran, and policy withholds what it gave back, or what its error said; calling again does not help."""


class DenialKind(StrEnum):
    """The class of a refusal; it tells a model whether trying again makes sense."""

    STRUCTURAL = "structural"
    """The call itself is wrong (unknown tool, bad argument, no identity): the same call will always be refused."""
    PERMISSION = "permission"
    """Policy forbids it, here or in this context: another way to the same end will be judged by the same rules."""
    TRANSIENT = "transient"
    """A part of the system did not answer; the same call may pass later."""
    PENDING = "pending"
    """A person or a missing fact decides; the handle names the wait."""


class ActionDenied(NavicertError):
    """The action did not run. The text is fit for the model: short, and silent about what would get past the rule.

    kind: the class of the refusal. reason: why. next_step: what may be tried next. action_id: names the action in
    `navicert show`. receipt_id: the decision receipt, or None where the refusal came before one could be written.
    reason_code: stable word for machines (docs/reference/denials.md). rules: ids of the rules that refused.
    """

    def __init__(
        self, *, kind: DenialKind, reason: str, next_step: str, action_id: str, receipt_id: str | None = None,
        reason_code: str = "", rules: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(f"{reason}. {next_step} [{kind.value} · {action_id}]")
        self.kind = kind
        self.reason = reason
        self.next_step = next_step
        self.action_id = action_id
        self.receipt_id = receipt_id
        self.reason_code = reason_code
        self.rules = rules


class ActionSuspended(ActionDenied):
    """The action waits; it has no effect while it waits (R1.b). `handle` names the wait, for `guard.resume(handle)`.

    verdict: `STEP_UP` (a person decides) or `DEFER` (something is not known yet). deadline: microseconds since the
    epoch, UTC; then the wait ends in DENY.
    """

    def __init__(  # noqa: PLR0913 - the members of the denial contract
        self, *, reason: str, next_step: str, action_id: str, receipt_id: str | None, handle: str, verdict: str,
        deadline: int, reason_code: str = "", rules: tuple[str, ...] = (),
    ) -> None:  # fmt: skip
        super().__init__(
            kind=DenialKind.PENDING, reason=reason, next_step=next_step, action_id=action_id, receipt_id=receipt_id,
            reason_code=reason_code, rules=rules,
        )  # fmt: skip
        self.handle = handle
        self.verdict = verdict
        self.deadline = deadline
