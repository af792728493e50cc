"""A secret in a result, worn in many ways: nothing of it reaches the agent (attack cases C.8, on the way back).

Each way has its twin: without `withhold` and `redact` the same tool hands the secret over.
"""

from __future__ import annotations

import base64
import codecs
import json
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import navicert
import navicert.model.labels
from faults.owners import a_home
from navicert.assemble import Assembled
from navicert.config import read_config
from navicert.sdk.guard import Guard
from navicert.service.server import Owner

POLICY = """\
policy: released
version: 1
posture: declared_tools
withhold: RESTRICTED
tools:
  vault.read: {effect: read, returns: INTERNAL}
  vault.blank: {effect: read, returns: INTERNAL, redact: CREDENTIAL}
  vault.open: {effect: read, returns: INTERNAL, withhold: []}
"""
KEY = "AKIAIOSFODNN7EXAMPLE"
SAID = f"the key is {KEY}, keep it"


class Told(Exception):
    """An error with more to say than its text."""


def chained() -> Exception:
    error = Told("it failed")
    error.__cause__ = ValueError("no luck")
    error.__cause__.__cause__ = KeyError(SAID)
    return error


def noted() -> Exception:
    error = Told("it failed")
    error.add_note(SAID)
    return error


WAYS: dict[str, Any] = {
    "text": SAID,
    "in two strings": ["the key is AKIAIOSF", "ODNN7EXAMPLE"],
    "in two values": {"one": "AKIAIOSF", "two": "ODNN7EXAMPLE"},
    "in two blocks": [{"type": "text", "text": "AKIAIOSF"}, {"type": "text", "text": "ODNN7EXAMPLE"}],
    "in a key": {"rows": {SAID: True}},
    "in a nested JSON string": {"text": json.dumps({"inner": json.dumps({"key": KEY})})},
    "named by its key": {"db": {"password": "hunter2abc9"}},
    "named by its key, with a quote in it": {"password": 'hunter2abc9"more'},
    "in base64": {"data": base64.b64encode(SAID.encode()).decode()},
    "in hex": {"data": SAID.encode().hex()},
    "percent-encoded": "".join(f"%{byte:02X}" for byte in SAID.encode()),
    "turned by 13": codecs.encode("ghp_" + "a1B2" * 9, "rot13"),
    "in another script": "ＡＫＩＡＩＯＳＦＯＤＮＮ７ＥＸＡＭＰＬＥ",
    "with invisible characters": "AKIA\u200bIOSF\u200bODNN\u200b7EXAMPLE",
    "longer than it needs to be": "ghp_" + "a1B2" * 40,
    "in a tuple": (SAID,),
    "in bytes": SAID.encode(),
    "in an object": navicert.model.labels.Labels(categories=(SAID,)),
    "in what is too long": SAID + " x" * 200_000,
    "in a stream of texts": iter(["AKIAIOSF", "ODNN7EXAMPLE"]),
    "in an error": Told(SAID),
    "in the cause of an error": chained(),
    "in a note of an error": noted(),
    "in two words of an error": Told("AKIAIOSFODNN7EXAMPLE", 1),
    "in a time-out": TimeoutError(SAID),
}
TRACES = (
    "AKIAIOSF", "ODNN7EX", "7EXAMPLE", "hunter2", "a1B2a1B2", "tuc_", "%41%4B%49%41", "ＡＫＩ", "u200bODNN",
    base64.b64encode(SAID.encode()).decode()[20:40], SAID.encode().hex()[30:60],
)  # fmt: skip
"""Pieces of the secret, as each way wears it."""


def got(guard: Guard, tool: str, way: Any) -> str:
    """Call the tool; return everything that the agent's side gets to see: the value, or the printed error."""

    def plain() -> Any:
        if isinstance(way, BaseException):
            raise way
        return way

    def stream() -> Iterator[Any]:
        yield from ["AKIAIOSF", "ODNN7EXAMPLE"]

    kind: Callable[[], Any] = stream if hasattr(way, "__next__") else plain
    governed = guard.tool(tool)(kind)
    with guard.session(request="r", human="ana", agent="bot"):
        try:
            found = governed()
            return repr([*found] if kind is stream else found)
        except Exception as error:  # noqa: BLE001 - whatever comes
            return (
                "".join(traceback.format_exception(error)[-1:]) + repr((error, error.args, vars(error))) + seen(error)
            )


def seen(error: BaseException | None) -> str:
    """What a printer of errors finds behind one."""
    found = ""
    while error is not None:
        found += repr(error.args) + repr(getattr(error, "__notes__", ()))
        error = error.__cause__ or error.__context__
    return found


@pytest.fixture(scope="module", params=["here", "at the owner"])
def guard(request, tmp_path_factory) -> Iterator[Guard]:
    home = a_home(Path(tmp_path_factory.mktemp("released")) / ".navicert", policy=POLICY)
    if request.param == "here":
        with navicert.open(home.folder.parent) as found:
            yield found
        return
    deployment = Assembled(home, read_config(home.folder))
    owner = Owner(deployment, deployment.config)
    owner.start()
    with navicert.connect(home.folder.parent) as found:
        yield found
    owner.close()
    deployment.close()


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
@pytest.mark.parametrize("tool", ["vault.read", "vault.blank"])
def test_nothing_of_a_secret_reaches_the_agent_however_it_is_worn(guard, tool, way):
    # seen to fail: without the strings put together; without a second look; with the context of an error kept
    shown = got(guard, tool, way)
    assert [piece for piece in TRACES if piece in shown] == []


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS)
def test_the_twin_without_withhold_and_redact_hands_it_over(guard, way):
    shown = got(guard, "vault.open", way)
    assert [piece for piece in TRACES if piece in shown] != []


def test_what_can_be_redacted_is_and_keeps_its_use(guard):
    assert "'the key is [redacted: CREDENTIAL], keep it'" in got(guard, "vault.blank", SAID)
    assert "withheld by policy (RESTRICTED)" in got(guard, "vault.read", SAID)
    assert "'nothing'" in got(guard, "vault.read", "nothing")
