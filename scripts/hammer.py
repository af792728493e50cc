"""Drive a home with several processes, kill them at random, and derive everything anew from the bytes (R5).

    scripts/hammer.py [--actions 100000] [--workers 2] [--seed N] [FOLDER]

* Each action appends a line to a file, as a real effect does; a worker is killed (SIGKILL) when it has lived for a
  random time, whatever it is doing, and another one goes on.
* Then, from the bytes alone and with code of its own: the chain, the Merkle tree over it, the store's checkpoint and
  every note of the anchor. And with the product: `audit`. No effect may lack a decision that permitted it.
* Exits with 1, and says where, at the first thing that does not hold. Run by hand; `tests/faults` runs a short form.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Final

POLICY: Final = """\
policy: hammer
version: 1
posture: declared_tools
rules: []
"""
_LONGEST_S: Final = 1.5
_BATCH: Final = 20


@dataclass
class Result:
    """What was driven, and what was found."""

    actions: int
    effects: int
    kills: int
    entries: int
    open: int
    checkpoints: int
    seconds: float


def work(folder: Path) -> None:
    """Be a worker: act until killed, or until the file `stop` is there."""
    from navicert.assemble import open_home
    from navicert.model.errors import ActionDenied
    from navicert.sdk.guard import Guard

    effects = os.open(folder / "effects", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    with Guard(open_home(folder / "home")) as guard:

        @guard.tool("note.append", effect="write", returns="INTERNAL")
        def append(text: str) -> str:
            os.write(effects, f"{text}\n".encode())
            return text

        while not (folder / "stop").exists():
            with guard.session(human="ana", agent=f"bot-{os.getpid()}", request="write notes"):
                for _ in range(_BATCH):
                    try:
                        append(os.urandom(8).hex())
                    except ActionDenied as denied:  # the store was busy: nothing ran, and the next one may
                        if denied.kind.value != "transient":
                            raise


def drive(folder: Path, *, actions: int, workers: int, seed: int) -> int:
    """Keep so many workers alive until so many effects have happened; return how many were killed."""
    chance, kills = random.Random(seed), 0  # noqa: S311 - when to kill is no secret
    running: dict[subprocess.Popen[bytes], float] = {}
    effects, shown = folder / "effects", 0.0
    while True:
        done = effects.stat().st_size // 17 if effects.exists() else 0
        if time.monotonic() - shown > 5:
            print(f"  {done} of {actions} effects, {kills} kills", flush=True)
            shown = time.monotonic()
        for worker, end in list(running.items()):
            code = worker.poll()
            if code is not None:
                raise SystemExit(f"hammer: a worker ended by itself with {code}")
            if time.monotonic() > end:
                worker.send_signal(signal.SIGKILL)
                worker.wait()
                kills += 1
                del running[worker]
        if done >= actions:
            break
        while len(running) < workers:
            worker = subprocess.Popen([sys.executable, __file__, "--work", str(folder)])
            running[worker] = time.monotonic() + 0.2 + chance.random() * _LONGEST_S
        time.sleep(0.01)
    (folder / "stop").touch()
    for worker in running:
        worker.wait()
    return kills


# ------------------------------------------------------------------------------------ everything anew, from the bytes


def check_bytes(home: Path, anchor: Path) -> tuple[int, int]:
    """Derive chain and tree from the bytes, and hold the checkpoints against them; return entries and checkpoints."""
    with closing(sqlite3.connect(f"{(home / 'store.db').as_uri()}?mode=ro", uri=True)) as store:
        log = [(seq, data) for seq, data in store.execute("SELECT seq, bytes FROM log ORDER BY seq")]
        notes = [note for (note,) in store.execute("SELECT note FROM checkpoint")]
    before, leaves = "0" * 64, []
    for place, (seq, data) in enumerate(log, 1):
        said = json.loads(data)["log"]
        if (seq, said["seq"], said["prev"]) != (place, place, before):
            raise SystemExit(f"hammer: entry {seq} is not what follows {place - 1}")
        before = sha256(data).hexdigest()
        leaves.append(sha256(b"\0" + data).digest())
    sizes = []
    chunks = anchor.read_text(encoding="utf-8").split("\n\n")
    bodies = [chunk for chunk in chunks if chunk and not chunk.startswith("—")]
    for body in [*bodies, *(note.split("\n\n")[0] for note in notes)]:
        _, size, root = body.split("\n")[:3]
        if int(size) > len(leaves) or tree(leaves[: int(size)]) != b64decode(root):
            raise SystemExit(f"hammer: the checkpoint of {size} entries is not of this log")
        sizes.append(int(size))
    if sizes[: len(bodies)] != sorted(sizes[: len(bodies)]) or max(sizes) != len(leaves):
        raise SystemExit(f"hammer: checkpoints of {sizes[-3:]} entries, and there are {len(leaves)}")
    return len(log), len(bodies)


def tree(leaves: list[bytes]) -> bytes:
    """The root, level by level (RFC 6962, with the odd one carried up)."""
    level = leaves
    while len(level) > 1:
        pairs = [sha256(b"\1" + level[at] + level[at + 1]).digest() for at in range(0, len(level) - 1, 2)]
        level = pairs + level[len(level) & ~1 :]
    return level[0]


def check_effects(folder: Path) -> tuple[int, int, int]:
    """Every effect was permitted, and the product's own audit holds; return actions, effects, open actions."""
    from navicert.assemble import Home
    from navicert.audit import audit, open_archive

    found = audit(folder / "home")
    permitted = set()
    with open_archive(Home(folder / "home")) as archive:
        for row in archive.log(kind="decision"):
            if json.loads(row.data)["decision"]["result"] == "ALLOW":
                permitted.add(archive.disclosed(row)["/action/parameters"]["text"])  # type: ignore[call-overload, index]
    effects = (folder / "effects").read_text(encoding="ascii").split()
    strange = [text for text in effects if text not in permitted]
    if strange or len(set(effects)) != len(effects):
        raise SystemExit(f"hammer: {len(strange)} effects without a decision, {len(effects) - len(set(effects))} twice")
    return found.log.kinds["decision"], len(effects), len(found.log.open)


def hammer(folder: Path, *, actions: int, workers: int, seed: int) -> Result:
    """Do all of it in a new folder; raises `SystemExit` at the first thing that does not hold."""
    from navicert.assemble import make_home

    begun = time.monotonic()
    home = make_home(folder / "home", origin="hammer", service="hammer", policy=POLICY, anchors=folder / "anchors")
    kills = drive(folder, actions=actions, workers=workers, seed=seed)
    (anchor,) = (folder / "anchors").iterdir()
    entries, checkpoints = check_bytes(home.folder.absolute(), anchor)
    judged, effects, still_open = check_effects(folder)
    return Result(judged, effects, kills, entries, still_open, checkpoints, time.monotonic() - begun)


def main() -> None:
    """Read the arguments, and go."""
    parser = argparse.ArgumentParser(description="Drive a home, kill what drives it, derive everything anew.")
    parser.add_argument("folder", nargs="?", type=Path)
    parser.add_argument("--actions", type=int, default=100_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work is not None:
        work(given.work)
        return
    with tempfile.TemporaryDirectory() as spare:
        print(hammer(given.folder or Path(spare), actions=given.actions, workers=given.workers, seed=given.seed))


if __name__ == "__main__":
    main()
