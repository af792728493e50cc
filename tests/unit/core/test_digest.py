from __future__ import annotations

from msgspec.structs import replace

from navicert.core.accumulate import NAMES, OTHER, accumulate, fold
from navicert.core.digest import context_digest
from navicert.model.context import Attempt, Labelled, Observed, Opened, Resolution, Result, Walked
from navicert.model.decision import Verdict
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING

ENTRIES = [
    Opened(session_id="ses_1", request="sum up", claims=Claims(human="ana", agent="a"), salt="s", at=1),
    Attempt(
        action_id="act_1", name="files.read", digest="d", verdict=Verdict.ALLOW, owner="eng_1", at=2, entities=("x",)
    ),
    Result(action_id="act_1", succeeded=True, labels=NOTHING, at=3),
    Observed(name="w", value=',"waiting":[]}', source="s", at=4),
]


def test_contexts_of_version_0_1_keep_the_digests_that_old_receipts_name():
    context = fold(ENTRIES)

    assert (context.head, context_digest(context)) == (
        "9a94dd2daa29b6429238073a1ad2e1a2e0ae75d9045a6da117444ef07dc99247",
        "d0913ed99ee6bcae3e071c973e4f110dd6466ccdb674c5009c0b7ab899f927c3",
    )


def test_what_waits_is_covered_by_the_digest():
    context = fold(ENTRIES)
    attempt = Attempt(
        action_id="act_2", name="f.delete", digest="e", verdict=Verdict.STEP_UP, owner="eng_1", at=5, handle="wait_1"
    )
    waits = accumulate(context, attempt)
    forgotten = type(waits)(**{name: getattr(waits, name) for name in waits.__struct_fields__ if name != "waiting"})

    assert [item.handle for item in waits.waiting] == ["wait_1"]
    assert context_digest(waits) != context_digest(forgotten)


def _attempt(name: str, verdict: Verdict, at: int, risk: int | None = 0, handle: str | None = None) -> Attempt:
    return Attempt(
        action_id=f"act_{at}", name=name, digest="e", verdict=verdict, owner="e", at=at, risk=risk, handle=handle
    )


def test_where_a_session_has_been_is_covered_by_the_digest():
    old = fold(ENTRIES)
    context = accumulate(old, _attempt("mail.send", Verdict.ALLOW, 5, risk=3))

    assert context.walked == Walked(done={"mail.send": 5}, risk=3)
    for other in (Walked(), Walked(done={"mail.send": 5}), Walked(done={"mail.sent": 5}, risk=3)):
        assert context_digest(replace(context, walked=other)) != context_digest(context)


def test_a_chain_of_version_0_1_that_goes_on_counts_from_then_on():
    """Attempts of 0.1 say nothing of risk, and stand in no sequence: their digests are those of old receipts."""
    old = fold(ENTRIES)
    assert old.counts == {"files.read": 1}
    assert old.walked == Walked()

    context = accumulate(old, _attempt("files.read", Verdict.MODIFY, 6))
    assert context.walked == Walked(done={"files.read": 6})
    assert fold([*ENTRIES, _attempt("files.read", Verdict.MODIFY, 6)]) == context


def test_only_what_was_permitted_counts_and_that_from_its_permission_on():
    context = fold(ENTRIES[:1])
    for at, verdict in enumerate((Verdict.DENY, Verdict.STEP_UP, Verdict.DEFER), 5):
        context = accumulate(context, _attempt("mail.send", verdict, at, risk=3, handle="w" if at > 5 else None))
    assert context.walked == Walked()

    ended = {"handle": "w", "action_id": "act_6", "name": "mail.send", "digest": "e", "owner": "e", "risk": 3}
    refused = accumulate(context, Resolution(verdict=Verdict.DENY, at=8, **ended))
    approved = accumulate(context, Resolution(verdict=Verdict.ALLOW, at=9, **ended))
    assert (refused.walked, approved.walked) == (Walked(), Walked(done={"mail.send": 9}, risk=3))


def test_what_others_did_counts_with_the_later_time_and_of_many_tools_the_rest_under_one_name():
    context = accumulate(fold(ENTRIES[:1]), _attempt("a.b", Verdict.ALLOW, 5, risk=1))
    for done, at in (({"a.b": 3}, 6), ({"c.d": 7}, 8)):
        context = accumulate(context, Labelled(source="child", labels=NOTHING, at=at, walked=Walked(done=done, risk=2)))
    assert context.walked == Walked(done={"a.b": 5, "c.d": 7}, risk=5)

    for number in range(NAMES):
        context = accumulate(context, _attempt(f"t.n{number}", Verdict.ALLOW, 10 + number))
    assert len(context.walked.done) == NAMES + 1
    assert context.walked.done[OTHER] == 10 + NAMES - 1
    assert context.walked.done["c.d"] == 7
