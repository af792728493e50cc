"""Sabotages of what is recorded, and of what verifies it: receipts lack a part, or the verifier does not look (R5)."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from importlib import import_module
from typing import Any

from msgspec.structs import replace

from navicert.conformance.twins.registry import twin
from navicert.conformance.twins.verdicts import judged_otherwise
from navicert.model.commit import Draft
from navicert.model.decision import Decision, Verdict
from navicert.model.evaluation import EvaluationInput
from navicert.model.receipt import PolicyPart, Receipt
from navicert.model.trust import Trust


def written_otherwise(change: Callable[[Receipt], Receipt | None]) -> None:
    """Have the receipts of decisions and resolutions pass through `change` before they are sealed; None for none."""
    from navicert.engine import judging, resuming

    def around(make: Callable[..., Draft]) -> Any:
        def otherwise(*args: Any) -> Draft | None:
            draft = make(*args)
            receipt = change(draft.receipt)
            return replace(draft, receipt=receipt) if receipt is not None else None

        return otherwise

    judging.decision_draft = around(judging.decision_draft)
    resuming.resolution_draft = around(resuming.resolution_draft)


@twin
def receipts_dropped() -> None:
    """A denial leaves no record."""

    def change(receipt: Receipt) -> Receipt | None:
        denied = receipt.decision is not None and receipt.decision.result == "DENY"
        return None if denied and receipt.kind == "decision" else receipt

    written_otherwise(change)


@twin
def policy_unbound() -> None:
    """Records do not say by which version of the policy was judged."""

    def change(receipt: Receipt) -> Receipt:
        decision = receipt.decision
        part = PolicyPart(id="kit", version=0, hash=decision.policy.hash) if decision else None
        return replace(receipt, decision=replace(decision, policy=part)) if decision else receipt

    written_otherwise(change)


@twin
def signature_unchecked() -> None:
    """The verifier does not look at signatures."""
    from navicert.verification.keyring import Keyring

    def check(_: Keyring, receipt: Receipt, data: bytes, place: str) -> None:
        pass

    Keyring.check = check  # type: ignore[method-assign]  # that is the sabotage


@twin
def commitments_unchecked() -> None:
    """The verifier does not hold what is disclosed against what was signed."""
    from navicert.verification import disclosed

    def match(_: Receipt, disclosures: Iterable[str]) -> tuple[dict[str, bytes], set[str]]:
        return {pointer: value for _, pointer, value in map(disclosed.read_disclosure, disclosures)}, set()

    disclosed.match_disclosures = match


@twin
def reasons_missing() -> None:
    """Records do not say why: not why something is deferred, nor what went wrong."""
    from navicert.engine import completing

    def change(decision: Decision, _: EvaluationInput) -> Decision:
        return replace(decision, reason_code="", reason="") if decision.verdict is Verdict.DEFER else decision

    draft = completing.outcome_draft
    completing.outcome_draft = lambda scribe, ending: draft(scribe, replace(ending, error=None))
    judged_otherwise(change)


@twin
def verifier_idle() -> None:
    """The verifier believes whatever trust file it is given, and takes an export of everything for what it says."""
    bundle, verify = import_module("navicert.cli.bundle"), import_module("navicert.cli.verify")

    def rooted(trust: Trust, _: str) -> Trust:
        return trust

    def verify_file(*_: Any, **__: Any) -> int:
        return 0

    verify._rooted = rooted
    bundle.verify_file = verify_file
