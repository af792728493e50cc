"""R4: the five decisions, enforced; what waits: who answers it, how it ends, what waits behind it."""

from __future__ import annotations

import os
from time import monotonic, sleep
from typing import Final

from navicert.conformance.contract import Answered, Record, Voted
from navicert.conformance.policies import policy
from navicert.conformance.product import Refusal
from navicert.conformance.trial import Trial, check

DIRECT: Final = "a person looks at what goes there"
POLICY: Final = policy(
    f"""
  - {{id: plain, match: {{tool: kit.net, operation: post}}, decision: ALLOW, priority: -1}}
  - {{id: writing, match: {{tool: kit.files, operation: write}}, decision: ALLOW, priority: -1}}
  - id: paying
    match: {{tool: kit.bank, operation: pay}}
    decision: MODIFY
    modifications: [{{parameter: amount, cap: 10}}]
    priority: -1
  - id: never
    match: {{tool: kit.net, operation: post, destination: {{starts_with: never}}}}
    decision: DENY
  - id: redacted
    match: {{tool: kit.net, operation: post, destination: {{starts_with: redacted}}}}
    decision: MODIFY
    modifications: [{{parameter: body, redact: 'secret-[a-z0-9]+'}}]
  - id: look-first
    match: {{tool: kit.net, operation: post, destination: {{starts_with: asked}}}}
    decision: STEP_UP
    approvers: [ben, 'https://issuer.kit.example|ben']
    reason: {DIRECT}
    risk: critical
    timeout: 2m
  - id: asked-two
    match: {{tool: kit.net, operation: post, destination: {{starts_with: both}}}}
    decision: STEP_UP
    approvers: [ben, eva]
    approvals: 2
    timeout: 2m
  - id: asked-soon
    match: {{tool: kit.net, operation: post, destination: {{starts_with: soon}}}}
    decision: STEP_UP
    approvers: [ben]
    timeout: 1s
  - id: held
    match:
      {{tool: kit.net, operation: post, destination: {{starts_with: held}}, context: {{facts: {{go: {{ne: true}}}}}}}}
    decision: DEFER
    timeout: 2m
  - id: held-soon
    match: {{tool: kit.net, operation: post, destination: {{starts_with: later}}}}
    decision: DEFER
    reason: nobody knows
    timeout: 1s
  - id: parked
    match:
      {{tool: kit.files, operation: write, content: {{starts_with: parked}}, context: {{facts: {{go: {{ne: true}}}}}}}}
    decision: DEFER
    timeout: 2m
  - id: in-the-window
    match:
      tool: kit.net
      operation: post
      destination: {{starts_with: window}}
      context: {{facts: {{window: {{ne: open}}}}}}
    decision: DEFER
    timeout: 2m
  - id: pay-in-the-window
    match: {{tool: kit.bank, operation: pay, context: {{facts: {{window: {{ne: open}}}}}}}}
    decision: DEFER
    timeout: 2m
  - id: unknown
    match: {{tool: kit.net, operation: post, destination: {{starts_with: unknown}}, context: {{facts: {{lost: true}}}}}}
    decision: DEFER
    approvers: [eva]
    timeout: 2m
""",
    top="""
cascade: 2
facts:
  window: {file: $WORLD/calendar.json, at: /window, attempts: 30, every: 1s}
  lost: {file: $WORLD/lost.json, attempts: 1, every: 1s}
""",
    returns={"db.query": "{level: CONFIDENTIAL, categories: [HEALTH]}"},
)
BACK: Final = ("denied", "waits")
"""Where a surface takes a wait up by the same call made again, that call may begin another wait; it does not run."""


def ends(t: Trial, got: Answered, seconds: float = 10.0) -> Record:
    """Take it up until a record says how it ended; returns that record. Whatever happens, it does not run."""
    end = monotonic() + seconds
    while True:
        try:
            found = [each for each in t.records(got) if each.kind == "resolution" and each.verdict in {"ALLOW", "DENY"}]
        except Refusal as error:
            t.expect("its records can be read", "", str(error))
            raise
        if found or monotonic() > end:
            t.expect("one record says how it ended", 1, len(found))
            return found[0]
        t.holds("taken up, it does not run", t.resume(got).outcome in BACK)
        sleep(0.2)


def times_out(t: Trial, got: Answered, value: str) -> None:
    """Expect that what waits ends in DENY, without effect, for good."""
    record = ends(t, got)
    t.expect("its time over, it is denied", ["DENY", "timeout"], [record.verdict, record.method])
    t.holds("a late answer is not taken", not t.approve(got, "ben").taken)
    t.holds("it stays denied", t.resume(got).outcome in BACK)
    t.expect_seen(value)


def waiting(t: Trial, session: str, to: str, value: str) -> Answered:
    """Have something sent that has to wait, and expect that it does."""
    got = t.call(session, "net.post", to=to, body=value)
    t.expect("it waits", "waits", got.outcome)
    t.expect_seen(value)
    return got


def runs(t: Trial, got: Answered, value: str, *places: str, seconds: float = 0.0) -> None:
    """Take up what waited, and expect that it runs now, once."""
    t.expect("taken up, it runs", "ran", t.resume_until(got, "ran", seconds).outcome)
    t.expect_seen(value, *places)


def put_calendar(t: Trial, window: str) -> None:
    """Say in the file that facts come from whether the window is open."""
    (t.world.folder / "calendar.json").write_text(f'{{"window": "{window}"}}', encoding="utf-8")
    t.note(f"the calendar says: {window}")


def another_user(t: Trial, voted: Voted) -> None:
    """Where this machine allows it, whoever answers is another user than the system under test."""
    if os.geteuid() == 0:
        t.holds("they answered as another user of this machine than root", voted.user != 0)
    else:
        t.note(f"the kit may not change users: they answered as user {voted.user}")


@check(
    "R4-1",
    serves=("R4.a", "R4.b"),
    twins=("waits_run", "modifications_dropped", "refusals_run", "denials_run"),
    policy=POLICY,
)
def five_decisions(t: Trial) -> None:
    """Each of the five decisions is enforced as the table says."""
    s, allowed, denied, asked, refused, held = t.session(), *(t.drawn() for _ in range(5))
    t.expect("ALLOW runs", "ran", t.call(s, "net.post", to="anybody", body=allowed).outcome)
    t.expect_seen(allowed, "net")

    got = t.call(s, "net.post", to="never", body=denied)
    t.expect("DENY does not", ["denied", "DENY"], [got.outcome, t.record(got).verdict])
    t.expect_seen(denied)

    kept, cut = t.drawn(), f"secret-{t.drawn()}"
    got = t.call(s, "net.post", to="redacted", body=f"{kept} {cut}")
    t.expect("MODIFY runs", "ran", got.outcome)
    t.expect_seen(kept, "net")
    t.expect_seen(cut)
    record = t.record(got)
    t.expect("the record has what was asked for", f"{kept} {cut}", record.parameters.get("body"))
    t.expect("and what ran", ["MODIFY", f"{kept} [redacted]"], [record.verdict, record.effective.get("body")])

    got = waiting(t, s, "asked", asked)
    t.expect("STEP_UP is on record", "STEP_UP", t.record(got).verdict)
    t.expect("before anybody has answered it does not run", "waits", t.resume(got).outcome)
    t.holds("a person approves", t.approve(got, "ben").taken)
    runs(t, got, asked, "net")
    got = waiting(t, s, "asked", refused)
    t.holds("a person refuses", t.approve(got, "ben", approve=False).taken)
    t.holds("STEP_UP that was refused does not run", t.resume(got).outcome in BACK)
    t.expect_seen(refused)
    t.expect("DENY is on record", "DENY", t.record(got, "resolution").verdict)

    got = waiting(t, s, "held", held)
    t.expect("DEFER is on record", "DEFER", t.record(got).verdict)
    t.expect("before more is known it does not run", "waits", t.resume(got).outcome)
    t.observes(s, "go", value=True, source="release calendar")
    runs(t, got, held, "net")


@check("R4-2", serves=("R4.a",), twins=("timeout_allows", "waits_run"), policy=POLICY)
def step_up_times_out(t: Trial) -> None:
    """A STEP_UP that nobody answers in time ends in DENY, and stays denied."""
    s, value, answered = t.session(), t.drawn(), t.drawn()
    got = waiting(t, s, "asked", answered)
    t.holds("the like that is answered in time", t.approve(got, "ben").taken)
    runs(t, got, answered, "net")
    times_out(t, waiting(t, s, "soon", value), value)


@check("R4-3", serves=("R4.b",), twins=("timeout_allows", "waits_run"), policy=POLICY)
def deferral_times_out(t: Trial) -> None:
    """A DEFER that nothing resolves in time ends in DENY, and stays denied."""
    s, value, resolved = t.session(), t.drawn(), t.drawn()
    got = waiting(t, s, "held", resolved)
    t.observes(s, "go", value=True, source="release calendar")
    runs(t, got, resolved, "net")
    times_out(t, waiting(t, s, "later", value), value)


@check("R4.a/approvers", serves=("R4.a",), twins=("anybody_approves", "keys_unchecked", "one_suffices"), policy=POLICY)
def approvers(t: Trial) -> None:
    """A STEP_UP is answered by the configured approvers only: all that are needed, and not by the requester."""
    value, both = t.drawn(), t.drawn()
    s, ben = t.session(human="ben"), t.issuer.principal("ben")
    got = waiting(t, s, "asked", value)
    t.holds("somebody else's yes is not taken", not t.approve(got, "eva").taken)
    t.holds("nor that of somebody who says to be an approver", not t.approve(got, "ben", forged=True).taken)
    t.holds("nor the requester's, whom the rule lists", not t.approve(got, ben).taken)
    t.expect("it waits still", "waits", t.resume(got).outcome)
    t.expect_seen(value)
    voted = t.approve(got, "ben")
    t.holds("an approver's yes is taken", voted.taken)
    another_user(t, voted)
    runs(t, got, value, "net")

    theirs = t.drawn()
    got = waiting(t, t.session(), "asked", theirs)
    t.holds("where they are not the requester, they may", t.approve(got, ben).taken)
    runs(t, got, theirs, "net")

    got = waiting(t, s, "both", both)
    t.holds("one of two approves", t.approve(got, "ben").taken)
    t.approve(got, "ben")
    t.expect("one, even twice, is not enough", "waits", t.resume(got).outcome)
    t.expect_seen(both)
    t.holds("the other approves", t.approve(got, "eva").taken)
    runs(t, got, both, "net")


@check("R4.a/shown", serves=("R4.a",), twins=("shown_other_arguments", "shown_without_context"), policy=POLICY)
def shown(t: Trial) -> None:
    """Approvers see what would run, the request, prior actions, labels, risk, identity chain, and the rule."""
    request, human, agent, other, value, to = (t.drawn() for _ in range(6))
    parent = t.session(request, human=human, agent=agent, roles=("clerk",))
    t.expect("an earlier action runs", "ran", t.call(parent, "db.query", sql="SELECT 1", limit=1).outcome)
    s = t.delegate(parent, agent=other, scope=("kit.net.*", "kit.db.*"))
    t.expect("another", "ran", t.call(s, "db.query", sql="SELECT 2", limit=1).outcome)
    got = waiting(t, s, f"asked-{to}", value)
    voted = t.approve(got, "ben")
    t.holds("an approver answers", voted.taken)
    wanted = {
        "the original request": request,
        "the tool": "kit.net",
        "the operation": "post",
        "where it goes": f"asked-{to}",
        "the other parameter": value,
        "a prior action": "kit.db.query",
        "the level of what was read": "CONFIDENTIAL",
        "its category": "HEALTH",
        "the risk": "critical",
        "the human": t.issuer.principal(human),
        "the agent": other,
        "the agent that delegated": agent,
        "the rule": "look-first",
        "why": DIRECT,
    }
    for name, each in wanted.items():
        t.holds(f"they saw {name}: {each}", each in voted.shown)
    t.holds("and that it is asked directly", not voted.escalated)
    runs(t, got, value, "net")


@check("R4.a/distance", serves=("R4.a",), twins=("shown_without_distance", "shown_one_distance"), policy=POLICY)
def distance(t: Trial) -> None:
    """Approvers see the semantic distance from the request, and how sure the policy is."""
    shown: list[float] = []
    for request in ("post a message to asked on the net", "water the plants of the third floor"):
        voted = t.approve(waiting(t, t.session(request), "asked", t.drawn()), "ben")
        t.holds("an approver answers", voted.taken)
        seen = [each for each in (voted.distance, voted.confidence) if each is not None]
        t.expect("they saw a distance and a confidence", 2, len(seen))
        t.holds("both are of their scale", all(0 <= each <= 1 for each in seen))
        shown.append(seen[0])
    t.holds(f"what was asked for is nearer than what was not: {shown}", shown[0] < shown[1])


@check(
    "R4.a/bound",
    serves=("R4.a",),
    twins=("approval_reusable", "approval_for_other_arguments", "approval_outlives_policy"),
    policy=POLICY,
)
def bound(t: Trial) -> None:
    """An approval is good for one call, once: not for other arguments, another session, or under another policy."""
    human, agent, value, other = (t.drawn() for _ in range(4))
    s, another = t.session(human=human, agent=agent), t.session(human=human, agent=agent)
    got = waiting(t, s, "asked", value)
    t.holds("it is approved", t.approve(got, "ben").taken)
    t.expect("other arguments wait", "waits", t.call(s, "net.post", to="asked", body=other).outcome)
    t.expect(
        "the same call of another session waits", "waits", t.call(another, "net.post", to="asked", body=value).outcome
    )
    t.expect_seen(other)
    t.expect_seen(value)
    runs(t, got, value, "net")
    t.expect("the same call once more waits", "waits", t.call(s, "net.post", to="asked", body=value).outcome)
    t.holds("what has run is not taken up again", t.resume(got).outcome in BACK)
    t.expect_seen(value, "net")

    later = t.drawn()
    got = waiting(t, s, "asked", later)
    t.holds("another is approved", t.approve(got, "ben").taken)
    try:
        t.set_policy(POLICY.replace(DIRECT, f"{DIRECT}, by another rule"))
        t.expect("the rule is another now, and asks anew", "waits", t.resume(got).outcome)
        t.expect_seen(later)
        t.holds("it is approved again", t.approve(got, "ben").taken)
        runs(t, got, later, "net")
    finally:
        t.set_policy(POLICY)


@check("R4.a/once", serves=("R4.a",), twins=("waits_kept",), policy=POLICY)
def once(t: Trial) -> None:
    """What was approved runs once, whoever takes it up at the same time."""
    s, value, before = t.session(), t.drawn(), t.drawn()
    t.expect("the like that nobody is asked for runs", "ran", t.call(s, "net.post", to="anybody", body=before).outcome)
    got = waiting(t, s, "asked", value)
    t.holds("it is approved", t.approve(got, "ben").taken)
    takers = [t.resumes(got) for _ in range(4)]
    outcomes = [t.called(each).outcome for each in takers]
    t.expect("one of four who take it up at once runs it", 1, outcomes.count("ran"))
    t.holds("one who comes later does not", t.resume(got).outcome in BACK)
    t.expect_seen(value, "net")


@check("R4.b/facts", serves=("R4.b",), twins=("waits_run", "denials_run"), policy=POLICY)
def facts(t: Trial) -> None:
    """A deferral is resolved by facts from a source that governed tools cannot write."""
    s, value, wish = t.session(), t.drawn(), t.drawn()
    put_calendar(t, "closed")
    got = waiting(t, s, "window", value)
    t.expect("the calendar says no", "waits", t.resume(got).outcome)
    place = t.world.folder / "calendar.json"
    for path in (str(place), f"../{place.name}"):
        t.expect("the agent cannot write it", "denied", t.call(s, "files.write", path=path, text=wish).outcome)
    t.expect("it is as it was", '{"window": "closed"}', place.read_text(encoding="utf-8"))
    t.expect("it waits still", "waits", t.resume(got).outcome)
    t.expect_seen(value)
    put_calendar(t, "open")
    runs(t, got, value, "net", seconds=5)
    found = t.record(got, "resolution")
    t.expect("the record says so", ["ALLOW", True], [found.verdict, bool(found.resolved_at)])


@check("R4.b/modified", serves=("R4.b",), twins=("modifications_dropped", "waits_run"), policy=POLICY)
def modified(t: Trial) -> None:
    """What is judged again after a deferral may be modified, and runs as modified."""
    s, value = t.session(), t.drawn()
    put_calendar(t, "closed")
    got = t.call(s, "bank.pay", account="rent", amount=4711, memo=value)
    t.expect("it waits", "waits", got.outcome)
    t.expect_seen(value)
    put_calendar(t, "open")
    runs(t, got, value, "net", seconds=5)
    paid = [each for each in t.world.observers.arrived("net") if value.encode() in each]
    t.expect("what arrived is capped", [True, False], [b'"amount": 10,' in paid[0], b"4711" in paid[0]])
    found = t.record(got, "resolution")
    t.expect("the record says MODIFY", ["MODIFY", 10], [found.verdict, found.effective.get("amount")])


@check("R4.b/escalated", serves=("R4.b", "R4.a"), twins=("escalation_permits",), policy=POLICY)
def escalated(t: Trial) -> None:
    """Where nothing more can be found out, people are asked, and told that it is an escalated deferral."""
    s, value = t.session(), t.drawn()
    got = waiting(t, s, "unknown", value)
    end = monotonic() + 5
    while not (asked := [each for each in t.records(got) if each.verdict == "STEP_UP"]) and monotonic() < end:
        t.expect("taken up, it does not run", "waits", t.resume(got).outcome)
        sleep(0.1)
    t.expect("it became a STEP_UP", 1, len(asked))
    voted = t.approve(got, "eva")
    t.expect("its approver answers", [True, True], [voted.taken, voted.escalated])
    runs(t, got, value, "net")


@check("R4.c/order", serves=("R4.c",), twins=("dependents_run", "order_overtaken"), policy=POLICY)
def order(t: Trial) -> None:
    """An action does not overtake a deferred one that acts on the same resource."""
    s, first, second, name = t.session(), t.drawn(), t.drawn(), t.drawn()
    held = t.call(s, "files.write", path=name, text=f"parked {first}")
    t.expect("the first waits", "waits", held.outcome)
    next_ = t.call(s, "files.write", path=name, text=second)
    t.expect("the second waits behind it", "waits", next_.outcome)
    t.observes(s, "go", value=True, source="release calendar")
    t.expect("the second does not overtake", "waits", t.resume(next_).outcome)
    t.expect_seen(second)
    runs(t, held, first, f"file:{name}")
    runs(t, next_, second, f"file:{name}")
    t.expect_seen(first)


@check("R4.d/dependents", serves=("R4.d",), twins=("dependents_run", "order_overtaken"), policy=POLICY)
def dependents(t: Trial) -> None:
    """What names a deferred action, reads what it would write, or is said to come after it, waits for it too."""
    s, value, named, name, path = t.session(), *(t.drawn() for _ in range(4))
    t.world.put(name, "as it was")
    held = t.call(s, "files.write", path=name, text=f"parked {value}")
    t.expect("the first waits", "waits", held.outcome)
    by_name = t.call(s, "net.post", to="anybody", body=f"{named} after {held.handle}")
    t.expect("what names it waits", "waits", by_name.outcome)
    reads = t.call(s, "files.read", path=name)
    t.expect("what reads what it would write waits", "waits", reads.outcome)
    t.expect("the records say DEFER", ["DEFER", "DEFER"], [t.record(by_name).verdict, t.record(reads).verdict])
    try:
        said = t.call(s, "files.write", path=path, text=path, after=(held.handle or "",))
    except Refusal as error:
        t.note(f"no way on this surface to say that one call comes after another: {error}")
    else:
        t.expect("what is said to come after it waits", "waits", said.outcome)
    t.expect("taken up, it waits still", "waits", t.resume(by_name).outcome)
    t.expect_seen(named)
    t.observes(s, "go", value=True, source="release calendar")
    runs(t, held, value, f"file:{name}")
    runs(t, by_name, named, "net")
    got = t.resume(reads)
    t.expect("the read has what was written", ["ran", True], [got.outcome, value in got.text])


@check("R4.d/refused", serves=("R4.d",), twins=("dependents_run",), policy=POLICY)
def refused_too(t: Trial) -> None:
    """What depends on a deferred action that is refused is refused too."""
    human, value, named, other = (t.drawn() for _ in range(4))
    s = t.session(human=human)
    held = t.call(s, "net.post", to="held", body=value)
    depends = t.call(s, "net.post", to="anybody", body=f"{named} after {held.handle}")
    t.expect("both wait", ["waits", "waits"], [held.outcome, depends.outcome])
    taken = t.approve(held, t.issuer.principal(human), approve=False).taken
    t.holds("who asked for the first takes it back", taken)
    t.expect("both are denied", ["DENY", "DENY"], [ends(t, held).verdict, ends(t, depends).verdict])
    t.expect("the like that depends on nothing runs", "ran", t.call(s, "net.post", to="anybody", body=other).outcome)
    t.expect_seen(other, "net")
    t.expect_seen(value)
    t.expect_seen(named)


@check("R4.e/independent", serves=("R4.e",), twins=("everything_waits",), policy=POLICY)
def independent(t: Trial) -> None:
    """What does not depend on a deferred action proceeds meanwhile."""
    s, another, held, same, elsewhere = t.session(), t.session(), *(t.drawn() for _ in range(3))
    got = t.call(s, "files.write", path=f"{held}.txt", text=f"parked {held}")
    t.expect("the first waits", "waits", got.outcome)
    t.expect("another of the session runs", "ran", t.call(s, "net.post", to="anybody", body=same).outcome)
    called = t.call(another, "files.write", path=f"{elsewhere}.txt", text=elsewhere)
    t.expect("and one of another session", "ran", called.outcome)
    t.expect_seen(same, "net")
    t.expect_seen(elsewhere, f"file:{elsewhere}.txt")
    t.expect("the first waits still", "waits", t.resume(got).outcome)
    t.expect_seen(held)


@check("R4.f/cascade", serves=("R4.f",), twins=("cascade_unbounded",), policy=POLICY)
def cascade(t: Trial) -> None:
    """Deferrals behind deferrals are bounded: two may hang on one another here, and the third is denied."""
    s, one, two, three = t.session(), *(t.drawn() for _ in range(3))
    first = waiting(t, s, "held", one)
    second = waiting(t, s, "anybody", f"{two} after {first.handle}")
    third = t.call(s, "net.post", to="anybody", body=f"{three} after {second.handle}")
    t.expect("the third is denied", ["denied", "DENY"], [third.outcome, t.record(third).verdict])
    t.observes(s, "go", value=True, source="release calendar")
    runs(t, first, one, "net")
    runs(t, second, two, "net")
    t.expect_seen(three)


@check("R4.g/receipts", serves=("R4.g",), twins=("resolution_unrecorded", "reasons_missing"), policy=POLICY)
def receipts(t: Trial) -> None:
    """A deferral is recorded with its reason, and its end in another record: resolved, or timed out."""
    s, value, resolved = t.session(), t.drawn(), t.drawn()
    late = waiting(t, s, "later", value)
    got = waiting(t, s, "held", resolved)
    said = t.record(got)
    t.expect("the deferral is on record", ["DEFER", got.handle], [said.verdict, said.handle])
    t.expect("with its rule", ["held"], list(said.rules))
    t.expect("with why, and until when", [True, True], [bool(said.deferral_reason), bool(said.deadline)])
    t.expect("another, with its rule's own words", "nobody knows", t.record(late).reason)
    t.observes(s, "go", value=True, source="release calendar")
    runs(t, got, resolved, "net")
    found = t.record(got, "resolution")
    t.expect("its end is on record", ["ALLOW", got.handle], [found.verdict, found.handle])
    t.expect("with how and when", [True, True], [bool(found.method), bool(found.resolved_at)])
    t.holds("and what came of it", t.record(got, "outcome").success)
    found = ends(t, late)
    t.expect("the end of another is on record, too", ["DENY", "timeout"], [found.verdict, found.method])
    t.holds("and when", bool(found.resolved_at))
    t.expect_seen(value)
