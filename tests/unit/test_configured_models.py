"""`embeddings` and `judge` in navicert.yaml: what they put in force, and what they say where it is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from navicert.adapters.detect import minilm
from navicert.adapters.detect.alignment import UNCERTAINTY
from navicert.assemble import make_detectors, make_home, make_signals, open_home
from navicert.config import read_config
from navicert.model.errors import ActionDenied, ActionSuspended, PolicyError
from navicert.sdk.guard import Guard

POLICY = """\
policy: p
version: 1
posture: declared_tools
tools:
  mail.send: {effect: send, destination: to, returns: PUBLIC}
  files.read: {effect: read, resource: path, returns: PUBLIC}
rules:
  - {id: judged, match: {tool: mail, signals: {judge_aligned: {ne: yes}}}, decision: DENY}
"""
JUDGE = "judge: {url: 'http://127.0.0.1:9/v1', model: m, key_file: judge.key}\n"


def home(folder: Path, more: str, policy: str = POLICY) -> Path:
    """Make a home in `.navicert` of the folder, with more configuration."""
    made = make_home(folder / ".navicert", origin="desk.example/agents", service="desk", policy=policy)
    made.config.write_text(made.config.read_text(encoding="utf-8") + more, encoding="utf-8")
    (made.folder / "judge.key").write_text("sk-not-for-anybody\n", encoding="ascii")
    return made.folder


def names(folder: Path) -> list[str]:
    return [item.name for item in make_signals(folder, read_config(folder))]


def test_by_default_nothing_but_the_small_embedder_looks(tmp_path: Path) -> None:
    folder = home(tmp_path, "")
    assert names(folder) == []
    assert "alignment_ppm" in make_detectors()[-1].signals


def test_the_small_embedder_leaves_likeness_to_the_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(minilm, "find_model", lambda: tmp_path)
    monkeypatch.setattr(minilm.MiniLm, "warm", lambda _: None)
    folder = home(tmp_path, "embeddings: minilm\n")
    assert names(folder) == ["minilm"]
    assert make_detectors(embeddings="minilm")[-1].signals == (UNCERTAINTY,)


def test_a_model_that_is_not_installed_does_not_open_and_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_of_weights")
    with pytest.raises(
        PolicyError, match=r"navicert\.yaml: `embeddings: minilm` needs NumPy and the weights; `pip inst"
    ):
        open_home(home(tmp_path, "embeddings: minilm\n"))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ("embeddings: large\n", "invalid enum value 'large'"),
        ("judge: {url: 'https://models.example/v1'}\n", "missing required field `model`"),
        (
            "judge: {url: 'https://models.example/v1', model: m, timeout_s: 9}\n",
            "judge.timeout_s: 9 is not within measure",
        ),
        (
            "judge: {url: 'https://models.example/v1', model: m, timeout_s: 0}\n",
            "judge.timeout_s: 0 is not within measure",
        ),
        ("judge: {url: 'http://models.example/v1', model: m}\n", "is not https"),
        ("judge: {url: 'https://models.example/v1', model: m, key_file: none.key}\n", "No such file"),
    ],
)
def test_what_cannot_work_does_not_open(tmp_path: Path, more: str, why: str) -> None:
    with pytest.raises(PolicyError, match=why):
        open_home(home(tmp_path, more))


def test_a_judge_that_does_not_answer_leaves_what_hangs_on_it_waiting(tmp_path: Path) -> None:
    opened = open_home(home(tmp_path, JUDGE))
    guard = Guard(opened)
    try:

        @guard.tool("mail.send")
        def send(to: str) -> str:
            return to

        @guard.tool("files.read")
        def read(path: str) -> str:
            return path

        with guard.session(request="Send Anna a mail", human="ana", agent="bot"):
            with pytest.raises(ActionSuspended, match="judge_aligned"):
                send("anna@x.com")
            assert read("notes.txt") == "notes.txt"
            with pytest.raises(ActionDenied):
                read(str(tmp_path / ".navicert" / "judge.key"))
    finally:
        guard.close()


def test_the_key_of_the_judge_is_protected_wherever_it_lies(tmp_path: Path) -> None:
    # seen to fail: without `judge_files` in `Assembled`
    outside = tmp_path / "elsewhere" / "judge.key"
    outside.parent.mkdir()
    outside.write_text("sk-not-for-anybody", encoding="ascii")
    opened = open_home(home(tmp_path, JUDGE.replace("judge.key", str(outside))))
    guard = Guard(opened)
    try:

        @guard.tool("files.read")
        def read(path: str) -> str:
            return path

        with guard.session(request="r", human="ana", agent="bot"):
            assert read(str(outside.parent / "notes.txt"))
            with pytest.raises(ActionDenied):
                read(str(outside))
    finally:
        guard.close()
