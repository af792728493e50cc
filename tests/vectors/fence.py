"""Fences: a check and a dispatch over shared state, played against the store's compare-and-swap, and the engine.

| in the record | here |
|---|---|
| a state event | an entry of the session: a commit that writes the row of its context |
| `check.readSeq` | the version of that row, read after that event |
| `fence.expectedSeq`, `appendSeq` | a commit that rests on that version (`RowRead`), after events up to `appendSeq` |
| the effect, `proposalId` | an action of that id, which is permitted, started, and completed |
| `ttlSeconds` | for how long the permit is good; what has started holds its place until its outcome is recorded |
| other attempts | another action, or the same, submitted while the first one runs |

The first refusal is the verdict. `allow` is: the first dispatch ran, and no other ran while it did.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from navicert.core.shared import session_key
from navicert.engine.completing import Output
from navicert.model.commit import Commit, RowRead
from navicert.model.decision import Denied, Permit
from navicert.ports import Conflict
from vectors.judged import RAN, Unmeasurable
from vectors.stories import Story, moment, record_of, telling

CONFLICT: Final = "conflict"
BESIDE: Final = "ran_beside_another"
MEANS: Final = {
    "state_changed_between_check_and_fence": frozenset({CONFLICT}),
    "concurrent_dispatch_admitted": frozenset({"open_action"}),
}
FAILS: Final = {
    "second-dispatch-after-expiry": (
        "the other action runs too: a running action keeps the same action from being started again, and other actions "
        "of the session are judged on the labels that it may return; no action holds a whole session for itself"
    )
}
_HOLD: Final = (
    "a running action holds its place until its outcome is recorded, for as long as that takes: there is no hold that "
    "could run out beneath it"
)
_POLICY: Final = "policy: fence\nversion: 1\nposture: declared_tools\nrules: []\n"


def judge(folder: Path) -> str:
    """Play one record of a fence."""
    record = record_of(folder)
    fence, effect = record["fence"], record["effect"]
    if not record.get("contractId", "").endswith("/contract/dispatch-fence/v1"):
        raise Unmeasurable("the record's own form: no document of ours that is judged here names a contract")
    if "expectedSeq" not in fence:
        raise Unmeasurable("every commit of the engine names the versions that it rests on; one without is not made")
    until = max(moment(at) for at in (item["expiresAt"] for item in fence["renewals"])) if fence["renewals"] else 0
    until = max(until, moment(fence["acquiredAt"]) + fence["ttlSeconds"] * 1_000_000)
    longest = effect.get("declaredMaxRuntimeSeconds", 0)
    if max(moment(effect["endedAt"]), moment(record["commit"]["at"])) > until or (
        longest > fence["ttlSeconds"] and not fence["renewals"]
    ):
        raise Unmeasurable(_HOLD)
    with telling(_POLICY) as story:
        try:
            _fenced(story, record)
        except Conflict:
            return CONFLICT
        return _dispatched(story, record)


def _fenced(story: Story, record: dict[str, Any]) -> None:
    """Have the events, the check and the fence happen; raises `Conflict` where the fence does not hold."""
    fence, journal = record["fence"], story.bench.journal
    session = story.session("human", "agent")
    row = session_key(session)

    def happen(first: int, last: int) -> int:
        for event in record["stateEvents"]:
            if first < event["seq"] <= last:
                story.engine.say(session, event["kind"])
        return journal.read((row,))[row][1]

    read = happen(0, fence["expectedSeq"])
    happen(fence["expectedSeq"], fence["appendSeq"])
    journal.enqueue(Commit(tag=1, reads=(RowRead(key=row, expected=read),))).wait(5.0)
    happen(fence["appendSeq"], max(event["seq"] for event in record["stateEvents"]))


def _dispatched(story: Story, record: dict[str, Any]) -> str:
    session = story.session("human", "agent")
    said: list[str] = []

    def dispatch() -> None:
        answer = story.submit(session, "context.change", {"proposal": record["proposalId"]})
        if not isinstance(answer, Permit):
            said.append(answer.reason_code)
            return
        story.engine.redeem(answer)
        story.running = answer

    def beside(attempt: dict[str, Any]) -> Callable[[], None]:
        def submit() -> None:
            answer = story.submit(session, "context.change", {"proposal": attempt["proposalId"]})
            if isinstance(answer, Denied) and attempt["proposalId"] != record["proposalId"]:
                said.append(answer.reason_code)
            elif isinstance(answer, Permit):
                said.append(BESIDE)

        return submit

    def complete() -> None:
        if story.running is not None:
            story.engine.complete(story.running, Output(text="", json=b"null"))
            said.append(RAN)

    events = [
        (moment(record["effect"]["startedAt"]), 1, dispatch),
        (moment(record["commit"]["at"]), 3, complete),
        *((moment(item["beganAt"]), 2, beside(item)) for item in record["otherAttempts"] if item["admitted"]),
    ]
    story.play(events)
    return said[0]
