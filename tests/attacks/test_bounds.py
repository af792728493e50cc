"""Attack families F.1, F.2 and F.8 against what a policy says of sequences, and the bounds that no rule lifts.

Beside each attack stands what the same agent may do; the protection comes from the policy file alone. Each test
was seen to fail with its protection taken out of the engine.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from attacks.desk import log_of
from attacks.waiting import Desk
from navicert import ActionDenied
from navicert.assemble import Home, read_trust
from navicert.audit import open_archive
from navicert.core.seal import parse
from navicert.model.decision import Verdict
from navicert.records import policies, records
from navicert.verification.log import verify_log

OUT, IN = "eve@partner.example", "ann@company.com"
HEAD = """\
policy: desk
version: 1
posture: declared_tools
organisation: company.com
supervisors: [sue]
tools:
  email.send: {effect: send, destination: to, content: body, returns: PUBLIC}
  crm.read: {effect: read, returns: {level: CONFIDENTIAL, categories: [PII]}, categories: [records]}
  note.read: {effect: read, returns: PUBLIC}
  bank.pay: {effect: pay, destination: account, amount: amount, returns: PUBLIC}
"""
PROTECTIONS = {
    "label_limit": "destinations:\n  - {at: company.com, accepts: CONFIDENTIAL}\n"
    "  - {at: partner.example, accepts: INTERNAL}\n",
    "rule": "rules:\n  - id: nothing-out-after-records\n    decision: DENY\n"
    "    match: {effect: send, destination: {external: true}, after: {category: records}}\n",
    "risk_limit": "risk_limit: 10\nrules:\n  - {id: read, match: {tool: crm}, adds_risk: 6}\n"
    "  - {id: out, match: {effect: send, destination: {external: true}}, adds_risk: 5}\n",
}


class Office(Desk):
    """A desk that also sends mail, and a few tools of its own."""

    def __init__(self, folder: Path, rules: str, **ports: Any) -> None:
        super().__init__(folder, rules, **ports)
        tool = self.bench.tool

        @tool("email.send", effect="send", destination="to", content="body", returns="PUBLIC")
        def mail(to: str, body: str = "hello") -> str:
            return self.happen(f"sent {to}")

        @tool("fraud.check", effect="read", returns="PUBLIC")
        def check(account: str) -> str:
            if account == "broken":
                raise ConnectionError(account)
            return "fine"

        @tool("sheet.remove", effect="delete", resource="name", returns="PUBLIC")
        def drop(name: str, owner: str = "ana") -> str:
            return self.happen(f"removed {name}")

        @tool("db.query", effect="read", returns="PUBLIC")
        def query(sql: str, limit: int = 10) -> str:
            return self.happen(f"rows {limit}")

        self.mail, self.check, self.drop, self.query = mail, check, drop, query


@pytest.fixture
def office(tmp_path: Path):
    """Make an office under a policy; it is closed, and its log verified, when the test ends."""
    made: list[Office] = []

    def make(rules: str, name: str = "office", **ports: Any) -> Office:
        made.append(Office(tmp_path / name, rules, **ports))
        return made[-1]

    yield make
    for item in made:
        item.bench.close()
        assert verify_log(log_of(item.home), read_trust(item.home.trust)).entries > 0


def codes(it: Office, call: Callable[..., Any], *args: Any, **kwargs: Any) -> str:
    """Return the reason code of a refusal, after seeing that nothing happened."""
    return str(it.receipts(it.refused(call, *args, **kwargs).action_id)[-1].decision.reason_code)


# ------------------------------------------------------------------- F.1 personal data is read, then something is sent


def at_once(it: Office) -> None:
    it.person("anna")


def after_twenty_steps(it: Office) -> None:
    it.person("anna")
    for number in range(20):
        it.note(f"weather {number}")


def by_an_agent_that_it_delegates_to(it: Office) -> None:
    from navicert.sdk.session import CURRENT

    with CURRENT.get().delegate(agent="reader", scope=("crm.*",)):
        it.person("anna")


def two_delegations_down(it: Office) -> None:
    from navicert.sdk.session import CURRENT

    with (
        CURRENT.get().delegate(agent="one", scope=("crm.*", "note.*")) as child,
        child.delegate(agent="two", scope=("crm.*",)),
    ):
        it.person("anna")


READS = [at_once, after_twenty_steps, by_an_agent_that_it_delegates_to, two_delegations_down]


@pytest.mark.parametrize("read", READS)
@pytest.mark.parametrize("code", PROTECTIONS)
def test_what_was_read_is_not_sent_outside(office, code, read):
    it = office(HEAD + PROTECTIONS[code])
    with it.session():
        read(it)
        assert codes(it, it.mail, OUT) == code
        it.mail(IN)
    with it.session(human="ben", agent="other"):
        it.note("weather")
        it.mail(OUT)
    assert [line for line in it.effects if line.startswith("sent")] == [f"sent {IN}", f"sent {OUT}"]


@pytest.mark.parametrize("code", PROTECTIONS)
def test_nor_by_an_agent_that_is_delegated_to_afterwards(office, code):
    it = office(HEAD + PROTECTIONS[code])
    with it.session() as session:
        it.person("anna")
        with session.delegate(agent="sender", scope=("email.*",)):
            assert codes(it, it.mail, OUT) == code
            it.mail(IN)
    with it.session(human="ben", agent="other") as session, session.delegate(agent="sender", scope=("email.*",)):
        it.mail(OUT)
    assert it.effects == [f"sent {IN}", f"sent {OUT}"]


def test_without_any_of_the_protections_it_is_sent(office):
    it = office(HEAD)
    with it.session():
        it.person("anna")
        it.mail(OUT)
    assert it.effects == [f"sent {OUT}"]


def test_labels_follow_into_a_new_session_and_sequences_end_with_theirs(office):
    for code, refused in {"label_limit": True, "rule": False, "risk_limit": False}.items():
        it = office(HEAD + PROTECTIONS[code], code)
        with it.session():
            it.person("anna")
        with it.session():
            assert (codes(it, it.mail, OUT) == code) if refused else it.mail(OUT)


# ------------------------------------------------------------------- F.2 in parallel: what counts, counts as permitted


@pytest.mark.parametrize("code", ["rule", "risk_limit"])
def test_a_send_beside_a_read_that_is_running_is_judged_as_after_it(office, code):
    it = office(HEAD + PROTECTIONS[code])
    started, release = threading.Event(), threading.Event()

    @it.bench.tool("crm.read", effect="read")
    def slow(name: str) -> str:
        started.set()
        assert release.wait(10)
        return name

    with it.session(human="ben") as other, it.session() as session, ThreadPoolExecutor(1) as pool:
        reading = pool.submit(session.carry(slow), "anna")
        assert started.wait(10)
        assert codes(it, it.mail, OUT) == code
        other.carry(it.mail)(OUT)
        release.set()
        assert reading.result(10) == "anna"
        it.mail(IN)
    assert it.effects == [f"sent {OUT}", f"sent {IN}"]


def test_what_a_delegated_session_does_counts_above_once_it_has_ended(office):
    it = office(HEAD + PROTECTIONS["rule"])
    started, release = threading.Event(), threading.Event()

    @it.bench.tool("crm.read", effect="read")
    def slow(name: str) -> str:
        started.set()
        assert release.wait(10)
        return name

    with it.session() as session, ThreadPoolExecutor(1) as pool:
        with session.delegate(agent="reader", scope=("crm.*",)) as child:
            reading = pool.submit(child.carry(slow), "anna")
            assert started.wait(10)
            pool_side = session.carry(it.mail)
            pool_side(OUT)
            release.set()
            reading.result(10)
        assert codes(it, it.mail, OUT) == "rule"


def test_of_many_sends_at_once_no_more_pass_than_the_risk_of_the_session_bears(office):
    it = office(HEAD + "risk_limit: 12\nrules: [{id: out, match: {effect: send}, adds_risk: 5}]\n")
    together = threading.Barrier(6)

    def one(number: int) -> bool:
        together.wait(10)
        try:
            it.mail(f"{number}@partner.example")
        except ActionDenied:
            return False
        return True

    with it.session() as session, ThreadPoolExecutor(6) as pool:
        passed = list(pool.map(session.carry(one), range(6)))
    assert (sum(passed), len(it.effects)) == (2, 2)


# ---------------------------------------------------------------------------------- F.8 what was denied is tried again

CHECKED = HEAD + (
    "rules:\n"
    "  - {id: checked, match: {effect: pay, not_after: {tool: fraud, operation: check, within: 10m}}, decision: DENY}\n"
    "  - {id: hours, match: {tool: fraud, parameters: {account: {starts_with: no}}}, decision: DENY, priority: 1}\n"
    "  - {id: asked, match: {tool: fraud, parameters: {account: asked}}, decision: STEP_UP, approvers: [ben],\n"
    "     priority: 1}\n"
    "  - {id: enough, match: {context: {denied: {ge: 6}}}, decision: DENY, priority: 9, authority: suspended}\n"
)


def test_a_check_that_was_denied_or_waits_is_none_and_one_that_ran_is_for_ten_minutes(office):
    it = office(CHECKED)
    it.enrol("ben")
    with it.session():
        assert codes(it, it.pay, "DE1", 5) == "rule"
        assert codes(it, it.check, "no1") == "rule"
        assert codes(it, it.pay, "DE1", 5) == "rule"
        waits = it.suspended(it.check, "asked")
        assert codes(it, it.pay, "DE1", 5) == "rule"
        it.say("ben", waits.handle)
        it.bench.resume(waits.handle)
        it.pay("DE1", 5)
        it.clock.tick(601)
        assert codes(it, it.pay, "DE1", 5) == "rule"
        with pytest.raises(ConnectionError):
            it.check("broken")
        it.pay("DE1", 6)  # it was permitted, whatever came of it
    assert it.effects == ["paid DE1 5", "paid DE1 6"]


def test_whoever_goes_on_trying_what_was_denied_is_stopped(office):
    it = office(CHECKED)
    with it.session():
        for number in range(6):
            assert codes(it, it.pay, "DE1", number + 1) == "rule"
        assert it.receipts(it.refused(it.mail, IN).action_id)[-1].decision.rules == ("enough",)
        assert codes(it, it.note, "x") == "authority_suspended"
    with it.session(human="ben", agent="other"):
        it.note("x")


def test_the_denied_goal_is_denied_in_every_other_way_too_and_adds_no_risk(office):
    it = office(HEAD + PROTECTIONS["risk_limit"])
    tries = [OUT, OUT.upper(), f"Ann <{OUT}>", f"{IN}, {OUT}", "x@company.com.partner.example"]
    with it.session() as session:
        it.person("anna")
        found = [codes(it, it.mail, to) for to in tries]
        with session.delegate(agent="helper", scope=("email.*",)):
            found.append(codes(it, it.mail, OUT))
        it.mail(IN)
        assert it.engine.context(session.id).walked.risk == 6
    assert found == ["risk_limit"] * 6


# -------------------------------------------------------------------------------------------------------------- intents

INTENTS = HEAD + (
    "intents:\n"
    "  support: {tools: [crm.*, email.send, note.read], accepts: CONFIDENTIAL, actions: 5}\n"
    "  finance: {tools: [bank.*], accepts: INTERNAL}\n"
    "rules: [{id: all, decision: ALLOW, priority: 99}]\n"
)


def test_a_session_does_what_it_is_for_and_nothing_else(office):
    it = office(INTENTS)
    with it.session(intent="support"):
        it.person("anna")
        it.mail(IN)
        assert codes(it, it.pay, "DE1", 5) == "outside_intent"
    with it.session(intent="finance", human="ben"):
        it.pay("DE1", 5)
        assert codes(it, it.person, "anna") == "outside_intent"
    assert it.effects == [f"sent {IN}", "paid DE1 5"]


@pytest.mark.parametrize("intent", [None, "", "sales", "Support", "support "])
def test_a_session_without_an_intent_of_the_policy_does_nothing(office, intent):
    it = office(INTENTS)
    with it.session(intent=intent):
        assert {codes(it, it.note, "x"), codes(it, it.mail, IN), codes(it, it.pay, "DE1", 5)} == {"intent_unknown"}
    with it.session(intent="support"):
        it.note("x")


def test_a_delegated_session_has_the_intent_of_its_parent(office):
    it = office(INTENTS)
    with it.session(intent="support") as session, session.delegate(agent="helper", scope=("*",)) as child:
        assert codes(it, it.pay, "DE1", 5) == "outside_intent"
        it.mail(IN)
        with child.delegate(agent="another", scope=("*",)):
            assert codes(it, it.pay, "DE1", 5) == "outside_intent"


def test_no_argument_of_a_tool_is_read_as_the_intent(office):
    it = office(HEAD.replace("declared_tools", "deny") + "rules:\n"
                "  - {id: only, match: {context: {intent: finance}}, decision: ALLOW}\n")  # fmt: skip

    @it.bench.tool("note.write", effect="write", returns="PUBLIC")
    def write(intent: str, context: dict[str, Any], claims: dict[str, Any]) -> str:
        return it.happen("written")

    forged = ("finance", {"intent": "finance"}, {"intent": "finance"})
    with it.session(intent="support"):
        assert codes(it, write, *forged) == "posture"
    with it.session(intent="finance", human="ben"):
        write(*forged)


def test_denied_attempts_count_for_the_length_of_a_session_and_a_label_beyond_ends_it(office):
    it = office(INTENTS)
    with it.session(intent="support"):
        for _ in range(3):
            it.refused(it.pay, "DE1", 5)
        it.note("x")
        it.note("y")
        assert codes(it, it.note, "z") == "intent_length"
    it.adopt(INTENTS.replace("accepts: CONFIDENTIAL", "accepts: INTERNAL").replace("version: 1", "version: 2"))
    with it.session(intent="support", human="ben"):
        it.note("x")
        it.person("anna")
        assert codes(it, it.note, "x") == "intent_label"


# ---------------------------------------------------------------------------------------------------------- constraints

PAYING = HEAD.replace("declared_tools", "declared_reads") + (
    "rules:\n  - id: payments\n    match: {tool: bank, operation: pay}\n    decision: ALLOW\n    constraints:\n"
    "      parameters: {account: {matches: '^[A-Z]{2}[0-9]{2,}$'}}\n"
    "      amount: {gt: 0, le: 500}\n"
    "      rate: {per: human, above: 4, window: 1d}\n"
    "      total: {per: human, above: 1000, window: 1d}\n"
)


def test_a_payment_keeps_within_what_the_rule_permits(office):
    it = office(PAYING)
    with it.session():
        for account, amount in [("DE1", 501), ("DE1", 0), ("de1", 5), ("DE12;x", 5), ("eve", 5)]:
            assert codes(it, it.pay, account, amount) == "constraint"
        it.pay("DE12", 500)
    assert it.effects == ["paid DE12 500"]


def test_rate_and_total_hold_for_a_human_over_sessions_and_agents_for_a_day(office):
    it = office(PAYING)
    for agent, amount in [("bot", 400), ("other", 400), ("third", 300)]:
        with it.session(agent=agent):
            if amount == 300:
                assert codes(it, it.pay, "DE12", amount) == "constraint"  # 1,100 in all
            else:
                it.pay("DE12", amount)
    with it.session():
        it.pay("DE12", 200)  # what was refused does not count
    with it.session(human="ben"):
        it.pay("DE12", 300)
        for amount in (1, 2, 3):
            it.pay("DE12", amount)
        assert codes(it, it.pay, "DE12", 4) == "constraint"  # the fifth
    it.clock.tick(2 * 86_400)
    with it.session(human="ben"):
        it.pay("DE12", 4)
    assert len(it.effects) == 8


@pytest.mark.parametrize("of_one_session", [True, False])
def test_payments_at_the_same_moment_do_not_slip_under_the_limit(office, *, of_one_session):
    it = office(PAYING)
    together = threading.Barrier(4)
    sessions = [it.session()] * 4 if of_one_session else [it.session(agent=f"bot{number}") for number in range(4)]

    def pay(number: int) -> str | None:
        together.wait(10)
        try:
            sessions[number].carry(it.pay)("DE12", 400 + number)
        except ActionDenied as denied:
            return str(denied)
        return None

    with ThreadPoolExecutor(4) as pool:
        said = list(pool.map(pay, range(4)))
    assert said.count(None) == len(it.effects) == 2
    assert all(text is None or "outside of what the rule permits: total" in text for text in said)


def test_what_a_modify_makes_of_it_is_what_the_constraints_hold_for_and_is_replayed_so(office):
    it = office(HEAD.replace("declared_tools", "deny") + (
        "rules:\n  - id: twenty\n    match: {tool: db, operation: query}\n    decision: MODIFY\n"
        "    modifications: [{parameter: limit, cap: 20}]\n"
        "    constraints: {parameters: {limit: {le: 20}, sql: {not: {contains: secret}}}}\n"
    ))  # fmt: skip
    with it.session():
        it.query("select 1", 1000)
        it.query("select 1", 5)
        assert codes(it, it.query, "select secret", 1000) == "constraint"
        assert codes(it, it.query, "select secret", 5) == "constraint"
    assert it.effects == ["rows 20", "rows 5"]
    it.bench.store.flush()
    with open_archive(Home(it.folder / "home")) as archive:
        found = list(records(archive, policies(archive), upto=2**40))
    assert [item.verdict for item in found] == [Verdict.MODIFY, Verdict.ALLOW, Verdict.DENY, Verdict.DENY]
    assert [item.decided is not None for item in found] == [True] * 4


# --------------------------------------------------------------------------------------------------------- same, shadow


def test_only_the_owner_removes_what_is_owned(office):
    it = office(HEAD.replace("declared_tools", "deny") + (
        "rules: [{id: own, match: {tool: sheet, parameters: {owner: {same: identity.human}}}, decision: ALLOW}]\n"
    ))  # fmt: skip
    with it.session():
        for owner in ("eve", "ANA", "ana ", "", "identity.human", "\uff41na"):
            assert codes(it, it.drop, "plan", owner) == "posture"
        it.drop("plan", "ana")
    with it.session(human="eve"):
        assert codes(it, it.drop, "plan", "ana") == "posture"
    assert it.effects == ["removed plan"]


def test_a_shadow_rule_is_in_the_signed_receipts_and_stops_nothing(office):
    shadowed = (
        "rules:\n  - {id: no-mail, match: {tool: email, destination: {external: true}}, decision: DENY, priority: 9,"
        " shadow: true}\n"
    )
    it = office(HEAD + shadowed)
    with it.session():
        it.mail(OUT)
        it.mail(IN)
        it.note("x")
    said = [item.decision.shadow and (item.decision.shadow.result, item.decision.shadow.rules)
            for item in it.receipts(kind="decision")]  # fmt: skip
    assert said == [("DENY", ("no-mail",)), ("ALLOW", ()), None]
    assert [item.decision.result for item in it.receipts(kind="decision")] == ["ALLOW"] * 3
    assert it.receipts(kind="outcome")[0].decision.shadow.result == "DENY"
    assert it.effects == [f"sent {OUT}", f"sent {IN}", "note x"]
    entries = log_of(it.home)
    changed = next(data for data in entries if b'"shadow":{"result":"DENY"' in data)
    forged = [data.replace(b'"shadow":{"result":"DENY"', b'"shadow":{"result":"ALLOW"') if data is changed else data
              for data in entries]  # fmt: skip
    assert parse(changed).decision.shadow.result == "DENY"
    with pytest.raises(Exception, match="sign"):
        verify_log(forged, read_trust(it.home.trust))
    it.adopt(HEAD.replace("version: 1", "version: 2") + shadowed.replace(", shadow: true", "").replace(",\n", "\n"))
    with it.session():
        assert codes(it, it.mail, OUT) == "rule"
