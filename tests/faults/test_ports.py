"""Every port fails in every way that it can: nothing runs without a durable decision, and the refusal comes in time.

R1.c, properties 3 and 4, attack family A. `rig` verifies after each test that every effect had a durable permit,
that the log is one signed chain, and that what has no outcome is listed as open.

The protections are taken away one by one in test_companions.py, to see that these tests would notice.
"""

from __future__ import annotations

import threading
import time
from contextlib import suppress

import pytest

from faults.support import DRIVERS, MEASURE_S, eventually
from navicert.model.errors import ActionDenied, ActionSuspended, IntegrityError, NavicertError, Unavailable
from navicert.model.labels import WORST
from navicert.model.receipt import Receipt
from navicert.model.signals import Finding
from navicert.testing import (
    Fault,
    FaultyClassifier,
    FaultyClock,
    FaultyDetector,
    FaultyJournal,
    FaultyKeys,
    FaultySigner,
    FaultyVerifier,
)

NONSENSE = [None, "junk", {"ok": True}, 7, []]
WAYS = ["raises", "unavailable", "hangs", *NONSENSE]


def names(value):
    return value if isinstance(value, str) else f"answers-{type(value).__name__}"


def break_it(fault: Fault, way) -> None:
    if way == "raises":
        fault.raises()
    elif way == "unavailable":
        fault.raises(Unavailable("the backend is away"))
    elif way == "hangs":
        fault.hangs()
    else:
        fault.answers(way)


def works_again(rig, driver: str, text: str = "after") -> None:
    assert f"sent {text}" == rig.call(driver, text)


# identity


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", WAYS, ids=names)
def test_nothing_runs_when_the_identity_cannot_be_verified(rig, way, driver):
    fault = Fault()
    it = rig(verifier=lambda real: FaultyVerifier(real, fault))
    break_it(fault, way)
    denied = it.refused(driver, "one")
    assert denied.receipt_id is not None  # R1.d: the refusal itself is recorded
    assert "identity" in denied.reason
    fault.clear()
    works_again(it, driver)


def test_what_a_verifier_says_in_its_failure_is_not_told_to_the_model(rig):
    fault = Fault()
    it = rig(verifier=lambda real: FaultyVerifier(real, fault))
    fault.raises(RuntimeError("token eyJhbGciOi refused"))
    assert "eyJ" not in str(it.refused("sync", "one"))


# detectors

FORBIDDEN_BY_SIGNAL = """\
policy: faults
version: 1
posture: declared_tools
rules:
  - id: no-secrets
    match: {tool: mail, operation: send, signals: {parameters: {eq: x}}}
    decision: DENY
"""


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("way", "inline"),
    [(way, inline) for way in WAYS for inline in (True, False) if not (way == "hangs" and inline)],
    ids=lambda value: names(value) if not isinstance(value, bool) else ("inline" if value else "worker"),
)
def test_an_action_waits_when_the_detector_of_a_forbidden_rule_fails(rig, way, inline, driver):
    fault = Fault()
    it = rig(detectors=lambda real: (FaultyDetector(real[0], fault, inline=inline), *real[1:]))
    break_it(fault, way)
    denied = it.refused(driver, "one")
    assert isinstance(denied, ActionSuspended)  # DEFER: what a forbidden rule needs is unknown, never a pass
    fault.clear()
    works_again(it, driver)


def test_a_finding_of_the_wrong_make_is_never_a_pass(rig):
    fault = Fault()
    it = rig(detectors=lambda real: (FaultyDetector(real[0], fault, inline=True), *real[1:]))
    for values in (None, "junk", {}, {"protected": None}, {"protected": object()}, {"other": False}):
        fault.answers(Finding(values=values))
        it.refused("sync", "one")


def test_hanging_detectors_share_one_deadline(rig):
    fault = Fault()
    it = rig(detectors=lambda real: tuple(FaultyDetector(item, fault) for item in (*real, *real, *real)))
    fault.hangs()
    it.refused("sync", "one", within=MEASURE_S + 0.5)
    it.refused("async", "two", within=MEASURE_S + 0.5)
    fault.clear()


def test_calls_that_hang_for_ever_are_bounded_and_refuse(rig):
    fault = Fault()
    it = rig(measure_s=0.02, detectors=lambda real: (FaultyDetector(real[0], fault), *real[1:]))
    fault.hangs()
    for number in range(70):  # 64 threads may hang; after that no more are started
        it.refused("sync", f"n{number}")
    fault.clear()
    for number in range(50):
        try:
            works_again(it, "sync", f"after{number}")
        except ActionDenied:
            continue
        return
    raise AssertionError("the workers did not come back")


# classifiers


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    ("way", "inline"),
    [(way, inline) for way in WAYS for inline in (True, False) if not (way == "hangs" and inline)],
    ids=lambda value: names(value) if not isinstance(value, bool) else ("inline" if value else "worker"),
)
def test_a_result_counts_as_the_highest_when_its_classifier_fails(rig, way, inline, driver):
    fault = Fault()
    it = rig(classifiers=lambda real: (FaultyClassifier(real[0], fault, inline=inline),))
    break_it(fault, way)
    assert it.call(driver, "one") == "sent one"
    assert it.session.labels == WORST
    fault.clear()
    works_again(it, driver)


def test_a_finding_with_labels_of_the_wrong_make_counts_as_the_highest(rig):
    fault = Fault()
    it = rig(classifiers=lambda real: (FaultyClassifier(real[0], fault, inline=True),))
    fault.answers(Finding(labels=None))
    assert it.call("sync", "one") == "sent one"
    assert it.session.labels == WORST


def test_one_failed_classifier_of_several_is_enough_whatever_their_names(rig):
    fault, other = Fault(), Fault()
    it = rig(
        classifiers=lambda real: (
            FaultyClassifier(real[0], fault, inline=True),
            FaultyClassifier(real[0], other, inline=True),
            FaultyClassifier(real[0], Fault()),
        )
    )
    fault.raises()
    assert it.call("sync", "one") == "sent one"
    assert it.session.labels == WORST


# the journal


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", [*WAYS, {}], ids=names)
def test_nothing_runs_when_the_journal_cannot_be_read(rig, way, driver):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=fault, committing=Fault()))
    it.forget()
    break_it(fault, way)
    it.refused(driver, "one")
    fault.clear()
    works_again(it, driver)


@pytest.mark.parametrize("value", [(None, 3), ("junk", 1), ({}, 1), (7, None), None, "xy"], ids=repr)
def test_rows_of_the_wrong_make_are_not_believed_and_not_kept(rig, value):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=fault, committing=Fault()))
    it.forget()
    it.bench.journal.read = lambda keys: dict.fromkeys(keys, value)
    it.refused("sync", "one")
    del it.bench.journal.read
    works_again(it, "sync")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", [*WAYS, "persists", ("ab", "cd"), "ab"], ids=names)
def test_nothing_runs_when_the_journal_does_not_commit(rig, way, driver):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    if way == "persists":
        fault.persists()
    else:
        break_it(fault, way)
    it.refused(driver, "one")
    fault.clear()
    works_again(it, driver)


@pytest.mark.parametrize("driver", DRIVERS)
def test_nothing_runs_when_the_journal_hangs(rig, driver):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    fault.hangs()
    denied = it.refused(driver, "one")
    assert denied.kind == "transient"
    assert "in time" in denied.reason
    assert " 0 s" not in denied.reason
    fault.clear()
    # the commit goes through after its caller has left: it is recorded as never started, and may then be tried again
    eventually(lambda: it.bench.engine._works.kept(it.session.id) is not None)
    works_again(it, driver, "one")
    assert it.effects.done == ["one"]
    assert [item.execution.error for item in outcomes(it.close())] == ["not_started", None]


@pytest.mark.parametrize("driver", DRIVERS)
def test_a_decision_that_stood_although_it_was_reported_as_failed_is_left_open_and_not_run(rig, driver):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    fault.persists(times=1)
    it.refused(driver, "one")
    fault.clear()
    denied = it.refused(driver, "one")
    assert "open already" in denied.reason
    (waiting,) = it.bench.engine.context(it.session.id).open
    it.bench.settle(waiting.action_id, happened=False, by="operator")
    works_again(it, driver, "one")


# signing and keys


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", [*WAYS, b"", b"short", "x" * 64], ids=names)
def test_nothing_runs_when_the_signer_fails(rig, way, driver):
    fault = Fault()
    it = rig(signer=lambda real: FaultySigner(real, fault))
    break_it(fault, way)
    it.refused(driver, "one")
    fault.clear()
    works_again(it, driver)


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", [*WAYS, b""], ids=names)
def test_nothing_runs_when_the_disclosures_cannot_be_kept(rig, way, driver):
    fault = Fault()
    it = rig(keys=lambda real: FaultyKeys(real, fault))
    break_it(fault, way)
    it.refused(driver, "one")  # R5: a receipt whose parameters nobody could ever read is no receipt
    fault.clear()
    works_again(it, driver)


# the clock


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", ["raises", None, "junk"], ids=repr)
def test_nothing_runs_when_the_clock_fails(rig, way, driver):
    fault = Fault()
    it = rig(clock=lambda real: FaultyClock(real, fault))
    break_it(fault, way)
    with suppress(ActionDenied, RuntimeError, NavicertError):
        it.call(driver, "one")
    assert it.effects.done == []
    fault.clear()
    works_again(it, driver)


# outcomes


def is_outcome(commit) -> bool:
    return commit.draft is not None and commit.draft.receipt.kind == "outcome"


def outcomes(found: list[Receipt]) -> list[Receipt]:
    return [item for item in found if item.kind == "outcome"]


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("way", ["raises", "unavailable", "hangs", "persists", None], ids=names)
def test_no_result_is_released_while_its_labels_are_not_durable(rig, way, driver):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    if way == "hangs":
        fault.hangs(only=is_outcome)
    elif way == "persists":
        fault.persists(only=is_outcome)
    else:
        break_it(fault, way)
        fault._only = is_outcome
    try:
        value = it.session.carry(it.read_person)("ana")
    except Exception:  # noqa: BLE001 - what is not released may be refused in any way
        released = False
    else:
        released = True
        assert it.session.labels.has("PII")
        assert value
    assert released is (way is None)  # a ticket that answers nonsense has stood, all the same
    fault.clear()
    assert [it.call(driver, "x"), it.call(driver, "x")] == 2 * ["sent x"]
    assert it.session.labels.has("PII")  # made again before the next decision
    assert it.bench.engine.context(it.session.id).open == ()
    assert len(outcomes(it.close())) == 3


@pytest.mark.parametrize("way", ["raises", "unavailable", "persists"])
def test_an_outcome_that_nobody_waited_for_is_recorded_before_the_next_decision(rig, way):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    it.call("sync", "zero")  # labels have grown to INTERNAL: what follows is queued without a wait
    getattr(fault, "persists" if way == "persists" else "raises")(
        *([Unavailable("away")] if way == "unavailable" else []), only=is_outcome, times=1
    )
    with suppress(Unavailable, RuntimeError):
        it.call("sync", "one")
    assert it.effects.done == ["zero", "one"]
    it.bench.store.flush()
    it.call("sync", "two")
    assert it.bench.engine.context(it.session.id).open == ()
    assert len(outcomes(it.close())) == 3


def test_while_an_outcome_cannot_be_recorded_another_engine_judges_at_the_worst_case(rig):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))
    other = rig()
    fault.raises(Unavailable("away"), only=is_outcome)
    with pytest.raises(Unavailable):
        it.session.carry(it.read_person)("ana")
    other.session._tokens.clear()
    decisions = []
    evaluate_under(other, decisions)
    other.session.id = it.session.id
    other.call("sync", "from elsewhere")
    assert {WORST} == set(decisions)
    fault.clear()
    it.call("sync", "again")  # records the outcome first
    it.bench.store.flush()
    decisions.clear()
    other.call("sync", "from elsewhere, later")
    assert not decisions[-1].everything  # (the first try may have been on what this engine still had in its cache)
    assert decisions[-1].has("PII")


def evaluate_under(it, seen: list) -> None:
    """Note the labels under which the rig's engine judges mails."""
    detector = it.bench.engine._works.detectors[0]

    class Spy:
        name, signals, inline = detector.name, detector.signals, True

        def measure(self, action, parameters, context):
            from navicert.core.labels import labels_in_force
            from navicert.model.labels import NOTHING

            seen.append(labels_in_force((context,), NOTHING, it.bench.engine._works.settings.issuer))
            return detector.measure(action, parameters, context)

    it.bench.engine._works.detectors = (Spy(), *it.bench.engine._works.detectors[1:])


# the executor


class Strange(Exception):
    def __str__(self):
        raise RuntimeError("no words")


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("value", [b"\xff\xfe", object(), iter("ab"), {1, 2}], ids=lambda value: type(value).__name__)
def test_what_cannot_be_looked_at_is_released_only_as_the_highest(rig, value, driver):
    it = rig()
    it.effects.happen = lambda text: None
    returned = give(it, driver, lambda: value)
    assert returned is value
    if not isinstance(value, set):
        assert it.session.labels == WORST


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize(
    "error", [RuntimeError("iban DE89370400440532013000"), Strange(), KeyError({"a": 1}), Unavailable("tool's own")],
    ids=lambda error: type(error).__name__,
)  # fmt: skip
def test_a_tool_that_raises_has_failed_and_what_it_says_is_labelled(rig, error, driver):
    it = rig()

    def fail():
        raise error

    with pytest.raises(type(error)):
        give(it, driver, fail)
    assert it.bench.engine.context(it.session.id).open == ()
    if isinstance(error, Strange):
        assert it.session.labels == WORST
    if isinstance(error, RuntimeError):
        assert it.session.labels.has("FINANCIAL")
    (outcome,) = outcomes(it.close())
    assert (False, type(error).__name__) == (outcome.execution.success, outcome.execution.error)


def test_what_an_error_carries_besides_its_message_is_labelled_too(rig):
    it = rig()

    def fail():
        try:
            int("row: DE89370400440532013000")
        except ValueError as error:
            raise RuntimeError("lookup failed") from error

    with pytest.raises(RuntimeError):
        give(it, "sync", fail)
    assert it.session.labels.has("FINANCIAL")


def give(it, driver: str, run):
    """Have a tool of the rig run `run`."""
    import asyncio

    from navicert.sdk.session import CURRENT

    @it.bench.tool("give.it", effect="write", returns="PUBLIC")
    def tool():
        return run()

    @it.bench.tool("give.it", effect="write", returns="PUBLIC")
    async def tool_async():
        return run()

    if driver == "sync":
        return it.session.carry(tool)()

    async def main():
        CURRENT.set(it.session)
        return await tool_async()

    return asyncio.run(main())


@pytest.mark.parametrize("driver", DRIVERS)
@pytest.mark.parametrize("error", [TimeoutError("slow"), KeyboardInterrupt(), SystemExit(1)], ids=repr)
def test_an_interrupted_tool_leaves_its_action_open_and_is_not_repeated(rig, error, driver):
    it = rig()

    def fail():
        raise error

    with pytest.raises(type(error)) as caught:
        give(it, driver, fail)
    assert any("is open as act_" in note for note in caught.value.__notes__)
    (waiting,) = it.bench.engine.context(it.session.id).open
    assert type(error).__name__ == waiting.ended
    with pytest.raises(ActionDenied, match="open already"):
        give(it, driver, lambda: "second")
    it.bench.settle(waiting.action_id, happened=True, by="operator")
    assert give(it, driver, lambda: "third") == "third"


@pytest.mark.parametrize("way", ["raises", "unavailable", "hangs"])
@pytest.mark.parametrize("driver", DRIVERS)
def test_an_interruption_is_passed_on_even_where_it_cannot_be_recorded(rig, way, driver):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault))

    def fail():
        break_it(fault, way)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        give(it, driver, fail)
    fault.clear()
    with pytest.raises(ActionDenied, match="open already"):
        give(it, driver, lambda: "second")


def test_integrity_failures_of_the_store_are_refusals(rig):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=fault, committing=Fault(), inline=True))
    it.forget()
    fault.raises(IntegrityError("the context does not follow from its entries; run `navicert verify`"))
    assert "navicert verify" in it.refused("sync", "one").reason


# seen to fail: with growth measured against what is only staged, the second result came out while the store hung
def test_a_result_does_not_lean_on_labels_that_another_has_not_yet_made_durable(rig):
    fault = Fault()
    it = rig(journal=lambda real: FaultyJournal(real, reading=Fault(), committing=fault), commit_s=2.0)
    both = threading.Barrier(3)

    @it.bench.tool("crm.both", effect="read", returns={"level": "CONFIDENTIAL", "categories": ["PII"]})
    def read(name: str) -> str:
        both.wait()
        return name

    released = []

    def one(name: str) -> None:
        with suppress(Unavailable):
            released.append(it.session.carry(read)(name))

    threads = [threading.Thread(target=one, args=(name,)) for name in "ab"]
    for thread in threads:
        thread.start()
    eventually(lambda: both.n_waiting == 2)
    fault.hangs()
    both.wait()
    eventually(lambda: fault.hits == 2)
    time.sleep(0.1)
    assert released == []
    fault.clear()
    for thread in threads:
        thread.join()
    assert it.session.labels.has("PII")
