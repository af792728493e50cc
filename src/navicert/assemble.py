"""The composition root: a home folder → a running engine. Every adapter is chosen here and nowhere else."""

from __future__ import annotations

import atexit
import hashlib
import hmac
import os
from collections.abc import Callable
from contextlib import closing
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

import msgspec

from navicert.adapters.anchor.file import FileAnchor
from navicert.adapters.contents.files import FileDigests
from navicert.adapters.detect.alignment import Alignment
from navicert.adapters.detect.cedar import CedarForbids
from navicert.adapters.detect.paths import RealPaths
from navicert.adapters.detect.patterns import ParameterPatterns, PatternClassifier
from navicert.adapters.detect.protected import ProtectedResources
from navicert.adapters.detect.shell import ShellAnalyser
from navicert.adapters.detect.sql import SqlAnalyser
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.adapters.notify.command import CommandNotifier
from navicert.adapters.resolve.command import CommandResolver
from navicert.adapters.resolve.files import FileResolver
from navicert.adapters.resolve.http import HttpResolver
from navicert.adapters.secret_file import read_secret, write_secret
from navicert.adapters.sign.file_key import FileKey, load_key, new_key, save_key
from navicert.adapters.store.archive import Archive, LogRow
from navicert.adapters.store.forgetting import purge
from navicert.adapters.store.notary import Ledger, Notary, Outside
from navicert.adapters.store.readonly import schema_of
from navicert.adapters.store.schema import TREES
from navicert.adapters.store.sqlite import SqliteJournal
from navicert.adapters.store.vault import Vault
from navicert.adapters.system import SystemClock, SystemIds
from navicert.adapters.witness.http import HttpWitness
from navicert.config import FILE, HOME, Config, find_home, read_config
from navicert.core.builtin import with_builtin
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.draft import Scribe
from navicert.core.seal import b64
from navicert.core.signature import ED25519
from navicert.core.times import rfc3339
from navicert.engine.engine import Engine
from navicert.engine.workings import Ports, Settings
from navicert.erasing import resume_erasures
from navicert.model.errors import IntegrityError, PolicyError
from navicert.model.policy import PolicySet, SourceKind
from navicert.model.trust import Trust, TrustedKey
from navicert.ports import Detector, IdentityVerifier, Resolver
from navicert.syntax import canonical_policy, decode_policy, policy_hash, read_policy
from navicert.verification.keyring import believed, certified

STARTER_POLICY: Final = """\
# The policy of this deployment. Language: docs/reference/policy-language.md
policy: starter
version: 1
posture: declared_reads   # tools declared as reads pass; everything else needs a rule

tools: {}

rules: []
"""


class Home:
    """The files of one deployment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / FILE
        self.keys = folder / "keys"
        self.root_key = self.keys / "root.pem"
        self.log_key = self.keys / "log.pem"
        self.receipt_key = self.keys / "receipt.pem"
        self.store_key = self.keys / "store.key"
        self.pseudonym_key = self.keys / "pseudonym.key"
        self.subjects = self.keys / "subjects"
        self.trust = folder / "trust.json"
        self.store = folder / "store.db"


class Assembled:
    """A running engine, and what its surfaces need besides."""

    _cedar: CedarForbids | None = None
    _cedar_path: Path | None = None

    def __init__(self, home: Home, config: Config, kept: tuple[CompiledPolicy, bytes] | None = None) -> None:
        """Open a home. kept: the policy that is in force, for those who must get in while its file does not load."""
        from navicert.keys import rotate_when_due

        self.home = home
        self.config = config
        self.ids = SystemIds()
        self._pid = os.getpid()
        self._policy_path = home.folder / config.policy
        self._cedar_path = home.folder / config.cedar if config.cedar is not None else None
        self._stamp = self._stamps()
        try:
            self._cedar = load_cedar(home.folder, config)
        except PolicyError:  # under the policy that is kept, the rule over them is then undetermined
            if kept is None:
                raise
        policy, data = kept or load_policy(self._policy_path, self._cedar)
        clock = SystemClock()
        _examine(home, config)
        rotate_when_due(home, config)
        pseudonym = make_pseudonym(read_secret(home.pseudonym_key))
        self.pseudonym = pseudonym
        self.keys = keys = SubjectKeys(home.subjects)
        journal = open_journal(home, config, keys)
        try:
            notarise(home, config, journal)
        except BaseException:
            journal.close()
            raise
        purge(journal, before=clock.now() - config.retention_days * 86_400_000_000)
        resume_erasures(journal, keys)
        self.journal = journal
        found = (*make_signals(home.folder, config), *(() if self._cedar is None else (self._cedar,)))
        own = filter(None, (home.folder, self._policy_path, self._cedar_path, anchor_path(home.folder, config)))
        self._protected = ProtectedResources((*own, *identity_files(home.folder, config), *judge_files(home, config)))
        self._protected.also(fact_files(policy.policy))
        self.engine = Engine(
            Ports(
                journal=journal,
                clock=clock,
                ids=self.ids,
                verifier=make_verifier(home.folder, config),
                detectors=(self._protected, *make_detectors(config.files_root, config.embeddings), *found),
                classifiers=(PatternClassifier(),),
                resolvers=make_resolvers(),
                contents=FileDigests(),
                notifier=CommandNotifier(config.notify, config.measure_s) if config.notify else None,
            ),
            policy=policy,
            policy_bytes=data,
            settings=Settings(
                issuer=self.ids.new("eng"),
                # in one process, agent and engine share everything; a resident owner knows who is at the other end
                scribe=Scribe(pseudonym=pseudonym, salt=self.ids.salt, separation="none"),
                commit_s=config.commit_s,
                measure_s=config.measure_s,
                permit_s=config.permit_s,
                wait_s=config.wait_s,
                in_band_s=config.in_band_s,
            ),
        )
        atexit.register(self._leave)

    def policy_changed(self) -> bool:
        """Tell whether the policy file, or that of Cedar policies, is another than the one in force."""
        return self._stamps() != self._stamp

    def look_again(self) -> None:
        """Have the policy file count as changed."""
        self._stamp = (-1, -1, -1)

    def reload(self) -> None:
        """Read the policy file and put it in force; raises `PolicyError` and changes nothing where it does not load."""
        self._stamp = self._stamps()  # a broken file is reported once, not again at every action
        cedar = load_cedar(self.home.folder, self.config) if self._cedar_path is not None else None
        policy, data = load_policy(self._policy_path, cedar)
        self._protected.also(fact_files(policy.policy))  # what policy rests on, governed tools do not write
        self.engine.adopt(policy, data)
        if self._cedar is not None and cedar is not None:
            self._cedar.adopt(cedar)  # what the other file measured meanwhile leaves the new rule undetermined

    def _stamps(self) -> tuple[int, ...]:
        files = (self._policy_path, self._cedar_path)
        return tuple(part for path in files if path is not None for part in _stamp(path))

    def close(self) -> None:
        """Make everything durable and let go of the store."""
        atexit.unregister(self._leave)
        self.engine.close()

    def _leave(self) -> None:
        if os.getpid() == self._pid:  # a forked child leaves the store of its parent alone
            self.close()


def open_journal(home: Home, config: Config, keys: SubjectKeys, signer: FileKey | None = None) -> SqliteJournal:
    """Open the store for appending, without checkpoints; raises `IntegrityError` for a key that nobody believes.

    signer: left out, the home's key of receipts.
    """
    signer = signer or load_key(home.receipt_key)
    must_be_trusted(home, config, signer)
    return SqliteJournal(
        home.store,
        origin=config.origin,
        vault=Vault(read_secret(home.store_key)),
        keys=keys,
        signer=signer,
        clock=SystemClock(),
        reload=partial(_rotated, home, config),
    )


def notarise(home: Home, config: Config, journal: SqliteJournal) -> None:
    """Have checkpoints made, once the store is the log that its own, the anchor and the witnesses know."""
    if not home.log_key.exists():
        return  # a home of before there were checkpoints; `navicert doctor` says so
    trust, signer = read_trust(home.trust), load_key(home.log_key)
    if all(item.key_id != signer.key_id for item in trust.log):
        raise IntegrityError(f"{home.trust}: does not list the log's key {signer.key_id}; restore the file, or the key")
    outside = Outside(
        anchor=_anchor(home, config),
        witnesses=tuple(HttpWitness(url) for url in config.witnesses),
        trusted=trust.witnesses,
        quorum=trust.quorum,
    )
    notary = Notary(
        home.store,
        journal,
        origin=config.origin,
        signer=signer,
        keys=trust.log,
        clock=SystemClock(),
        outside=outside,
    )
    notary.start()


def cover(home: Home, config: Config) -> None:
    """Have a checkpoint made of what has none yet, as by an engine that ends; raises `Unavailable` where it cannot."""
    if schema_of(home.store):
        _examine(home, config)
        journal = open_journal(home, config, SubjectKeys(home.subjects))
        try:
            notarise(home, config, journal)
        finally:
            journal.close()


def _rotated(home: Home, config: Config, key_id: str) -> FileKey:
    """Return the key that the log was handed over to while an engine ran."""
    from navicert.keys import signing_key

    signer = signing_key(home, key_id)
    must_be_trusted(home, config, signer)
    return signer


def open_home(start: Path | None = None) -> Assembled:
    """Open the deployment in `start` (a home folder, or a folder in or above which `.navicert` lies)."""
    folder = start if start is not None and (start / FILE).is_file() else find_home(start)
    return Assembled(Home(folder), read_config(folder))


def open_kept(folder: Path, data: bytes) -> Assembled:
    """Open a home under the policy that was in force last, given as its canonical bytes, whatever its file holds now.

    For the kill switch, and for answers: a broken edit of the policy must not keep people out.
    """
    policy = decode_policy(data)
    return Assembled(Home(folder), read_config(folder), (compile_policy(policy, policy_hash(policy)), data))


def make_home(
    folder: Path,
    *,
    origin: str,
    service: str,
    policy: str = STARTER_POLICY,
    algorithm: str = ED25519,
    anchors: Path | None = None,
) -> Home:
    """Make a home folder with configuration, policy, keys (mode 0600) and trust file; raises where one is there.

    The root that signed the trust file lies in it until somebody moves it away (`keys.move_root`). anchors: the folder
    outside of it, which is made where it is missing, to which checkpoints go; None for no anchor.
    """
    from navicert.keys import sign_trust, write_trust

    home = Home(folder)
    if not (origin.isascii() and origin.isprintable()) or {*origin} & {" ", "+"} or not origin:
        raise PolicyError(f"origin `{origin}`: a log's name is printable ASCII without space or `+`; choose another")
    if home.config.exists():
        raise PolicyError(f"{folder}: there is a home already; open it, or choose another folder")
    home.keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.chmod(0o700)
    root, log, key = (new_key(algorithm) for _ in range(3))
    for made, path in ((root, home.root_key), (log, home.log_key), (key, home.receipt_key)):
        save_key(made, path)
    write_secret(home.store_key, os.urandom(32))
    write_secret(home.pseudonym_key, os.urandom(32))
    home.subjects.mkdir(mode=0o700)
    now = SystemClock().now()
    write_trust(home, sign_trust(Trust(origin=origin, keys=(trusted(key, now),), log=(trusted(log, now),)), root))
    (folder / "policy.yaml").write_text(policy, encoding="utf-8")
    text = _config_text(origin, service)
    if anchors is not None:
        anchors.mkdir(mode=0o700, parents=True, exist_ok=True)
        name = f"{origin.replace('/', '_')}-{log.key_id[-8:]}.notes"
        where = anchors.absolute() / name
        shown = Path("~") / where.relative_to(Path.home()) if where.is_relative_to(Path.home()) else where
        text += f"anchor: {shown}   # checkpoints of the log, outside of this folder\n"
    home.config.write_text(text, encoding="utf-8")
    return home


def trusted(key: FileKey, now: int) -> TrustedKey:
    """Return how a trust file names a key."""
    return TrustedKey(key_id=key.key_id, algorithm=key.algorithm, public=b64(key.public), since=rfc3339(now))


def load_policy(path: Path, cedar: CedarForbids | None = None) -> tuple[CompiledPolicy, bytes]:
    """Return a policy file, compiled, and its canonical bytes; raises `PolicyError` with file, line and column.

    cedar: the Cedar policies of the deployment: the rule over them is part of the policy set.
    """
    try:
        text = path.read_bytes().decode()  # a lone carriage return is no line end: the reader refuses it
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(
            f"{path}: the policy cannot be read ({error}); without a policy nothing is permitted"
        ) from None
    policy, _ = read_policy(text, str(path))
    whole = with_builtin(policy, cedar.digest if cedar is not None else None)
    return compile_policy(whole, policy_hash(whole)), canonical_policy(whole)


def load_cedar(home: Path, config: Config) -> CedarForbids | None:
    """Return the Cedar policies of a deployment, None where it has none; raises `PolicyError` with file and place."""
    if config.cedar is None:
        return None
    path = home / config.cedar
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: the Cedar policies cannot be read ({error}); restore the file") from None
    return CedarForbids(text, str(path))


def make_detectors(files_root: str | None = None, embeddings: str = "small") -> tuple[Detector, ...]:
    """Return the detectors of every deployment; raises `PolicyError` for a root that is not absolute."""
    if files_root is not None and not files_root.startswith("/"):
        raise PolicyError(f"{FILE}: files_root: `{files_root}` is not an absolute path; write the whole path")
    root = Path(files_root) if files_root is not None else None
    words = Alignment(likeness=embeddings == "small")
    return (ParameterPatterns(), SqlAnalyser(), ShellAnalyser(), RealPaths(root), words)


def make_signals(home: Path, config: Config) -> tuple[Detector, ...]:
    """Return the models that are configured; raises `PolicyError` where one is not installed, or misnamed."""
    found: list[Detector] = []
    try:
        if config.embeddings == "minilm":
            from navicert.adapters.detect.minilm import MiniLm, find_model

            model = MiniLm(find_model())
            model.warm()
            found.append(model)
        if config.judge is not None:
            from navicert.adapters.detect.model_judge import ModelJudge

            path = home / config.judge.key_file if config.judge.key_file is not None else None
            key = path.read_text(encoding="ascii").strip() if path is not None else ""
            asked = config.judge
            found.append(ModelJudge(asked.url, asked.model, SystemIds().salt, key=key, timeout=asked.timeout_s))
    except (PolicyError, OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{home / FILE}: {error}; see docs/reference/configuration.md") from None
    return tuple(found)


def judge_files(home: Home, config: Config) -> tuple[Path, ...]:
    """Return the file of the judge's key: governed tools must not read it."""
    name = config.judge.key_file if config.judge is not None else None
    return (home.folder / name,) if name is not None else ()


def make_verifier(home: Path, config: Config) -> IdentityVerifier:
    """Return the verifier that the configuration asks for; raises `PolicyError` where a field is out of bounds."""
    if isinstance(config.identity, str):
        return DevelopmentIdentity(config.service)
    from navicert.adapters.identity.token import TokenIdentity

    try:
        return TokenIdentity(config.identity, home, config.service)
    except PolicyError as error:
        raise PolicyError(f"{home / FILE}: identity: {error}; see docs/reference/configuration.md") from None


def _examine(home: Home, config: Config) -> None:
    """Raise `IntegrityError` where the store is not the log that its own checkpoint and the anchor know."""
    if home.log_key.exists() and schema_of(home.store) >= TREES:
        ledger = Ledger(home.store, origin=config.origin, keys=read_trust(home.trust).log)
        with closing(ledger.connection):
            ledger.examine(_anchor(home, config))


def _anchor(home: Home, config: Config) -> FileAnchor | None:
    path = anchor_path(home.folder, config)
    return FileAnchor(path) if path is not None else None


def anchor_path(home: Path, config: Config) -> Path | None:
    """Return the file to which checkpoints are appended, None where none is configured."""
    return home / Path(config.anchor).expanduser() if config.anchor is not None else None


def identity_files(home: Path, config: Config) -> tuple[Path, ...]:
    """Return the files by which identities are verified: governed tools must not write them."""
    if isinstance(config.identity, str):
        return ()
    places = (config.identity.keys, config.identity.revocations)
    return tuple(home / place for place in places if place is not None and "://" not in place)


def make_resolvers() -> dict[SourceKind, Resolver]:
    """Return who asks which kind of source."""
    return {
        SourceKind.FILE: FileResolver(),
        SourceKind.HTTP: HttpResolver(),
        SourceKind.COMMAND: CommandResolver(),
    }


def fact_files(policy: PolicySet) -> tuple[Path, ...]:
    """Return the files and programs that facts come from: governed tools must not write them (R4.b)."""
    sources = [source for fact in policy.facts for source in fact.sources]
    files = [source.place for source in sources if source.kind is SourceKind.FILE]
    programs = [source.words[0] for source in sources if source.kind is SourceKind.COMMAND]
    return tuple(Path(name) for name in (*files, *programs))


def make_pseudonym(key: bytes) -> Callable[[str], str]:
    """Return the keyed pseudonym of names: 128 bits of HMAC-SHA-256, as `p-…` in hex."""

    @lru_cache(maxsize=8192)
    def pseudonym(name: str) -> str:
        return "p-" + hmac.new(key, name.encode(), hashlib.sha256).hexdigest()[:32]

    return pseudonym


def must_be_trusted(home: Home, config: Config, signer: FileKey) -> None:
    """Raise `IntegrityError` unless verifiers believe what is signed: by the trust file, or by the log's records."""
    trust, key_id = read_trust(home.trust), signer.key_id
    if trust.origin != config.origin:
        raise IntegrityError(f"{home.config}: origin `{config.origin}` is not that of the trust file, `{trust.origin}`")
    if any(item.key_id == key_id for item in trust.revoked):
        raise IntegrityError(f"{home.trust}: the signing key {key_id} was revoked; nothing that it signs now counts")
    listed = any(item.key_id == key_id for item in trust.keys)
    if not listed and all(item.key_id != key_id for item in certified(trust, (row.data for row in key_records(home)))):
        raise IntegrityError(
            f"{home.trust}: does not list the signing key {key_id}, nor does the log hand over to it; restore the file,"
            " or the key"
        )


def key_records(home: Home) -> list[LogRow]:
    """Return the `key` records of a home's log, in order; none where there is no store yet."""
    if not schema_of(home.store):
        return []
    with Archive(home.store) as archive:
        return list(archive.log(kind="key"))


def read_trust(path: Path) -> Trust:
    """Return a trust file; raises `IntegrityError` where it is missing or malformed, or its root did not sign it."""
    try:
        return believed(msgspec.json.decode(path.read_bytes(), type=Trust))
    except OSError as error:
        raise IntegrityError(f"{path}: the trust file cannot be read ({error.strerror})") from None
    except msgspec.MsgspecError as error:
        raise IntegrityError(f"{path}: not a trust file: {error}") from None


def _config_text(origin: str, service: str) -> str:
    return f"""\
# navicert configuration. Every field: docs/reference/configuration.md
origin: {origin}      # the name of this log, as verifiers will know it
service: {service}
policy: policy.yaml
identity: development   # claims on the application's word; every receipt says so
"""


def _stamp(path: Path) -> tuple[int, int, int]:
    try:
        found = path.stat()
    except OSError:
        return (0, 0, 0)
    return (found.st_ino, found.st_mtime_ns, found.st_size)


__all__ = ["HOME", "Assembled", "Home", "load_policy", "make_home", "open_home", "read_trust", "trusted"]
