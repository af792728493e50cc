"""R3: policy evaluation (R3-1 to R3-4, R3.a to R3.e)."""

from __future__ import annotations

from typing import Any, Final

from navicert.conformance.contract import Answered, Record
from navicert.conformance.policies import policy
from navicert.conformance.trial import Trial, check

RULES = policy(
    """
  - id: kept
    classification: forbidden
    match: {tool: kit.files, operation: remove, resource: {under: [keep]}}
    decision: DENY
    reason: what is kept stays
  - id: cleared
    match: {tool: kit.files, operation: remove, context: {said: {contains: clear it}}}
    decision: ALLOW
    priority: 1000
  - id: asked
    match: {tool: kit.files, operation: remove, resource: {under: [keep/asked, attic/asked]}}
    decision: STEP_UP
    approvers: [ben]
    timeout: 1m
    priority: 2000
  - {id: mail, match: {tool: kit.mail, operation: send}, decision: ALLOW}
  - id: nothing-out
    match: {tool: kit.mail, operation: send, context: {level: {ge: CONFIDENTIAL}}}
    classification: context_dependent_deny
    decision: DENY
    priority: 10
  - id: open-window
    match: {tool: kit.net, operation: post, destination: window, context: {facts.window: open}}
    classification: context_dependent_allow
    decision: ALLOW
  - id: requested
    match: {tool: kit.net, operation: post, destination: board, context: {said: {contains: publish it}}}
    classification: context_dependent_allow
    decision: STEP_UP
    approvers: [ben]
    timeout: 1m
  - {id: first, match: {tool: kit.net, operation: post, destination: [pair, unlocked]}, decision: ALLOW}
  - {id: second, match: {tool: kit.net, operation: post, destination: pair, content: {contains: both}}, decision: DENY}
  - id: locked
    match: {tool: kit.net, operation: post, destination: unlocked, context: {facts.lock: shut}}
    decision: DENY
    priority: 10
  - id: within
    match: {tool: kit.bank, operation: pay}
    constraints:
      parameters:
        memo: {matches: '^[a-z0-9]+(:[A-Z]+)?$'}
        account: {in: [one, two], not: {in: [three]}}
      amount: {gt: 0, le: 100}
    decision: ALLOW
  - id: typed
    match: {tool: kit.slow, operation: write}
    constraints:
      parameters:
        seconds: {type: integer}
        path: {not: {in: [blocked.txt]}}
    decision: ALLOW
  - id: smaller
    match: {tool: kit.db, operation: query, amount: {gt: 5}}
    modifications: [{parameter: limit, cap: 5}]
    decision: MODIFY
""",
    returns={"db.query": "{level: CONFIDENTIAL, categories: [PII]}"},
)
UNSURE = policy("  - {id: writing, match: {tool: kit.files, operation: write}, decision: ALLOW}", top="confidence: 1")
AGAIN: Final = 2
"""So often a sequence is run once more."""


def post(t: Trial, session: str, to: str, value: str) -> Answered:
    """Post a text."""
    return t.call(session, "net.post", to=to, body=value)


def verdict(t: Trial, got: Answered) -> list[Any]:
    """Return the verdict of the decision, and the rules it rests on."""
    record = t.record(got)
    return [record.verdict, list(record.rules)]


@check("R3-1", serves=("R3.a",), twins=("forbidden_overridden",), policy=RULES)
def forbidden(t: Trial) -> None:
    """What is forbidden is denied at once, whatever a stronger rule, the user's words or an approval say."""
    session, name = t.session("clear the attic and the rest"), t.drawn()
    for folder in ("keep", "keep/asked", "attic", "attic/asked"):
        t.world.put(f"{folder}/{name}.txt", name)
    t.says(session, "clear it, all of it")
    for folder in ("keep", "keep/asked"):
        path = f"{folder}/{name}.txt"
        got = t.call(session, "files.remove", path=path)
        t.expect(f"removing from {folder} is denied, and nothing waits", ["denied", None], [got.outcome, got.handle])
        t.expect("the file is there", name, t.world.text(path))
        t.expect("by the forbidding rule", ["DENY", ["kept"]], verdict(t, got))
    t.expect("what is not forbidden runs", "ran", t.call(session, "files.remove", path=f"attic/{name}.txt").outcome)
    t.expect("that file is gone", None, t.world.text(f"attic/{name}.txt"))
    asked = t.call(session, "files.remove", path=f"attic/asked/{name}.txt")
    t.expect("or waits", "waits", asked.outcome)
    t.approve(asked, "ben")
    t.expect("until it is approved", "ran", t.resume_until(asked, "ran", 5).outcome)
    t.expect("and is gone", None, t.world.text(f"attic/asked/{name}.txt"))
    got = t.call(session, "files.remove", path=f"keep/asked/{name}.txt")
    t.expect("the approval of the like changes nothing", "denied", got.outcome)
    t.expect("the file is still there", name, t.world.text(f"keep/asked/{name}.txt"))


@check("R3-2", serves=("R3.a",), twins=("labels_forgotten",), policy=RULES)
def denied_by_context(t: Trial) -> None:
    """What policy allows is denied after access to sensitive data."""
    session, before, after = t.session(), t.drawn(), t.drawn()

    def send(value: str) -> Answered:
        return t.call(session, "mail.send", to="ann@kit.example", subject="news", body=value)

    got = send(before)
    t.expect("before, it runs", "ran", got.outcome)
    t.expect_seen(before, "mail")
    t.expect("by the rule", ["ALLOW", ["mail"]], verdict(t, got))
    t.expect("people are looked up", "ran", t.call(session, "db.query", sql="SELECT * FROM items", limit=1).outcome)
    got = send(after)
    t.expect("after, it is denied", "denied", got.outcome)
    t.expect_seen(after)
    t.expect("because of the context", ["DENY", ["nothing-out"]], verdict(t, got))


@check("R3-3", serves=("R3.a",), twins=("context_forgotten",), policy=RULES)
def allowed_by_context(t: Trial) -> None:
    """What policy denies is allowed, or put to a person, once the context confirms it."""
    session, value, asked = t.session(), t.drawn(), t.drawn()
    t.observes(session, "window", "closed", "calendar")
    t.expect("while the window is closed, it is denied", "denied", post(t, session, "window", value).outcome)
    t.expect("so is what nobody asked for", "denied", post(t, session, "board", asked).outcome)
    t.expect_seen(value)
    t.observes(session, "window", "open", "calendar")
    got = post(t, session, "window", value)
    t.expect("once it is open, the identical action runs", "ran", got.outcome)
    t.expect_seen(value, "net")
    t.expect("by the rule that looks there", ["ALLOW", ["open-window"]], verdict(t, got))
    t.says(session, "publish it")
    got = post(t, session, "board", asked)
    t.expect("once the user has asked for it, a person decides", "waits", got.outcome)
    t.expect("by STEP_UP", ["STEP_UP", ["requested"]], verdict(t, got))
    t.expect_seen(asked)


@check("R3-4", serves=("R3.a", "R3.c"), twins=("conflicts_allowed",), policy=RULES)
def conflicting_facts(t: Trial) -> None:
    """Where facts or rules contradict each other, the action is deferred."""
    session, value, both, one = t.session(), t.drawn(), t.drawn(), t.drawn()
    t.observes(session, "window", "open", "calendar")
    t.observes(session, "window", "closed", "desk")
    got = post(t, session, "window", value)
    t.expect("two sources disagree: it waits", "waits", got.outcome)
    t.expect("by DEFER", ["DEFER", ["open-window"]], verdict(t, got))
    t.expect_seen(value)
    got = post(t, session, "pair", f"both {both}")
    t.expect("two rules of a priority disagree: it waits", "waits", got.outcome)
    t.expect("by DEFER, with both", ["DEFER", ["first", "second"]], verdict(t, got))
    t.expect_seen(both)
    t.expect("where one matches, it runs", "ran", post(t, session, "pair", one).outcome)
    t.expect_seen(one, "net")
    t.observes(session, "lock", "shut", "desk")
    got = post(t, session, "unlocked", value)
    t.expect("a rule of a higher priority contradicts nobody", ["DENY", ["locked"]], verdict(t, got))
    t.expect_seen(value)
    t.observes(session, "window", "open", "desk")
    agreed = t.drawn()
    t.expect("once the sources agree, the like runs", "ran", post(t, session, "window", agreed).outcome)
    t.expect_seen(agreed, "net")


@check("R3.a/classes", serves=("R3.a",), twins=("forbidden_overridden",), policy=RULES)
def four_classes(t: Trial) -> None:
    """The four classes of actions are told apart in one session: each has its own verdict."""
    session, name = t.session(), t.drawn()
    t.world.put(f"keep/{name}.txt", name)
    t.says(session, "clear it and publish it")
    t.observes(session, "window", "open", "calendar")
    t.observes(session, "window", "closed", "desk")
    t.call(session, "db.query", sql="SELECT * FROM items", limit=1)
    found = {
        "forbidden": t.call(session, "files.remove", path=f"keep/{name}.txt"),
        "context-dependent deny": t.call(session, "mail.send", to="ann@kit.example", subject="news", body=name),
        "context-dependent allow": post(t, session, "board", name),
        "context-dependent defer": post(t, session, "window", name),
    }
    verdicts = [t.record(got).verdict for got in found.values()]
    t.expect(f"{', '.join(found)}: each has its verdict", ["DENY", "DENY", "STEP_UP", "DEFER"], verdicts)
    t.expect_seen(name, f"file:keep/{name}.txt")


@check("R3.b/values", serves=("R3.b",), twins=("constraints_ignored",), policy=RULES)
def values_are_checked(t: Trial) -> None:
    """Parameters are held to type, range, pattern, allow-list and block-list; what breaks one has no effect."""
    session = t.session()
    tools = {"bank.pay": "memo", "slow.write": "text"}
    right: dict[str, dict[str, Any]] = {
        "bank.pay": {"account": "one", "amount": 100},
        "slow.write": {"path": "here.txt", "seconds": 0},
    }
    broken: dict[str, tuple[str, str, Any]] = {
        "above its range": ("bank.pay", "amount", 101),
        "below its range": ("bank.pay", "amount", 0),
        "outside of its allow-list": ("bank.pay", "account", "four"),
        "against its pattern": ("bank.pay", "memo", "!"),
        "on its block-list": ("slow.write", "path", "blocked.txt"),
        "of another type": ("slow.write", "seconds", 0.25),
    }
    for what, (tool, name, wrong) in broken.items():
        value = t.drawn()
        good = {**right[tool], tools[tool]: value}
        got = t.call(session, tool, **(good | {name: f"{value}{wrong}" if name == "memo" else wrong}))
        t.expect(f"a value {what} is refused", "denied", got.outcome)
        t.expect_seen(value)
        record = t.record(got)
        t.expect(
            "because of it", ["DENY", "constraint", True], [record.verdict, record.reason_code, name in record.reason]
        )
        t.expect("the same within it runs", "ran", t.call(session, tool, **good).outcome)
        t.expect_seen(value, "net" if tool == "bank.pay" else "file:here.txt")


@check("R3.c/missing", serves=("R3.c",), twins=("missing_is_false",), policy=RULES)
def missing_field(t: Trial) -> None:
    """Where a rule asks for something that is not known, the action is deferred, whether it would permit or forbid."""
    session, permitted, forbidden_ = t.session(), t.drawn(), t.drawn()
    for to, rule, value in (("window", "open-window", permitted), ("unlocked", "locked", forbidden_)):
        got = post(t, session, to, value)
        t.expect(f"nobody knows about the {to}: it waits", "waits", got.outcome)
        t.expect("by DEFER, for that rule", ["DEFER", [rule]], verdict(t, got))
        t.expect_seen(value)
    t.observes(session, "window", "open", "calendar")
    t.observes(session, "lock", "open", "desk")
    for to in ("window", "unlocked"):
        value = t.drawn()
        t.expect("once it is known, the like runs", "ran", post(t, session, to, value).outcome)
        t.expect_seen(value, "net")


@check("R3.d/trigger", serves=("R3.d",), twins=("reasons_missing",), policy=RULES)
def deferral_is_explained(t: Trial) -> None:
    """The record of a deferral has what triggered it: the kind, the rules, and what is not known."""
    session, value = t.session(), t.drawn()
    missing = t.record(post(t, session, "unlocked", value))
    t.expect("it is deferred, by the rule", ["DEFER", ["locked"]], [missing.verdict, list(missing.rules)])
    t.holds("that asks for what is named", "facts.lock" in missing.reason)
    conflict = t.record(post(t, session, "pair", f"both {value}"))
    t.expect("two rules", ["DEFER", ["first", "second"]], [conflict.verdict, list(conflict.rules)])
    codes = [missing.reason_code, conflict.reason_code]
    t.expect("the two kinds are told apart", 2, len({*codes}))
    t.expect("in the deferral, too", codes, [missing.deferral_reason, conflict.deferral_reason])
    t.expect_seen(value)


@check("R3.e/same", serves=("R3.e",), twins=("nondeterministic",), policy=RULES)
def same_again(t: Trial) -> None:
    """The same actions in the same context have the same verdicts, rules, reasons and effective parameters."""
    value = t.drawn()
    t.world.put(f"keep/{value}.txt", value)

    def once() -> list[list[Any]]:
        session = t.session()
        t.observes(session, "window", "closed", "calendar")
        found = [
            t.call(session, "db.query", sql="SELECT * FROM items", limit=9),
            t.call(session, "mail.send", to="ann@kit.example", subject="news", body=value),
            t.call(session, "files.remove", path=f"keep/{value}.txt"),
            post(t, session, "window", value),
            post(t, session, "unlocked", value),
            post(t, session, "pair", f"both {value}"),
            t.call(session, "bank.pay", account="one", amount=7, memo=value),
        ]
        return [_essence(t.record(got)) for got in found]

    first = once()
    verdicts = ["MODIFY", "DENY", "DENY", "DENY", "DEFER", "DEFER", "ALLOW"]
    t.expect("every kind of decision is among them", verdicts, [each[0] for each in first])
    t.expect("and a value was changed", 5, first[0][-1]["limit"])
    for number in range(AGAIN):
        t.expect(f"the same once more, {number + 2} in all", first, once())
    t.expect_seen(value, f"file:keep/{value}.txt", *["net"] * (AGAIN + 1))


@check("R3.c/confidence", serves=("R3.c",), twins=("confidence_ignored",), policy=UNSURE)
def low_confidence(t: Trial) -> None:
    """An action of which too little is sure, for the deployment's threshold, is deferred."""
    value = t.drawn()
    got = t.call(t.session(), "files.write", path=f"{value}.txt", text=value)
    t.expect("under the threshold 1, what the request says nothing of waits", "waits", got.outcome)
    t.expect("by DEFER", "DEFER", t.record(got).verdict)
    t.expect_seen(value)


def _essence(record: Record) -> list[Any]:
    return [record.verdict, list(record.rules), record.reason_code, record.reason, record.effective]
