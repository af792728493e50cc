"""R5: a signed receipt with all its parts for every evaluated action, that anyone can verify offline (R5-1 to R5-4)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from navicert.conformance.auditor import JCS_INLINE, changed, other, signed, verify_each
from navicert.conformance.contract import Answered, Record
from navicert.conformance.policies import policy
from navicert.conformance.trial import Trial, check

_RULES: Final = """
  - id: forbidden-folder
    match: {tool: kit.files, operation: write, resource: {under: [forbidden]}}
    decision: DENY
    reason: nothing is written there
    priority: 10
  - id: ask
    match: {tool: kit.files, operation: write, resource: {under: [asked]}}
    decision: STEP_UP
    approvers: [ben]
    timeout: 60s
    priority: 10
  - id: later
    match: {tool: kit.files, operation: write, resource: {under: [later]}}
    decision: DEFER
    timeout: 1s
    reason: nobody knows yet
    priority: 10
  - id: window
    match: {tool: kit.files, operation: write, resource: {under: [window]}, context: {facts.window: {ne: open}}}
    decision: DENY
    priority: 10
  - {id: vault, match: {tool: kit.files, operation: write, resource: {under: [vault]}}, decision: DENY, priority: 10}
  - id: keepers
    match:
      {tool: kit.files, operation: write, resource: {under: [vault, window]}, identity: {roles: {contains: keeper}}}
    decision: ALLOW
    priority: 20
  - {id: no-debits, match: {tool: kit.bank, operation: pay}, constraints: {amount: {gt: 0}}, decision: ALLOW}
  - id: cap
    match: {tool: kit.bank, operation: pay, amount: {gt: 100}}
    decision: MODIFY
    modifications: [{parameter: amount, cap: 100}]
    priority: 10
  - {id: work, match: {tool: [kit.files, kit.bank, kit.mail, kit.net, kit.broken]}, decision: ALLOW}
"""
DESK: Final = "".join(
    line for line in policy(_RULES).splitlines(keepends=True) if not line.startswith("  kit.slow.write:")
)
"""A folder for each of the decisions, a vault for those in the role `keeper`, and a tool that is not declared."""


def outcome_of(t: Trial, got: Answered) -> Record:
    """Return the outcome's record, once it is there: it may be written behind the answer."""
    t.eventually(lambda: any(item.kind == "outcome" for item in t.records(got)), 3.0)
    return t.record(got, "outcome")


def who(record: Record) -> list[Any]:
    """Return what a record says of the requester."""
    return [record.human, record.service, record.agent, record.session, record.roles, record.scope, record.delegation]


def text_of(t: Trial, path: Path) -> str:
    """Return the text of an export; unmeasurable where it is none."""
    try:
        return path.read_text(encoding="utf-8")
    except ValueError:
        t.unmeasurable("the export is no text, so the kit cannot change it")


def tampered(t: Trial, text: str, what: str, before: str, after: str) -> list[str]:
    """Return an export with a value changed at one of its places, for each of them; unmeasurable where it has none."""
    found = list(changed(text, before, after))
    return found or t.unmeasurable(f"the export does not have {what} in a form that the kit can change")


@check("R5-1", serves=("R5",), twins=("policy_unbound",), policy=DESK)
def all_parts(t: Trial) -> None:
    """Each of the five decisions leaves a receipt with requester, delegation, policy, parameters and context."""
    human, agent, value, topic = t.drawn(), t.drawn(), t.drawn(), t.drawn()
    session = t.session(topic, human=human, agent=agent, roles=("clerk",), scope=("kit.files.*", "kit.bank.*"))
    places: list[tuple[str, dict[str, Any]]] = [
        ("files.write", {"path": f"free/{value}.txt", "text": value}),
        ("files.write", {"path": f"forbidden/{value}.txt", "text": value}),
        ("bank.pay", {"account": value, "amount": 900, "memo": value}),
        ("files.write", {"path": f"asked/{value}.txt", "text": value}),
        ("files.write", {"path": f"window/{value}.txt", "text": value}),
    ]
    answers = [t.call(session, tool, **parameters) for tool, parameters in places]
    t.expect("what is permitted runs, what is not does not", ["ran", "denied", "ran", "waits", "waits"],
             [got.outcome for got in answers])  # fmt: skip
    t.holds("a receipt verifies", t.verify(t.export(answers[1])))
    records = [t.record(got) for got in answers]
    t.expect("all five decisions are in receipts", ["ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"],
             [record.verdict for record in records])  # fmt: skip
    said = [t.issuer.principal(human), agent, ["clerk"], ["kit.bank.*", "kit.files.*"], "kit", "1"]
    t.expect("each names human, agent, roles, scope, policy and its version", [said] * 5, [
        [one.human, one.agent, one.roles, sorted(one.scope), one.policy_id, one.policy_version] for one in records
    ])  # fmt: skip
    common = {(one.service, one.session, one.policy_hash) for one in records}
    t.expect(
        "and service, session and hash of the policy, the same in all", [1, True], [len(common), all(map(all, common))]
    )
    t.expect("each has the whole action", [[f"kit.{tool}", parameters] for tool, parameters in places],
             [[f"{one.tool}.{one.operation}", one.parameters] for one in records])  # fmt: skip
    amounts = [records[2].parameters.get("amount"), records[2].effective.get("amount")]
    t.expect("the modified one has what ran, too", [900, 100], amounts)
    before = [
        [[f"kit.{name}", one.verdict] for (name, _), one in zip(places[:n], records, strict=False)] for n in range(5)
    ]
    t.expect("each has the context that it was judged on, with the request, and all actions before",
             [[topic, each] for each in before],
             [[one.context.get("request"), one.context.get("actions")] for one in records])  # fmt: skip
    for got, decided in ((answers[0], records[0]), (answers[2], records[2])):
        ended = _whole(outcome_of(t, got))
        t.expect("the outcome's receipt repeats requester, policy, context, decision, action", _whole(decided), ended)
    helper = t.drawn()
    child = t.delegate(session, agent=helper, scope=("kit.files.*",))
    got = t.call(child, "files.write", path=f"forbidden/{helper}.txt", text=helper)
    link = [[agent, helper, ["kit.files.*"]]]
    record = t.record(got)
    chain = [[each.delegator, each.delegatee, each.scope] for each in record.delegation]
    t.expect("a delegated action's receipt has the chain, and the human behind it",
             [t.issuer.principal(human), helper, link], [record.human, record.agent, chain])  # fmt: skip


def _whole(record: Record) -> list[Any]:
    context = {name: record.context.get(name) for name in ("request", "actions", "labels")}
    decision = [record.verdict, record.rules, record.policy_id, record.policy_version, record.policy_hash]
    return [who(record), decision, context, record.parameters, record.effective]


@check("R5-2", serves=("R5",), twins=("verifier_idle",), policy=DESK)
def verified_offline(t: Trial) -> None:
    """A receipt is verified offline, by a program of its own, under the right root and no other."""
    value = t.drawn()
    got = t.call(t.session(), "files.write", path=f"free/{value}.txt", text=value)
    outcome_of(t, got)
    package = t.export(got)
    t.holds("in an empty folder, with nothing but the file and the root, it verifies", t.verify(package))
    t.holds("under another root it does not", not t.verify(package, root=other(t.started.root)))
    if t.started.signing != JCS_INLINE:
        t.note("the adapter does not say how records are signed: only the product's own verifier was used")
        return
    for record in t.records(got):
        valid = signed(record.raw, t.started.keys)
        t.holds(f"the signature of the {record.kind} is valid to the kit itself", valid)
        part = json.loads(record.raw)["signature"]
        t.expect("by the algorithm and the key that it names", [record.algorithm, record.key_id],
                 [part["algorithm"], part["key_id"]])  # fmt: skip
        forged = tampered(t, record.raw, "the agent", record.agent, other(record.agent))[0]
        t.holds("and not over another agent", not signed(forged, t.started.keys))


@check("R5-3", serves=("R5",), twins=("signature_unchecked", "commitments_unchecked"), policy=DESK)
def tampering_shows(t: Trial) -> None:
    """A receipt in which anything was changed does not verify: requester, policy, decision, parameters, signature."""
    human, agent, helper, role, topic, value = (t.drawn() for _ in range(6))
    session = t.session(topic, human=human, agent=agent, roles=(role,))
    t.call(session, "files.write", path="free/before.txt", text=t.drawn())
    child = t.delegate(session, agent=helper, scope=("kit.files.write",))
    got = t.call(child, "files.write", path=f"forbidden/{value}.txt", text=value)
    record = t.record(got)
    values = {
        "the human": (record.human, other(record.human)),
        "the agent": (helper, other(helper)),
        "the session": (record.session, other(record.session)),
        "the role": (role, other(role)),
        "the service": (record.service, other(record.service)),
        "the scope": ("kit.files.write", "kit.*"),
        "who delegated": (agent, other(agent)),
        "the policy's hash": (record.policy_hash, other(record.policy_hash)),
        "the decision": ("DENY", "ALLOW"),
        "a parameter": (value, other(value)),
        "the request in the context": (topic, other(topic)),
        "the algorithm": (record.algorithm, "ES256" if record.algorithm != "ES256" else "Ed25519"),
        "the key's name": (record.key_id, other(record.key_id)),
    }
    if t.started.signing == JCS_INLINE:
        t.holds("its signature is valid to the kit itself", signed(record.raw, t.started.keys))
        signature = json.loads(record.raw)["signature"]["value"]
        values["the signature"] = (signature, other(signature))
    text = text_of(t, t.export(got))
    texts, whose = [text], ["nothing"]
    for what, (before, after) in values.items():
        found = tampered(t, text, what, before, after)
        texts += found
        whose += [what] * len(found)
    verdicts = verify_each(t.started.verifier, t.started.many, texts, t.started.root)
    t.note(f"verified {len(texts)} files, each changed at one place")
    for what in dict.fromkeys(whose):
        accepted = [holds for holds, changed_in in zip(verdicts, whose, strict=True) if changed_in == what]
        t.expect(f"with {what} changed, at each of its places", [what == "nothing"] * len(accepted), accepted)


@check("R5-4", serves=("R5", "R4.g"), twins=("reasons_missing",), policy=DESK)
def deferral_in_full(t: Trial) -> None:
    """The receipts of a deferred action say why it waited, how that was resolved, and when."""
    session, value, gone = t.session(), t.drawn(), t.drawn()
    timed = t.call(session, "files.write", path=f"later/{gone}.txt", text=gone)
    asked = t.call(session, "files.write", path=f"asked/{value}.txt", text=value)
    found = t.call(session, "files.write", path=f"window/{value}.txt", text=value)
    t.expect("all three wait", ["waits"] * 3, [got.outcome for got in (timed, asked, found)])
    t.approve(asked, "ben")
    t.observes(session, "window", "open", "calendar")
    t.expect("approved, it runs", "ran", t.resume_until(asked, "ran", 3.0).outcome)
    t.expect("its fact known, it runs", "ran", t.resume_until(found, "ran", 3.0).outcome)
    t.expect("in time, nothing was found out: it is refused", "denied", t.resume_until(timed, "denied", 3.0).outcome)
    t.expect_seen(value, f"file:asked/{value}.txt", f"file:window/{value}.txt")
    t.expect_seen(gone)
    pairs = [(t.record(got), t.record(got, "resolution")) for got in (asked, found, timed)]
    t.expect("they waited for people, and for what is not known", ["STEP_UP", "DEFER", "DEFER"],
             [first.verdict for first, _ in pairs])  # fmt: skip
    t.expect("and end as they ended", ["ALLOW", "ALLOW", "DENY"], [last.verdict for _, last in pairs])
    for first, last in pairs:
        t.expect("both give a reason, the same one, in words too", [True, first.deferral_reason, True],
                 [bool(first.deferral_reason), last.deferral_reason, bool(first.reason)])  # fmt: skip
        t.holds("by a method", bool(last.method))
        t.holds("at a time, behind the decision's", first.at < (last.resolved_at or "") <= last.at)
    t.expect("three different methods", 3, len({last.method for _, last in pairs}))
    t.expect("who answered stands in the receipt", ["ben"], pairs[0][1].approvers)


@check("R5/every", serves=("R5",), twins=("receipts_dropped",), policy=DESK)
def everything_is_recorded(t: Trial) -> None:
    """Every evaluated action leaves a record, also what is unknown, outside of the scope, or breaks a constraint."""
    session, value = t.session(scope=("kit.files.*", "kit.slow.*", "kit.bank.*")), t.drawn()
    calls = {
        "permitted": t.call(session, "files.write", path=f"free/{value}.txt", text=value),
        "denied by a rule": t.call(session, "files.write", path=f"forbidden/{value}.txt", text=value),
        "of a tool that is not declared": t.call(
            session, "slow.write", path=f"free/{value}.slow", text=value, seconds=0
        ),
        "outside of the scope": t.call(session, "mail.send", to="a@kit.example", subject="x", body=value),
        "beyond what it may pay": t.call(session, "bank.pay", account=value, amount=0, memo=value),
    }
    t.expect("only one of them runs", ["ran", *["denied"] * 4], [got.outcome for got in calls.values()])
    t.expect_seen(value, f"file:free/{value}.txt")
    for what, got in calls.items():
        t.holds(f"what is {what} has a record", got.action is not None and t.record(got).action == got.action)


@check("R5/error", serves=("R5",), twins=("reasons_missing",), policy=DESK)
def errors_are_recorded(t: Trial) -> None:
    """The receipt of an outcome says whether the tool succeeded, and what its error was."""
    session, value = t.session(), t.drawn()
    good = t.call(session, "files.write", path=f"free/{value}.txt", text=value)
    bad = t.call(session, "broken.fail", text=value)
    t.expect("one runs, the other fails", ["ran", "failed"], [good.outcome, bad.outcome])
    records = [outcome_of(t, good), outcome_of(t, bad)]
    t.expect(
        "and so their records say", [[True, False], [False, True]], [[one.success, bool(one.error)] for one in records]
    )


@check("R5/log", serves=("R5",), twins=("verifier_idle",), policy=DESK, alone=True)
def the_log_holds(t: Trial) -> None:
    """The export of everything verifies, and does not with an entry taken out, its end cut off, or a word changed."""
    agent, value = t.drawn(), t.drawn()
    got = t.call(t.session(agent=agent), "files.write", path=f"free/{value}.txt", text=value)
    outcome_of(t, got)
    path = t.export()
    text = text_of(t, path)
    lines = text.splitlines(keepends=True)
    mine = [line for line in lines if got.action and got.action in line]
    t.expect("it verifies, and the action is in it", [True, True], [t.verify(path, log=True), bool(mine)])
    cases = {
        "an entry taken out": "".join(line for line in lines if line != mine[0]),
        "its last line cut off": "".join(lines[:-1]),
        "its last entries cut off": "".join(lines[: lines.index(mine[0])]),
        "an agent changed": tampered(t, text, "the agent", agent, other(agent))[0],
    }
    verdicts = verify_each(t.started.log_verifier, t.started.log_many, list(cases.values()), t.started.root)
    t.expect("with " + ", ".join(cases), [False] * len(cases), verdicts)
