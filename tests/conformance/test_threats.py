"""The threat suite: what came out stands in docs/reference/threats.json, and it is no better or worse (T1 to T11).

Every run of a class plays its scenarios on both surfaces, and without rules.
"""

from __future__ import annotations

import importlib.util
import io
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from navicert.cli.terminal import Terminal
from navicert.conformance import agents, scenarios, threats
from navicert.conformance.scenarios import THREATS, Drawn, Effect, Scenario, Step
from navicert.conformance.threat_report import FORMAT, document, show
from navicert.conformance.threats import CONTROL, SURFACES, Results, run_threats
from navicert.conformance.world import Observers
from navicert.model.errors import PolicyError

ROOT = Path(__file__).resolve().parents[2]
RECORDED = json.loads((ROOT / "docs/reference/threats.json").read_text(encoding="utf-8"))
WRITTEN = {each.id: each for threat in scenarios.threats() for each in threat.scenarios}


@pytest.fixture(scope="module")
def observers() -> Iterator[Observers]:
    found = Observers()
    with found.running():
        yield found


@pytest.fixture
def play(tmp_path: Path, observers: Observers, monkeypatch: pytest.MonkeyPatch):
    """Play one scenario, changed, through the SDK."""

    def played(id_: str, **changes: Any) -> Results:
        threat = next(each for each in scenarios.threats() if each.threat == id_.partition(".")[0])
        only = replace(threat, scenarios=(replace(WRITTEN[id_], **changes),))
        monkeypatch.setattr(threats, "all_threats", lambda: (only,))
        return run_threats(tmp_path, observers, ["sdk"])

    return played


# what came out


@pytest.mark.timeout(400)  # a gateway is launched for each scenario: 10 s on a quiet machine
@pytest.mark.parametrize("threat", THREATS)
def test_every_scenario_comes_out_as_it_is_recorded(tmp_path: Path, observers: Observers, threat: str) -> None:
    found = run_threats(tmp_path, observers, only=[threat])

    assert found.unexplained == ()
    told = document(found)
    assert told["threats"] == [each for each in RECORDED["threats"] if each["threat"] == threat]
    assert list(tmp_path.iterdir()) == []


def test_the_record_is_of_this_suite() -> None:
    assert RECORDED["format"] == FORMAT
    assert RECORDED["surfaces"] == list(SURFACES)
    assert RECORDED["unexplained"] == []
    assert [each["threat"] for each in RECORDED["threats"]] == list(THREATS)


@pytest.mark.parametrize("surface", SURFACES)
@pytest.mark.parametrize("threat", THREATS)
def test_each_class_has_four_attacks_and_two_pieces_of_ordinary_work_on_each_surface(threat: str, surface: str) -> None:
    here = [
        each.kind
        for each in WRITTEN.values()
        if each.id.startswith(f"{threat}.") and surface in (each.surfaces or SURFACES)
    ]

    assert here.count("attack") >= 4
    assert here.count("benign") >= 2


# markers cannot rot


def test_an_attack_that_gets_through_and_has_no_marker_is_unexplained(play) -> None:
    # seen to fail: with `unexplained` always false
    found = play("T2.3", undefended=None)

    assert [each.came for each in found.results] == ["open"]
    assert found.unexplained[0].startswith("T2.3 on sdk: open")


@pytest.mark.parametrize(("id_", "marker"), [("T1.4", "undefended"), ("T1.9", "blocked"), ("T1.9", "asks")])
def test_a_marker_of_what_is_in_order_is_stale(play, id_: str, marker: str) -> None:
    # seen to fail: with markers compared only where it is red
    assert play(id_, **{marker: "it was so once"}).unexplained
    assert not play(id_).unexplained


def test_ordinary_work_that_is_stopped_is_red_as_well(play) -> None:
    found = play("T3.13", blocked=None)

    assert [(each.came, each.green, each.unexplained) for each in found.results] == [("denied", False, True)]


def test_an_attack_that_would_not_work_without_rules_proves_nothing(play) -> None:
    # seen to fail: with the control left out of `unexplained`
    found = play("T1.4", effect=Effect(at="mail", holds=("{host}",)))

    assert found.unexplained == ("T1.4: it proves nothing: without rules it does not work",)


# the effect decides, and what the agent knows


def test_an_effect_counts_though_the_agent_was_told_that_it_was_refused(play, monkeypatch) -> None:
    # seen to fail: with `seen` left out of `_attack`
    call = agents.SdkAgent.call

    def through(self: Any, session: Any, tool: str, arguments: dict[str, Any]) -> Any:
        agents.Toolbox.call(self.box, tool, arguments)
        return call(self, session, tool, arguments)

    init = agents.SdkAgent.__init__

    def keeps(self: Any, guard: Any, home: Any, world: Path, *more: Any) -> None:
        init(self, guard, home, world, *more)
        self.box = agents.Toolbox(str(world))

    monkeypatch.setattr(agents.SdkAgent, "__init__", keeps)
    monkeypatch.setattr(agents.SdkAgent, "call", through)
    found = play("T1.4")

    assert [each.came for each in found.results] == ["open"]


def test_a_system_that_breaks_down_is_no_stopped_attack(play, monkeypatch) -> None:
    # seen to fail: with a failure counted as a refusal
    def fails(*_: Any) -> Any:
        raise OSError("gone")

    monkeypatch.setattr(agents.SdkAgent, "call", fails)
    found = play("T1.4")

    assert [(each.came, each.green) for each in found.results] == [("broken", False)]
    assert found.unexplained[0] == "T1.4 on sdk: broken: it could not be played: OSError: gone"


def test_an_agent_uses_only_what_it_was_told(play) -> None:
    # seen to fail: with the look at what was heard left out
    steps = tuple(each for each in WRITTEN["T2.2"].steps if each.call == "refunds.issue")
    found = play("T2.2", steps=steps)

    assert [(each.came, each.why) for each in found.results] == [("stopped", "the agent was never told `number`")]


@pytest.mark.parametrize("place", ["store", "refusals"])
def test_a_secret_in_the_product_s_own_files_or_words_is_seen(play, monkeypatch, place: str) -> None:
    # the negative twin of T9.1 and T9.2: a product that would keep or repeat the arguments
    call = agents.SdkAgent.call

    def leaks(self: Any, session: Any, tool: str, arguments: dict[str, Any]) -> Any:
        told = call(self, session, tool, arguments)
        if place == "store":
            (self.home.folder / "leak").write_text(json.dumps(arguments))
            return told
        return told._replace(text=json.dumps(arguments))

    init = agents.SdkAgent.__init__

    def keeps(self: Any, guard: Any, home: Any, world: Path, *more: Any) -> None:
        init(self, guard, home, world, *more)
        self.home = home

    monkeypatch.setattr(agents.SdkAgent, "__init__", keeps)
    monkeypatch.setattr(agents.SdkAgent, "call", leaks)
    found = play({"refusals": "T9.1", "store": "T9.2"}[place])

    assert [each.came for each in found.results] == ["open"]


def test_without_the_rule_of_the_pack_its_attack_is_open(play, monkeypatch) -> None:
    # seen to fail: with the policy of the scenario left as it is
    whole = threats.policy_of

    def lame(scenario: Scenario, surface: str) -> str:
        text = whole(scenario, surface)
        return text.replace("decision: DENY", "decision: ALLOW").replace("classification: forbidden", "name: x")

    assert [each.came for each in play("T1.4").results] == ["stopped"]
    monkeypatch.setattr(threats, "policy_of", lame)
    assert [each.came for each in play("T1.4").results] == ["open"]


def test_the_control_is_the_pack_without_its_rules() -> None:
    text = threats.policy_of(WRITTEN["T1.1"], CONTROL)

    assert "mail.send: {effect: send" in text
    assert "posture: declared_tools" in text
    assert text.rstrip().endswith("rules: []")


# scenario files


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"effect": Effect(at="mail", holds=("always there",))}, "the effect holds no drawn value"),
        ({"request": "{nobody}"}, "cannot be drawn"),
        ({"request": "{secret|rot13}"}, "cannot be drawn"),
        ({"blocked": "why"}, "this marker is not for `attack`"),
        ({"surfaces": ("sdk",)}, "`surfaces` and `elsewhere` stand together"),
        ({"id": "T2.1"}, "the id must begin with `T1.`"),
    ],
)
def test_a_scenario_that_could_not_tell_anything_does_not_load(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        scenarios._check("T1.yaml", replace(WRITTEN["T1.1"], **changes), "T1")


def test_a_step_is_one_thing() -> None:
    with pytest.raises(ValueError, match="a step is one of"):
        Step(call="mail.read", says="more")
    with pytest.raises(ValueError, match="a step is one of"):
        Step()


def test_values_are_drawn_once_for_a_run_and_otherwise_for_the_next() -> None:
    one, other = Drawn(), Drawn()

    assert one.filled("{address} {address}") == f"{one('address')} {one('address')}"
    assert one("address") != other("address")
    assert one.is_in("secret", one.filled("x{secret|base64}y"))
    assert not one.is_in("secret", other.filled("{secret}"))


def test_every_tool_of_the_packs_is_there() -> None:
    for pack in {each.pack for each in WRITTEN.values()}:
        policy = threats.policy_of(replace(WRITTEN["T1.1"], pack=pack, rules=""), "sdk")
        from navicert.syntax import read_policy

        assert {tool.tool for tool in read_policy(policy)[0].tools} <= agents.TOOLS.keys()


# what is told


def test_people_are_shown_every_class_and_what_is_red(play) -> None:
    out = io.StringIO()
    show(Terminal(out), document(play("T2.3")))
    text = out.getvalue()

    assert "T2  Confused deputy" in text
    assert "T2.3" in text
    assert WRITTEN["T2.3"].undefended.split(",")[0] in text.replace("\n          ", " ")
    assert "1 scenarios, 1 red: 1 attacks that get through, 0 pieces of ordinary work that do not" in text
    assert all(len(line) <= 100 for line in text.splitlines())


@pytest.fixture(scope="module")
def page():
    sys.path.insert(0, str(ROOT / "scripts"))
    spec = importlib.util.spec_from_file_location("threats_page", ROOT / "scripts/threats_page.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.pop(0)
    return module


def test_the_page_is_what_the_scenarios_and_the_record_say(page) -> None:
    assert page.main(ROOT, ["--check"]) == 0


@pytest.mark.parametrize(
    ("old", "new"), [("| T1 |", "| T12 |"), ("<!-- generated: red -->", "<!-- generated: green -->")]
)
def test_a_table_that_was_edited_by_hand_is_found(page, tmp_path: Path, old: str, new: str) -> None:
    for name in (page.PAGE, page.RESULTS):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text((ROOT / name).read_text("utf-8").replace(old, new, 1), encoding="utf-8")
    (tmp_path / "tests").symlink_to(ROOT / "tests")

    assert page.main(tmp_path, ["--check"]) == 1


def test_a_family_that_is_tested_nowhere_or_by_a_file_that_is_gone_is_found(page, monkeypatch, capsys) -> None:
    for tested, says in (((), "tested nowhere"), (("tests/attacks/test_gone.py",), "there is no")):
        monkeypatch.setitem(page.TESTED, "A.1", ("words", tested))
        assert page.main(ROOT, ["--check"]) == 1
        assert says in capsys.readouterr().err
