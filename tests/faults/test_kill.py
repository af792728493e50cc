"""kill -9 between any two steps (attack family A.6): effects are permitted, the unknown is open, nothing twice.

# seen to fail: with `decide` answering before `works.durable`, and with `labels_in_force` without its last condition.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from faults.support import POLICY, Rig, check_store, digest_in_receipts, permits
from navicert.assemble import Home, make_home
from navicert.core.labels import labels_in_force
from navicert.model.errors import IntegrityError
from navicert.model.labels import NOTHING, WORST

CHILD = Path(__file__).with_name("child.py")
NOT_DECIDED = ("before_decide", "enqueued", "in_transaction")
OPEN = ("committed", "durable", "permitted", "redeemed", "effect", "outcome_enqueued")
MAYBE = ("completed",)  # the outcome that nobody waits for may have become durable
HAPPENED = ("effect", "outcome_enqueued", "completed")
REPETITIONS = 3


def digest_of(folder: Path, text: str) -> str:
    return digest_in_receipts(Home(folder), "mail", "send", {"text": text})


@pytest.mark.parametrize("point", [*NOT_DECIDED, *OPEN, *MAYBE])
def test_after_a_kill_every_effect_was_permitted_and_what_is_unknown_is_open(tmp_path, point):
    seed = random.randrange(1 << 30)
    sys.stdout.write(f"seed {seed}\n")
    chance = random.Random(seed)
    for repetition in range(REPETITIONS):
        folder = tmp_path / str(repetition)
        make_home(folder, origin="bench", service="bench", policy=POLICY)
        kill_and_look(folder, point, chance.choice(["sync", "async"]), chance.randint(1, 4))


def kill_and_look(folder: Path, point: str, driver: str, earlier: int) -> None:
    effects = folder / "effects.txt"
    child = subprocess.run(
        [sys.executable, CHILD, folder, effects, point, driver, str(earlier)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    session_id = child.stdout.strip()

    found = check_store(Home(folder))  # log and contexts whole, and open in both or in none
    happened = effects.read_text().splitlines()
    permitted = {item.action.digest: item.action.id for item in found if item.kind == "decision" and permits(item)}
    assert {digest_of(folder, text) for text in happened} <= permitted.keys()
    assert (point in HAPPENED) is ("target" in happened)
    assert earlier + (point in HAPPENED) == len(happened)

    it = Rig(folder)
    it.session.id = session_id
    context = it.bench.engine.context(session_id)
    target = permitted.get(digest_of(folder, "target"))
    assert (target is not None) is (point not in NOT_DECIDED)
    is_open = target in {item.action_id for item in context.open}
    assert is_open or point in {*NOT_DECIDED, *MAYBE}
    if not is_open:
        assert it.call("sync", "target") == "sent target"
        it.close()
        return
    assert labels_in_force((context,), NOTHING, it.bench.engine._works.settings.issuer) == WORST
    judged = []
    watch(it, judged)
    assert "open already" in it.refused("sync", "target").reason  # nothing is paid twice
    assert {WORST} == set(judged)
    assert it.call("sync", "other") == "sent other"
    it.bench.settle(target, happened="target" in happened, by="operator")
    with pytest.raises(IntegrityError):
        it.bench.settle(target, happened=True, by="operator")
    assert it.call("sync", "target") == "sent target"
    final = it.close()
    outcome = next(item for item in final if item.kind == "outcome" and item.action.id == target)
    assert ("operator", "target" in happened) == (outcome.execution.settled_by, outcome.execution.success)


def watch(it: Rig, judged: list) -> None:
    """Note the labels that `evaluate` is given."""
    from navicert.engine import judging

    works = it.bench.engine._works
    real = works.detectors[0]

    class Spy:
        name, signals, inline = real.name, real.signals, True

        def measure(self, action, parameters, context):
            judged.append(judging.labels_in_force((context,), NOTHING, works.settings.issuer))
            return real.measure(action, parameters, context)

    works.detectors = (Spy(), *works.detectors[1:])
