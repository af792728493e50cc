"""Keys of people: encrypted at rest, and of no use without the passphrase."""

from __future__ import annotations

import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat

from navicert.adapters.secret_file import write_secret
from navicert.adapters.sign.encrypted_key import LONGEST, load_encrypted_key, make_encrypted_key
from navicert.adapters.sign.file_key import new_key, save_key
from navicert.core.signature import PublicKey
from navicert.model.errors import IdentityError, IntegrityError

SECRET = "correct horse"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "ben.pem"


def test_a_key_comes_back_with_its_passphrase_and_signs(path):
    made = make_encrypted_key(path, SECRET)
    loaded = load_encrypted_key(path, SECRET)

    assert loaded.key_id == made.key_id
    PublicKey("Ed25519", made.public).verifies(b"yes", loaded.sign(b"yes"))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert b"BEGIN ENCRYPTED PRIVATE KEY" in path.read_bytes()


@pytest.mark.parametrize("wrong", ["correct horsf", "correct horse ", "Correct horse", "x" * LONGEST])
def test_another_passphrase_opens_nothing(path, wrong):
    make_encrypted_key(path, SECRET)

    with pytest.raises(IdentityError, match="nothing was signed"):
        load_encrypted_key(path, wrong)


@pytest.mark.parametrize("bad", ["", "1234567", "        a       ", "x" * (LONGEST + 1), "\udc80" * 9])
def test_a_passphrase_that_is_too_short_or_unusable_makes_no_key(path, bad):
    with pytest.raises(IdentityError):
        make_encrypted_key(path, bad)
    assert not path.exists()


def test_a_passphrase_is_the_same_however_it_was_composed(path):
    made = make_encrypted_key(path, "caf\u00e9 cr\u00e8me")

    assert load_encrypted_key(path, "cafe\u0301 cre\u0300me").key_id == made.key_id


def test_a_key_is_never_overwritten(path):
    make_encrypted_key(path, SECRET)
    before = path.read_bytes()

    with pytest.raises(FileExistsError):
        make_encrypted_key(path, SECRET)
    assert path.read_bytes() == before


def test_a_key_that_is_not_encrypted_is_refused(path):
    save_key(new_key("Ed25519"), path)

    with pytest.raises(IntegrityError, match="not encrypted"):
        load_encrypted_key(path, SECRET)


@pytest.mark.parametrize("data", [b"", b"no key", b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
def test_what_is_no_key_is_refused(path, data):
    write_secret(path, data)

    with pytest.raises(IntegrityError, match="no encrypted key"):
        load_encrypted_key(path, SECRET)


def test_another_kind_of_key_is_refused(path):
    key = generate_private_key(SECP256R1())
    lock = BestAvailableEncryption(SECRET.encode())
    write_secret(path, key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock))

    with pytest.raises(IntegrityError, match="not an Ed25519 key"):
        load_encrypted_key(path, SECRET)


def test_a_key_that_others_can_read_is_refused(path):
    make_encrypted_key(path, SECRET)
    path.chmod(0o640)

    with pytest.raises(IntegrityError, match="others can read"):
        load_encrypted_key(path, SECRET)
