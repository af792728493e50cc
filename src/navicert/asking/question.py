"""A waiting action as its approvers must see it (R4.a): made from the bytes that would run, as `--json` shows it.

* The digest is computed anew from the bytes that are shown, and held against the question: a difference is an error,
  and nobody is asked to sign it.
* Everything comes from the wait itself, which keeps what was known when it was asked (R6.b); the log adds the words of
  the rules.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import msgspec

from navicert.core.answers import hear
from navicert.core.bounds import at_stake
from navicert.core.builtin import supervision
from navicert.core.canonical import decode_parameters
from navicert.core.digest import action_digest, rule_digest
from navicert.core.times import rfc3339
from navicert.explain.asked import reading_of, said_of, unjudged
from navicert.explain.origins import origins
from navicert.model.decision import Verdict
from navicert.model.errors import IntegrityError
from navicert.people import asked
from navicert.verification.disclosed import policy_of

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.model.action import ToolProfile
    from navicert.model.identity import ActionIdentity
    from navicert.model.suspension import Approvers, Wait

ROLES: Final = ("destination", "resource", "amount", "content")
RECHECKED: Final = ("identity", "scope", "delegation", "authority", "labels", "files", "policy")


class Leaf(NamedTuple):
    """One value of the parameters: where it stands, what it is, and its text; `role` as the tool declares it."""

    path: str
    kind: str
    text: str
    role: str = ""


def wait_document(
    wait: Wait, approvers: Approvers, now: int, *, reasons: Mapping[str, str], void: int = 0
) -> dict[str, Any]:
    """Return everything that an approver must see of a wait. reasons: of rules; void: answers; both from `grounds`.

    Raises `IntegrityError` where the digest in question is not that of the bytes that would run.
    """
    question, context, data = wait.question, wait.given.context, runs(wait)
    digest = action_digest(wait.action.tool, wait.action.operation, data)
    if digest != question.digest:
        raise IntegrityError(
            f"{wait.handle}: what would run has the digest {digest}, and the question names {question.digest}; "
            "answer nothing, and run `navicert verify`"
        )
    heard = hear(question, wait.votes, approvers, now)
    confidence = wait.given.signals.confidence_ppm
    distance = wait.given.signals.values.get("distance_ppm")
    return {
        "handle": wait.handle,
        "status": "waiting" if now < question.deadline else "overdue",
        "verdict": question.verdict.value,
        "digest": digest,
        "action_id": wait.action.action_id,
        "tool": wait.action.tool,
        "operation": wait.action.operation,
        "parameters": decode_parameters(data),
        "canonical": data.decode(),
        "asked_for": decode_parameters(wait.action.parameters) if data != wait.action.parameters else None,
        "request": context.request or None,
        "said": list(context.said),
        "intent": said_of(wait.given) or None,
        "unjudged": unjudged(wait.given),
        "reading": reading_of(wait.given),
        "prior": [
            {"name": item.name, "verdict": item.verdict.value, "at": rfc3339(item.at), "gave": item.labels.words()}
            for item in context.recent
        ],
        "prior_count": sum(context.verdicts.values()),
        "labels": at_stake(wait.given).join(question.labels).words(),
        "labels_from": {name: labels.words() for name, labels in origins(wait.given, question.labels).items()},
        "distance": distance / 1_000_000 if isinstance(distance, int) else None,
        "confidence": confidence / 1_000_000 if confidence is not None else None,
        "risk": wait.risk,
        "identity": _identity(wait.identity),
        "rules": [
            {"id": name, "hash": content, "reason": reasons.get(content) or None} for name, content in question.rules
        ],
        "reason": wait.reason,
        "reason_code": wait.reason_code,
        "source": source(wait),
        "tries": [
            {
                "fact": item.fact,
                "source": item.source,
                "at": rfc3339(item.at),
                "value": item.value,
                "problem": item.problem,
            }
            for item in wait.tries
        ],
        "tries_left": wait.tries_left,
        "facts": [{"name": item.name, "value": item.value, "source": item.source} for item in wait.facts],
        "missing": list(wait.missing),
        "asks": dict(question.facts),
        "files": dict(question.files),
        "depends_on": list(wait.depends_on),
        "approvers": list(question.approvers),
        "approvals": question.approvals,
        "backups": list(question.backups),
        "escalate_at": rfc3339(question.escalate_at) if question.escalate_at is not None else None,
        "escalated": wait.escalated,
        "asked": list(asked(question, now)),
        "answers": [
            {
                "approver": item.statement.approver,
                "answer": item.statement.answer.value,
                "role": item.role,
                "at": rfc3339(item.statement.at),
                "reason": item.statement.reason,
            }
            for item in heard.heard
        ],
        "approved": heard.approved,
        "asked_at": rfc3339(question.asked_at),
        "deadline": rfc3339(question.deadline),
        "rounds": wait.rounds,
        "void": void,
    }


def runs(wait: Wait) -> bytes:
    """Return the canonical parameters that would run."""
    return wait.effective if wait.effective is not None else wait.action.parameters


def source(wait: Wait) -> str:
    """Return where the question comes from, in words."""
    if wait.question.verdict is Verdict.DEFER:
        return "deferral: something is not known yet"
    if wait.reason_code == "escalated":
        return "escalated deferral"
    return "step-up after a deferral" if wait.tries else "direct step-up"


class Grounds(NamedTuple):
    """What the policy that judged says: the reasons of the rules that ask, by content hash, and the tool's profile.

    void: how many answers were given to earlier questions of this wait, and do not count any more.
    """

    reasons: Mapping[str, str]
    profile: ToolProfile | None
    void: int = 0


def grounds(archive: Archive | None, wait: Wait) -> Grounds:
    """Return what the policy that judged says of a wait; where it cannot be read, what the wait itself holds."""
    from navicert.adapters.store.archive import receipt_of

    data, void = None, 0
    if archive is not None:
        receipts = [receipt_of(row) for row in archive.log(action=wait.action.action_id)]
        said = [part.answer for receipt in receipts for part in receipt.approval or ()]
        void = len(said) - said.count("state")  # what was stated stays known
        decisions = [receipt.decision for receipt in receipts if receipt.decision is not None]
        data = archive.policies().get(decisions[-1].policy.hash) if decisions else None
    if data is None:
        return Grounds({}, wait.action.profile, void)
    policy, _ = policy_of(data)
    wanted = {name for name, _ in wait.question.rules}
    rules = [rule for rule in (*policy.rules, supervision(policy.supervisors)) if rule.id in wanted]
    declared = next((profile for profile in policy.tools if profile.tool == wait.action.name), wait.action.profile)
    return Grounds({rule_digest(rule): rule.reason or rule.name for rule in rules}, declared, void)


def leaves(data: bytes, profile: ToolProfile | None = None) -> list[Leaf]:
    """Return every value of canonical parameters; what the action reaches stands first, its content last."""
    roles = {name: role for role in ROLES for name in getattr(profile, role, ())}
    order = {"destination": 0, "resource": 1, "amount": 2, "": 3, "content": 4}
    top = msgspec.json.decode(data, type=dict[str, msgspec.Raw])
    names = sorted(top, key=lambda name: order[roles.get(name, "")])
    return [leaf._replace(role=roles.get(name, "")) for name in names for leaf in _leaves(name, bytes(top[name]))]


def _leaves(path: str, data: bytes) -> Iterator[Leaf]:
    if data[:1] == b'"':
        text = msgspec.json.decode(data, type=str)
        yield Leaf(path, f"text, {len(text):,} character{'' if len(text) == 1 else 's'}", text)
    elif data[:1] == b"{" and data != b"{}":
        for name, item in msgspec.json.decode(data, type=dict[str, msgspec.Raw]).items():
            yield from _leaves(f"{path}.{name}", bytes(item))
    elif data[:1] == b"[" and data != b"[]":
        for index, item in enumerate(msgspec.json.decode(data, type=list[msgspec.Raw])):
            yield from _leaves(f"{path}[{index}]", bytes(item))
    else:
        words = {b"t": "true or false", b"f": "true or false", b"n": "nothing", b"{": "empty", b"[": "empty list"}
        yield Leaf(path, words.get(data[:1], "number"), data.decode())


def _identity(identity: ActionIdentity) -> dict[str, Any]:
    return {
        "human": identity.human,
        "service": identity.service,
        "agent": identity.agent,
        "session": identity.session,
        "roles": list(identity.roles),
        "scope": list(identity.scope),
        "delegation": [
            {
                "delegator": link.delegator,
                "delegatee": link.delegatee,
                "scope": list(link.scope),
                "expires_at": rfc3339(link.expires_at) if link.expires_at is not None else None,
                "evidence": link.evidence.method if link.evidence else "asserted",
            }
            for link in identity.delegation
        ],
        "verified": [
            {
                "subject": item.subject,
                "method": item.method,
                "issuer": item.issuer,
                "at": rfc3339(item.verified_at),
                "expires_at": rfc3339(item.expires_at) if item.expires_at is not None else None,
            }
            for item in identity.evidence
        ],
        "development": identity.development,
        "checked_again": list(RECHECKED),
    }
