"""Readers of log formats: what is read is written back to the same bytes; nothing but `VerificationError` is raised."""

from __future__ import annotations

from functools import cache

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from navicert.adapters.sign.file_key import new_key
from navicert.model.errors import VerificationError
from navicert.model.trust import TrustedWitness
from navicert.tlog.checkpoint import (
    Checkpoint,
    checkpoint_text,
    cosign,
    cosignatures,
    cosigned,
    parse_checkpoint,
    sign_checkpoint,
    verify_checkpoint,
)
from navicert.tlog.note import COSIGNATURE, Verifier, note_text, parse_note, parse_signature_line, signature_line, vkey
from navicert.tlog.proof import parse_proof, proof_text
from navicert.tlog.tiles import bundle, unbundle
from navicert.tlog.tree import Frontier, tree_root, verify_consistency, verify_inclusion

MANY = settings(max_examples=800, deadline=None, suppress_health_check=list(HealthCheck))
SOME = settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
ORIGIN = "desk.example/log"
HASHES = st.binary(min_size=32, max_size=32)
# What such texts are made of, and what must not pass for it.
PIECES = [
    "\n", "\n\n", "\u2014 ", " ", "+", "=", "==", "\t", "\r\n", "\0", "\x7f", "\u00a0", "\u0661", "\ud800", "\u2028",
    "0", "00", "1", "9223372036854775807", "9223372036854775808", "-1", "AAAA", "AAAAAAA=", "AAAAAAB=", "A", "/",
    "origin", "extra ", "index ", "c2sp.org/tlog-proof@v1", "\U0001f600", "e\u0301", "\u00e9", "A" * 43 + "=",
]  # fmt: skip


@cache
def made() -> dict[str, str]:
    """Return one honest text of each form."""
    key, witness = new_key("Ed25519"), new_key("Ed25519")
    checkpoint = Checkpoint(origin=ORIGIN, size=70, root=bytes(32), extensions=("more",))
    text = checkpoint_text(checkpoint)
    line = cosign(text, "w.example", witness, 1_800_000_000)
    note = cosigned(sign_checkpoint(checkpoint, ORIGIN, new_key("ES256")), [line])
    return {
        "note": note,
        "checkpoint": text,
        "line": line[:-1],
        "proof": proof_text(3, [bytes(32), bytes(range(32))], note, b"more"),
        "vkey": vkey("w.example", COSIGNATURE, witness.public),
        "log": vkey(ORIGIN, 1, key.public),
    }


def texts(kind: str) -> st.SearchStrategy[str]:
    """Return texts of one form with a piece changed, beside texts of pieces alone."""

    @st.composite
    def changed(draw: st.DrawFn) -> str:
        text = made()[kind]
        for _ in range(draw(st.integers(0, 3))):
            start = draw(st.integers(0, len(text)))
            end = draw(st.integers(start, min(len(text), start + 4)))
            text = text[:start] + draw(st.one_of(st.sampled_from(PIECES), st.characters(), st.just(""))) + text[end:]
        return text

    return st.one_of(changed(), st.lists(st.sampled_from(PIECES), max_size=12).map("".join), st.text(max_size=20))


def code_of(verify) -> str:
    """Return the code with which a call is refused, or nothing where it is not."""
    try:
        verify()
    except VerificationError as error:
        str(error).encode()
        return error.code
    return ""


def read(parse, text):
    """Return what a reader makes of a text, or None where it refuses it as it must."""
    answers = []
    code = code_of(lambda: answers.append(parse(text)))
    assert code == ("" if answers else "schema")
    return answers[0] if answers else None


@MANY
@given(texts("note"))
def test_a_note_that_is_read_is_written_back_and_checked_without_any_other_error(text):
    note = read(parse_note, text)
    if note is None:
        return
    assert note_text(note) == text
    assert parse_note(text.encode()) == note
    known = [TrustedWitness(vkey=made()["vkey"], operator="one")]
    assert code_of(lambda: verify_checkpoint(text, ORIGIN, [])) in {"bad_checkpoint", "wrong_origin", "unknown_key"}
    assert code_of(lambda: cosignatures(text, known)) in {"", "bad_cosignature", "schema"}


@SOME
@given(st.one_of(st.binary(max_size=60), texts("note").map(lambda text: text.encode("utf-8", "surrogatepass"))))
def test_bytes_that_are_read_as_a_note_are_written_back(data):
    note = read(parse_note, data)
    assert note is None or note_text(note).encode() == data


@MANY
@given(texts("checkpoint"))
def test_a_checkpoint_that_is_read_is_written_back(text):
    found = read(parse_checkpoint, text)
    assert found is None or checkpoint_text(found) == text


@MANY
@given(texts("line"))
def test_a_signature_line_that_is_read_is_written_back(text):
    found = read(parse_signature_line, text)
    assert found is None or signature_line(found) == text + "\n"


@MANY
@given(texts("proof"))
def test_a_proof_that_is_read_is_written_back(text):
    found = read(parse_proof, text)
    assert found is None or proof_text(found.index, found.hashes, found.checkpoint, found.extra) == text


@MANY
@given(st.one_of(texts("vkey"), texts("log")))
def test_a_verifier_key_that_is_read_is_one_that_was_written(text):
    # A change of name or key changes the id of four bytes, so nothing but the two honest keys is read.
    assert read(Verifier, text) is None or text in made().values()


@SOME
@given(st.sampled_from([1, 2, 4]), st.binary(max_size=120))
def test_no_signature_of_any_bytes_is_valid_or_raises_another_error(kind, data):
    public = new_key("ES256" if kind == 2 else "Ed25519").public
    try:
        Verifier(vkey("name", kind, public)).verifies("text\n", data)
    except ValueError:
        return
    raise AssertionError("a signature that nobody made is valid")


@SOME
@given(st.one_of(st.binary(max_size=60), st.lists(st.binary(max_size=5), max_size=20).map(bundle)))
def test_a_bundle_that_is_read_is_written_back(data):
    entries = read(unbundle, data)
    assert entries is None or bundle(entries) == data


@SOME
@given(st.lists(HASHES, max_size=70), st.integers(0, 70))
def test_a_tree_taken_up_anywhere_has_the_root_of_all_its_leaves(leaves, at):
    first = Frontier()
    for leaf in leaves[:at]:
        first.append(leaf)
    second = Frontier(first.size, first.hashes)
    for leaf in leaves[at:]:
        second.append(leaf)
    assert second.root() == tree_root(leaves)


@SOME
@given(
    st.integers(-2, 2**64), st.integers(-2, 2**64), st.lists(st.one_of(HASHES, st.binary(max_size=33)), max_size=70),
    HASHES, HASHES,
)  # fmt: skip
def test_proofs_of_anything_are_refused_with_their_code(first, second, proof, one, other):
    # Nothing but the one tree whose root is its leaf, and the one growth that needs no proof.
    plain = one == other and not proof
    assert plain or code_of(lambda: verify_inclusion(first, second, one, proof, other)) == "bad_inclusion"
    assert plain or code_of(lambda: verify_consistency(first, second, one, other, proof)) == "bad_consistency"
