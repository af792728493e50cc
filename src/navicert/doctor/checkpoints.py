"""Who else could tell that the log was cut or made anew: checkpoints, the anchor, the witnesses (R5)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from typing import TYPE_CHECKING

from navicert.config import Config
from navicert.doctor.findings import Finding
from navicert.model.errors import IntegrityError, NavicertError

if TYPE_CHECKING:
    from navicert.assemble import Home


def root_check(home: Home, config: Config) -> Iterator[Finding]:
    """Whether the key on which everything hangs lies where the engine runs."""
    from navicert.assemble import read_trust

    del config
    trust, do = read_trust(home.trust), "`navicert key root --to FILE`, on a medium that you take out"
    if trust.root is None:
        what = "the trust file has no root, so that its fingerprint changes with every key"
        yield Finding("root", "warning", what, str(home.trust), do)
    elif any(home.keys.glob("root.*")):  # also where its move broke off
        yield Finding(
            "root", "note", "the root key lies in the home: who has that has everything", str(home.root_key), do
        )
    else:
        yield Finding("root", "ok", "the root key is away", str(home.keys))


def checkpoint_check(home: Home, config: Config) -> Iterator[Finding]:
    """Whether checkpoints are made, and whether the log holds the newest one."""
    from navicert.adapters.store.archive import Archive
    from navicert.adapters.store.notary import Ledger
    from navicert.assemble import read_trust

    at = str(home.store)
    if not home.log_key.exists():
        what = "no checkpoints are made, so that a log cut off at its end does not show"
        yield Finding("checkpoint", "warning", what, str(home.log_key), "`navicert key root --to FILE` makes the keys")
        return
    if not home.store.exists():
        return
    with Archive(home.store) as archive:
        found, entries = archive.checkpoint(), archive.head()[0]
    if found is None:
        yield Finding("checkpoint", "note", "there is none yet: the next engine makes it", at)
        return
    ledger = Ledger(home.store, origin=config.origin, keys=read_trust(home.trust).log)
    with closing(ledger.connection):
        ledger.examine(None)
    yield Finding("checkpoint", "ok", f"the newest covers {found.size} of {entries} entries", at)


def anchor_check(home: Home, config: Config) -> Iterator[Finding]:
    """Whether somebody else keeps checkpoints, and whether the log is the one that they know."""
    from navicert.adapters.anchor.file import FileAnchor
    from navicert.adapters.store.notary import Ledger
    from navicert.adapters.store.readonly import schema_of
    from navicert.adapters.store.schema import TREES
    from navicert.assemble import anchor_path, read_trust

    path = anchor_path(home.folder, config)
    if path is None:
        what = "checkpoints stay in the home: whoever has the folder and its keys can cut the log's end off"
        yield Finding("anchor", "warning", what, str(home.config), "name a file elsewhere as `anchor`")
        return
    place, folder = str(path), path.parent
    if not folder.is_dir() or not os.access(path if path.exists() else folder, os.W_OK):
        yield Finding(
            "anchor", "error", "no checkpoint can be added to it", place, "make the folder, and let us append"
        )
        return
    if schema_of(home.store) >= TREES and home.log_key.exists():
        ledger = Ledger(home.store, origin=config.origin, keys=read_trust(home.trust).log)
        with closing(ledger.connection):
            try:
                ledger.examine(FileAnchor(path))
            except IntegrityError as error:
                yield Finding("anchor", "error", str(error), place, "find out what happened before anything is written")
                return
    if path.exists() and path.stat().st_uid == os.getuid():
        what = "it holds what the log says; it is this user's own, so it helps against accidents, not against this user"
        yield Finding("anchor", "note", what, place, "let it belong to somebody else, appended to alone (`chattr +a`)")
    else:
        yield Finding("anchor", "ok", "the log holds what it says", place)


def witness_check(home: Home, config: Config) -> Iterator[Finding]:
    """Whether witnesses are asked whose word counts, and whether a rule waits for them."""
    from navicert.adapters.store.archive import Archive
    from navicert.assemble import load_policy, read_trust

    trust = read_trust(home.trust)
    counted = bool(trust.quorum and trust.witnesses)
    try:
        rules = [rule.id for rule in load_policy(home.folder / config.policy)[0].policy.rules if rule.require_witnessed]
    except NavicertError:
        rules = []  # the policy's own check says so
    at = str(home.config)
    if config.witnesses and not counted:
        what = "witnesses are asked, and the trust file says of none that its word counts"
        yield Finding("witness", "warning", what, str(home.trust), "`navicert key trust-witness VKEY --operator NAME`")
    elif counted and not config.witnesses:
        what = "the trust file counts on witnesses, and none is asked"
        yield Finding("witness", "warning", what, at, "list their addresses under `witnesses`")
    elif counted and home.store.exists():
        with Archive(home.store) as archive:
            found, entries = archive.checkpoint(cosigned=True), archive.head()[0]
        if found is not None and found.size > entries:
            what = f"a quorum has cosigned {found.size} entries, and the store holds {entries}: it was cut"
            yield Finding("witness", "error", what, at, "find out what happened before anything is written")
        elif found is not None:
            yield Finding("witness", "ok", f"a quorum has cosigned {found.size} of {entries} entries", at)
        else:
            yield Finding("witness", "warning", "no quorum has cosigned anything yet", at, "see whether they answer")
    if rules and not (counted and config.witnesses):
        what = (
            f"`{rules[0]}` waits for witnesses (`require_witnessed`), and there are none: what it permits never starts"
        )
        yield Finding("witness", "error", what, at, "run a witness (docs/how-to/run-a-witness.md), or change the rule")
