"""What is caught by which layer, and what is not: ten attacks on a real log, by an insider with the keys named (R5).

The table of docs/explanation/what-the-log-proves.md is printed from `ATTACKS`, which is also what the tests run:
`PYTHONPATH=src:tests python tests/attacks/test_detection.py`.
"""

from __future__ import annotations

import copy
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import msgspec
import pytest

from foreign.make import ORIGIN, Maker, consistency, honest, leaf, sealed, vkey
from navicert.adapters.sign.file_key import load_key, new_key
from navicert.core.seal import b64
from navicert.model.errors import VerificationError
from navicert.model.trust import Trust
from navicert.verification.bundle import VerifiedBundle, verify_bundle
from navicert.verification.covering import Covering, signed
from navicert.verification.log import verify_log
from navicert.witness.state import KEY, Refusal, Witness, make_witness, watch
from records.forge import canonical, flip, sign

PAGE = Path(__file__).parents[2] / "docs/explanation/what-the-log-proves.md"
SIZE = 40
SEEN = 30
"""What the witness has cosigned, in the last attack: the log has gone on since."""
KEPT = 25
"""The cosigned checkpoint that an auditor has of an earlier day."""
MISSED = ""
TAIL = "tail"
"""No fault: the report says how many entries no quorum has seen."""


@dataclass(kw_only=True)
class World:
    """The log as it was, the witness that cosigned it, and what the auditor has kept."""

    made: Maker
    witness: Witness | None
    kept: str = ""


@dataclass(kw_only=True)
class Given:
    """What the insider hands out. note: the checkpoint."""

    made: Maker
    note: str


Does = Callable[[World], Given]


@dataclass(frozen=True, kw_only=True)
class Attack:
    """chain, log, witness: the reason code of each configuration, `MISSED`, or `TAIL`."""

    name: str
    does: Does
    chain: str
    log: str
    witness: str
    seen: int = SIZE
    kept: bool = False


# what insiders do


def under_the_old(world: World, entries: list[bytes]) -> Given:
    """Other entries, under the checkpoint that the log and the witness signed."""
    return Given(made=told(world.made, entries), note=world.made.note(SIZE))


def under_a_new(world: World, entries: list[bytes], *, cosigned: bool = False) -> Given:
    """Other entries, under a checkpoint that the stolen key of the log signs; cosigned: by the witness's, too."""
    made = told(world.made, entries)
    return Given(made=made, note=made.note(len(entries), cosigned=cosigned))


def told(made: Maker, entries: list[bytes]) -> Maker:
    return Maker(**{**vars(made), "entries": entries, "disclosed": [()] * len(entries)})


def flipped(world: World) -> Given:
    entries = list(world.made.entries)
    entries[11] = canonical(flip(json.loads(entries[11]), ("decision", "result")))
    return under_the_old(world, entries)


def deleted(world: World) -> Given:
    return under_the_old(world, [*world.made.entries[:19], *world.made.entries[20:]])


def reordered(world: World) -> Given:
    entries = list(world.made.entries)
    entries[20:22] = reversed(entries[20:22])
    return under_the_old(world, entries)


def inserted(world: World) -> Given:
    """In its place, chained to what stands before it, and signed by a key that nobody trusts."""
    plain, after = copy.deepcopy([json.loads(world.made.entries[at]) for at in (19, 20)])
    plain |= {"receipt_id": "rcp_01" + "0" * 26, "log": after["log"]}
    entries = list(world.made.entries)
    entries.insert(20, canonical(sign(plain, new_key("Ed25519"))))
    return under_the_old(world, entries)


def cut(world: World) -> list[bytes]:
    return world.made.entries[: SIZE - 5]


def rewritten(_: World) -> list[bytes]:
    """As if the denial of entry 16 had never been: every entry behind it is signed anew, and there are 40 again."""
    return honest().first(SIZE + 1).retold(lambda log: log.pop(15)).entries


ATTACKS = (
    Attack(name="flip a field", does=flipped, chain="bad_signature", log="bad_signature", witness="bad_signature"),
    Attack(name="delete one in the middle", does=deleted, chain="gap", log="gap", witness="gap"),
    Attack(name="swap two", does=reordered, chain="gap", log="gap", witness="gap"),
    Attack(
        name="insert one, signed with another key",
        does=inserted, chain="unknown_key", log="unknown_key", witness="unknown_key",
    ),
    Attack(
        name="cut the tail, and keep the old checkpoint",
        does=lambda world: under_the_old(world, cut(world)), chain=MISSED, log="tail_cut", witness="tail_cut",
    ),
    Attack(
        name="cut the tail, and sign a new checkpoint with the log's key",
        does=lambda world: under_a_new(world, cut(world)), chain=MISSED, log=MISSED, witness="tail_cut",
    ),
    Attack(
        name="write all anew with the receipt key",
        does=lambda world: under_the_old(world, rewritten(world)),
        chain=MISSED, log="tree_mismatch", witness="tree_mismatch",
    ),
    Attack(
        name="write all anew with the receipt key and the log's",
        does=lambda world: under_a_new(world, rewritten(world)), chain=MISSED, log=MISSED, witness="tree_mismatch",
    ),
    Attack(
        name="the same with the witness's key too; the auditor has kept an earlier cosigned checkpoint",
        does=lambda world: under_a_new(world, rewritten(world), cosigned=True),
        chain=MISSED, log=MISSED, witness="tree_mismatch", kept=True,
    ),
    Attack(
        name="cut to just above what the witness has seen, and sign a new checkpoint with the log's key",
        does=lambda world: under_a_new(world, world.made.entries[: SEEN + 1]),
        chain=MISSED, log=MISSED, witness=TAIL, seen=SEEN,
    ),
)  # fmt: skip


# who looks


def by_chain(_: World, given: Given) -> str:
    """Entries, and the keys that sign them, known by another way."""
    trust = msgspec.convert({"origin": ORIGIN, "keys": given.made.trusted}, Trust)
    return code_of(lambda: verify_log(given.made.entries, trust))


def by_log(_: World, given: Given) -> str:
    """A bundle, and the fingerprint of the root; the trust file names no witness."""
    made = given.made
    plain = {name: value for name, value in json.loads(made.trust()).items() if name not in {"witnesses", "quorum"}}
    plain.pop("signature")
    plain["signature"] = b64(made.root.sign(b"navicert/trust/2\0" + canonical(plain)))
    return code_of(lambda: verified(given, canonical(plain).decode()))


def by_witness(world: World, given: Given) -> str:
    """The same with a witness in the trust file, who is asked, or else what one has kept is held against the log."""
    trust = msgspec.json.decode(world.made.trust(), type=Trust)
    reports: list[VerifiedBundle] = []

    def looks() -> None:
        reports.append(verified(given, given.made.trust()))
        covering = Covering([signed(world.kept or world.witness.newest(ORIGIN) or "", trust)])
        for data in given.made.entries:
            covering.grow(leaf(data))
        covering.check()

    return code_of(looks) or (TAIL if reports[0].tail else MISSED)


LOOKS: dict[str, Callable[[World, Given], str]] = {"chain": by_chain, "log": by_log, "witness": by_witness}


def verified(given: Given, trust: str) -> VerifiedBundle:
    lines = given.made.lines(revealed=False)
    lines[1:3] = [{"trust": trust}, {"checkpoint": given.note}]
    return verify_bundle(BytesIO(sealed(lines)), root=given.made.fingerprint)


def code_of(does: Callable[[], object]) -> str:
    try:
        does()
    except VerificationError as error:
        return error.code
    return MISSED


@contextmanager
def world(folder: Path, *sizes: int) -> Iterator[World]:
    """The first 40 receipts of the corpus, and a witness that has cosigned these sizes of it, one after the other."""
    make_witness(folder, "witness.example/w")
    made = Maker(**{**vars(honest().first(SIZE)), "witness": load_key(folder / KEY)})
    watch(folder, ORIGIN, vkey(ORIGIN, 1, made.log.public))
    witness = Witness(folder)
    try:
        for size in sizes:
            submit(witness, made, size)
        yield World(made=made, witness=witness)
    finally:
        witness.close()


def submit(witness: Witness, made: Maker, size: int) -> None:
    """Show the witness a checkpoint, with the best proof that there is; raises `Refusal`."""
    newest = witness.newest(ORIGIN)
    old = int(newest.split("\n")[1]) if newest else 0
    proof = consistency(old, made.leaves[:size]) if 0 < old <= size else []
    witness.add(old, proof, made.note(size, cosigned=False))


@pytest.mark.parametrize("look", LOOKS)
def test_an_honest_log_passes_everywhere(look, tmp_path):
    with world(tmp_path / "w", KEPT, SIZE) as it:
        assert LOOKS[look](it, Given(made=it.made, note=it.made.note(SIZE))) == MISSED
        again = it.made.retold(lambda _log: None)  # the forger forges nothing: the very same entries
        assert LOOKS[look](it, Given(made=again, note=it.made.note(SIZE))) == MISSED


# seen to fail: with `_meet` not comparing roots; without `Covering.check`; without `verifies` in `Keyring.check`
@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("attack", ATTACKS, ids=lambda attack: attack.name)
def test_what_is_caught_and_what_is_missed(attack, look, tmp_path):
    with world(tmp_path / "w", KEPT, attack.seen) as it:
        if attack.kept:
            it.kept = it.made.note(KEPT)
        assert LOOKS[look](it, attack.does(it)) == getattr(attack, look)


# seen to fail: without `_extends` in `Witness.add`
@pytest.mark.parametrize("entries", [cut, rewritten], ids=["cut", "written anew"])
def test_no_witness_cosigns_it_and_the_report_says_that_none_has(entries, tmp_path):
    with world(tmp_path / "w", KEPT, SIZE) as it:
        given = under_a_new(it, entries(it))
        with pytest.raises(Refusal):
            submit(it.witness, given.made, len(given.made.entries))
        found = verified(given, given.made.trust())
        assert (found.cosigned, found.tail) == (0, len(given.made.entries))


def test_with_the_witnesss_key_stolen_too_only_what_one_has_kept_tells():
    """Not detected: there is nothing left that the insider could not sign. A second operator's key would be."""
    made = honest().first(SIZE)
    given = under_a_new(World(made=made, witness=None), rewritten(None), cosigned=True)
    assert verified(given, given.made.trust()).tail == 0


def test_once_the_witness_has_cosigned_the_shorter_log_the_cut_is_missed(tmp_path):
    """The tail that no quorum saw can be dropped by whoever has both keys: seconds, while witnesses answer."""
    with world(tmp_path / "w", KEPT, SEEN) as it:
        given = under_a_new(it, it.made.entries[: SEEN + 1])
        assert by_witness(it, given) == TAIL
        assert verified(given, given.made.trust()).tail == SEEN + 1
        submit(it.witness, given.made, SEEN + 1)
        given.note = given.made.note(SEEN + 1)
        assert by_witness(it, given) == MISSED


# the page


def table() -> str:
    """The matrix as the page shows it."""
    rows = [
        "| attack | chain, receipt keys known | and a checkpoint that the log signed | and a witness |",
        "|---|---|---|---|",
        *(f"| {each.name} | {cell(each.chain)} | {cell(each.log)} | {cell(each.witness)} |" for each in ATTACKS),
    ]
    return "".join(f"{row}\n" for row in rows)


def cell(code: str) -> str:
    if code == TAIL:
        return "shown as *unwitnessed tail*, until the witness cosigns the shorter log; then **missed**"
    return f"caught: `{code}`" if code else "**missed**"


def test_the_page_shows_what_was_tried_here():
    text = PAGE.read_text(encoding="utf-8")
    shown = text.partition("<!-- detection -->\n")[2].partition("<!-- /detection -->")[0]
    assert shown == table(), "print it with `PYTHONPATH=src:tests python tests/attacks/test_detection.py`"


if __name__ == "__main__":
    sys.stdout.write(table())
