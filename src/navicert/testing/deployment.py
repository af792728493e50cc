"""A guard over a real store, with ports of one's own choice: wired as `assemble` does it, for tests.

Every port is given as a function of the real one, so that a test can wrap it, or ignore it and bring another.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from navicert.adapters.contents.files import FileDigests
from navicert.adapters.detect.patterns import PatternClassifier
from navicert.adapters.detect.protected import ProtectedResources
from navicert.adapters.disclose.subject_keys import SubjectKeys
from navicert.adapters.identity.development import DevelopmentIdentity
from navicert.adapters.secret_file import read_secret
from navicert.adapters.sign.file_key import load_key
from navicert.adapters.store.sqlite import SqliteJournal
from navicert.adapters.store.vault import Vault
from navicert.adapters.system import SystemClock, SystemIds
from navicert.assemble import (
    STARTER_POLICY,
    Assembled,
    Home,
    fact_files,
    load_policy,
    make_detectors,
    make_home,
    make_pseudonym,
    make_resolvers,
)
from navicert.config import read_config
from navicert.core.draft import Scribe
from navicert.engine.engine import Engine
from navicert.engine.workings import Ports, Settings
from navicert.model.policy import SourceKind
from navicert.ports import (
    Classifier,
    Clock,
    Detector,
    DisclosureKeys,
    IdentityVerifier,
    Ids,
    Journal,
    Notifier,
    Resolver,
    Signer,
)
from navicert.sdk.guard import Guard


class Bench(Guard):
    """A guard whose parts can be reached: `home`, `engine`, `journal` as the engine sees it, and the real `store`."""

    engine: Engine

    def __init__(self, assembled: Any, home: Home, journal: Journal, store: SqliteJournal) -> None:
        super().__init__(assembled)
        self.home = home
        self.journal = journal
        self.store = store


class _Assembled(Assembled):
    """What `Guard` needs of an assembly, made of the given parts."""

    def __init__(self, engine: Engine, ids: Ids, policy_path: Path, protected: ProtectedResources) -> None:
        self.engine = engine
        self._protected = protected
        self.ids = ids  # type: ignore[assignment]  # any Ids will do
        self._policy_path = policy_path
        self._stamp = _now(policy_path)


def _now(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return (found.st_ino, found.st_mtime_ns, found.st_size)


def _same(real: Any) -> Any:
    return real


def open_bench(  # noqa: PLR0913 - one argument per port
    folder: Path,
    policy: str | None = None,
    *,
    clock: Callable[[Clock], Clock] = _same,
    ids: Callable[[Ids], Ids] = _same,
    signer: Callable[[Signer], Signer] = _same,
    keys: Callable[[DisclosureKeys], DisclosureKeys] = _same,
    journal: Callable[[Journal], Journal] = _same,
    verifier: Callable[[IdentityVerifier], IdentityVerifier] = _same,
    detectors: Callable[[tuple[Detector, ...]], tuple[Detector, ...]] = _same,
    classifiers: Callable[[tuple[Classifier, ...]], tuple[Classifier, ...]] = _same,
    resolvers: Callable[[dict[SourceKind, Resolver]], dict[SourceKind, Resolver]] = _same,
    notifier: Notifier | None = None,
    commit_s: float = 5.0,
    measure_s: float = 2.0,
    permit_s: float = 300.0,
    in_band_s: float = 0.0,
) -> Bench:
    """Open the home in `folder` (made with `policy` where there is none), each port as its function returns it."""
    home = Home(folder)
    if not home.config.exists():
        home = make_home(folder, origin="bench", service="bench", policy=STARTER_POLICY if policy is None else policy)
    config = read_config(folder)
    path = folder / config.policy
    compiled, data = load_policy(path)
    a_clock = clock(SystemClock())
    some_ids = ids(SystemIds())
    store = SqliteJournal(
        home.store,
        origin=config.origin,
        vault=Vault(read_secret(home.store_key)),
        keys=keys(SubjectKeys(home.subjects)),
        signer=signer(load_key(home.receipt_key)),
        clock=a_clock,
    )
    a_journal = journal(store)
    pseudonym = make_pseudonym(read_secret(home.pseudonym_key))
    protected = ProtectedResources((home.folder,))
    protected.also(fact_files(compiled.policy))
    engine = Engine(
        Ports(
            journal=a_journal,
            clock=a_clock,
            ids=some_ids,
            verifier=verifier(DevelopmentIdentity(config.service)),
            detectors=detectors((protected, *make_detectors())),
            classifiers=classifiers((PatternClassifier(),)),
            resolvers=resolvers(make_resolvers()),
            contents=FileDigests(),
            notifier=notifier,
        ),
        policy=compiled,
        policy_bytes=data,
        settings=Settings(
            issuer=some_ids.new("eng"),
            scribe=Scribe(pseudonym=pseudonym, salt=some_ids.salt, separation="none"),
            commit_s=commit_s,
            measure_s=measure_s,
            permit_s=permit_s,
            in_band_s=in_band_s,
        ),
    )
    return Bench(_Assembled(engine, some_ids, path, protected), home, a_journal, store)
