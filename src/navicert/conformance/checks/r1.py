"""R1: interception before execution (R1-1 to R1-3, R1.a to R1.e)."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import Any, Final

from navicert.conformance import stranger as strange
from navicert.conformance.policies import WORLD, policy
from navicert.conformance.trial import Trial, check

SOURCES: Final = {
    "up": "echo open",
    "fails": "echo open; exit 1",
    "hangs": "sleep 600",
    "talks": "head -c 300 /dev/urandom",
    "contradicts": "echo closed",
    "gone": "",
}
"""Programs that say whether a window is open, in the world's folder; the last one is not there."""
PLACES = policy(
    "".join(
        f"""
  - id: unless-{name}
    match: {{tool: kit.net, operation: post, destination: {name}, context: {{facts: {{{name}: {{ne: open}}}}}}}}
    decision: DEFER
    timeout: 2s
    priority: 10
  - {{id: with-{name}, match: {{tool: kit.net, operation: post, destination: {name}}}, decision: ALLOW}}"""
        for name in SOURCES
    )
    + f"""
  - id: forbidden-folder
    match: {{tool: kit.files, operation: write, resource: {{under: [forbidden]}}}}
    decision: DENY
    reason: nothing is written there
    priority: 10
  - id: later-folder
    match: {{tool: kit.files, operation: write, resource: {{under: [later]}}}}
    decision: DEFER
    reason: it is not known yet whether this may be written
    timeout: 2m
    priority: 10
  - {{id: writing, match: {{tool: kit.files, operation: write}}, decision: ALLOW}}
  - {{id: no-removal, match: {{tool: kit.files, operation: remove, resource: keep.txt}}, decision: DENY, priority: 10}}
  - {{id: removing, match: {{tool: kit.files, operation: remove}}, decision: ALLOW}}
  - {{id: no-mail, match: {{tool: kit.mail, operation: send, destination: {{ends_with: '@closed.example'}}}},
     decision: DENY, priority: 10}}
  - {{id: mailing, match: {{tool: kit.mail, operation: send}}, decision: ALLOW}}
  - {{id: no-change, match: {{tool: kit.db, operation: execute, parameters: {{sql: {{contains: 'id = 7'}}}}}},
     decision: DENY, priority: 10}}
  - {{id: changing, match: {{tool: kit.db, operation: execute}}, decision: ALLOW}}
  - {{id: no-post, match: {{tool: kit.net, operation: post, destination: closed}}, decision: DENY, priority: 10}}
  - {{id: posting, match: {{tool: kit.net, operation: post, destination: open}}, decision: ALLOW}}
  - {{id: no-payment, match: {{tool: kit.bank, operation: pay, destination: closed}}, decision: DENY, priority: 10}}
  - {{id: paying, match: {{tool: kit.bank, operation: pay}}, decision: ALLOW}}
  - id: vault
    match: {{tool: kit.slow, operation: write, signals: {{path_real: {{under: ['{WORLD}/files/vault']}}}}}}
    decision: DENY
    priority: 10
  - {{id: slowly, match: {{tool: kit.slow, operation: write}}, decision: ALLOW}}
""",
    top="facts:\n"
    + "".join(f"  {name}: {{command: ['{WORLD}/{name}'], attempts: 3, every: 1s, within: 1s}}\n" for name in SOURCES),
).replace("kit.slow.write: {", "kit.slow.write: {categories: [files], ")
IN_TIME_S: Final = 10.0
LOOKS: Final = 4
AGENT: Final = 65_533
"""A user of this machine whom nobody has named."""
STRANGER: Final = str(Path(strange.__file__))
ONE_PROCESS: Final = "agent and engine share a process and a user: code of the agent's own is not held here"


@check("R1-1", serves=("R1.a", "R1.d"), twins=("denials_run", "effects_first"), policy=PLACES)
def denied(t: Trial) -> None:
    """An action that matches a DENY policy does not execute, and its denial is recorded."""
    session, allowed, value = t.session(), t.drawn(), t.drawn()
    t.expect(
        "the like that is permitted runs", "ran", t.call(session, "files.write", path="a.txt", text=allowed).outcome
    )
    t.expect_seen(allowed, "file:a.txt")
    got = t.call(session, "files.write", path=f"forbidden/{value}.txt", text=value)
    t.expect("it is refused", "denied", got.outcome)
    t.expect_seen(value)
    record = t.record(got)
    t.expect("the record says DENY, by the rule", ["DENY", ["forbidden-folder"]], [record.verdict, list(record.rules)])
    t.expect("and why", "nothing is written there", record.reason)


@check("R1-2", serves=("R1.b", "R1.d"), twins=("effects_first", "waits_run"), policy=PLACES)
def deferred(t: Trial) -> None:
    """An action that matches a DEFER condition is suspended without effect, and its deferral is recorded."""
    session, allowed, value = t.session(), t.drawn(), t.drawn()
    path = f"now/{allowed}"
    t.expect("the like that is permitted runs", "ran", t.call(session, "files.write", path=path, text=allowed).outcome)
    t.expect_seen(allowed, f"file:{path}")
    got = t.call(session, "files.write", path=f"later/{value}", text=value)
    t.expect("it is held", ["waits", True], [got.outcome, bool(got.handle)])
    t.expect_seen(value)
    again = t.resume(got)
    t.expect("taken up before anything is resolved, it is held still", "waits", again.outcome)
    t.expect_seen(value)
    record = t.record(got)
    t.expect("the record says DEFER, by the rule", ["DEFER", ["later-folder"]], [record.verdict, list(record.rules)])
    t.expect("and why", "it is not known yet whether this may be written", record.reason)
    t.expect("it names what waits, and until when", [got.handle, True], [record.handle, bool(record.deadline)])
    t.expect("nothing else is recorded of it", ["decision"], [each.kind for each in t.records(got)])


def _fails(t: Trial, *kinds: str) -> None:
    """Break every part of these kinds in every way that there is; each time what is permitted must fail, in time."""
    session = t.session()
    before = t.drawn()
    got = t.call(session, "files.write", path=f"before/{before}", text=before)
    t.expect("before, it runs", "ran", got.outcome)
    t.expect_seen(before, f"file:before/{before}")
    for part in t.parts(*kinds):
        value = t.drawn()
        with t.broken(part):
            began = monotonic()
            got = t.call(session, "files.write", path=f"broken/{value}", text=value)
            seconds = monotonic() - began
            t.expect(f"with `{part}`, it fails", "denied", got.outcome)
            t.expect(f"within {IN_TIME_S:g} seconds", expected=True, actual=seconds < IN_TIME_S)
            t.expect_seen(value)
        after = t.drawn()
        got = t.call(session, "files.write", path=f"after/{after}", text=after)
        t.expect("put right again, the like runs", "ran", got.outcome)
        t.expect_seen(after, f"file:after/{after}")
        t.expect_seen(value)


@check("R1-3", serves=("R1.c", "R1.e"), twins=("fails_open",), policy=PLACES)
def unavailable(t: Trial) -> None:
    """While the process that decides, or the one in the way, is gone, hangs or talks nonsense, the action fails."""
    _fails(t, "engine", "owner", "gateway")


@check("R1.c/store", serves=("R1.c",), twins=("fails_open",), policy=PLACES)
def no_store(t: Trial) -> None:
    """Without a store that can be written, nothing runs: gone, full, locked by another, or overwritten."""
    _fails(t, "store")


@check("R1.c/log", serves=("R1.c",), twins=("fails_open",), policy=PLACES)
def no_log(t: Trial) -> None:
    """Where the log is not the one that others know, or cannot be signed, nothing runs."""
    _fails(t, "log", "keys")


@check("R1.c/identity", serves=("R1.c",), twins=("fails_open",), policy=PLACES)
def no_identity(t: Trial) -> None:
    """Without the issuer's keys, or a fresh revocation list, nothing runs."""
    _fails(t, "identity")


@check("R1.c/rules", serves=("R1.c",), twins=("fails_open",), policy=PLACES)
def no_rules(t: Trial) -> None:
    """Whoever starts without a policy that can be read permits nothing."""
    _fails(t, "rules")


@check("R1.c/sources", serves=("R1.c",), twins=("waits_run",), policy=PLACES)
def no_sources(t: Trial) -> None:
    """Where a source of facts is gone, fails, hangs, or talks nonsense, what rests on it does not run."""
    for name, script in SOURCES.items():
        if script:
            program = t.world.folder / name
            program.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
            program.chmod(0o755)
    session, values = t.session(), {name: t.drawn() for name in SOURCES}
    held = {name: t.call(session, "net.post", to=name, body=value) for name, value in values.items()}
    t.expect("all are held", dict.fromkeys(SOURCES, "waits"), {name: got.outcome for name, got in held.items()})
    for value in values.values():
        t.expect_seen(value)
    t.expect("with a source that answers, it runs", "ran", t.resume_until(held.pop("up"), "ran", 3).outcome)
    t.expect_seen(values.pop("up"), "net")
    for name, got in held.items():
        t.expect(f"with one that is `{name}`, it is refused", "denied", t.resume_until(got, "denied", 3).outcome)
    for value in values.values():
        t.expect_seen(value)


@check("R1.c/detectors", serves=("R1.c",), twins=("waits_run",), policy=PLACES)
def no_detector(t: Trial) -> None:
    """Where a detector that a rule rests on cannot look, the action does not run."""
    session, plain, linked, unseen = t.session(), t.drawn(), t.drawn(), t.drawn()
    vault = t.world.files / "vault"
    vault.mkdir()
    (t.world.files / linked).symlink_to(vault / "taken.txt")
    places = {plain: plain, linked: linked, unseen: f"${unseen}"}
    got = {
        value: t.call(session, "slow.write", path=str(t.world.files / name), text=value, seconds=0).outcome
        for value, name in places.items()
    }
    t.expect("where it can look, and finds nothing, it runs", "ran", got[plain])
    t.expect("where it can look, and finds the vault, it is refused", "denied", got[linked])
    t.expect("where it cannot, it does not run", expected=True, actual=got[unseen] in {"denied", "waits"})
    t.expect_seen(plain, f"file:{plain}")
    t.expect("the vault is empty", [], [each.name for each in vault.iterdir()])
    t.expect_seen(unseen)


@check("R1.c/edit", serves=("R1.c",), twins=("bad_policy_is_none",), policy=PLACES)
def bad_edit(t: Trial) -> None:
    """While the policy is edited into something that cannot be read, or is gone, what it denied stays denied."""
    session = t.session()
    for part in t.parts("edit"):
        allowed, values = t.drawn(), [t.drawn() for _ in range(LOOKS)]
        with t.broken(part):
            for value in values:  # it is looked at every second: before and behind that, it is the same
                got = t.call(session, "files.write", path=f"forbidden/{value}", text=value)
                t.expect("it is refused", "denied", got.outcome)
                t.expect_seen(value)
                t.expect("by the rule", ["forbidden-folder"], [*t.record(got).rules])
                t.eventually(lambda: False, 1.5 / LOOKS)
        got = t.call(session, "files.write", path=allowed, text=allowed)
        t.expect("put right again, what is permitted runs", "ran", got.outcome)
        t.expect_seen(allowed, f"file:{allowed}")


@check("R1.a/everywhere", serves=("R1.a",), twins=("denials_run", "effects_first"), policy=PLACES)
def everywhere(t: Trial) -> None:
    """What is denied has no effect on any target: files, mail, a database, the net, a bank."""
    session = t.session()
    keep = t.drawn()
    t.world.put("keep.txt", keep)

    def calls(value: str, *, closed: bool) -> list[tuple[str, dict[str, Any], str]]:
        to = "closed" if closed else "open"
        row = 7 if closed else 8
        return [
            ("files.write", {"path": f"{'forbidden' if closed else 'open'}/{value}", "text": value}, "file"),
            ("mail.send", {"to": f"ann@{to}.example", "subject": "news", "body": value}, "mail"),
            ("db.execute", {"sql": f"UPDATE items SET value = '{value}' WHERE id = {row}"}, f"row:{row}"),  # noqa: S608 - for the tool
            ("net.post", {"to": to, "body": value}, "net"),
            ("bank.pay", {"account": to, "amount": 5, "memo": value}, "net"),
        ]

    for tool, parameters, _ in calls(value := t.drawn(), closed=True):
        t.expect(f"`{tool}` is refused", "denied", t.call(session, tool, **parameters).outcome)
    t.expect("so is a removal", "denied", t.call(session, "files.remove", path="keep.txt").outcome)
    t.expect_seen(value)
    t.expect_seen(keep, "file:keep.txt")
    for tool, parameters, where in calls(value := t.drawn(), closed=False):
        t.expect(f"`{tool}`, permitted, runs", "ran", t.call(session, tool, **parameters).outcome)
        t.expect("and arrives", expected=True, actual=any(place.startswith(where) for place in t.world.seen(value)))


@check("R1.d/default", serves=("R1.d",), twins=("denials_unrecorded", "denials_run"), policy=PLACES)
def by_default(t: Trial) -> None:
    """What no rule permits is refused, and recorded with the policy that was in force, and why."""
    session, allowed, value = t.session(), t.drawn(), t.drawn()
    done = t.call(session, "net.post", to="open", body=allowed)
    t.expect("the like that a rule permits runs", "ran", done.outcome)
    t.expect_seen(allowed, "net")
    got = t.call(session, "net.post", to=f"nowhere-{value}", body=value)
    t.expect("it is refused", "denied", got.outcome)
    t.expect_seen(value)
    record = t.record(got)
    t.expect("the record says DENY, by no rule", ["DENY", []], [record.verdict, list(record.rules)])
    t.expect("and why", expected=True, actual=bool(record.reason and record.reason_code))
    permitted = t.record(done)
    t.expect("under the policy in force", ["kit", permitted.policy_hash], [record.policy_id, record.policy_hash])


def _refused(t: Trial, way: str, *, by: str = "") -> None:
    session, value, probed = t.session(), t.drawn(), t.drawn()
    got = t.call(session, "files.write", path=f"own/{value}", text=value)
    t.expect("in its own session, it runs", "ran", got.outcome)
    t.expect_seen(value, f"file:own/{value}")
    got = t.probe(way, session, "files.write", by=by, path=f"probe/{probed}", text=probed)
    t.expect(f"by `{way}`, it is refused", "denied", got.outcome)
    t.expect_seen(probed)


@check("R1.e/nobody", serves=("R1.e",), twins=("anybody_acts",), policy=PLACES)
def nobody(t: Trial) -> None:
    """Whoever shows neither a session nor a token gets nothing done."""
    _refused(t, "session:none")


@check("R1.e/meanwhile", serves=("R1.c", "R1.e"), twins=("anybody_acts",), policy=PLACES)
def meanwhile(t: Trial) -> None:
    """While who decides is gone, whoever comes anew, and shows nothing, gets nothing done."""
    part = t.parts("engine", "owner")[0]
    session, value, probed, after = t.session(), t.drawn(), t.drawn(), t.drawn()
    got = t.call(session, "files.write", path=f"before/{value}", text=value)
    t.expect("before, it runs", "ran", got.outcome)
    with t.broken(part):
        got = t.probe("session:none", session, "files.write", path=f"probe/{probed}", text=probed)
        t.expect(f"with `{part}`, it is refused", "denied", got.outcome)
        t.expect_seen(probed)
    got = t.call(session, "files.write", path=f"after/{after}", text=after)
    t.expect("put right again, the like runs", "ran", got.outcome)
    t.expect_seen(probed)


@check("R1.e/ended", serves=("R1.e",), twins=("ended_sessions_act",), policy=PLACES)
def ended(t: Trial) -> None:
    """In a session that has ended, nothing runs."""
    _refused(t, "session:ended")


@check(
    "R1.e/others", serves=("R1.e",), twins=("sessions_shared",), policy=PLACES, surfaces=("mcp-stdio", "mcp-http"),
    elsewhere=ONE_PROCESS,
)  # fmt: skip
def anothers(t: Trial) -> None:
    """Nobody acts in another's session, by its name or by a token that was used."""
    _refused(t, "session:others", by=t.session())


@check(
    "R1.e/stranger", serves=("R1.e",), twins=("home_open",), policy=PLACES, surfaces=("mcp-stdio", "mcp-http"),
    elsewhere=ONE_PROCESS,
)  # fmt: skip
def stranger(t: Trial) -> None:
    """Another user of the machine, as an agent is to be, can neither read keys and store nor change anything."""
    if os.geteuid() != 0:
        t.unmeasurable("only root may try this as another user; run the kit as root to have it measured")
    session, value, control = t.session(), t.drawn(), t.drawn()
    got = t.call(session, "files.write", path=value, text=value)
    t.expect("something is done, and kept", "ran", got.outcome)
    folder = t.folder / "deployment"
    (folder / control).write_text(control, encoding="utf-8")
    (folder / control).chmod(0o644)
    words = [sys.executable, "-I", "-S", STRANGER, str(AGENT), str(folder)]
    ran = subprocess.run(words, capture_output=True, text=True, check=False, timeout=30)  # noqa: S603 - our own
    (folder / control).unlink()
    if ran.returncode or control not in ran.stdout:
        t.unmeasurable(f"user {AGENT} does not get to {folder}, whatever its own modes are: {ran.stderr[-200:]}")
    found = json.loads(ran.stdout)
    t.note(f"user {AGENT} can read: {', '.join(found['read'])}")
    t.expect("nothing can be written by another user", [], found["written"])
    secret = {
        name for name, text in found["read"].items() if value in text or "PRIVATE KEY" in text or "SQLite" in text
    }
    t.expect("nor can the store, a key or what was done be read", [], sorted(secret))


@check("R1.e/own", serves=("R1.e",), twins=("own_files_writable",), policy=PLACES)
def own_files(t: Trial) -> None:
    """No governed tool writes what decisions rest on: policy, keys, store, the issuer's files, sources of facts."""
    session, allowed, value = t.session(), t.drawn(), t.drawn()
    plain = str(t.world.files / allowed)
    t.expect(
        "beside them, it writes", "ran", t.call(session, "slow.write", path=plain, text=allowed, seconds=0).outcome
    )
    t.expect_seen(allowed, f"file:{allowed}")
    private = sorted(
        place for place in (t.folder / "deployment").rglob("*") if place.is_file() and _closed(place.parent)
    )
    kept = [*private, Path(t.issuer.files.keys), Path(t.issuer.files.revocations), t.world.folder / "up"]
    link = t.world.files / t.drawn()
    link.symlink_to(private[-1].parent)
    spelled = [os.path.relpath(private[-1], t.world.files), str(link / private[-1].name), str(link / value)]
    for path in (*map(str, kept), *spelled):
        got = t.call(session, "slow.write", path=path, text=value, seconds=0)
        t.expect("it is refused", "denied", got.outcome)
    got = t.call(session, "files.remove", path=str(private[-1]))
    t.expect("so is a removal", "denied", got.outcome)
    changed = [str(place) for place in private if not place.exists() or value.encode() in place.read_bytes()]
    t.expect("all of them are as they were", [], changed)


def _closed(folder: Path) -> bool:
    """Tell whether a folder is closed to others."""
    return not folder.stat().st_mode & 0o077
