from __future__ import annotations

import importlib.util
import sys
import time
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).resolve().parents[2]


def _load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("run_docs", ROOT / "scripts" / "run_docs.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


run_docs = _load()


def _page(root: Path, *lines: str, name: str = "README.md") -> Path:
    page = root / name
    page.parent.mkdir(parents=True, exist_ok=True)
    page.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return page


def _run(root: Path, *lines: str, deadline: float = 30.0) -> list[str]:
    report = run_docs.run_page(root, _page(root, *lines), deadline=deadline)
    return [line.rsplit(" (", 1)[0] for line in report]


def test_blocks_run_in_order_in_one_folder(tmp_path):
    report = _run(
        tmp_path,
        "```python",
        "open('a', 'w').write('1')",
        "```",
        "then",
        "```sh",
        'test "$(cat a)" = 1 && echo 2 > a',
        "```",
        "~~~console",
        "$ grep 2 a",
        "2",
        "~~~",
    )

    assert report == ["README.md:1: python ok", "README.md:5: sh ok", "README.md:8: console ok"]


def test_a_failing_block_is_named_by_page_and_line_with_its_output(tmp_path):
    with pytest.raises(run_docs.DocumentError) as caught:
        _run(tmp_path, "text", "", "```python", "raise ValueError('broken here')", "```")

    assert str(caught.value).startswith("README.md:3: the python block failed, exit status 1\n")
    assert "broken here" in str(caught.value)


@pytest.mark.parametrize("body", ["false\ntrue", "false | true", "echo $undefined_name"])
def test_a_shell_block_stops_at_its_first_error(tmp_path, body):
    with pytest.raises(run_docs.DocumentError, match=r"README\.md:1: the sh block failed"):
        _run(tmp_path, "```sh", body, "```")


def test_an_earlier_line_of_a_console_block_may_not_fail(tmp_path):
    with pytest.raises(run_docs.DocumentError, match="the console block failed"):
        _run(tmp_path, "```console", "$ false", "$ true", "```")


def test_a_console_block_without_a_command_is_an_error(tmp_path):
    with pytest.raises(run_docs.DocumentError, match=r"README\.md:1: the console block has no line"):
        _run(tmp_path, "```console", "just output", "```")


@pytest.mark.parametrize(
    "opening",
    [
        ["<!-- file: sub/a.py -->", "```python"],
        ["<!-- file: sub/a.py -->", "", "```python"],
        ['```python title="sub/a.py"'],
    ],
)
def test_a_named_block_is_written_and_not_run(tmp_path, opening):
    report = _run(tmp_path, *opening, "raise SystemExit(3)", "```", "```sh", "grep 'SystemExit(3)' sub/a.py", "```")

    assert [line.split(": ")[1] for line in report] == ["python written to sub/a.py", "sh ok"]


def test_data_is_written_when_named_and_only_shown_otherwise(tmp_path):
    report = _run(
        tmp_path,
        "```yaml",
        "shown: true",
        "```",
        "<!-- file: a.yaml -->",
        "```yaml",
        "b: 1",
        "```",
        "```sh",
        "cat a.yaml",
        "```",
    )

    assert report == ["README.md:5: yaml written to a.yaml", "README.md:8: sh ok"]


def test_a_skipped_block_prints_its_reason(tmp_path):
    report = _run(tmp_path, "<!-- norun: needs a network -->", "```sh", "false", "```")

    assert report == ["README.md:2: sh not run: needs a network"]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["<!-- norun: -->", "```sh", "```"], "README.md:1: `norun` gives no reason"),
        (["<!-- norun: why -->", "prose", "```sh", "```"], "README.md:1: `norun` stands before no block"),
        (["<!-- file: a -->"], "README.md:1: `file` stands before no block"),
        (["<!-- file: ../a -->", "```text", "```"], "README.md:2: `../a` is no file name"),
        (["<!-- file: /a -->", "```text", "```"], "README.md:2: `/a` is no file name"),
        (["<!-- file: -->", "```text", "```"], "README.md:2: `` is no file name"),
        (["```", "make", "```"], "README.md:1: unknown language ``"),
        (["```shell", "make", "```"], "README.md:1: unknown language `shell`"),
        (["", "```sh", "true"], "README.md:2: the block is not closed"),
    ],
)
def test_what_could_hide_a_block_is_an_error(tmp_path, lines, message):
    with pytest.raises(run_docs.DocumentError) as caught:
        _run(tmp_path, *lines)

    assert str(caught.value).startswith(message)


def test_a_longer_fence_holds_a_shorter_one(tmp_path):
    found = run_docs.blocks("p", "````text\n```sh\nfalse\n```\n````\n")

    assert [(block.line, block.language, block.text) for block in found] == [(1, "text", "```sh\nfalse\n```\n")]


def test_a_block_in_a_list_loses_its_indentation(tmp_path):
    assert _run(tmp_path, "1. first", "", "   ```python", "   if True:", "       pass", "   ```") == [
        "README.md:3: python ok"
    ]


def test_the_commands_of_this_environment_come_first_and_home_is_empty(tmp_path):
    _run(tmp_path, "```sh", f'test "$(command -v python)" = "{Path(sys.executable).parent}/python"', "```")
    _run(tmp_path, "```sh", 'test -z "$(ls -A "$HOME")" && test "$HOME" != "$PWD"', "```")


def test_a_block_that_hangs_is_ended_with_all_that_it_started(tmp_path):
    start = time.monotonic()

    with pytest.raises(run_docs.DocumentError, match=r"not done after 0\.5 s"):
        _run(tmp_path, "```sh", "sleep 60 &", "wait", "```", deadline=0.5)

    assert time.monotonic() - start < 20


def test_pages_share_nothing_and_each_failure_is_reported(tmp_path, capsys):
    _page(tmp_path, "```sh", "touch here", "```")
    _page(tmp_path, "```sh", "test ! -e here", "```", name="docs/deep/one.md")
    _page(tmp_path, "```sh", "exit 4", "```", name="docs/two.md")

    status = run_docs.main(tmp_path)

    printed = capsys.readouterr()
    assert status == 1
    assert "README.md:1: sh ok" in printed.out
    assert "docs/deep/one.md:1: sh ok" in printed.out
    assert printed.err.startswith("docs/two.md:1: the sh block failed, exit status 4\n")


def test_typed_lines_reach_the_prompts_of_a_terminal(tmp_path):
    report = _run(
        tmp_path,
        "<!-- typed: one | two -->",
        "```sh",
        "read -r -p 'first: ' a < /dev/tty",
        "read -r -p 'second: ' b",
        'test "$a $b" = "one two"',
        "```",
    )

    assert report == ["README.md:2: sh ok"]


def test_a_typed_line_that_nobody_asks_for_is_a_failure(tmp_path):
    with pytest.raises(run_docs.DocumentError, match="nobody asked"):
        _run(tmp_path, "<!-- typed: one -->", "```sh", "true", "```")


def test_lines_are_typed_into_shell_blocks_only(tmp_path):
    with pytest.raises(run_docs.DocumentError, match="only a shell block"):
        _run(tmp_path, "<!-- typed: one -->", "```python", "input('x: ')", "```")


def test_a_block_that_stays_runs_on_until_the_page_ends(tmp_path):
    lines = (
        "<!-- stays: ready -->",
        "```sh",
        "echo $$ > pid; echo ready; sleep 600",
        "```",
        "```sh",
        f'kill -0 "$(cat pid)"; cp pid {tmp_path}/pid',
        "```",
    )

    assert _run(tmp_path, *lines) == ["README.md:2: sh stays", "README.md:5: sh ok"]
    # seen to fail: without the callback that ends it
    assert not Path("/proc", (tmp_path / "pid").read_text().strip()).exists()


def test_a_block_that_stays_and_is_never_ready_fails_with_what_it_said(tmp_path):
    with pytest.raises(run_docs.DocumentError, match=r"never said `ready`\n +not yet"):
        _run(tmp_path, "<!-- stays: ready -->", "```sh", "echo not yet", "```")


@pytest.mark.parametrize("lines", [("<!-- stays: -->", "```sh"), ("<!-- stays: ready -->", "```python")])
def test_a_block_stays_only_where_that_can_be_told(tmp_path, lines):
    with pytest.raises(run_docs.DocumentError, match="stays"):
        _run(tmp_path, *lines, "true", "```")
