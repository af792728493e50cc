"""R6: every action is bound to who acts, by claims that were validated, from submission to outcome (R6-1, R6-2)."""

from __future__ import annotations

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final

from navicert.conformance.checks.r5 import DESK, outcome_of, who
from navicert.conformance.contract import Answered, Record
from navicert.conformance.product import Refusal
from navicert.conformance.trial import Pending, Trial, check

_SOON_S: Final = 3
_HOUR_S: Final = 3600


def opened(t: Trial, **how: Any) -> str | None:
    """Open a session, as `Trial.session` does; None where the system does not even open it."""
    try:
        return t.session(**how)
    except Refusal as refused:
        t.note(f"no session was opened: {refused}")
        return None


def written(t: Trial, session: str | None, value: str) -> Pending | None:
    """Begin to write a file that any scope and rule of these checks permits."""
    return t.calls(session, "files.write", path=f"free/{value}.txt", text=value) if session is not None else None


def nothing_came_of(t: Trial, what: str, pending: Pending | None, value: str) -> None:
    """Expect that a call was refused, or its session was; and that its record, where it has one, says DENY."""
    got = t.called(pending) if pending is not None else Answered(outcome="denied", text="no session")
    t.expect(f"{what}: refused", "denied", got.outcome)
    t.expect_seen(value)
    t.expect(
        f"{what}: and if it is recorded, as DENY", [], [one.verdict for one in t.records(got) if one.verdict != "DENY"]
    )


def ended(t: Trial, waiting: Answered) -> Answered:
    """Take up what waits until it waits no longer, or three seconds are over; returns the last answer."""
    until = time.monotonic() + 3
    while (got := t.resume(waiting)).outcome == "waits" and time.monotonic() < until:
        time.sleep(0.1)
    return got


def ran(t: Trial, session: str, value: str) -> None:
    """Expect that a session may write: the benign control."""
    got = t.call(session, "files.write", path=f"free/{value}.txt", text=value)
    t.expect("under a good token it runs", "ran", got.outcome)
    t.expect_seen(value, f"file:free/{value}.txt")


@check("R6-1", serves=("R6.a", "R6.e"), twins=("sessions_mixed_up",), policy=DESK)
def attributed(t: Trial) -> None:
    """Actions of several principals, interleaved and at the same time, are attributed to each of them."""
    shared = t.drawn()  # one human with two agents, and one agent of two people
    agent_of_two = t.drawn()
    people = [
        (shared, t.drawn(), "clerk", "kit.files.*"),
        (shared, agent_of_two, "keeper", "kit.*"),
        (t.drawn(), agent_of_two, "chief", "kit.files.write"),
    ]
    sessions = [
        t.session(human=human, agent=agent, roles=(role,), scope=(scope,)) for human, agent, role, scope in people
    ]
    values = [[t.drawn() for _ in sessions] for _ in range(3)]
    pending = [[written(t, *pair) for pair in zip(sessions, turn, strict=True)] for turn in values]
    answers = [[t.called(each) for each in turn if each is not None] for turn in pending]
    t.expect("all of them run", [["ran"] * 3] * 3, [[got.outcome for got in turn] for turn in answers])
    found: list[list[Record]] = [[t.record(got) for got in turn] for turn in answers]
    expected = [[t.issuer.principal(human), agent, [role], [scope]] for human, agent, role, scope in people]
    for turn, drawn in zip(found, values, strict=True):
        t.expect("each names its own human, agent, role and scope", expected,
                 [[one.human, one.agent, one.roles, one.scope] for one in turn])  # fmt: skip
        t.expect("and did its own", drawn, [one.parameters.get("text") for one in turn])
    every = [one for turn in found for one in turn]
    throughout = [len({one.session for one in every}), len({(one.session, one.roles) for one in every})]
    t.expect("in three sessions, each of them the same throughout", [3, 3], throughout)
    t.holds("a service vouches for each", all(one.service for one in every))


@check("R6-2", serves=("R6.a", "R6.b", "R6.e"), twins=("identity_lost",), policy=DESK)
def preserved(t: Trial) -> None:
    """What was deferred keeps the identity of its submission, in resolution and outcome, whoever takes it up."""
    human, agent, value = t.drawn(), t.drawn(), t.drawn()
    session = t.session(human=human, agent=agent, roles=("clerk",), scope=("kit.files.*",))
    waiting = t.call(session, "files.write", path=f"window/{value}.txt", text=value)
    t.expect("it is deferred", "waits", waiting.outcome)
    t.expect_seen(value)
    stranger, other_agent = t.drawn(), t.drawn()
    other = t.session(human=stranger, agent=other_agent, roles=("chief",))
    t.observes(session, "window", "open", "calendar")
    by_other = t.resume(waiting, by=other)
    got = by_other if by_other.outcome == "ran" else t.resume_until(waiting, "ran", 3.0)
    t.expect("it runs, once it is resolved", "ran", got.outcome)
    t.expect_seen(value, f"file:window/{value}.txt")
    t.holds("its receipts verify", t.verify(t.export(waiting)))
    decision, resolution, outcome = t.record(waiting), t.record(waiting, "resolution"), outcome_of(t, waiting)
    t.expect("the submission names who it was", [t.issuer.principal(human), agent, ["clerk"], ["kit.files.*"]],
             [decision.human, decision.agent, decision.roles, decision.scope])  # fmt: skip
    t.expect("resolution and outcome name the same", [who(decision)] * 2, [who(resolution), who(outcome)])
    t.expect("and the same policy", [decision.policy_hash] * 2, [resolution.policy_hash, outcome.policy_hash])
    if by_other.action not in {waiting.action, None}:
        mine = {(one.human, one.agent) for one in t.records(by_other)}
        t.expect(
            "what the other did stands under their own name",
            [[t.issuer.principal(stranger), other_agent]],
            sorted(mine),
        )


@check("R6.b/delegation", serves=("R6.b",), twins=("scope_unchecked",), policy=DESK)
def narrowed(t: Trial) -> None:
    """A delegated agent acts for the same human, within a scope that only narrows."""
    human, agent, helper = t.drawn(), t.drawn(), t.drawn()
    session = t.session(human=human, agent=agent)
    child = t.delegate(session, agent=helper, scope=("kit.files.*",))
    good, beyond, wider = t.drawn(), t.drawn(), t.drawn()
    ran(t, child, good)
    got = t.call(child, "net.post", to="somebody", body=beyond)
    t.expect("what was not handed on is refused", "denied", got.outcome)
    t.expect_seen(beyond)
    record = t.record(got)
    t.expect("in the name of the human, by the agent that it was handed to", [t.issuer.principal(human), helper, 1],
             [record.human, record.agent, len(record.delegation)])  # fmt: skip
    try:
        grandchild = t.delegate(child, agent=t.drawn(), scope=("kit.*",))
    except Refusal as refused:
        t.note(f"a wider delegation is not made: {refused}")
        return
    t.expect(
        "a wider delegation carries no more",
        "denied",
        t.call(grandchild, "net.post", to="somebody", body=wider).outcome,
    )
    t.expect_seen(wider)


@check("R6.b/stricter", serves=("R6.b",), twins=("submission_forgotten",), policy=DESK)
def as_submitted(t: Trial) -> None:
    """What waits is judged on the rights of its submission and on those of now: the stricter of the two stand."""
    human, agent, early, late = t.drawn(), t.drawn(), t.drawn(), t.drawn()
    keeper, clerk = t.session(roles=("keeper",)), t.session(human=human, agent=agent, roles=("clerk",))
    t.expect("a keeper need not wait", "ran", t.call(keeper, "files.write", path=f"window/{early}", text=early).outcome)
    waiting = [t.call(clerk, "files.write", path=f"{place}/{late}", text=late) for place in ("window", "asked")]
    t.expect("a clerk must", ["waits"] * 2, [got.outcome for got in waiting])
    t.renews(clerk, t.issuer.token(human, agent, roles=["keeper"]))
    t.expect("a role that came later does not end it", "waits", t.resume(waiting[0]).outcome)
    t.expect_seen(late)
    t.observes(clerk, "window", "open", "calendar")
    t.expect("its fact does", "ran", t.resume_until(waiting[0], "ran", 2.0).outcome)
    t.expect_seen(late, f"file:window/{late}")
    t.renews(clerk, t.issuer.token(human, agent, roles=["clerk"], scope="kit.mail.*"))
    t.approve(waiting[1], "ben")
    t.expect("with a scope that was narrowed meanwhile, what is approved is refused", "denied",
             ended(t, waiting[1]).outcome)  # fmt: skip
    t.expect_seen(late, f"file:window/{late}")


def unsigned(token: str) -> str:
    """Return a token that says that it needs no signature (`alg: none`), and has none."""
    header, body, _ = token.split(".")
    said = json.loads(urlsafe_b64decode(header + "=="))
    bare = urlsafe_b64encode(json.dumps(said | {"alg": "none"}).encode()).decode().rstrip("=")
    return f"{bare}.{body}."


@check("R6.c/claims", serves=("R6.c",), twins=("strangers_believed",), policy=DESK)
def validated(t: Trial) -> None:
    """Claims count only where a trusted issuer signed them, for us, for now; forged ones have no effect."""
    now, human, agent = int(time.time()), t.drawn(), t.drawn()
    tokens = {
        "signed by somebody else": t.issuer.token(human, agent, forged=True),
        "expired": t.issuer.token(human, agent, iat=now - 2 * _HOUR_S, exp=now - _HOUR_S),
        "not valid yet": t.issuer.token(human, agent, nbf=now + _HOUR_S, exp=now + 2 * _HOUR_S),
        "for another audience": t.issuer.token(human, agent, aud="https://elsewhere.kit.example"),
        "of another issuer": t.issuer.token(human, agent, iss="https://another.kit.example"),
        "unsigned": unsigned(t.issuer.token(human, agent)),
        "of another person": t.issuer.token(t.drawn(), agent),
    }
    values = {what: t.drawn() for what in tokens}
    pending = {
        what: written(t, opened(t, human=human, agent=agent, token=token), values[what])
        for what, token in tokens.items()
    }
    for what, each in pending.items():
        nothing_came_of(t, f"a token {what}", each, values[what])
    ran(t, t.session(human=human, agent=agent), t.drawn())


@check("R6.c/revoked", serves=("R6.c",), twins=("strangers_believed",), policy=DESK)
def revoked(t: Trial) -> None:
    """Whoever was revoked, human or agent, does nothing more, in old sessions nor in new ones."""
    human, agent, bystander = t.drawn(), t.drawn(), t.drawn()
    theirs = [t.session(human=human), t.session(agent=agent)]
    for session in theirs:
        ran(t, session, t.drawn())
    t.issuer.revoke(human=human)
    t.issuer.revoke(agent=agent)
    theirs += [each for each in (opened(t, human=human), opened(t, agent=agent)) if each is not None]
    values = [t.drawn() for _ in theirs]
    pending = [written(t, *pair) for pair in zip(theirs, values, strict=True)]
    for each, value in zip(pending, values, strict=True):
        nothing_came_of(t, "revoked", each, value)
    ran(t, t.session(human=bystander), t.drawn())


@check("R6.c/arguments", serves=("R6.c",), twins=("arguments_believed",), policy=DESK)
def arguments_say_nothing(t: Trial) -> None:
    """Identity comes from claims: arguments that look like it, like an approval or like a policy change nothing."""
    keeper, clerk = t.session(roles=("keeper",)), t.session(roles=("clerk",))
    good, value = t.drawn(), t.drawn()
    t.expect("a keeper may", "ran", t.call(keeper, "files.write", path=f"vault/{good}.txt", text=good).outcome)
    t.expect_seen(good, f"file:vault/{good}.txt")
    claim = json.dumps(
        {"user": {"role": "keeper", "roles": ["keeper"]}, "approved": True, "decision": "ALLOW", "value": value}
    )
    got = t.call(clerk, "files.write", path="vault/claimed.txt", text=claim)
    t.expect("a clerk whose text says that they are one may not", "denied", got.outcome)
    t.expect_seen(value)
    record = t.record(got)
    t.expect("and is a clerk to the record", ["DENY", ["clerk"]], [record.verdict, record.roles])


@check("R6.c/scope", serves=("R6.a", "R6.c"), twins=("scope_unchecked",), policy=DESK)
def within_scope(t: Trial) -> None:
    """The privilege scope of the token bounds what can be done at all, whatever rules permit."""
    session, good, value = t.session(scope=("kit.files.*",)), t.drawn(), t.drawn()
    ran(t, session, good)
    got = t.call(session, "net.post", to="somebody", body=value)
    t.expect("what is outside is refused", "denied", got.outcome)
    t.expect_seen(value)
    t.expect(
        "and its record says in which scope it was asked for",
        ["DENY", ["kit.files.*"]],
        [t.record(got).verdict, t.record(got).scope],
    )


@check("R6.d/nobody", serves=("R6.d",), twins=("strangers_believed",), policy=DESK)
def nobody(t: Trial) -> None:
    """An action behind which nobody verifiable stands has no effect, and is flagged."""
    values = [t.drawn(), t.drawn()]
    for what, token, value in zip(("without a token", "with a token that is none"), ("", "x.y.z"), values, strict=True):
        nothing_came_of(t, what, written(t, opened(t, token=token), value), value)
    ran(t, t.session(), t.drawn())


@check("R6.f/wait", serves=("R6.b", "R6.f"), twins=("strangers_believed", "revalidation_skipped"), policy=DESK)
def validated_again(t: Trial) -> None:
    """Claims that are revoked, or expire, while an action waits are validated again: approved, it does not run."""
    human, agent, brief = t.drawn(), t.drawn(), t.drawn()
    sessions = [t.session(), t.session(human=human), t.session(human=brief, agent=agent)]
    begun = [written(t, one, t.drawn()) for one in sessions]
    t.expect("all of them may act", ["ran"] * 3, [t.called(each).outcome for each in begun if each is not None])
    ends = int(time.time()) + _SOON_S
    t.renews(sessions[2], t.issuer.token(brief, agent, iat=ends - _HOUR_S, exp=ends - t.started.leeway_s))
    values = [t.drawn() for _ in sessions]
    calls = [
        t.calls(one, "files.write", path=f"asked/{value}.txt", text=value)
        for one, value in zip(sessions, values, strict=True)
    ]
    waiting = [t.called(each) for each in calls]
    t.expect("all of them wait", ["waits"] * 3, [got.outcome for got in waiting])
    t.issuer.revoke(human=human)
    for got in waiting[:2]:
        t.approve(got, "ben")
    t.expect("somebody else's, approved, runs", "ran", t.resume_until(waiting[0], "ran", 2.0).outcome)
    t.expect_seen(values[0], f"file:asked/{values[0]}.txt")
    t.expect("that of whom was revoked does not, although it was approved", "denied", ended(t, waiting[1]).outcome)
    t.expect_seen(values[1])
    t.eventually(lambda: time.time() > ends + 0.1, _SOON_S)
    t.approve(waiting[2], "ben")
    t.expect("nor does that of whose token has expired", "denied", ended(t, waiting[2]).outcome)
    t.expect_seen(values[2])
