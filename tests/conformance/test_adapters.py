"""Our adapters keep the contract; the kit takes nothing for an answer that is none: garbage, silence, an early end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from navicert.conformance.adapters.breaking import parts_of
from navicert.conformance.adapters.mcp import Http, Stdio
from navicert.conformance.adapters.sdk import Sdk
from navicert.conformance.contract import CONTRACT, Answered, Break, Done, Open, Probe, Start, Started, Stop, Submit
from navicert.conformance.issuer import TokenIssuer
from navicert.conformance.policies import policy
from navicert.conformance.product import Broken, Product, Refusal
from navicert.conformance.runner import ADAPTERS, TOOLS
from navicert.conformance.world import Observers, World

SURFACES = pytest.mark.parametrize("surface", ADAPTERS)
RULES = "  - {id: writing, match: {tool: kit.files, operation: write}, decision: ALLOW}\n"


@pytest.fixture
def product(surface, tmp_path):
    with Product(ADAPTERS[surface], tmp_path / "errors") as product:
        yield product


def started(product: Product, folder: Path, twin: str | None = None) -> tuple[World, TokenIssuer]:
    """Have a deployment set up, under a rule that permits to write files."""
    world, issuer = World(folder / "world", Observers()), TokenIssuer(folder / "issuer")
    world.make()
    (folder / "deployment").mkdir()
    server = (sys.executable, "-I", "-S", TOOLS, str(world.where))
    start = Start(
        folder=str(folder / "deployment"), world=str(world.where), policy=policy(RULES), server=server,
        issuer=issuer.files, twin=twin,
    )  # fmt: skip
    assert product.ask(start, Started).root
    return world, issuer


def opened(product: Product, issuer: TokenIssuer, name: str) -> None:
    token = issuer.token("ana", "bot")
    human = issuer.principal("ana")
    product.ask(Open(session=name, request="tidy up", token=token, human=human, agent="bot"), Done)


def write(session: str, text: str) -> Submit:
    return Submit(session=session, tool="kit.files", operation="write", parameters={"path": "a.txt", "text": text})


@pytest.mark.timeout(60)
@SURFACES
def test_an_adapter_refuses_what_is_not_of_the_contract_and_goes_on(surface):
    lines = [
        b"garbage", b'{"id": 1}', b'{"id": 2, "ask": {"do": "stop"}, "more": 1}',
        b'{"id": 3, "ask": {"do": "stop", "more": 1}}', b'{"id": 4, "ask": {"do": "unheard-of"}}',
        b'{"id": 5, "ask": {"do": "say", "session": "nobody", "text": "hello"}}', b'{"id": 6, "ask": {"do": "stop"}}',
    ]  # fmt: skip
    ran = subprocess.run(
        ADAPTERS[surface], input=b"\n".join(lines) + b"\n", capture_output=True, check=True, timeout=60
    )
    hello, *answers = map(json.loads, ran.stdout.splitlines())
    assert (hello["ok"]["contract"], hello["ok"]["surface"]) == (CONTRACT, surface)
    found = {answer["id"]: "ok" if "ok" in answer else "error" for answer in answers}
    assert found == {0: "error", 3: "error", 4: "error", 5: "error", 6: "ok"}
    assert len(answers) == 7  # each line has one answer; what has no readable id is answered as 0


@pytest.mark.timeout(60)
@SURFACES
def test_an_action_runs_once_and_stop_leaves_no_process_behind(surface, product, tmp_path):
    world, issuer = started(product, tmp_path)
    opened(product, issuer, "s")
    got = product.ask(write("s", "one"), Answered)
    assert (got.outcome, world.text("a.txt")) == ("ran", "one")
    assert got.action.startswith("act_")
    product.ask(Stop(), Done)
    left = subprocess.run(["pgrep", "-f", str(tmp_path / "deployment")], capture_output=True, text=True, check=False)
    assert left.stdout == ""


# seen to fail: with the sabotage `fails_open`, as the next test has it
@pytest.mark.timeout(60)
@SURFACES
def test_what_is_broken_refuses_and_is_mended(surface, product, tmp_path):
    world, issuer = started(product, tmp_path)
    opened(product, issuer, "s")
    assert product.ask(write("s", "one"), Answered).outcome == "ran"
    product.ask(Break(part="store:gone"), Done)
    assert product.ask(write("s", "two"), Answered).outcome == "denied"
    assert world.text("a.txt") == "one"
    product.ask(Break(part="store:gone", mend=True), Done)
    assert product.ask(write("s", "three"), Answered).outcome == "ran"
    with pytest.raises(Refusal, match="unheard-of"):
        product.ask(Break(part="unheard-of"), Done)


@pytest.mark.timeout(120)
@pytest.mark.parametrize("surface", ["sdk"])
def test_every_way_of_breaking_shows_where_the_gate_fails_open(surface, product, tmp_path):
    world, issuer = started(product, tmp_path, "fails_open")
    opened(product, issuer, "s")
    assert product.ask(write("s", "before"), Answered).outcome == "ran"
    for part in product.hello.parts:
        if part.startswith("edit:"):  # which does not concern what is permitted
            continue
        product.ask(Break(part=part), Done)
        assert product.ask(write("s", part), Answered).outcome == "ran", part
        assert world.text("a.txt") == part
        product.ask(Break(part=part, mend=True), Done)
        assert product.ask(write("s", "after"), Answered).action is not None, part  # it was decided


# seen to fail: with the sabotage `anybody_acts`, by the check R1.e/nobody
@pytest.mark.timeout(60)
@SURFACES
def test_who_shows_nothing_gets_nothing(surface, product, tmp_path):
    world, issuer = started(product, tmp_path)
    opened(product, issuer, "s")
    probe = Probe(way="session:none", call=write("s", "one"))
    assert product.ask(probe, Answered).outcome == "denied"
    assert world.text("a.txt") is None
    assert product.ask(write("s", "two"), Answered).outcome == "ran"


def test_each_surface_says_what_it_can_break():
    kinds = {surface: {part.partition(":")[0] for part in parts_of(surface())} for surface in (Sdk, Stdio, Http)}
    everywhere = {"store", "log", "keys", "identity", "rules", "edit"}
    assert kinds == {
        Sdk: everywhere | {"engine"},
        Stdio: everywhere | {"owner", "gateway"},
        Http: everywhere | {"owner", "gateway"},
    }
    assert {part.partition(":")[0] for part in parts_of(Sdk("owner"))} == everywhere | {"owner"}


# the kit's side

HELLO = Sdk().hello()
PROGRAM = "import sys\nprint({hello!r}, flush=True)\nsys.stdin.readline()\n{then}\nsys.stdin.readline()\n"


def somebody(then: str, hello: str) -> tuple[str, ...]:
    return (sys.executable, "-c", PROGRAM.format(hello=hello, then=then))


def greeting(**changes: str) -> str:
    from msgspec import json as codec
    from msgspec.structs import replace

    return codec.encode({"ok": replace(HELLO, **changes)}).decode()


def test_an_adapter_that_speaks_another_contract_is_not_used(tmp_path):
    with pytest.raises(Broken, match="speaks `another/1`"):
        Product(somebody("sys.exit()", greeting(contract="another/1")), tmp_path / "errors")


@pytest.mark.parametrize(
    ("then", "said"),
    [
        ("sys.exit('that was all')", "its last words: that was all"),
        ("print('garbage', flush=True)", "not of the contract"),
        ('print(\'{"id": 1, "ok": {"detail": 1}}\', flush=True)', "not of the contract"),
        ('print(\'{"id": 1, "ok": {}, "more": 1}\', flush=True)', "not of the contract"),
    ],
)
def test_whatever_an_adapter_says_but_an_answer_is_a_failure(then, said, tmp_path):
    with Product(somebody(then, greeting()), tmp_path / "errors") as product, pytest.raises(Broken, match=said):
        product.ask(Stop(), Done, 1.0)


# seen to fail: without `_over` in product.py, whatever was asked later waited for all of its patience
@pytest.mark.timeout(20)
def test_what_is_asked_after_an_adapter_has_ended_fails_at_once(tmp_path):
    with Product(somebody("sys.exit('enough')", greeting()), tmp_path / "errors") as product:
        for _ in range(2):
            with pytest.raises(Broken, match="its last words: enough"):
                product.ask(Stop(), Done, 60.0)


def test_an_error_of_an_adapter_is_told_apart_from_a_failure_of_it(tmp_path):
    then = 'print(\'{"id": 1, "error": "not here"}\', flush=True)'
    with Product(somebody(then, greeting()), tmp_path / "errors") as product, pytest.raises(Refusal, match="not here"):
        product.ask(Stop(), Done)
