from __future__ import annotations

from navicert.core.accumulate import accumulate, fold
from navicert.core.digest import context_digest
from navicert.model.context import Attempt, Observed, Opened, Result
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
