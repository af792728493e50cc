"""The checks of `navicert doctor` on a home: codes are stable (docs/reference/cli.md), and nothing is changed."""

from __future__ import annotations

import fcntl
import os
import sqlite3
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Final

from navicert.config import shown_path
from navicert.doctor.findings import Finding
from navicert.model.errors import NavicertError

if TYPE_CHECKING:
    from navicert.adapters.store.archive import Archive
    from navicert.assemble import Home
    from navicert.config import Config

WHOLE: Final = 5_000
"""Up to so many entries the whole log is verified here; of a longer one the newest."""
NEWEST: Final = 100
OLDEST_SQLITE: Final = (3, 37, 0)


def run_checks(home: Home, config: Config) -> list[Finding]:
    """Return every finding, in the order of the checks; a check that fails itself is an error, not silence."""
    from navicert.doctor.canaries import canary_check
    from navicert.doctor.checkpoints import anchor_check, checkpoint_check, root_check, witness_check
    from navicert.doctor.people import approvers_check, notify_check, sources_check, supervisors_check

    found: list[Finding] = []
    checks: tuple[tuple[str, Callable[[Home, Config], Iterator[Finding]]], ...] = (
        ("platform", _platform), ("files", _files), ("policy", _policy), ("trust", _trust), ("store", _store),
        ("separation", _separation), ("workspace", _workspace), ("identity", _identity),
        ("approvers", approvers_check), ("supervisors", supervisors_check), ("sources", sources_check),
        ("notify", notify_check), ("root", root_check), ("checkpoint", checkpoint_check), ("anchor", anchor_check),
        ("witness", witness_check), ("canary", canary_check),
    )  # fmt: skip
    for code, check in checks:
        try:
            found += check(home, config)
        except (NavicertError, OSError, sqlite3.Error) as error:
            found.append(Finding(code, "error", str(error), str(home.folder), "mend this first, and run doctor again"))
    return found


def _platform(home: Home, config: Config) -> Iterator[Finding]:
    del config
    python = ".".join(map(str, sys.version_info[:3]))
    versions = f"Python {python}, SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info < OLDEST_SQLITE:
        wanted = ".".join(map(str, OLDEST_SQLITE))
        yield Finding("versions", "error", f"{versions}: too old", sys.executable, f"use a Python with SQLite {wanted}")
    else:
        yield Finding("versions", "ok", versions, sys.executable)
    if not os.access(home.folder, os.W_OK):
        yield Finding("locks", "note", "not tried: this user cannot write to the home", str(home.folder))
        return
    with tempfile.NamedTemporaryFile(dir=home.folder, prefix=".doctor-") as file, open(file.name, "rb") as second:  # noqa: PTH123 - a descriptor of its own
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            fcntl.flock(second, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.write(b"navicert")
            file.flush()
            os.fsync(file.fileno())
            yield Finding("locks", "ok", "file locks hold, and files can be made durable", str(home.folder))
        else:
            what = "file locks do not hold here: two engines would write at once"
            yield Finding("locks", "error", what, str(home.folder), "put the home on a local file system")


def _files(home: Home, config: Config) -> Iterator[Finding]:
    del config
    folders = [home.folder, home.keys, home.subjects]
    secrets = [home.receipt_key, home.store_key, home.pseudonym_key, home.store]
    secrets += sorted(home.keys.glob("*.pem")) + sorted(home.subjects.glob("*.key"))
    bad = 0
    for path, wanted in [*((each, 0o700) for each in folders), *((each, 0o600) for each in dict.fromkeys(secrets))]:
        if not path.exists():
            if path not in {home.store, home.subjects}:
                bad += 1
                what = f"{shown_path(path)} is missing"
                yield Finding("keys", "error", what, str(path), "restore it from your backup; without it nothing runs")
            continue
        mode = stat.S_IMODE(path.stat().st_mode)
        if mode & 0o077:
            bad += 1
            what = f"{shown_path(path)} has mode {mode:04o}: other users of this machine can reach it"
            yield Finding("modes", "error", what, str(path), f"chmod {wanted:o} {shown_path(path)}")
        if path.stat().st_uid != home.folder.stat().st_uid:
            bad += 1
            what = f"{shown_path(path)} belongs to another user than the home"
            yield Finding("owner", "error", what, str(path), "chown it to the user that the engine runs as")
    if not bad:
        yield Finding("modes", "ok", "home 0700, keys 0600, one owner", str(home.folder))


def _policy(home: Home, config: Config) -> Iterator[Finding]:
    from navicert.assemble import load_cedar, load_policy
    from navicert.core.builtin import PREFIX

    path = home.folder / config.policy
    try:
        compiled, _ = load_policy(path, load_cedar(home.folder, config))
    except NavicertError as error:
        yield Finding("policy", "error", str(error), str(path), "mend the file; until then the last good one stays")
        return
    policy = compiled.policy
    rules = sum(not rule.id.startswith(PREFIX) for rule in policy.rules)
    what = f"{policy.policy} version {policy.version} loads: {rules} rules, posture {policy.posture.value}"
    yield Finding("policy", "ok", what, str(path))


def _trust(home: Home, config: Config) -> Iterator[Finding]:
    from navicert.adapters.sign.file_key import load_key
    from navicert.assemble import read_trust

    key, trust = load_key(home.receipt_key), read_trust(home.trust)
    listed = [item for item in trust.keys if item.key_id == key.key_id]
    if not listed or listed[0].until is not None:
        what = f"the trust file does not list {key.key_id}, which signs now"
        yield Finding("trust", "error", what, str(home.trust), "finish with `navicert key rotate`, or restore the file")
    elif trust.origin != config.origin:
        what = f"the trust file is for the log `{trust.origin}`, the configuration says `{config.origin}`"
        yield Finding("trust", "error", what, str(home.trust), "an origin never changes; restore the one it had")
    else:
        yield Finding("trust", "ok", f"lists {key.key_id}, which signs", str(home.trust))


def _store(home: Home, config: Config) -> Iterator[Finding]:
    from navicert.audit import open_archive

    del config
    at = str(home.store)
    if not home.store.exists():
        yield Finding("store", "note", "there is none yet: the first guard that is opened makes it", at)
        return
    with open_archive(home) as archive:
        connection = sqlite3.connect(f"{home.store.as_uri()}?mode=ro", uri=True)
        try:
            (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        finally:
            connection.close()
        if mode == "wal":
            yield Finding("store", "ok", "opens, its schema is known, write-ahead log on", at)
        else:
            yield Finding(
                "store", "error", f"its journal mode is {mode}, not wal", at, "restore the store from a backup"
            )
        yield _log(home, archive)
        still_open = len(archive.open_actions())
        if still_open:
            what = f"{still_open} open: permitted, and nobody has reported what came of it; running ones count"
            yield Finding("open", "note", what, at, "`navicert status` lists them, `navicert settle` closes them")


def _log(home: Home, archive: Archive) -> Finding:
    from navicert.assemble import read_trust
    from navicert.core.digest import bytes_digest
    from navicert.verification.keyring import Keyring
    from navicert.verification.log import LogVerifier, parsed

    trust, (entries, _) = read_trust(home.trust), archive.head()
    try:
        if entries <= WHOLE:
            verifier = LogVerifier(trust)
            for row in archive.log():
                if row.data:
                    verifier.add(row.data)
                else:
                    verifier.skip()
            verifier.finish()
            return Finding("log", "ok", f"all {entries} entries verify", str(home.store))
        keyring, before = Keyring(trust), None
        for row in archive.log(after=entries - NEWEST):
            if not row.data:
                before = None
                continue
            place = f"entry {row.seq}"
            receipt = parsed(row.data, place)
            keyring.check(receipt, row.data, place)
            if before is not None and receipt.log.prev != before:
                return Finding("log", "error", f"{place}: the chain is broken", str(home.store), "`navicert verify`")
            before = bytes_digest(row.data)
    except NavicertError as error:
        return Finding(
            "log", "error", str(error), str(home.store), "stop writing to it, keep a copy, `navicert verify`"
        )
    return Finding(
        "log", "ok", f"the newest {NEWEST} of {entries} entries verify; `navicert verify` takes all", str(home.store)
    )


def _separation(home: Home, config: Config) -> Iterator[Finding]:
    targets = [home.folder, home.folder / config.policy, home.keys, home.receipt_key, home.store]
    writable = [path.name for path in targets if path.exists() and os.access(path, os.W_OK)]
    if not writable:
        yield Finding("separation", "ok", "this user can change neither policy nor keys nor log", str(home.folder))
        return
    user = "root" if os.geteuid() == 0 else "this user"
    what = (
        f"separation is none: {user} can write {', '.join(writable)}. An agent that runs code as the same user can "
        "change the policy, sign receipts and rewrite the log without asking; tools that only take arguments cannot"
    )
    do = "give the engine a user, container or host of its own, and look from the agent's side with `doctor --as-agent`"
    yield Finding("separation", "warning", what, str(home.folder), do)


def _workspace(home: Home, config: Config) -> Iterator[Finding]:
    del config
    here = Path.cwd().resolve()
    if home.folder.resolve().is_relative_to(here):
        what = (
            f"the home lies inside {here}, where you are: if that is an agent's workspace, tools that write there come "
            "near it. The built-in rule refuses what names it; it cannot see what a program does by itself"
        )
        do = "move the home out of what agents may write, and name it: navicert.open(path), navicert --home PATH"
        yield Finding("workspace", "warning", what, str(home.folder), do)
    else:
        yield Finding("workspace", "ok", "the home lies outside of the folder that you are in", str(home.folder))


def _identity(home: Home, config: Config) -> Iterator[Finding]:
    at = str(home.config)
    if isinstance(config.identity, str):
        what = "identity is development: human and agent are what the application says, and every receipt says so"
        yield Finding("identity", "warning", what, at, "for one machine and one developer; it proves nothing to others")
    else:
        yield Finding("identity", "ok", f"identity is verified: tokens of {config.identity.issuer}", at)


__all__ = ["Finding", "run_checks"]
