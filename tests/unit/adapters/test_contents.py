"""An approval holds for the content of files: each is digested, or said to be unreadable; nothing is passed over."""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from navicert.adapters.contents import files
from navicert.adapters.contents.files import LARGEST, MOST, UNREADABLE, FileDigests


def digest(*names: object) -> dict[str, str]:
    return FileDigests().digest([str(name) for name in names])


def of(data: bytes) -> str:
    return sha256(data).hexdigest()


def test_a_file_is_digested_as_it_is_now(tmp_path: Path) -> None:
    script = tmp_path / "deploy.sh"
    script.write_bytes(b"make\n")
    assert digest(script) == {str(script): of(b"make\n")}
    script.write_bytes(b"rm -r /\n")
    assert digest(script) == {str(script): of(b"rm -r /\n")}


def test_every_way_to_name_a_file_is_digested(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: without `expanduser`
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "link").symlink_to("a")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = ("a", "./a", "x/../a", "link", "~/a", str(tmp_path / "a"))
    (tmp_path / "x").mkdir()

    assert digest(*names) == dict.fromkeys(names, of(b"a"))


@pytest.mark.parametrize("size", [0, 1, 1_048_576, 1_048_577, 5_000_000])
def test_a_file_is_digested_to_its_end(tmp_path: Path, size: int) -> None:
    # seen to fail: with only the first piece read
    data = os.urandom(size)
    (tmp_path / "a").write_bytes(data)
    assert digest(tmp_path / "a") == {str(tmp_path / "a"): of(data)}


def test_what_is_no_file_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "nowhere").symlink_to("missing")
    os.mkfifo(tmp_path / "pipe")
    nothing = ["", " ", ".", "~", "~nobody-here/a", "missing", "a/b", "loop", "nowhere", "pipe", "/dev/null", "a\0b"]

    assert digest(*nothing, "x" * 300, "x/" * 4_000, "kim@acme.example", "\ud800", "a") == {"a": of(b"a")}


def test_a_file_of_more_than_256_mebibytes_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: without looking at the size before reading
    monkeypatch.setattr(files, "_stream", lambda descriptor: "read")
    large = tmp_path / "large"
    large.touch()
    os.truncate(large, LARGEST + 1)
    assert digest(large) == {str(large): UNREADABLE}
    os.truncate(large, LARGEST)
    assert digest(large) == {str(large): "read"}


def test_a_file_that_grows_or_hides_its_size_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: without counting what is read
    monkeypatch.setattr(files, "LARGEST", 10)
    told = "/proc/self/status"  # says that it has 0 bytes
    assert Path(told).stat().st_size == 0
    assert digest(told) == {told: UNREADABLE}
    monkeypatch.undo()
    assert digest(told)[told] != UNREADABLE


def test_a_file_that_cannot_be_read_is_unreadable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: with what cannot be opened, read or looked at left out
    (tmp_path / "a").write_bytes(b"a")
    (tmp_path / "b").write_bytes(b"b")
    target = str(tmp_path / "a")

    def failing(real: Any) -> Any:
        def call(*args: Any, **more: Any) -> Any:
            if args[0] == target or isinstance(args[0], int):
                raise PermissionError(13, "no")
            return real(*args, **more)

        return call

    for calls in (("stat", "open"), ("open",), ("read",)):  # as root, no mode of a file would do
        with monkeypatch.context() as patch:
            for name in calls:
                patch.setattr(os, name, failing(getattr(os, name)))
            assert digest(target) == {target: UNREADABLE}, calls
    assert digest(target, tmp_path / "b") == {target: of(b"a"), str(tmp_path / "b"): of(b"b")}


def test_no_file_is_passed_over_beyond_the_most(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # seen to fail: with the names cut off after 32; what is no file does not count
    monkeypatch.chdir(tmp_path)
    names = [f"f{number}" for number in range(MOST + 3)]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
    found = digest(*(f"missing{number}" for number in range(100)), *names, *names)

    assert found == {name: of(name.encode()) if place < MOST else UNREADABLE for place, name in enumerate(names)}


def test_no_descriptor_stays_open(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"a")
    before = len(list(Path("/proc/self/fd").iterdir()))
    digest(tmp_path / "a", tmp_path, "missing", "/proc/self/status")
    assert len(list(Path("/proc/self/fd").iterdir())) == before
