"""What of a result is released: whole, redacted, withheld; what session, receipts and log hold then (R2, R5)."""

from __future__ import annotations

import asyncio
import dataclasses
import traceback
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from navicert import ResultWithheld
from navicert.assemble import Home, read_trust
from navicert.audit import open_archive
from navicert.cli.view import view
from navicert.core.seal import parse
from navicert.engine.completing import Output
from navicert.engine.mediating import ToolFailed
from navicert.model.errors import VerificationError
from navicert.model.labels import NOTHING, WORST, Labels, Level
from navicert.sdk.render import remade, render
from navicert.sdk.session import Session
from navicert.testing import Bench, Fault, FaultyClassifier, open_bench
from navicert.verification.log import verify_log
from records.forge import keys_of, plains, resigned

POLICY = """\
policy: release
version: 1
posture: declared_tools
withhold: HR
redact: CREDENTIAL
tools:
  crm.read: {effect: read, returns: INTERNAL, redact: [PII, CREDENTIAL]}
  vault.read: {effect: read, returns: INTERNAL, withhold: CREDENTIAL, redact: []}
  pay.roll: {effect: read, returns: {level: CONFIDENTIAL, categories: [HR]}}
  top.read: {effect: read, returns: INTERNAL, withhold: RESTRICTED, redact: []}
  free.read: {effect: read, returns: INTERNAL, withhold: [], redact: []}
  any.read: {effect: read, returns: INTERNAL}
  some.blank: {effect: read, returns: INTERNAL, withhold: [], redact: PII}
  odd.read: {effect: read, withhold: RESTRICTED}
  odd.blank: {effect: read, withhold: [], redact: PII}
  file.write: {effect: write, resource: path, content: text, returns: PUBLIC, redact: [], withhold: []}
  file.read: {effect: read, resource: path, returns: PUBLIC, redact: [], withhold: CONFIDENTIAL}
"""
MAIL, KEY = "jo@acme.example", "password = hunter2abc9"
PII = Labels(level=Level.CONFIDENTIAL, categories=("PII",))
INTERNAL = Labels(level=Level.INTERNAL)


class World:
    """Tools that give back, or raise, what they are told to."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.session: Session = bench.session(request="look it up", human="ana", agent="bot")

    def ask(self, tool: str, gives: Any = None, *, raises: BaseException | None = None, **given: str) -> Any:
        def run(**_: str) -> Any:
            if raises is not None:
                raise raises
            return gives

        def one(path: str = "x", text: str = "") -> Any:
            return run()

        return self.session.carry(self.bench.tool(tool)(one))(**given)

    def refuses(self, tool: str, gives: Any = None, *, raises: BaseException | None = None) -> str:
        with pytest.raises(ResultWithheld) as found:
            self.ask(tool, gives, raises=raises)
        error = found.value
        assert error.__cause__ is None
        assert error.__context__ is None
        frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename != __file__]
        assert frames
        assert not any("hunter2abc9" in repr(frame.f_locals) for frame in frames)
        assert "hunter2abc9" not in "".join(traceback.format_exception(error))
        return str(error)

    def stream(self, tool: str, items: list[Any], *, asynchronous: bool = False) -> list[Any]:
        def parts() -> Iterator[Any]:
            yield from items

        async def later() -> Any:
            for item in items:
                yield item

        async def collected() -> list[Any]:
            return [item async for item in self.bench.tool(tool)(later)()]

        if not asynchronous:
            return self.session.carry(lambda: [*self.bench.tool(tool)(parts)()])()
        return asyncio.run(self.session.carry(collected)())

    @property
    def labels(self) -> Labels:
        return self.session.labels

    def outcome(self) -> dict[str, Any]:
        """Return the execution of the newest outcome, with its output disclosed; the whole log is verified."""
        self.bench.engine.decide(self.bench.engine.action("no", "tool", b"{}", profile=None), self.session.id)
        with open_archive(self.bench.home) as archive:
            rows = [row for row in archive.log() if row.data]
            verify_log([row.data for row in rows], read_trust(self.bench.home.trust))
            last = [row for row in rows if b'"kind":"outcome"' in row.data][-1]
            return view(archive, last)["execution"]


@pytest.fixture
def made(tmp_path) -> Iterator[Callable[..., World]]:
    benches: list[Bench] = []

    def make(**ports: Any) -> World:
        benches.append(open_bench(tmp_path / "home", POLICY, **ports))
        return World(benches[-1])

    yield make
    for bench in benches:
        bench.close()


@pytest.fixture
def world(made) -> World:
    return made()


# whole


def test_a_result_that_carries_none_of_it_is_released_whole_and_the_receipt_says_nothing(world):
    found = {"name": "Jo", "n": 1.5}
    assert world.ask("crm.read", found) is found
    assert world.labels == INTERNAL
    assert world.outcome()["released"] is None


def test_a_tool_that_lifts_what_holds_for_all_gives_back_everything(world):
    assert world.ask("free.read", KEY) == KEY
    assert world.labels.has("CREDENTIAL")
    assert world.outcome()["output"] == KEY


# redacted


def test_what_is_recognised_is_blanked_and_labels_the_session_no_more(world):
    # seen to fail: with `released.json` left aside in `_rewritten`
    found = world.ask("crm.read", {"mail": f"to {MAIL}", "n": 1.50, "rows": [True, None, KEY]})
    assert found == {"mail": "to [redacted: PII]", "n": 1.5, "rows": [True, None, "password = [redacted: CREDENTIAL]"]}
    assert world.labels == INTERNAL
    execution = world.outcome()
    assert execution["released"] == {"how": "redacted", "labels": ["CREDENTIAL", "PII"]}
    assert (execution["level"], execution["categories"], execution["output"]) == ("INTERNAL", [], found)


def test_the_policys_own_word_holds_for_a_tool_that_says_nothing_itself(world):
    assert "(HR)" in world.refuses("pay.roll", {"n": 1})
    assert world.ask("any.read", f"{MAIL}, {KEY}") == f"{MAIL}, password = [redacted: CREDENTIAL]"


def test_text_comes_back_as_text(world):
    assert world.ask("crm.read", f"{MAIL}, {KEY}") == "[redacted: PII], password = [redacted: CREDENTIAL]"


def test_what_is_declared_stays_a_label_of_what_was_redacted(world):
    assert world.ask("odd.blank", {"mail": MAIL}) == {"mail": "[redacted: PII]"}
    assert world.labels == WORST  # nobody declared what it returns


@pytest.mark.parametrize(
    "value",
    [
        {"card": 1, "mail": (MAIL,)},  # a tuple would come back as a list
        {1: MAIL},
        MAIL.encode(),
        dataclasses.make_dataclass("Customer", [("mail", str)])(MAIL),
        {"mail": MAIL, "n": float("nan")},
    ],
    ids=["tuple", "key", "bytes", "object", "nan"],
)
def test_what_cannot_be_made_anew_in_its_shape_is_withheld(world, value):
    # seen to fail: with `rewritable=True` for every value
    assert "(PII)" in world.refuses("crm.read", value)
    assert world.labels == NOTHING


def test_a_number_is_never_blanked_and_what_it_says_is_withheld(world):
    policy = POLICY.replace("redact: [PII, CREDENTIAL]", "redact: FINANCIAL").replace("version: 1", "version: 2")
    (world.bench.home.folder / "policy.yaml").write_text(policy)
    world.bench.reload()
    assert world.ask("crm.read", {"card": "4111 1111 1111 1111"}) == {"card": "[redacted: FINANCIAL]"}
    assert "(FINANCIAL)" in world.refuses("crm.read", {"card": 4111111111111111})


@pytest.mark.parametrize("text", ["ｊｏ＠ａｃｍｅ．ｅｘａｍｐｌｅ", "j\u200bo@ac\u200bme.example １２３-４５-６７８９"])
def test_what_is_recognised_and_not_located_is_withheld(world, text):
    # seen to fail: without a second look at what would be released
    assert "(PII)" in world.refuses("crm.read", {"mail": text})


# withheld


@pytest.mark.parametrize(
    ("tool", "value", "names"),
    [("vault.read", KEY, "CREDENTIAL"), ("top.read", {"k": KEY}, "RESTRICTED"), ("pay.roll", "none", "HR")],
)
def test_a_withheld_result_is_an_error_labels_nobody_and_is_not_kept(world, tool, value, names):
    # seen to fail: with `withheld` not raised; with `labels` in place of NOTHING
    said = world.refuses(tool, value)
    assert f"({names})" in said
    assert world.labels == NOTHING
    execution = world.outcome()
    assert execution["released"] == {"how": "withheld", "labels": [names]}
    assert (execution["level"], execution["categories"], execution["success"]) == ("PUBLIC", [], True)
    assert execution["output"] == {"withheld": [names]}


def test_a_level_means_this_or_above_and_a_lower_one_passes(world):
    assert world.ask("top.read", {"mail": MAIL}) == {"mail": MAIL}
    assert world.labels.has("PII")


def test_a_label_that_a_resource_was_stored_under_counts(world):
    world.ask("crm.read", "nothing")
    world.ask("file.write", path="a.txt", text="x")
    assert world.ask("file.read", "fine", path="a.txt") == "fine"  # written under INTERNAL
    world.ask("free.read", MAIL)
    world.ask("file.write", path="b.txt", text="x")
    with pytest.raises(ResultWithheld):
        world.ask("file.read", "fine", path="b.txt")


@pytest.mark.parametrize("value", [b"\xff\xfe", object(), "x" * 300_000, "\0"], ids=["bytes", "object", "long", "null"])
@pytest.mark.parametrize("tool", ["crm.read", "vault.read", "top.read"])
def test_what_cannot_be_looked_at_is_withheld(world, tool, value):
    assert "(unclassified)" in world.refuses(tool, value)
    assert world.outcome()["released"] == {"how": "withheld", "labels": ["*"]}
    assert world.labels == NOTHING


def test_a_result_that_nobody_classified_is_withheld_from_a_limit(world):
    assert "(unclassified)" in world.refuses("odd.read", "fine")


def test_nothing_at_all_is_released(world):
    assert world.ask("crm.read", None) is None
    assert world.ask("vault.read", True) is True


@pytest.mark.parametrize("how", ["raises", "hangs", "nonsense"])
def test_a_classifier_that_fails_has_the_result_withheld(made, how):
    # seen to fail: with a failed `locate` taken for one without places
    fault = Fault()
    world = made(classifiers=lambda real: (FaultyClassifier(real[0], fault),), measure_s=0.2)
    assert world.ask("crm.read", {"mail": MAIL}) == {"mail": "[redacted: PII]"}
    {"raises": fault.raises, "hangs": fault.hangs, "nonsense": lambda: fault.answers(["yes"])}[how]()
    for tool in ("crm.read", "some.blank"):
        assert "(unclassified)" in world.refuses(tool, {"mail": MAIL})
        assert "(unclassified)" in world.refuses(tool, "harmless")
    fault.clear()


def test_one_that_labels_and_does_not_say_where_has_the_result_withheld(made):
    # seen to fail: with a failed `locate` taken for one that found nothing
    fault = Fault()
    world = made(classifiers=lambda real: (FaultyClassifier(real[0], fault),))
    fault.raises(only=lambda text: text == "jo@acme.example jo@acme.example")  # the strings put together
    assert "(unclassified)" in world.refuses("some.blank", [MAIL, f" {MAIL}"])
    assert world.ask("some.blank", [MAIL]) == ["[redacted: PII]"]


# errors


def test_what_an_error_says_is_released_where_it_carries_nothing(world):
    with pytest.raises(ValueError, match="no such row"):
        world.ask("crm.read", raises=ValueError("no such row"))


@pytest.mark.parametrize("kind", [ValueError, RuntimeError, TimeoutError, KeyboardInterrupt, SystemExit])
def test_what_an_error_says_is_withheld_with_its_cause_and_its_context(world, kind):
    # seen to fail: with `raise` in place of the bare error
    error = kind("bad row")
    error.__cause__ = KeyError(KEY)
    if issubclass(kind, (TimeoutError, KeyboardInterrupt, SystemExit)):
        with pytest.raises(kind) as found:
            world.ask("crm.read", raises=error)
        assert "hunter2abc9" not in "".join(traceback.format_exception(found.value))
        assert found.value.__context__ is None
        assert "is open as" in found.value.__notes__[0]
    else:
        assert "failed" in world.refuses("crm.read", raises=error)
    assert world.labels == NOTHING


def test_a_failure_that_is_a_value_is_redacted_as_a_result_is(world):
    engine = world.bench.engine
    for gives, shown in ((f"no {MAIL}", "no [redacted: PII]"), ("no such row", "no such row")):
        permit = engine.decide(engine.action("crm", "read", b"{}", profile=None), world.session.id)

        def run(_: bytes, gives: str = gives) -> Any:
            raise ToolFailed(gives)

        with pytest.raises(ToolFailed) as found:
            engine.execute(permit, run, render, remade)
        assert found.value.value == shown
    assert world.outcome()["error"] == "ToolFailed"


def test_without_a_way_to_rewrite_what_is_to_be_redacted_is_withheld(world):
    engine = world.bench.engine
    permit = engine.decide(engine.action("crm", "read", b"{}", profile=None), world.session.id)
    with pytest.raises(ResultWithheld):
        engine.execute(permit, lambda _: MAIL, render)


# parts


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_stream_is_collected_and_texts_come_out_as_one(world, asynchronous):
    # seen to fail: with each item labelled and released by itself
    found = world.stream("crm.read", ["mail jo@ac", "me.example", " now"], asynchronous=asynchronous)
    assert found == ["mail [redacted: PII] now"]
    assert world.stream("crm.read", [{"mail": MAIL}, 2], asynchronous=asynchronous) == [{"mail": "[redacted: PII]"}, 2]
    assert world.stream("free.read", ["a", "b"], asynchronous=asynchronous) == ["a", "b"]
    assert world.stream("crm.read", [], asynchronous=asynchronous) == []
    with pytest.raises(ResultWithheld):
        world.stream("vault.read", ["password = hun", "ter2abc9"], asynchronous=asynchronous)


def test_what_a_tool_says_while_it_runs_is_looked_at_with_what_it_said_before(world):
    # seen to fail: with each part looked at by itself
    engine = world.bench.engine
    permit = engine.decide(engine.action("vault", "read", b"{}", profile=None), world.session.id)
    engine.redeem(permit)
    assert permit.screened
    engine.extend(permit, Output(text="password = "))
    with pytest.raises(ResultWithheld):
        engine.extend(permit, Output(text="hunter2abc9"))
    engine.extend(permit, Output(text="unknown"))  # what was withheld was not said
    assert world.labels == INTERNAL
    engine.complete(permit, Output(text="done"))


# verification


def forged(world: World, change: Callable[[dict[str, Any]], None]) -> str | None:
    home: Home = world.bench.home
    with open_archive(home) as archive:
        entries = [row.data for row in archive.log()]
    changed = plains(entries)
    for plain in changed:
        if plain["kind"] == "outcome":
            change(plain["execution"])
    keys = keys_of(home.folder)
    again = resigned(changed, lambda plain: keys[plain["signature"]["key_id"]], originals=plains(entries))
    try:
        verify_log(again, read_trust(home.trust))
    except VerificationError as error:
        return error.code
    return None


def test_a_receipt_that_cannot_have_been_is_refused(world):
    # seen to fail: without `_check_release`
    world.refuses("vault.read", KEY)
    world.outcome()
    assert forged(world, lambda _: None) is None
    for released in (
        {"how": "whole", "labels": ["PII"]},
        {"how": "redacted", "labels": []},
        {"how": "withheld", "labels": ["PII", "HR"]},
        {"how": "redacted"},
        {"how": "redacted", "labels": ["PII"], "why": "x"},
    ):
        assert forged(world, lambda execution, part=released: execution.update(released=part)) == "schema", released
    assert forged(world, lambda execution: execution.update(level="RESTRICTED")) == "schema"


def test_what_is_released_whole_leaves_the_receipt_as_it_always_was(world):
    world.ask("free.read", "x")
    world.outcome()
    with open_archive(world.bench.home) as archive:
        outcome = next(row.data for row in archive.log() if parse(row.data).execution is not None)
    assert b'"released"' not in outcome
