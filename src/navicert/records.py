"""Records: every decision of a home, rebuilt with exactly what it rested on, so that it can be judged again (R3.e).

* Of a store that was verified (`navicert.audit`) before, up to the entry that the audit came to. Nothing is executed.
* A decision is rebuilt from its receipt, what that discloses, and the session's entries before it (R2.e). What cannot
  be rebuilt is named: its context was purged after its retention, or its disclosures were erased.
* Each one is judged again by the policy that judged it then; `Recorded.decided` tells whether that gives the record.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import msgspec

from navicert.adapters.store.archive import Archive, LogRow
from navicert.core.accumulate import accumulate, begin
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.digest import action_digest
from navicert.core.draft import Evaluated
from navicert.core.rejudge import Recorded, Under, own
from navicert.core.rounds import with_parameters
from navicert.core.times import micros
from navicert.model.action import Action
from navicert.model.context import ContextEntry, Opened, SessionContext
from navicert.model.decision import Decision, Verdict
from navicert.model.errors import VerificationError
from navicert.model.evaluation import EvaluationInput
from navicert.model.identity import ActionIdentity
from navicert.model.receipt import Receipt
from navicert.verification.disclosed import (
    EFFECTIVE,
    EVALUATED,
    HUMAN,
    PARAMETERS,
    plain,
    policy_of,
    verify_disclosures,
)

_RECEIPT: Final = msgspec.json.Decoder(Receipt)
_COPIED: Final = tuple(name for name in EvaluationInput.__struct_fields__ if name in Evaluated.__struct_fields__)
"""What a decision rested on, and discloses under the same name."""


class LeftOut(NamedTuple):
    """A decision that is not judged again. why: `engine` (it was the engine's own), `purged` or `erased`."""

    seq: int
    session: str
    why: str
    reason_code: str


def policies(archive: Archive) -> dict[str, CompiledPolicy]:
    """Return every policy set that judged in this store, compiled, by content hash."""
    return {key: compile_policy(policy_of(data)[0], key) for key, data in archive.policies().items()}


def records(
    archive: Archive, kept: dict[str, CompiledPolicy], *, upto: int, action: str | None = None
) -> Iterator[Recorded | LeftOut]:
    """Yield every decision and resolution (of one action: `action`) up to place `upto`, in the order of the log.

    kept: `policies`. Raises `VerificationError` where a context or a disclosure is not what its receipt names.
    """
    folds: dict[str, _Fold] = {}
    asked: dict[str, EvaluationInput] = {}
    own_policy = Under(kept)
    for row in archive.log(action=action):
        if row.seq > upto:
            return
        if row.kind not in {"decision", "resolution"}:
            continue
        receipt = _RECEIPT.decode(row.data)
        part, session = receipt.context, row.session or ""
        code = receipt.decision.reason_code if receipt.decision else ""
        no_policys = own(receipt.kind, code)
        if part is None or (no_policys and code != "depends"):  # that one waits, and policy judges it then
            yield LeftOut(row.seq, session, "engine", code)
            continue
        fold = folds.setdefault(session, _Fold(archive.entries(session)))
        context = fold.before(part.length, part.head, row.seq)
        values = _values(archive, row, receipt)
        then = asked.get(row.action or "")
        if context is None or values is None or (receipt.kind == "resolution" and then is None):
            yield LeftOut(row.seq, session, "purged" if context is None else "erased", code)
            continue
        record = record_of(row.seq, receipt, context, values)
        if receipt.kind == "resolution":
            record = msgspec.structs.replace(record, then=then)
        elif receipt.deferral is not None:
            asked[row.action or ""] = record.given
        yield LeftOut(row.seq, session, "engine", code) if no_policys else _checked(record, own_policy)


class _Fold:
    """One session's context, entry by entry, as far as it is needed."""

    def __init__(self, entries: Iterator[tuple[int, ContextEntry]]) -> None:
        self._entries = entries
        self._context: SessionContext | None = None

    def before(self, length: int, head: str, seq: int) -> SessionContext | None:
        """Return the context of `length` - 1 entries, where one more makes `head`; None where it was purged."""
        before = self._context
        while before is None or before.length < length:
            found = next(self._entries, None)
            if found is None:
                if before is None:
                    return None
                raise VerificationError("context_mismatch", f"entry {seq}: its session has lost entries")
            entry = found[1]
            after = accumulate(before, entry) if before is not None else begin(_opening(entry, seq))
            if after.length == length and before is not None:
                if after.head != head:
                    raise VerificationError("context_mismatch", f"entry {seq}: it names another context than this")
                self._context = after
                return before
            before = after
        raise VerificationError("context_mismatch", f"entry {seq}: it goes back in its session")


def _opening(entry: ContextEntry, seq: int) -> Opened:
    if not isinstance(entry, Opened):
        raise VerificationError("context_mismatch", f"entry {seq}: its session does not begin with its opening")
    return entry


def _values(archive: Archive, row: LogRow, receipt: Receipt) -> dict[str, bytes] | None:
    """Return what a receipt discloses, None where that was erased: in a verified store nothing else takes it away."""
    try:
        return verify_disclosures(receipt, archive.disclosures(row))
    except VerificationError as error:
        if error.code != "disclosure_missing":
            raise
        return None


def record_of(seq: int, receipt: Receipt, context: SessionContext, values: dict[str, bytes]) -> Recorded:
    """Return what a decision or resolution rested on: the context before it, and what its receipt discloses."""
    action, decision, requester = receipt.action, receipt.decision, receipt.requester_context
    assert action is not None and decision is not None and requester is not None  # noqa: S101, PT018 - core.seal: of these kinds
    evaluated = msgspec.json.decode(values[EVALUATED], type=Evaluated)
    tool, operation, parameters = plain(action.tool), plain(action.operation), values[PARAMETERS]
    # of a wait that ended, what judged is the identity as it was verified again
    identity = evaluated.revalidated or ActionIdentity(
        human=msgspec.json.decode(values[HUMAN], type=str),
        service=plain(requester.service),
        agent=plain(requester.agent),
        session=requester.session,
        roles=tuple(map(plain, requester.roles)),
        scope=tuple(map(plain, requester.scope)),
        delegation=context.delegation,
        evidence=evaluated.evidence,
        development=requester.identity == "development",
    )
    rested: dict[str, Any] = {name: getattr(evaluated, name) for name in _COPIED}
    if "separation" in EvaluationInput.__struct_fields__:
        rested["separation"] = receipt.separation or "none"
    return Recorded(
        seq=seq,
        kind="decision" if receipt.kind == "decision" else "resolution",
        policy=decision.policy.hash,
        verdict=Verdict(decision.result),
        rules=tuple(map(plain, decision.rules)),
        reason_code=decision.reason_code,
        submitted=parameters,
        effective=values.get(EFFECTIVE),
        given=EvaluationInput(
            action=Action(
                action_id=action.id,
                tool=tool,
                operation=operation,
                parameters=parameters,
                digest=action_digest(tool, operation, parameters),
                submitted_at=micros(action.timestamp),
                surface=action.surface,
                profile=evaluated.profile,
            ),
            identity=identity,
            context=context,
            **rested,
        ),
    )


def _checked(record: Recorded, own_policy: Under) -> Recorded:
    """Return the record with what its own policy gives: from what was submitted, else from what would run."""
    decided = own_policy.judge(record)
    if decided.rules == record.rules and _same(record, decided):
        return msgspec.structs.replace(record, decided=decided)
    if record.effective is not None:
        given = record.given
        later = msgspec.structs.replace(given, action=with_parameters(given.action, record.effective))
        partial = msgspec.structs.replace(record, given=later, partial=True)
        decided = own_policy.judge(partial)
        # from what would run, the rules that made it so are not seen again
        if set(decided.rules) <= set(record.rules) and _same(record, decided):
            return msgspec.structs.replace(partial, decided=msgspec.structs.replace(decided, rules=record.rules))
    return record


def _same(record: Recorded, decided: Decision) -> bool:
    return (decided.verdict, decided.effective) == (record.verdict, record.effective)
