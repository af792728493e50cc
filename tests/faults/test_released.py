"""Results that policy screens, when something fails on their way: nothing of them is released (R1.c, property 4)."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import navicert
from faults.owners import a_home
from faults.support import check_store
from navicert.assemble import Assembled, Home, read_trust
from navicert.audit import open_archive
from navicert.cli.view import view
from navicert.config import read_config
from navicert.model.errors import Unavailable
from navicert.model.labels import WORST
from navicert.sdk.guard import Guard
from navicert.sdk.session import Session
from navicert.service.server import Owner
from navicert.testing import Fault, FaultyClassifier, FaultyJournal, open_bench
from navicert.verification.log import verify_log

POLICY = """\
policy: released
version: 1
posture: declared_tools
redact: PII
tools:
  crm.read: {effect: read, returns: INTERNAL}
  crm.later: {effect: read, returns: INTERNAL}
"""
MAIL = "jo@acme.example"


class Broken:
    """A deployment whose outcomes cannot be recorded once `breaks` was called, and a session there."""

    def __init__(self, guard: Guard, home: Home, breaks: Callable[[], Any], mends: Callable[[], Any]) -> None:
        self.guard, self.home, self.breaks, self.mends = guard, home, breaks, mends
        self.session: Session = guard.session(request="r", human="ana", agent="bot")

    def call(self, driver: str, *, error: BaseException | None = None) -> Any:
        def gives() -> Any:
            self.breaks()
            if error is not None:
                raise error
            return {"mail": MAIL}

        async def gives_async() -> Any:
            return gives()

        if driver == "sync":
            return self.session.carry(self.guard.tool("crm.read")(gives))()
        return asyncio.run(self.session.carry(self.guard.tool("crm.later")(gives_async))())


@pytest.fixture(params=["journal", "owner"])
def broken(request, tmp_path) -> Iterator[Broken]:
    if request.param == "journal":
        committing = Fault()
        bench = open_bench(
            tmp_path / "home",
            POLICY,
            journal=lambda real: FaultyJournal(real, reading=Fault(), committing=committing),
            commit_s=0.4,
        )
        yield Broken(bench, bench.home, committing.raises, committing.clear)
        bench.close()
        check_store(bench.home)
        return
    home = a_home(Path(tmp_path) / ".navicert", policy=POLICY)
    deployment = Assembled(home, read_config(home.folder))
    owner = Owner(deployment, deployment.config)
    owner.start()
    guard = navicert.connect(home.folder.parent, timeout_s=1.0)
    yield Broken(guard, home, owner.close, lambda: None)
    guard.close()
    deployment.close()


@pytest.mark.parametrize("driver", ["sync", "async"])
@pytest.mark.parametrize("how", ["value", "error", "time-out"])
def test_what_cannot_be_recorded_is_not_released_redacted_or_not(broken, driver, how):
    # seen to fail: with the failure of `complete` raised where the tool's own error stands behind it
    error = {"value": None, "error": ValueError(f"no {MAIL}"), "time-out": TimeoutError(f"no {MAIL}")}[how]
    with pytest.raises((Unavailable, RuntimeError, TimeoutError)) as found:
        broken.call(driver, error=error)
    assert "acme" not in "".join(traceback.format_exception(found.value))
    assert found.value.__context__ is None or "acme" not in str(found.value.__context__)
    broken.mends()


def test_an_interrupted_look_leaves_the_worst_case_and_nothing_of_the_result(tmp_path):
    fault = Fault()
    with open_bench(
        tmp_path / "home", POLICY, classifiers=lambda real: (FaultyClassifier(real[0], fault, inline=True),)
    ) as bench:
        session = bench.session(request="r", human="ana", agent="bot")

        async def read() -> Any:
            fault.raises(KeyboardInterrupt())
            return {"mail": MAIL}

        governed = session.carry(bench.tool("crm.later")(read))
        with pytest.raises(KeyboardInterrupt) as found:
            asyncio.run(governed())
        assert "acme" not in "".join(traceback.format_exception(found.value))
        fault.clear()
        bench.engine.decide(bench.engine.action("no", "tool", b"{}", profile=None), session.id)
        assert session.labels == WORST
    with open_archive(bench.home) as archive:
        rows = [*archive.log()]
        verify_log([row.data for row in rows], read_trust(bench.home.trust))
        ended = [found for row in rows if (found := view(archive, row)["execution"]) is not None]
    assert [found["output"] for found in ended] == [None]  # null; seen to fail: with the result kept meanwhile
