"""What the tests of waiting share: desks that are verified when the test ends, and other processes on their homes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from attacks.desk import MAIL, PAIR, Desk, approver, log_of, policy
from faults.support import contexts
from navicert.assemble import Home, read_trust
from navicert.verification.log import verify_log

__all__ = ["MAIL", "PAIR", "Desk", "approver", "at_once", "check_waits", "desk", "elsewhere", "eventually", "policy"]
PROGRAM = Path(__file__).with_name("another_process.py")


def check_waits(home: Home) -> None:
    """Verify log and contexts, and that what is open or waits in the one is open or waits in the other."""
    verified = verify_log(log_of(home), read_trust(home.trust))
    made = contexts(home)
    assert {item.action_id for item in verified.open} == {item.action_id for each in made for item in each.open}
    assert {item.action_id for item in verified.waiting} == {item.action_id for each in made for item in each.waiting}


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Callable[..., Desk]]:
    """Make desks over one home, or over several; each is closed, and its store verified, when the test ends."""
    made: list[Desk] = []

    def make(rules: str = policy(MAIL), *, name: str = "desk", **ports: Any) -> Desk:
        if made and "clock" not in ports:
            ports["clock"] = made[0].clock
        made.append(Desk(tmp_path / name, rules, **ports))
        return made[-1]

    yield make
    for item in made:
        item.bench.close()
    for item in made:
        check_waits(item.home)


# other processes


def start(desk: Desk, *words: str) -> subprocess.Popen[str]:
    """Start `another_process.py` on the same home, at the same time of day; it waits for `go`."""
    arguments = [sys.executable, PROGRAM, desk.folder, str(desk.clock.now()), *words]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    child = subprocess.Popen(
        arguments, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    line = child.stdout.readline()
    assert line == "ready\n", line + (child.stderr.read() if child.stderr else "")
    return child


def finish(child: subprocess.Popen[str]) -> dict[str, Any]:
    """Let it go, and return what it says of how it went."""
    out, err = child.communicate("go\n", timeout=30)
    assert child.returncode == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def elsewhere(desk: Desk, *words: str) -> dict[str, Any]:
    """Do one thing in another process."""
    return finish(start(desk, *words))


def at_once(*children: subprocess.Popen[str]) -> list[dict[str, Any]]:
    """Let several go at the same moment, and return what they say, in order."""
    for child in children:
        assert child.stdin is not None
        child.stdin.write("go\n")
        child.stdin.flush()
    return [finish_running(child) for child in children]


def finish_running(child: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = child.communicate(timeout=30)
    assert child.returncode == 0, err
    answer: dict[str, Any] = json.loads(out)
    return answer


def eventually(holds: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Return once `holds` is true; fails after `seconds`."""
    end = time.monotonic() + seconds
    while not (found := holds()):
        assert time.monotonic() < end, "it did not come about in time"
        time.sleep(0.005)
    return found
