"""The verifier: an honest log passes, and every mutation of it is refused for its own reason (R5, attack family E)."""

from __future__ import annotations

import copy
import json
from functools import cache

import msgspec
import pytest

from navicert.adapters.sign.file_key import load_key, new_key
from navicert.assemble import Home, make_pseudonym, read_trust, trusted
from navicert.audit import open_archive
from navicert.core.digest import action_digest, bytes_digest
from navicert.core.seal import b64, disclosure, parse
from navicert.core.signature import PublicKey
from navicert.keys import sign_trust
from navicert.model.errors import VerificationError
from navicert.model.trust import Trust
from navicert.verification import disclosed, waits
from navicert.verification import log as verify
from navicert.verification.disclosed import (
    POINTERS,
    name_at,
    read_disclosure,
    statement_at,
    verify_context,
    verify_disclosures,
    verify_policies,
)
from navicert.verification.keyring import Keyring, fingerprint
from navicert.verification.log import LogVerifier, verify_log
from navicert.verification.people import People
from navicert.verification.standing import Standing
from records.corpus import corpus
from records.forge import canonical, flip, holder, keys_of, leaves, plains, resigned, sign
from records.vectors import vector

KINDS = ("decision", "resolution", "outcome", "boot", "key", "policy", "authority", "approver")


@cache
def log(algorithm="Ed25519"):
    with open_archive(Home(corpus(algorithm))) as archive:
        return tuple(row.data for row in archive.log())


@cache
def disclosures(algorithm="Ed25519"):
    with open_archive(Home(corpus(algorithm))) as archive:
        return tuple(tuple(archive.disclosures(row)) for row in archive.log())


def trust(algorithm="Ed25519"):
    return read_trust(Home(corpus(algorithm)).trust)


def believing(**changes):
    """Return the trust file with changes, as its root would sign it."""
    return sign_trust(msgspec.structs.replace(trust(), **changes), load_key(Home(corpus()).root_key))


def own_key(plain):
    return keys_of(corpus())[plain["signature"]["key_id"]]


def index(entries, wanted, nth=0):
    return [place for place, plain in enumerate(plains(entries)) if wanted(plain)][nth]


def kind(name, result=None):
    return lambda p: p["kind"] == name and (result is None or p["decision"]["result"] == result)


def code(entries, believed=None, **expected):
    """Return the reason code for which a log is refused, None where it passes."""
    try:
        verify_log(entries, believed or trust(), **expected)
    except VerificationError as error:
        return error.code
    return None


def forged(change):
    """Return the honest log after `change`, everything in it signed and chained anew by one who holds the keys."""
    changed = [copy.deepcopy(plain) for plain in plains(log())]
    return resigned(change(changed) or changed, own_key, originals=plains(log()))


# the honest log


@pytest.mark.parametrize("algorithm", ["Ed25519", "ES256"])
def test_an_honest_log_passes(algorithm):
    report = verify_log(log(algorithm), trust(algorithm))
    assert report.entries == len(log(algorithm))
    assert set(report.verdicts) == {"ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER"}
    assert report.kinds["key"] == 1
    assert [key.split(":")[0] for key in report.keys] == (
        ["ed25519", "es256"] if algorithm == "Ed25519" else ["es256", "ed25519"]
    )
    assert {item.name for item in report.open} == {"web.slow"}
    assert {item.name for item in report.waiting} == {"bank.pay", "ops.restart"}
    assert report.clock_steps == 0


def test_a_forger_who_changes_nothing_makes_a_log_that_passes():
    assert code(forged(lambda _: None)) is None


def test_later_keys_may_be_certified_in_the_log_alone():
    assert code(log(), believing(keys=trust().keys[:1])) is None


def test_an_empty_log_passes_and_says_so():
    assert verify_log((), trust()).entries == 0


def test_delegation_as_version_0_1_wrote_it_passes():
    """It said nothing of what conveyed a link; whatever else stands there must be a keyed digest, or `asserted`."""

    def links(entries):
        return [link for plain in entries for link in plain.get("requester_context", {}).get("delegation", ())]

    def asserted(entries):
        assert {link["evidence"] for link in links(entries)} == {"asserted"}
        for link in links(entries):
            del link["evidence"]

    assert code(forged(asserted)) is None
    assert code(forged(lambda entries: links(entries)[0].update(evidence="trust me"))) == "schema"


# every field of every kind


EXPECTED = {
    ("version",): "schema",
    ("kind",): "schema",
    ("at",): "schema",
    ("log", "origin"): "wrong_origin",
    ("log", "seq"): "gap",
    ("log", "prev"): "chain_broken",
    ("signature", "key_id"): "unknown_key",
    ("signature", "algorithm"): "wrong_algorithm",
}


RECEIPTS = [
    *(("decision", result) for result in ("ALLOW", "MODIFY", "DEFER", "STEP_UP")),
    *(("resolution", result) for result in ("ALLOW", "MODIFY", "DENY", "STEP_UP")),
    *((name, None) for name in KINDS[2:]),
]


@pytest.mark.parametrize(("name", "result"), RECEIPTS)
def test_a_flipped_field_is_refused(name, result):
    place = index(log(), kind(name, result))
    plain = json.loads(log()[place])
    found, expected = {}, {}
    for path in leaves(plain):
        found[path] = code([*log()[:place], canonical(flip(plain, path)), *log()[place + 1 :]])
        expected[path] = EXPECTED.get(path, "bad_signature")
    assert expected == found
    assert len(found) > 10


def test_the_flipped_fields_are_all_that_the_schema_has():
    """The mutations above, and those of tests/records, are made from receipts that hold every field of every struct."""
    kept = [json.loads(data) for data in log()] + list(vector().plains)
    seen = {name for plain in kept for path in leaves(plain) for name in path if isinstance(name, str)}
    assert set(_fields(verify.Receipt)) <= seen


def _fields(struct):
    for field in msgspec.structs.fields(struct):
        yield field.encode_name
        inner = [field.type, *getattr(field.type, "__args__", ())]
        for each in inner:
            if isinstance(each, type) and issubclass(each, msgspec.Struct):
                yield from _fields(each)


def _inner(value, path=()):
    """Yield the path of everything within a receipt, objects and lists too."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, item in items:
        yield (*path, name)
        yield from _inner(item, (*path, name))


@pytest.mark.parametrize(("name", "result"), RECEIPTS)
def test_a_removed_repeated_or_moved_value_is_refused(name, result):
    """Everything within a receipt, at every depth: what is left out, stands twice, or in another order."""
    place = index(log(), kind(name, result))
    plain = json.loads(log()[place])
    passed, tried = [], 0
    for path in _inner(plain):
        for change in (_left_out, _twice, _turned):
            changed = copy.deepcopy(plain)
            change(holder(changed, path), path[-1])
            if changed != plain:
                tried += 1
                passed += [(path, change)] * (code([*log()[:place], canonical(changed)]) is None)
    assert passed == []
    assert tried > 10


def _left_out(inside, name):
    del inside[name]


def _twice(inside, name):
    if isinstance(inside, list):
        inside.insert(name, copy.deepcopy(inside[name]))


def _turned(inside, name):
    if isinstance(inside[name], list):
        inside[name].reverse()


# form


FORMS = {
    "white space": (lambda d: d.replace(b",", b", ", 1), "not_canonical"),
    "a line end": (lambda d: d + b"\n", "not_canonical"),
    "two values": (lambda d: d + d, "not_canonical"),
    "cut short": (lambda d: d[:-1], "not_canonical"),
    "nothing": (lambda _: b"", "not_canonical"),
    "another type": (lambda _: b"[]", "not_canonical"),
    "a member twice": (lambda d: d.replace(b'"kind":', b'"kind":"boot","kind":', 1), "not_canonical"),
    "another order": (lambda d: json.dumps(dict(reversed(json.loads(d).items())), separators=(",", ":")).encode(),
                      "not_canonical"),
    "a float": (lambda d: d.replace(b'"seq":', b'"seq":1.0,"seq0":', 1), "not_canonical"),
    "an exponent": (lambda d: d.replace(b'"seq":', b'"seq":1e0,"seq0":', 1), "not_canonical"),
    "NaN": (lambda d: d.replace(b'"seq":', b'"seq":NaN,"seq0":', 1), "not_canonical"),
    "2^53": (lambda d: d.replace(b'"seq":', b'"seq":9007199254740992,"seq0":', 1), "not_canonical"),
    "an escape": (lambda d: d.replace(b'"navicert/1"', b'"\\u006eavicert/1"'), "not_canonical"),
    "a slash escaped": (lambda d: d.replace(b'"navicert/1"', b'"navicert\\/1"'), "not_canonical"),
    "outside ASCII": (lambda d: d.replace(b'"navicert/1"', '"navicért/1"'.encode()), "not_canonical"),
    "bad UTF-8": (lambda d: d.replace(b'"navicert/1"', b'"navicert/\xff"'), "not_canonical"),
    "delete": (lambda d: d.replace(b'"navicert/1"', b'"navicert/\x7f"'), "not_canonical"),
    "depth": (lambda _: b"[" * 100_000, "not_canonical"),
    "a default spelled out": (lambda d: canonical({**json.loads(d), "policy": None}), "schema"),
    "a member more": (lambda d: canonical({**json.loads(d), "zzz": 1}), "schema"),
    "a part of another kind": (
        lambda d: canonical({**json.loads(d), "policy": {"hash": "0" * 64, "id": "x", "version": 1}}), "schema"),
    "a later version": (lambda d: canonical({**json.loads(d), "version": "navicert/2"}), "schema"),
    "the signature left out": (
        lambda d: canonical({**json.loads(d), "signature": {k: v for k, v in json.loads(d)["signature"].items()
                                                            if k != "value"}}), "bad_signature"),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMS)
def test_only_one_form_of_a_receipt_is_accepted(name):
    place = index(log(), kind("decision"))
    change, reason = FORMS[name]
    assert code([*log()[:place], change(log()[place]), *log()[place + 1 :]]) == reason


@pytest.mark.parametrize(("name", "result"), RECEIPTS)
def test_a_removed_member_is_refused(name, result):
    place = index(log(), kind(name, result))
    plain = json.loads(log()[place])
    optional = {"decision": {"authority", "context", "deferral", "session"}, "resolution": {"approval"}}.get(
        name, set()
    )
    for member in plain:
        lacking = canonical({each: value for each, value in plain.items() if each != member})
        expected = "bad_signature" if member in optional else "schema"
        assert (member, code([*log()[:place], lacking])) == (member, expected)


# keys


def test_nobody_trusted_nothing_verified():
    assert code(log(), Trust(origin="acme.log", keys=())) == "empty_trust"


def test_a_stranger_cannot_sign_a_log_of_his_own():
    stranger = new_key("Ed25519")
    assert code(resigned(plains(log()), lambda _: stranger)) == "unknown_key"


def test_a_stranger_under_our_key_id_is_found_out():
    stranger = new_key("Ed25519")
    stranger.key_id = json.loads(log()[0])["signature"]["key_id"]
    assert code(resigned(plains(log()), lambda _: stranger)) == "bad_signature"


def test_a_trust_file_with_a_key_under_a_false_id_is_refused():
    false = msgspec.structs.replace(trusted(new_key("Ed25519"), 0), key_id=trust().keys[0].key_id)
    assert code(log(), believing(keys=(false,))) == "bad_key"
    garbage = msgspec.structs.replace(trust().keys[0], public="AAAA")
    assert code(log(), believing(keys=(garbage,))) == "bad_key"


def test_a_key_record_with_a_key_under_a_false_id_is_refused():
    def change(entries):
        entries[index(log(), kind("key"))]["key"]["public"] = b64(new_key("ES256").public)

    assert code(forged(change)) == "bad_key"


def test_the_algorithm_is_the_keys_own():
    believed = believing(keys=(msgspec.structs.replace(trust().keys[0], algorithm="ES256"), *trust().keys[1:]))
    assert code(log(), believed) == "bad_key"


def test_a_key_signs_within_its_window_only():
    first, second = trust().keys
    for change in ({"since": "2099-01-01T00:00:00.000000Z"}, {"until": "2001-01-01T00:00:00.000000Z"}):
        believed = believing(keys=(msgspec.structs.replace(first, **change), second))
        assert code(log(), believed) == "key_window"


def test_a_replaced_key_signs_no_more():
    old = own_key(json.loads(log()[0]))
    assert code(resigned(plains(log()), lambda _: old)) == "key_retired"


def test_a_replaced_key_cannot_be_certified_again():
    def change(entries):
        place = index(log(), kind("key"))
        old = json.loads(log()[0])["signature"]["key_id"]
        again = copy.deepcopy(entries[place])
        again |= {"receipt_id": "rcp_again"}
        again["signature"] = dict(entries[place + 1]["signature"])
        again["key"] = {"key_id": old, "algorithm": "Ed25519", "public": trust().keys[0].public}
        entries.insert(place + 2, again)

    assert code(forged(change)) == "key_retired"


def test_a_log_of_another_origin_is_refused():
    assert code(log(), believing(origin="acme")) == "wrong_origin"


# order


def test_order_and_completeness():
    entries = list(log())
    middle = len(entries) // 2
    assert code(entries[:middle] + entries[middle + 1 :]) == "gap"
    assert code(entries[1:]) == "gap"
    assert code([*entries[:middle], entries[middle + 1], entries[middle], *entries[middle + 2 :]]) == "gap"
    assert code([*entries[:middle], entries[3], *entries[middle:]]) == "gap"
    assert code([*entries, entries[-1]]) == "gap"
    plain = json.loads(entries[middle])
    plain["log"]["prev"] = "1" * 64
    replaced = canonical(sign(plain, own_key(plain)))
    assert code([*entries[:middle], replaced, *entries[middle + 1 :]]) == "chain_broken"


def test_a_cut_tail_is_found_where_a_head_is_known():
    head = (len(log()), verify_log(log(), trust()).head)
    assert code(log()[:-1]) is None  # what a log alone cannot show
    assert code(log()[:-1], expect_head=head) == "tail_cut"
    assert code(log(), expect_head=head) is None
    assert code(log(), expect_head=(5, verify_log(log()[:5], trust()).head)) is None
    assert code(log(), expect_head=(5, head[1])) == "head_mismatch"


def test_a_rewritten_log_is_found_where_a_head_is_known():
    head = (len(log()), verify_log(log(), trust()).head)

    def change(entries):
        entries[index(log(), kind("decision", "DENY"))]["decision"]["reason_code"] = "harmless"

    assert code(forged(change)) is None  # by one who holds the keys
    assert code(forged(change), expect_head=head) == "head_mismatch"


# what a holder of the key cannot make consistent


def _move(entries):
    place = index(log(), kind("outcome"))
    entries[place]["session"] = dict(entries[-1]["session"])
    entries[place]["requester_context"]["session"] = entries[-1]["session"]["id"]


def _set(wanted, *path, value, nth=0):
    def change(entries):
        plain = entries[index(log(), wanted, nth)]
        holder(plain, path)[path[-1]] = value

    return change


def _second_outcome(entries):
    place = index(log(), kind("outcome"))
    entries.append(copy.deepcopy(entries[place]) | {"receipt_id": "rcp_second", "signature": entries[-1]["signature"]})


def _outcome_of(result):
    def change(entries):
        decision = entries[index(log(), kind("decision", result))]
        outcome = copy.deepcopy(entries[index(log(), kind("outcome"))])
        for part in ("action", "requester_context", "decision", "session"):
            outcome[part] = copy.deepcopy(decision[part])
        outcome["context"] = copy.deepcopy(decision["context"])
        outcome |= {"receipt_id": "rcp_forged", "signature": entries[-1]["signature"]}
        outcome["completes"] = bytes_digest(canonical(decision))
        entries.append(outcome)

    return change


def _decided_twice(entries):
    place = index(log(), kind("decision", "DENY"))
    entries.append(copy.deepcopy(entries[place]) | {"receipt_id": "rcp_b", "signature": entries[-1]["signature"]})


def _no_policy(entries):
    del entries[index(log(), kind("policy"))]


def _outcome_first(entries):
    place = index(log(), kind("outcome"))
    decision = next(p for p, plain in enumerate(entries) if plain["kind"] == "decision"
                    and plain["action"]["id"] == entries[place]["action"]["id"])  # fmt: skip
    entries[decision], entries[place] = entries[place], entries[decision]


NOBODY = "p-" + "0" * 32
INSIDE = {
    "an outcome moved to another session": (_move, "pairing"),
    "an outcome of another action": (_set(kind("outcome"), "action", "tool", value="bank"), "pairing"),
    "an outcome of another decision": (_set(kind("outcome"), "decision", "reason_code", value="other"), "pairing"),
    "an outcome for another human": (_set(kind("outcome"), "requester_context", "human", value=NOBODY), "pairing"),
    "an outcome that completes nothing": (_set(kind("outcome"), "completes", value="0" * 64), "pairing"),
    "an outcome on another context": (_set(kind("outcome"), "context", "hash", value="0" * 64), "pairing"),
    "an outcome before its decision": (_outcome_first, "pairing"),
    "a second outcome": (_second_outcome, "pairing"),
    "an outcome of a denied action": (_outcome_of("DENY"), "pairing"),
    "an outcome of a waiting action": (_outcome_of("STEP_UP"), "pairing"),
    "an outcome of a deferred action": (_outcome_of("DEFER"), "pairing"),
    "a receipt id twice": (lambda entries: entries[5].update(receipt_id=entries[0]["receipt_id"]), "duplicate"),
    "an action decided twice": (_decided_twice, "duplicate"),
    "a requester of another session": (
        _set(kind("decision", "DENY"), "requester_context", "session", value="ses_0"), "session_chain"),
    "a policy never put in force": (_no_policy, "policy_unknown"),
    "a policy under another version": (
        _set(kind("decision", "DENY"), "decision", "policy", "version", value=9), "policy_unknown"),
    "a sixth decision": (_set(kind("decision", "DENY"), "decision", "result", value="PASS"), "schema"),
    "a shadow of a sixth decision": (
        _set(kind("decision", "ALLOW"), "decision", "shadow", "result", value="PASS"), "schema"),
    "a denial that waits": (_set(kind("decision", "STEP_UP"), "decision", "result", value="DENY"), "schema"),
    "a wait without its terms": (_set(kind("decision", "DENY"), "decision", "result", value="DEFER"), "schema"),
    "an allowed action with other parameters": (
        _set(kind("decision", "MODIFY"), "decision", "result", value="ALLOW"), "schema"),
    "a modified action without them": (_set(kind("decision", "ALLOW"), "decision", "result", value="MODIFY"), "schema"),
    "a time in another form": (_set(kind("boot"), "at", value="2026-11-22T21:17:11Z"), "schema"),
    "a digest in another form": (_set(kind("decision"), "action", "digest", value="ABC"), "schema"),
}  # fmt: skip


@pytest.mark.parametrize("name", INSIDE)
def test_a_holder_of_the_key_cannot_contradict_himself(name):
    change, reason = INSIDE[name]
    entries = forged(change)
    assert code(entries) == reason


def test_a_session_chain_has_no_gap_of_its_own():
    """A decision left out of a session, where the log around it is chained anew but the session is not."""
    entries = [copy.deepcopy(plain) for plain in plains(log())]
    place = index(log(), kind("decision", "DENY"))
    del entries[place]
    whole = resigned(entries, own_key)
    assert code(whole) is None or code(whole) == "pairing"
    broken = plains(whole)
    later = next(p for p in range(place, len(broken)) if "session" in broken[p])
    broken[later]["session"]["seq"] += 1
    prev = json.loads(whole[later])["log"]["prev"]
    for number in range(later, len(broken)):
        broken[number]["log"]["prev"] = prev
        data = canonical(sign(broken[number], own_key(broken[number])))
        prev = bytes_digest(data)
        whole[number] = data
    assert code(whole) == "session_chain"


# disclosures


def _with_disclosures(wanted):
    place = index(log(), wanted)
    return parse(log()[place]), list(disclosures()[place])


def keyed():
    return make_pseudonym(Home(corpus()).pseudonym_key.read_bytes())


def disclosure_code(receipt, texts):
    try:
        verify_disclosures(receipt, texts, keyed())
    except VerificationError as error:
        return error.code
    return None


def test_every_honest_receipt_is_disclosed():
    shown = set()
    kept = (*zip(log(), disclosures(), strict=True), *zip(vector().log, vector().disclosures, strict=True))
    for data, texts in kept:
        shown |= set(verify_disclosures(parse(data), texts))
    assert shown == {*POINTERS, *(pointer for index in (0, 1) for pointer in (name_at(index), statement_at(index)))}


def _two_answers(plain):
    return len(plain.get("approval", ())) == 2


_RESOLVED = {disclosed.PARAMETERS, disclosed.EFFECTIVE, disclosed.HUMAN, disclosed.REASON, disclosed.EVALUATED}
DISCLOSING = [
    *((kind("decision", "MODIFY"), pointer) for pointer in sorted(_RESOLVED)),
    *((kind("resolution", "MODIFY"), pointer) for pointer in sorted({*_RESOLVED, disclosed.FACTS})),
    *((_two_answers, pointer) for pointer in (name_at(0), statement_at(0), name_at(1), statement_at(1))),
    (kind("outcome"), disclosed.OUTPUT),
    (kind("authority"), disclosed.AUTHORITY),
    (kind("approver"), disclosed.APPROVER),
]


@pytest.mark.parametrize(
    ("wanted", "pointer"), DISCLOSING, ids=[f"{place} {pointer}" for place, (_, pointer) in enumerate(DISCLOSING)]
)
def test_a_disclosure_is_the_one_that_was_committed_to(wanted, pointer):
    receipt, texts = _with_disclosures(wanted)
    place = next(place for place, text in enumerate(texts) if read_disclosure(text)[1] == pointer)
    salt, _, value = read_disclosure(texts[place])
    rest = [*texts[:place], *texts[place + 1 :]]
    other, elsewhere = b64(b"\0" * 16), next(each for each in POINTERS if each != pointer)
    assert disclosure_code(receipt, rest) == "disclosure_missing"
    assert disclosure_code(receipt, [*rest, disclosure(pointer, salt, b'{"other":1}')]) == "disclosure_mismatch"
    assert disclosure_code(receipt, [*rest, disclosure(pointer, other, value)]) == "disclosure_mismatch"
    assert disclosure_code(receipt, [*rest, disclosure(elsewhere, salt, value)]) == "disclosure_mismatch"
    assert disclosure_code(receipt, [*rest, disclosure("/elsewhere", salt, value)]) == "disclosure_mismatch"
    assert disclosure_code(receipt, [*texts, texts[place]]) == "disclosure_mismatch"
    assert disclosure_code(receipt, [*rest, texts[place] + "="]) == "disclosure_mismatch"
    assert disclosure_code(receipt, [*rest, b64(b"{}")]) == "disclosure_mismatch"
    strangers = [text for each in disclosures("ES256") for text in each if read_disclosure(text)[1] == pointer]
    assert disclosure_code(receipt, [*rest, strangers[0]]) == "disclosure_mismatch"


@pytest.mark.parametrize("pointer", ["/action/parameters", "/action/effective"])
def test_the_disclosed_parameters_are_the_action_that_was_judged(pointer):
    receipt, texts = _with_disclosures(kind("decision", "MODIFY"))
    text = disclosure(pointer, "salt", b'{"limit":1}')
    member = pointer.rpartition("/")[2]
    changed = msgspec.structs.replace(
        receipt, action=msgspec.structs.replace(receipt.action, **{member: disclosed.commit_to(text)})
    )
    rest = [each for each in texts if read_disclosure(each)[1] != pointer]
    assert disclosure_code(changed, [*rest, text]) == "action_mismatch"


def test_the_disclosed_evidence_is_the_one_that_the_receipt_names():
    receipt, texts = _with_disclosures(kind("decision", "MODIFY"))
    requester = msgspec.structs.replace(receipt.requester_context, evidence=b64(b"\0" * 32))
    assert disclosure_code(msgspec.structs.replace(receipt, requester_context=requester), texts) == "action_mismatch"


def test_a_receipt_holds_no_digest_that_could_be_guessed_without_the_key():
    receipt, texts = _with_disclosures(kind("decision", "ALLOW"))
    shown = verify_disclosures(receipt, texts)
    plain = action_digest(receipt.action.tool, receipt.action.operation, shown["/action/parameters"])
    assert receipt.action.digest != plain
    assert plain not in str(receipt)


# policies


def test_a_policy_is_kept_under_its_own_hash():
    with open_archive(Home(corpus())) as archive:
        kept = archive.policies()
    named = verify_log(log(), trust()).policies
    one, other = kept
    assert verify_policies(named, kept) == 2
    cases = {
        "policy_unknown": {one: kept[one]},
        "policy_mismatch": {one: kept[other], other: kept[other]},
    }
    for reason, changed in cases.items():
        with pytest.raises(VerificationError) as refused:
            verify_policies(named, changed)
        assert refused.value.code == reason
    with pytest.raises(VerificationError, match="policy_mismatch"):
        verify_policies(named, kept | {one: kept[one].replace(b"office", b"0ffice")})
    with pytest.raises(VerificationError, match="policy_mismatch"):
        verify_policies([msgspec.structs.replace(named[0], version=7)], kept)


# each protection, seen to fail


def _last_flipped():
    last = json.loads(log()[-1])
    return [*log()[:-1], canonical(flip(last, ("action", "surface")))]


def _last_spaced():
    return [*log()[:-1], log()[-1] + b" "]


def _boot_dropped():
    return [data for place, data in enumerate(log()) if place != index(log(), kind("boot"), 1)]


def _nothing(*_args, **_kwargs):
    return None


def _lenient(data, _place):
    return msgspec.json.decode(data, type=verify.Receipt)


def _on_wider_authority(entries):
    place = next(place for place, plain in enumerate(entries) if plain.get("authority", {}).get("before") == "suspended"
                 and plain["kind"] == "decision")  # fmt: skip
    entries[place]["authority"] |= {"before": "full", "after": "full"}


def _never_enrolled(entries):
    del entries[index(log(), kind("approver"))]


def _timeout_that_permits(entries):
    place = index(log(), lambda p: p.get("deferral", {}).get("method") == "timeout")
    entries[place]["decision"]["result"] = "ALLOW"


def _by_the_old_key():
    old = own_key(json.loads(log()[0]))
    entries = plains(log())
    return resigned(entries, lambda plain: old if plain is entries[-1] else own_key(plain))


NEEDED = {
    "signature": (PublicKey, "verifies", _nothing, _last_flipped, "bad_signature"),
    "canonical form": (verify, "parsed", _lenient, _last_spaced, "not_canonical"),
    "place": (LogVerifier, "_check_place", _nothing, _boot_dropped, "gap"),
    "retirement": (Keyring, "hand_over", _nothing, _by_the_old_key, "key_retired"),
    "uniqueness": (LogVerifier, "_check_chains", _nothing, lambda: forged(_decided_twice), "duplicate"),
    "pairing": (verify, "answers", _nothing, lambda: forged(_second_outcome), "pairing"),
    "standing": (Standing, "check", _nothing, lambda: forged(_on_wider_authority), "authority"),
    "people": (People, "check", _nothing, lambda: forged(_never_enrolled), "approver"),
    "ends of waits": (waits, "check_resolution", _nothing, lambda: forged(_timeout_that_permits), "resolution"),
    "form of values": (verify, "check_form", _nothing, lambda: forged(INSIDE["a digest in another form"][0]), "schema"),
}


@pytest.mark.parametrize("name", NEEDED)
def test_each_check_is_needed(name, monkeypatch):
    """With the one check out of action the same mutation passes: so it is this check that stops it."""
    where, what, instead, make, reason = NEEDED[name]
    mutated = make()
    assert code(mutated) == reason
    monkeypatch.setattr(where, what, instead)
    assert code(mutated) != reason


# the fingerprint


def test_a_fingerprint_covers_all_that_is_believed():
    """Where no root signs it: a file of an old home."""
    own = Trust(origin=trust().origin, keys=trust().keys)
    seen = {fingerprint(own)}
    first, second = own.keys
    for changed in (
        msgspec.structs.replace(own, origin="acme"),
        msgspec.structs.replace(own, keys=(first,)),
        msgspec.structs.replace(own, keys=(msgspec.structs.replace(first, since="x"), second)),
        msgspec.structs.replace(own, keys=(msgspec.structs.replace(first, until="x"), second)),
    ):
        seen.add(fingerprint(changed))
    assert len(seen) == 5
    assert [len(group) for group in fingerprint(trust()).split(" ")] == [4] * 10


def test_a_context_that_no_receipt_names_is_refused():
    with open_archive(Home(corpus())) as archive:
        session = next(archive.session_ids())
        receipts = [parse(row.data) for row in archive.log(session=session)]
        entries = [entry for _, entry in archive.entries(session)]
    assert verify_context(session, receipts, entries).length == len(entries)
    for changed in (entries[1:], entries[:-2], [], [entries[0], *entries], entries[:3] + entries[4:]):
        with pytest.raises(VerificationError, match="context_mismatch"):
            verify_context(session, receipts, changed)
    with pytest.raises(VerificationError, match="context_mismatch"):
        verify_context(session, receipts[1:], entries)
