"""Results over the owner's socket: withheld is an error, and ends the action; redacted comes back in place (R2)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator

import pytest

from faults.owners import Plain, a_home, plain_action
from unit.service.test_wire import Desk, a_session

POLICY = """\
policy: withheld
version: 1
posture: declared_tools
withhold: CREDENTIAL
redact: PII
"""
MAIL, KEY = "jo@acme.example", "password = hunter2abc9"


@pytest.fixture
def office(tmp_path) -> Iterator[Desk]:
    made = Desk(a_home(tmp_path / "home", policy=POLICY))
    yield made
    made.close()


@pytest.fixture
def caller(office) -> Iterator[Plain]:
    with office.plain() as made:
        yield made


def b64(value: object) -> str:
    return base64.b64encode(json.dumps(value).encode()).decode()


def started(caller: Plain, number: int) -> dict[str, object]:
    """Return a permit that was redeemed."""
    permit = caller.ask(do="decide", action=plain_action(number), session=a_session(caller))["ok"]["permit"]
    assert permit["screened"] is True
    assert caller.ask(do="redeem", permit=permit) == {"ok": None}
    return permit


def test_a_withheld_result_is_an_error_and_the_action_has_ended(office, caller):
    # seen to fail: with the permit still held by the owner
    permit = started(caller, 1)
    answer = caller.ask(do="complete", permit=permit, output={"text": KEY, "json": b64(KEY)})
    assert answer["error"]["type"] == "ResultWithheld"
    assert "hunter2abc9" not in json.dumps(answer)
    assert office.owner._desk.permits._all() == []
    assert caller.ask(do="complete", permit=permit, output={"text": "x"})["error"]["type"] == "IntegrityError"


def test_a_redacted_result_comes_back_for_a_caller_that_can_release_it_and_for_no_other(caller):
    output = {"text": json.dumps([MAIL]), "json": b64([MAIL])}
    answer = caller.ask(do="complete", permit=started(caller, 2), output=output | {"rewritable": True})["ok"]
    assert json.loads(base64.b64decode(answer["json"])) == ["[redacted: PII]"]
    assert answer["labels"] == {"level": 1}
    assert answer["part"] == {"how": "redacted", "labels": ["PII"]}
    assert "output" not in answer
    answer = caller.ask(do="complete", permit=started(caller, 3), output=output)
    assert answer["error"]["type"] == "ResultWithheld"


def test_what_is_said_meanwhile_is_released_whole_or_not(caller):
    permit = started(caller, 4)
    assert caller.ask(do="extend", permit=permit, output={"text": "half done"}) == {"ok": {"level": 1}}
    assert caller.ask(do="extend", permit=permit, output={"text": MAIL})["error"]["type"] == "ResultWithheld"
    assert caller.ask(do="complete", permit=permit, output={"text": "ok", "json": b64("ok")})["ok"]["labels"]
