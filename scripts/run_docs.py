"""Execute every code block of the documents (house style: what is shown has been run).

* The pages are README.md and docs/**/*.md. Each page has a temporary folder of its own, which is also its home; its
  blocks run there from top to bottom, each as its own process, and a page ends with its first failure.
* `python` runs under this interpreter; `sh` and `bash` under bash, stopping at the first error; of a `console` block
  the lines that begin with `$ ` run, and the rest is output.
* `<!-- file: NAME -->` before a block of any language, or `title="NAME"` in its opening line, writes it to a file.
* `<!-- typed: LINE | LINE -->` before a shell block runs it on a terminal of its own, and types these lines at its
  prompts.
* `<!-- stays: TEXT -->` before a shell block lets it run on, once it has said TEXT, until the page ends.
* `<!-- norun: REASON -->` before a block skips it; the reason is printed.
* A block of data (yaml, json, text and the like) is only shown. A block with no language, or one not known, is an
  error: nothing is left unexecuted by accident.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, Final

DEADLINE: Final = 120.0
SHELL: Final = ("bash", "-euo", "pipefail", "-c")
SHOWN: Final = frozenset({"csv", "diff", "html", "http", "ini", "json", "jsonl", "mermaid", "text", "toml", "yaml"})
RUN: Final = frozenset({"bash", "console", "python", "sh"})

_FENCE: Final = re.compile(r"^(?P<indent>[ \t]*)(?P<fence>`{3,}|~{3,})[ \t]*(?P<info>[^`]*?)[ \t]*$")
_NOTE: Final = re.compile(r"^\s*<!--\s*(?P<key>file|norun|stays|typed)\s*:(?P<value>.*?)-->\s*$")
_TITLE: Final = re.compile(r'\btitle="(?P<name>[^"]*)"')


class DocumentError(Exception):
    """A page is wrong, or one of its blocks failed; the message begins with page and line."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One fenced block: where it opens, and what is to be done with it."""

    line: int
    language: str
    text: str
    file: str = ""
    skipped: str = ""
    typed: tuple[str, ...] = ()
    stays: str = ""


def blocks(page: str, text: str) -> list[Block]:
    """Return the fenced blocks of `text` in order; raises `DocumentError` on anything ambiguous."""
    found: list[Block] = []
    lines = text.splitlines()
    note: tuple[int, str, str] | None = None
    at = 0
    while at < len(lines):
        line, number = lines[at], at + 1
        at += 1
        if opening := _FENCE.match(line):
            at, body = _body(page, number, lines, opening)
            found.append(_block(page, number, opening["info"], body, note))
            note = None
        elif line.strip() and note:
            raise DocumentError(f"{page}:{note[0]}: `{note[1]}` stands before no block; move it to the line above one")
        elif remark := _NOTE.match(line):
            note = (number, remark["key"], remark["value"].strip())
    if note:
        raise DocumentError(f"{page}:{note[0]}: `{note[1]}` stands before no block; move it to the line above one")
    return found


def run_page(root: Path, page: Path, *, deadline: float = DEADLINE) -> list[str]:
    """Run the blocks of `page` in a fresh folder and return one line for each; raises `DocumentError` at a failure."""
    name = page.relative_to(root).as_posix()
    report: list[str] = []
    wanted = blocks(name, page.read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        home, work = Path(folder, "home"), Path(folder, "work")
        home.mkdir()
        work.mkdir()
        with contextlib.ExitStack() as staying:
            for block in wanted:
                start = time.monotonic()
                done = _perform(name, block, work, home, deadline, staying)
                if done:
                    report.append(f"{name}:{block.line}: {block.language} {done} ({time.monotonic() - start:.1f} s)")
    return report


def pages(root: Path) -> list[Path]:
    """Return the documents of `root` in a fixed order."""
    return [page for page in (root / "README.md", *sorted((root / "docs").rglob("*.md"))) if page.is_file()]


def main(root: Path) -> int:
    """Run every page, several at a time; print what was done; return the exit status."""

    def attempt(page: Path) -> tuple[list[str], str]:
        try:
            return run_page(root, page), ""
        except DocumentError as error:
            return [], str(error)

    failures: list[str] = []
    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        for report, failure in pool.map(attempt, pages(root)):
            for line in report:
                print(f"   {line}")
            if failure:
                failures.append(failure)
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def _body(page: str, number: int, lines: list[str], opening: re.Match[str]) -> tuple[int, str]:
    """Return the index after the closing fence of the block that opens at line `number`, and the text between."""
    fence = opening["fence"]
    closing = re.compile(rf"^[ \t]*{re.escape(fence[0])}{{{len(fence)},}}[ \t]*$")
    for end in range(number, len(lines)):
        if closing.match(lines[end]):
            body = "".join(f"{line.removeprefix(opening['indent'])}\n" for line in lines[number:end])
            return end + 1, body
    raise DocumentError(f"{page}:{number}: the block is not closed; end it with `{fence}`")


def _block(page: str, number: int, info: str, body: str, note: tuple[int, str, str] | None) -> Block:
    language = info.split(maxsplit=1)[0] if info else ""
    title = _TITLE.search(info)
    file, skipped = title["name"] if title else "", ""
    if note and note[1] == "file":
        file = note[2]
    if note and note[1] == "norun":
        skipped = note[2]
        if not skipped:
            raise DocumentError(f"{page}:{note[0]}: `norun` gives no reason; write `<!-- norun: reason -->`")
    typed = tuple(line.strip() for line in note[2].split("|")) if note and note[1] == "typed" else ()
    stays = note[2] if note and note[1] == "stays" else ""
    if (typed or stays) and language not in {"sh", "bash"}:
        raise DocumentError(f"{page}:{number}: only a shell block is typed into, or stays, not `{language}`")
    if note and note[1] == "stays" and not stays:
        raise DocumentError(
            f"{page}:{note[0]}: `stays` names no text; write `<!-- stays: what it says when it is ready -->`"
        )
    named = bool(title) or bool(note and note[1] == "file")
    if named and (not file or PurePosixPath(file).is_absolute() or ".." in PurePosixPath(file).parts):
        raise DocumentError(f"{page}:{number}: `{file}` is no file name inside the page's folder; use a relative one")
    if not file and not skipped and language not in RUN | SHOWN:
        known = ", ".join(sorted(RUN | SHOWN))
        raise DocumentError(f"{page}:{number}: unknown language `{language}`; use one of {known}")
    return Block(line=number, language=language, text=body, file=file, skipped=skipped, typed=typed, stays=stays)


def _perform(page: str, block: Block, work: Path, home: Path, deadline: float, staying: contextlib.ExitStack) -> str:
    """Do what `block` asks for and return it in a word or two, or nothing for a block that is only shown."""
    if block.skipped:
        return f"not run: {block.skipped}"
    if block.file:
        target = work / block.file
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(block.text, encoding="utf-8")
        return f"written to {block.file}"
    if block.language not in RUN:
        return ""
    if block.stays:
        status, output = _start(block, work, home, deadline, staying)
    else:
        status, output = _execute(_command(page, block), work, home, deadline)
    if status:
        shown = textwrap.indent(output.rstrip() or "no output", "    ")
        raise DocumentError(f"{page}:{block.line}: the {block.language} block failed, {status}\n{shown}")
    return "stays" if block.stays else "ok"


def _start(block: Block, work: Path, home: Path, deadline: float, staying: contextlib.ExitStack) -> tuple[str, str]:
    """Start a block that stays, until it is ready; return why it is not (nothing if it is) and its output."""
    said = work.parent / f"block-{block.line}"
    with said.open("wb") as output:
        process = _launch([*SHELL, block.text], work, home, output)
    staying.callback(_end_group, process)
    until = time.monotonic() + deadline
    while block.stays not in (text := said.read_text(encoding="utf-8", errors="replace")):
        if process.poll() is not None or time.monotonic() > until:
            return f"it never said `{block.stays}`", text
        time.sleep(0.05)
    return "", text


def _command(page: str, block: Block) -> list[str]:
    if block.language == "python":
        return [sys.executable, "-c", block.text]
    if block.language == "console":
        typed = [line.lstrip()[2:] for line in block.text.splitlines() if line.lstrip().startswith("$ ")]
        if not typed:
            raise DocumentError(f"{page}:{block.line}: the console block has no line that begins with `$ `")
        return [*SHELL, "\n".join(typed)]
    if block.typed:
        driver = Path(__file__).resolve().with_name("on_terminal.py")
        return [sys.executable, str(driver), json.dumps(block.typed), *SHELL, block.text]
    return [*SHELL, block.text]


def _execute(command: list[str], work: Path, home: Path, deadline: float) -> tuple[str, str]:
    """Return why `command` failed (nothing if it did not) and its output; whatever it has started ends with it."""
    with tempfile.TemporaryFile() as output:
        process = _launch(command, work, home, output)
        try:
            status = process.wait(timeout=deadline)
            reason = f"exit status {status}" if status else ""
        except subprocess.TimeoutExpired:
            reason = f"not done after {deadline:g} s"
        finally:
            _end_group(process)
        output.seek(0)
        return reason, output.read().decode("utf-8", errors="replace")


def _launch(command: list[str], work: Path, home: Path, output: IO[bytes]) -> subprocess.Popen[bytes]:
    """Start a command in a group of its own, in the page's folder."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("NAVICERT_", "PYTHON", "XDG_"))}
    own = {
        "HOME": str(home),
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath))),
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUTF8": "1",
    }
    return subprocess.Popen(
        command,
        cwd=work,
        env=kept | own,
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )


def _end_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent))
