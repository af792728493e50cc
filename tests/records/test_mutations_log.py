"""Mutations of a log's order, keys and signatures, by a courier and by an insider with the receipt keys (R5).

Each class has a rule for the reason; an insider's log that passes is exactly one written anew: a known head tells.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable

import msgspec
import pytest

from navicert.core.digest import bytes_digest
from navicert.core.seal import b64, unb64
from navicert.model.errors import VerificationError
from navicert.model.trust import Revoked
from navicert.verification.log import LogVerifier
from records.forge import Plain, canonical
from records.signed_anew import audited
from records.test_mutations import label, samples
from records.vectors import script, vector

ORDER_P256 = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
ORDER_ED25519 = 2**252 + 27742317777372353535851937790883648493


# without a key


def test_entries_left_out_swapped_put_in_or_cut_off_are_refused_at_every_place():
    one = vector()
    for place in range(len(one.log)):
        before, (here, *after) = one.log[:place], one.log[place:]
        if after:
            assert one.code([*before, *after], place) == "gap"
            assert one.code([*before, after[0], here, *after[1:]], place) == "gap"
        for other in {here, one.log[0], one.log[-1]}:
            assert one.code([*before, here, other, *after], place) == "gap"
        assert one.code(before, expect_head=one.head()) == "tail_cut"
        assert one.code(before) is None  # what a log alone cannot show


def test_an_entry_of_another_log_is_refused_at_every_place():
    """Of the same name, and with the same places: the chain tells; at the first place, the key does."""
    one, other = vector(), vector("log-es256")
    for place, data in enumerate(other.log):
        found = one.code([*one.log[:place], data], place)
        assert found == ("chain_broken" if place else "unknown_key")


# with the receipt keys: signed anew


def left_out(place: int) -> str | None:
    """Why an insider's log is refused in which the entry at a place never was."""
    one = vector()
    plain, later = one.plains[place], one.plains[place + 1 :]
    if any(each.get("completes") == bytes_digest(one.log[place]) for each in later):
        return "pairing"
    if plain["kind"] == "policy":
        return "policy_unknown"
    if plain["kind"] == "approver":
        answers = [item["key_id"] for each in later for item in each.get("approval", ())]
        return "approver" if plain["approver"]["key"]["key_id"] in answers else None
    if plain["kind"] == "authority":
        # a decision on a reduced state may have lowered it itself, beside a stricter one: then the count still fits
        follows = next(each for each in later if "authority" in each)
        return "authority" if follows["kind"] == "authority" or follows["authority"]["before"] == "full" else None
    if plain["kind"] == "erasure" and plain["erasure"]["state"] == "hold":
        return "erasure_refused"
    return "context_mismatch" if "session" in plain else None


def test_an_entry_that_an_insider_leaves_out_is_missed_only_where_nothing_tells_of_it(capsys):
    one, wrong, missed = vector(), [], 0
    for place, plain in enumerate(one.plains):
        plains = [*one.plains[:place], *one.plains[place + 1 :]]
        shown = [*one.disclosures[:place], *one.disclosures[place + 1 :]]
        entries = one.resigned(plains, place)
        expected, found = audited(one, entries, place, left_out(place), shown)
        wrong += [(label(plain), expected, found)] * (found != expected)
        if left_out(place) is None:
            missed += 1
            assert one.code(entries, expect_head=one.head()) == "tail_cut"
    with capsys.disabled():
        print(f"\nleft out and signed anew: {len(one.log)} mutants, {missed} missed, {len(wrong)} wrong")  # noqa: T201
    assert wrong == [], wrong


def test_a_gap_at_a_restart_is_a_log_written_anew():
    """Nothing in the log says how often an engine started: the seam of a restart is as tight as any other place."""
    one = vector()
    place = [place for place, plain in enumerate(one.plains) if plain["kind"] == "boot"][1]
    assert one.code([*one.log[:place], *one.log[place + 1 :]], place) == "gap"
    anew = one.resigned([*one.plains[:place], *one.plains[place + 1 :]], place)
    assert one.code(anew, place) is None
    assert one.code(anew, expect_head=(place + 1, bytes_digest(one.log[place]))) == "head_mismatch"


def swapped(one: Plain, other: Plain) -> str | None:
    """Why an insider's log is refused in which two neighbours stand the other way round."""
    kinds = {one["kind"], other["kind"]}
    first = bytes_digest(canonical(one))
    if other.get("completes") == first:
        return "pairing"
    if one.get("policy") and other.get("decision", {}).get("policy") == one["policy"]:
        return "policy_unknown"
    if "authority" in kinds and "authority" in one and "authority" in other:
        return "authority"
    if "key" in kinds:
        return "key_retired"
    if kinds == {"erasure"}:
        return "erasure_refused"
    if kinds == {"approver"} and one["approver"]["key"] == other["approver"]["key"]:
        return "approver"
    return "context_mismatch" if _session(one) == _session(other) else None


def _session(plain: Plain) -> object:
    return plain["session"]["id"] if "session" in plain else object()


def test_two_entries_that_an_insider_swaps_are_told_by_what_links_them():
    one, wrong = vector(), []
    for place in range(len(one.log) - 1):
        pair = one.plains[place : place + 2]
        plains, shown = list(one.plains), list(one.disclosures)
        for each in (plains, shown):
            each[place : place + 2] = each[place : place + 2][::-1]
        entries, told = one.resigned(plains, place), swapped(*pair)
        expected, found = audited(one, entries, place, told, shown)
        wrong += [([label(each) for each in pair], expected, found)] * (found != expected)
        if told is None:
            assert one.code(entries, expect_head=one.head()) == "head_mismatch"
    assert wrong == [], wrong


AGAIN = {
    "decision": "duplicate", "outcome": "pairing", "resolution": "pairing", "key": "key_retired",
    "authority": "authority", "erasure": "erasure_refused", "restore": "restore",
}  # fmt: skip


@pytest.mark.parametrize("fresh", [False, True])
def test_an_entry_that_an_insider_repeats_is_refused_unless_it_changes_nothing(fresh):
    """With a receipt id of its own, or with the same one."""
    one = vector()
    for place, plain in enumerate(one.plains):
        again = {**_after(plain), **({"receipt_id": "rcp_again"} if fresh else {})}
        found = one.code([*one.log[: place + 1], one.signed(again, one.key_of(plain))], place + 1)
        enrols = plain["kind"] == "approver" and "until" not in plain["approver"]
        expected = AGAIN.get(plain["kind"], "approver" if enrols else None)
        retired = plain["kind"] == "key"  # the key that signed it signs no more, whatever the entry says
        assert (label(plain), found) == (label(plain), expected if fresh or retired else "duplicate")


def _after(plain: Plain) -> Plain:
    """The receipt as its own successor, in both chains."""
    digest = bytes_digest(vector().log[plain["log"]["seq"] - 1])
    again = copy.deepcopy(plain)
    again["log"] |= {"seq": plain["log"]["seq"] + 1, "prev": digest}
    if "session" in plain:
        again["session"] |= {"seq": plain["session"]["seq"] + 1, "prev": digest}
    return again


def test_a_place_in_a_session_is_taken_once():
    one = vector()
    for place, plain in enumerate(one.plains):
        if plain.get("session", {}).get("seq", 0) > 1:
            earlier = next(p for p in reversed(one.plains[:place]) if _session(p) == plain["session"]["id"])
            twice = {**plain, "session": earlier["session"]}
            assert one.code([*one.log[:place], one.signed(twice, one.key_of(plain))], place) == "session_chain"


def test_a_wait_that_nobody_resolved_is_no_fault_and_is_reported():
    one = vector()
    waits = [p for p in one.plains if p["kind"] == "decision" and p["decision"]["result"] in {"DEFER", "STEP_UP"}]
    for plain in waits:
        seq = plain["log"]["seq"]
        found, _ = one.verify(one.log[:seq], seq)
        assert found.waiting[-1].receipt_id == plain["receipt_id"]
    assert len(waits) > 5


# keys


def _stranger(algorithm: str = "Ed25519"):
    return script().FixedKey("stranger", algorithm)


def _signed_by(plain: Plain, key) -> bytes:
    return vector().signed(plain, key)


def _with_signature(plain: Plain, value: bytes, **members: object) -> bytes:
    return canonical({**plain, "signature": {**plain["signature"], "value": b64(value), **members}})


def _value(plain: Plain) -> bytes:
    return unb64(plain["signature"]["value"])


def _bare(plain: Plain) -> bytes:
    signature = {name: value for name, value in plain["signature"].items() if name != "value"}
    return canonical({**plain, "signature": signature})


def _sign(plain: Plain, message: bytes) -> bytes:
    """A valid signature by the entry's own key, over something else."""
    return _with_signature(plain, vector().key_of(plain).sign(message))


def _stranger_named(plain: Plain) -> bytes:
    key = _stranger(plain["signature"]["algorithm"])
    key.key_id = plain["signature"]["key_id"]
    return _signed_by(plain, key)


def _other_algorithm(plain: Plain) -> bytes:
    """The key of the entry signs, and says that it is of the other kind."""
    key = vector().key_of(plain)
    swapped_name = {"Ed25519": "ES256", "ES256": "Ed25519"}[key.algorithm]
    changed = {**plain, "signature": {"algorithm": swapped_name, "key_id": key.key_id}}
    return canonical({**changed, "signature": {**changed["signature"], "value": b64(key.sign(canonical(changed)))}})


def _malleated(plain: Plain) -> bytes:
    """The same signature in the form that some libraries accept as well."""
    raw = _value(plain)
    s = int.from_bytes(raw[32:], "little") + ORDER_ED25519
    return _with_signature(plain, raw[:32] + s.to_bytes(32, "little"))


SIGNATURES: dict[str, tuple[Callable[[Plain], bytes], str]] = {
    "by a stranger": (lambda p: _signed_by(p, _stranger()), "unknown_key"),
    "by a stranger under our key's id": (_stranger_named, "bad_signature"),
    "with a key embedded": (
        lambda p: _with_signature(p, b"x" * 64, public=b64(_stranger().public)), "schema"),
    "under the other algorithm": (_other_algorithm, "wrong_algorithm"),
    "of another entry": (lambda p: _with_signature(p, _value(vector().plains[p["log"]["seq"] - 2])), "bad_signature"),
    "of nothing": (lambda p: _sign(p, b""), "bad_signature"),
    "of the whole entry": (lambda p: _sign(p, canonical(p)), "bad_signature"),
    "of its digest": (lambda p: _sign(p, bytes_digest(_bare(p)).encode()), "bad_signature"),
    "of a trust file": (lambda p: _sign(p, b"navicert/trust/2\0" + _bare(p)), "bad_signature"),
    "of a checkpoint": (lambda p: _sign(p, b"vectors.example/log\n53\nAAAA\n"), "bad_signature"),
    "of an envelope": (lambda p: _sign(p, b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(_bare(p)), _bare(p))),
                       "bad_signature"),
    "cut short": (lambda p: _with_signature(p, _value(p)[:63]), "bad_signature"),
    "longer": (lambda p: _with_signature(p, _value(p) + b"\0"), "bad_signature"),
    "of zeros": (lambda p: _with_signature(p, b"\0" * 64), "bad_signature"),
    "in another base64": (lambda p: canonical(p).replace(b'"},"version"', b'="},"version"'), "bad_signature"),
}  # fmt: skip


@pytest.mark.parametrize("name", SIGNATURES)
def test_a_signature_is_the_keys_own_over_this_entry(name):
    change, code = SIGNATURES[name]
    one = vector()
    for place in samples():
        plain = one.plains[place]
        assert (label(plain), one.code([*one.log[:place], change(plain)], place)) == (label(plain), code)


def test_a_signature_that_can_be_spelled_in_two_ways_is_told_by_the_chain():
    """Ed25519 is checked strictly. ECDSA allows (r, -s): another spelling, which the next entry does not name."""
    one = vector()
    for place in samples():
        plain = one.plains[place]
        if plain["signature"]["algorithm"] == "Ed25519":
            assert one.code([*one.log[:place], _malleated(plain)], place) == "bad_signature"
        else:
            raw = _value(plain)
            mirrored = _with_signature(plain, raw[:32] + (ORDER_P256 - int.from_bytes(raw[32:])).to_bytes(32))
            assert one.code([*one.log[:place], mirrored], place) is None
            following = one.code([*one.log[:place], mirrored, *one.log[place + 1 :]], place)
            assert following == (None if place == len(one.log) - 1 else "chain_broken")
            assert one.code([*one.log[:place], mirrored], expect_head=(place + 1, bytes_digest(one.log[place]))) == (
                "head_mismatch"
            )


def test_a_stranger_cannot_certify_himself():
    one = vector()
    place = next(place for place, plain in enumerate(one.plains) if plain["kind"] == "key")
    key = _stranger()
    part = {"key_id": key.key_id, "algorithm": key.algorithm, "public": b64(key.public)}
    assert one.code([*one.log[:place], _signed_by({**one.plains[place], "key": part}, key)], place) == "unknown_key"


# seen to fail: without the window, without revocation
def test_a_key_counts_only_while_the_trust_file_says_so():
    one = vector()
    first, second = one.trust.keys
    handed = next(plain["log"]["seq"] for plain in one.plains if plain["kind"] == "key")

    def under(*keys, revoked=()):
        return msgspec.structs.replace(one.trust, keys=keys or one.trust.keys, revoked=revoked)

    cases = {
        "expired": (under(msgspec.structs.replace(first, until="2027-01-01T00:00:00.000000Z"), second),
                    "key_window", 1),
        "not yet valid": (under(msgspec.structs.replace(first, since="2099-01-01T00:00:00.000000Z"), second),
                          "key_window", 1),
        "revoked": (under(revoked=(_revoked(first, 0),)), "key_revoked", 1),
        "revoked later": (under(revoked=(_revoked(first, 20),)), "key_revoked", 21),
        "the second one revoked": (under(revoked=(_revoked(second, handed),)), "key_revoked", handed + 1),
        "of another algorithm": (under(msgspec.structs.replace(first, algorithm="ES256"), second), "bad_key", 0),
        "under another id": (under(msgspec.structs.replace(first, key_id=second.key_id), second), "bad_key", 0),
    }  # fmt: skip
    for name, (trust, code, seq) in cases.items():
        assert (name, *_refused(one.log, trust)) == (name, code, seq)
    assert _refused(one.log, one.trust) == (None, len(one.log))
    assert _refused(one.log, under(first)) == (None, len(one.log))  # the log certifies the second


def _revoked(key, upto: int) -> Revoked:
    return Revoked(key_id=key.key_id, at="2027-01-15T08:00:00.000000Z", upto=upto)


def _refused(log: list[bytes], trust) -> tuple[str | None, int]:
    """Return the code, and at which entry."""
    seq = 0
    try:
        verifier = LogVerifier(trust)
        for data in log:
            seq += 1
            verifier.add(data)
    except VerificationError as error:
        return error.code, seq
    return None, seq


# what people signed


def _approved() -> tuple[int, Plain]:
    return next((place, p) for place, p in enumerate(vector().plains)
                if p["kind"] == "resolution" and p["deferral"]["method"] == "approval")  # fmt: skip


def test_an_approval_cannot_be_turned_into_another_persons():
    """By an insider with the receipt keys: under their pseudonym, their name; and then with their key as well."""
    one = vector()
    place, plain = _approved()
    sue = script().FixedKey("sue", "Ed25519")
    by_sue = copy.deepcopy(plain)
    by_sue["approval"][0] |= {"approver": one.keyed("sue"), "key_id": sue.key_id}
    assert _audited(place, by_sue) == "action_mismatch"  # the name that is disclosed is not hers
    name = script().plain_disclosure("/approval/0/name", "s" * 22, b'"sue"')
    by_sue["approval"][0]["name"] = script().commit_to(b64(name))
    assert _audited(place, by_sue, {"/approval/0/name": b64(name)}) == "answer_signature"
    statement = json.loads(_shown(place, "/approval/0/statement"))
    said = json.loads(statement) | {"approver": "sue", "key_id": sue.key_id}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    told = script().plain_disclosure("/approval/0/statement", "t" * 22, json.dumps(text, ensure_ascii=False).encode())
    by_sue["approval"][0] |= {"statement": script().commit_to(b64(told)), "signature": b64(sue.sign(text.encode()))}
    shown = {"/approval/0/name": b64(name), "/approval/0/statement": b64(told)}
    assert _audited(place, by_sue, shown) == "answer_mismatch"  # she was not asked


def test_a_modified_action_cannot_have_run_with_the_original_parameters():
    """Unless the insider makes the decision say so, too: then, where people approved it, they signed something else."""
    one = vector()
    outcome = next(p for p in one.plains if p["kind"] == "outcome" and p["decision"]["result"] == "MODIFY")
    place, action = outcome["log"]["seq"] - 1, outcome["action"]
    for changed in (
        {**action, "effective": action["parameters"]},
        {**action, "effective": action["parameters"], "effective_digest": action["digest"]},
        {**action, "effective_digest": action["digest"]},
    ):
        anew = one.signed({**outcome, "action": changed}, one.key_of(outcome))
        assert one.code([*one.log[:place], anew], place) == "pairing"
    bare = {name: value for name, value in action.items() if not name.startswith("effective")}
    assert one.code([*one.log[:place], one.signed({**outcome, "action": bare}, one.key_of(outcome))], place) == "schema"


def _shown(place: int, pointer: str) -> str:
    found = [json.loads(unb64(text)) for text in vector().disclosures[place]]
    return next(json.dumps(value) for _, at, value in found if at == pointer)


def _audited(place: int, plain: Plain, shown: dict[str, str] | None = None) -> str | None:
    """Audit the log with another receipt at a place, and other disclosures of it; the outcome behind it follows."""
    one = vector()
    plains = [*one.plains[:place], plain, *one.plains[place + 1 :]]
    disclosures = copy.deepcopy(one.disclosures)
    for pointer, text in (shown or {}).items():
        kept = [each for each in disclosures[place] if json.loads(unb64(each))[1] != pointer]
        disclosures[place] = [*kept, text]
    return one.audit_code(one.resigned(plains, place), place, disclosures, erasures=False)


# seen to fail: without counting, without remembering signatures
def test_an_erasure_is_decided_by_as_many_people_as_it_takes_and_each_word_counts_once():
    one = vector()
    hold, release = (place for place, plain in enumerate(one.plains) if plain["kind"] == "erasure")
    plain = one.plains[release]
    first, second = plain["approval"]
    for said in ([first], [second], [first, first], [first, {**second, "answer": "deny"}]):
        anew = one.signed({**plain, "approval": said}, one.key_of(plain))
        assert one.code([*one.log[:release], anew], release) == "erasure_refused"
    own = {**plain, "erasure": {**plain["erasure"], "subject": first["approver"]}}
    assert one.code([*one.log[:release], one.signed(own, one.key_of(plain))], release) == "erasure_refused"
    again = {
        **_after(plain),
        **{name: one.plains[hold][name] for name in ("approval", "erasure")},
        "receipt_id": "rcp_x",
    }
    assert one.code([*one.log[: release + 1], one.signed(again, one.key_of(plain))], release + 1) == "erasure_refused"
