"""No bit of a bundle can be changed, no line taken, doubled, moved or cut; and nothing else is ever raised (R5)."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import navicert
from foreign.make import honest, sealed
from navicert.assemble import make_home, read_trust
from navicert.audit import open_archive
from navicert.evidence import export
from navicert.model.errors import VerificationError
from navicert.verification.bundle import verify_bundle
from navicert.verification.bundle_lines import Scope
from navicert.verification.keyring import fingerprint

SOME = settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
POLICY = "policy: p\nversion: 1\nposture: declared_tools\nrules: []\n"
KINDS = ("entries", "trust", "checkpoint", "policy", "entry", "disclosures", "name", "lines")
"""By what the lines of `small` begin."""


@cache
def small() -> tuple[bytes, str]:
    """The bundle of one denied action, as our exporter writes it but for the scripts, and the fingerprint."""
    with TemporaryDirectory() as folder:
        home = make_home(Path(folder) / "home", origin="a/b", service="s", policy=POLICY)
        with navicert.open(home.folder) as guard:
            write = guard.tool("note.write", effect="write")(lambda text: text)
            with suppress(navicert.ActionDenied):
                write("y")
        with open_archive(home) as archive:
            action = next(row.action for row in archive.log() if row.action)
        export(home.folder, Path(folder) / "bundle", Scope(action=action), made_at=1_900_000_000_000_000)
        lines = [json.loads(line) for line in (Path(folder) / "bundle").read_bytes().splitlines()[:-1]]
        kept = [line for line in lines if "name" not in line]
        return sealed([*kept, {"name": "a", "text": "b"}]), fingerprint(read_trust(home.trust))


@cache
def whole() -> tuple[bytes, str]:
    """The bundle of a whole log of twenty entries."""
    made = honest().first(20)
    return sealed(made.lines(size=15, witnessed=10)), made.fingerprint


def code_of(data: bytes, mark: str | None) -> str:
    """Return the code with which it is refused, nothing where it is not; any other error is raised."""
    try:
        verify_bundle(BytesIO(data), root=mark)
    except VerificationError as error:
        str(error).encode()
        return error.code
    return ""


def test_both_pass_as_they_are():
    for data, mark in (small(), whole()):
        assert code_of(data, mark) == ""
    assert tuple(line[2:].partition(b'"')[0].decode() for line in small()[0].splitlines()) == KINDS


# seen to fail: without the digest of the last line (`name`); without its count (`lines`)
@pytest.mark.parametrize("line", range(len(KINDS)), ids=KINDS)
def test_every_single_flipped_bit_is_refused(line):
    data, mark = small()
    starts = data.splitlines(keepends=True)
    start = sum(map(len, starts[:line]))
    broken = bytearray(data)
    for bit in range(8 * start, 8 * (start + len(starts[line]))):
        broken[bit // 8] ^= 1 << bit % 8
        assert code_of(bytes(broken), mark), f"bit {bit}"
        broken[bit // 8] ^= 1 << bit % 8
    assert bytes(broken) == data


@pytest.mark.parametrize("of", [small, whole])
def test_a_bundle_cut_anywhere_is_refused(of):
    # seen to fail: with `bundle_cut` taken for the end
    data, mark = of()
    ends = range(len(data)) if of is small else range(0, len(data), 97)
    for end in ends:
        assert code_of(data[:end], mark) in {"bundle_cut", "schema", "not_canonical"}, end


EDITS = st.tuples(
    st.sampled_from(["small", "whole"]), st.sampled_from(["drop", "double", "move", "cut"]),
    st.integers(0, 40), st.integers(0, 40), st.integers(0, 5000),
)  # fmt: skip
"""Which bundle, what happens to a line, which line, where it goes, and how much is left of it."""


def edited(edit: tuple[str, str, int, int, int]) -> tuple[list[bytes], str]:
    """The lines of a bundle, with one dropped, doubled, moved, or cut."""
    of, how, at, to, left = edit
    data, mark = small() if of == "small" else whole()
    lines = data.splitlines(keepends=True)
    at, to = at % len(lines), to % len(lines)
    line = lines.pop(at)
    if how == "double":
        lines[at:at] = [line]
        lines.insert(to, line)
    elif how == "move":
        lines.insert(to if to != at else (at + 1) % (len(lines) + 1), line)
    elif how == "cut":
        lines.insert(at, line[: left % len(line)])
    return lines, mark


@SOME
@given(EDITS)
def test_a_line_dropped_doubled_moved_or_cut_is_refused(edit):
    lines, mark = edited(edit)
    assert code_of(b"".join(lines), mark)


@SOME
@given(EDITS)
def test_so_it_is_where_the_last_line_is_made_anew_but_for_what_nothing_rests_on(edit):
    # seen to fail: with the count of the manifest not compared
    lines, mark = edited(edit)
    try:
        plain = [json.loads(line) for line in lines]
    except ValueError:
        return
    honest_lines = [json.loads(line) for line in (small() if edit[0] == "small" else whole())[0].splitlines()]
    held_back = [line for line in honest_lines if "cosigned" not in line]
    if verified(plain) not in (verified(honest_lines), verified(held_back)):
        assert code_of(sealed([line for line in plain if "lines" not in line]), mark)


def verified(lines: list[dict[str, object]]) -> list[dict[str, object]]:
    """What the verifier stands for: no file to take along, no last line; policies in any order.

    An older checkpoint of witnesses may be held back: the tail is shown the longer for it.
    """
    kept = [line for line in lines if not {"name", "lines"} & line.keys()]
    places = [at for at, line in enumerate(kept) if "policy" in line]
    for at, line in zip(places, sorted((kept[at] for at in places), key=str), strict=True):
        kept[at] = line
    return kept


@SOME
@given(st.data())
def test_any_bytes_raise_nothing_but_a_verification_error(data):
    good = small()[0]
    mark = data.draw(st.sampled_from([small()[1], None]))
    start = data.draw(st.integers(0, len(good)))
    end = data.draw(st.integers(start, min(len(good), start + 40)))
    middle = data.draw(st.one_of(st.binary(max_size=40), st.text(max_size=20).map(lambda text: text.encode())))
    changed = data.draw(st.sampled_from([good[:start] + middle + good[end:], middle, good[:start] + middle]))
    assert code_of(changed, mark) or changed == good


@SOME
@given(st.data())
def test_any_value_in_any_place_raises_nothing_but_a_verification_error(data):
    """The attacker writes canonical lines, and a fitting last one."""
    lines = [json.loads(line) for line in whole()[0].splitlines()[:-1]]
    line = data.draw(st.sampled_from(lines))
    member = data.draw(st.sampled_from(sorted(line)))
    value = line[member]
    line[member] = data.draw(
        st.one_of(
            st.none(), st.integers(-(2**70), 2**70), st.text(max_size=9), st.lists(st.text(max_size=5), max_size=3),
            st.dictionaries(st.sampled_from(["log", "action", "x"]), st.one_of(st.booleans(), st.text(max_size=3))),
        )
    )  # fmt: skip
    with suppress(UnicodeEncodeError):  # surrogates cannot be written at all
        code = code_of(sealed(lines), whole()[1])
        unverified = {"made_by", "name", "text", "made_at", "revealed"}
        assert code or line[member] == value or member in unverified
