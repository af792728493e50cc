"""Checks of `navicert doctor --as-agent`: what can be done around the gate, tried from where the agent stands (R1.e).

* Every check tries what it reports on. What could not be tried, or what nobody could do in the first place, is
  `unknown`, with the reason: never `ok`.
* Nothing is changed: connections are opened and closed, files opened and not read, and no process is stopped.
"""

from __future__ import annotations

import grp
import os
import shutil
import socket
import stat
import subprocess
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from navicert.doctor.findings import Finding, some
from navicert.doctor.probes import SPACES, WAIT_S, Probes, namespaces, place_of
from navicert.gateway.servers import PLACES
from navicert.model.errors import IdentityError, NavicertError, PolicyError

_POWERS: Final = {
    0: "CHOWN", 1: "DAC_OVERRIDE", 2: "DAC_READ_SEARCH", 3: "FOWNER", 6: "SETGID", 7: "SETUID", 12: "NET_ADMIN",
    13: "NET_RAW", 16: "SYS_MODULE", 17: "SYS_RAWIO", 19: "SYS_PTRACE", 21: "SYS_ADMIN", 27: "MKNOD", 39: "BPF",
}  # fmt: skip
_MANAGERS: Final = (
    "/run/docker.sock", "/var/run/docker.sock", "/run/podman/podman.sock", "/run/containerd/containerd.sock",
    "/run/crio/crio.sock", "/run/user/{uid}/docker.sock", "/run/user/{uid}/podman/podman.sock",
    "/run/user/{uid}/systemd/private",
)  # fmt: skip
_MACHINE: Final = (
    "/etc/passwd", "/etc/shadow", "/etc/sudoers", "/etc/sudoers.d", "/etc/systemd/system", "/etc/cron.d",
)  # fmt: skip
_GROUPS: Final = frozenset({"docker", "lxd", "incus", "disk", "kmem", "shadow", "sudo", "wheel"})
_CLIENTS: Final = (
    "mcp.json", ".*.json", ".*/mcp.json", ".*/mcp_config.json", ".*/settings.json", ".config/*/*.json",
    ".config/*/*/*.json",
)  # fmt: skip


def run_checks_as_agent(probes: Probes, clients: Iterable[Path] = ()) -> list[Finding]:
    """Return every finding, in the order of the checks; a check that fails itself has measured nothing."""
    from navicert.doctor.network import egress_check, names_check, proxy_check, reach_check

    found: list[Finding] = []
    checks: dict[str, Callable[[], Iterator[Finding]]] = {
        "user": lambda: _user(probes), "powers": lambda: _powers(probes), "sealed": lambda: _sealed(probes),
        "processes": lambda: _processes(probes), "asking": lambda: _asking(probes), "launch": lambda: _launch(probes),
        "clients": lambda: _clients(probes, clients), "reach": lambda: reach_check(probes),
        "egress": lambda: egress_check(probes), "names": lambda: names_check(probes),
        "proxy": lambda: proxy_check(probes),
    }  # fmt: skip
    for code, check in checks.items():
        try:
            found += check()
        except (NavicertError, OSError, ValueError, subprocess.SubprocessError) as error:
            found.append(Finding(code, "unknown", f"not measured: {error}", probes.home, "mend this, and run it again"))
    return found


def _user(probes: Probes) -> Iterator[Finding]:
    uid, mapped = _uid()
    do = "run the agent as a user of its own, who owns nothing here"
    if uid in {0, probes.uid}:
        whose = "root" if uid == 0 else "the user of the home"
        what = f"this is {whose}: what runs here can change the policy, sign receipts and read what servers hold"
        yield Finding("user", "error", what, f"uid {uid}", do)
        return
    spaces = namespaces()
    own = [name for name in SPACES if spaces[name] != probes.namespaces.get(name)]
    inside = f", in its own {' and '.join(own)} namespace" if own else ", in the operator's namespaces"
    what = f"user {uid}, not {probes.uid}, who owns the home{inside}{', behind a user namespace' if mapped else ''}"
    yield Finding("user", "ok", what, f"uid {uid}")


def _uid() -> tuple[int, bool]:
    """Return this user as the machine knows it, and whether that is behind a user namespace."""
    uid = os.geteuid()
    rows = [tuple(map(int, line.split())) for line in Path("/proc/self/uid_map").read_text().splitlines()]
    outer = next((outside + uid - inside for inside, outside, count in rows if inside <= uid < inside + count), uid)
    return outer, rows != [(0, 0, 4_294_967_295)]


def _powers(probes: Probes) -> Iterator[Finding]:
    bad = 0
    lines = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    held = int(lines["CapEff"], 16) | int(lines["CapPrm"], 16) | int(lines["CapAmb"], 16)
    named = [f"CAP_{name}" for bit, name in _POWERS.items() if held >> bit & 1]
    if named:
        bad += 1
        level = "warning" if _uid()[1] else "error"
        what = f"holds {', '.join(named)}: with these, walls of users and networks do not hold"
        yield Finding("powers", level, what, "/proc/self/status", "take them away: `cap_drop: [ALL]`, or an empty set")
    for path in dict.fromkeys(os.path.realpath(each.format(uid=os.geteuid())) for each in _MANAGERS):
        if _unix_answers(path):
            bad += 1
            what = f"{path} can be connected to: whoever listens there starts programs outside of these walls"
            yield Finding("powers", "error", what, path, "keep this socket out of the agent's reach")
    if written := list(filter(_writable, _MACHINE)):
        bad += 1
        yield Finding("powers", "error", f"can be written: {some(written)}", written[0], "give them to root alone")
    if (sudo := shutil.which("sudo")) and _runs([sudo, "-n", "true"]):
        bad += 1
        yield Finding("powers", "error", "sudo makes this user root, unasked", sudo, "allow it one command, or none")
    groups = sorted(_GROUPS & {_group(number) for number in (*os.getgroups(), os.getegid())})
    if groups:
        bad += 1
        what = f"is in {', '.join(groups)}: groups that lead to root"
        yield Finding("powers", "warning", what, probes.home, "take the agent's user out of them")
    if not bad:
        yield Finding("powers", "ok", "no capability, no container manager's socket, no sudo", "/proc/self/status")


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


def _runs(command: list[str]) -> bool:
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, timeout=WAIT_S, check=False)  # noqa: S603 - a fixed command
    return not done.returncode


def _unix_answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_S)
        return not sock.connect_ex(path)


def _writable(path: str) -> bool:
    """Tell whether this user can write a file, or put another in its place; of a relative path, never."""
    if not Path(path).is_absolute():
        return False
    if os.access(path, os.W_OK, effective_ids=True):
        return True
    for each in (Path(path), *Path(path).parents):
        folder = each.parent
        if os.path.lexists(each) and os.access(folder, os.W_OK | os.X_OK, effective_ids=True):
            held = folder.stat()
            if not held.st_mode & stat.S_ISVTX or held.st_uid == os.geteuid():
                return True
    return False


def _readable(path: str) -> bool:
    try:
        os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except OSError:
        return False
    return True


def _sealed(probes: Probes) -> Iterator[Finding]:
    read = [path for path in probes.sealed if _readable(path)]
    written = [path for path in (*probes.sealed, *probes.fixed) if _writable(path)]
    for paths, can in ((read, "read"), (written, "changed or replaced")):
        if paths:
            what = f"can be {can} from here: {some(paths)}"
            do = "give them, and the folders above, to the engine's user; home 0700, files 0600; do not mount them"
            yield Finding("sealed", "error", what, paths[0], do)
    if not read and not written:
        what = f"none of {len(probes.sealed)} paths of the home can be read, nor {len(probes.fixed)} others written"
        yield Finding("sealed", "ok", what, probes.home)


def _processes(probes: Probes) -> Iterator[Finding]:
    seen, opened = 0, []
    for folder in Path("/proc").glob("[0-9]*"):
        if int(folder.name) == os.getpid() or _process_uid(folder) != probes.uid:
            continue
        seen += 1
        # Opening `mem` asks the kernel the same question as attaching a debugger does.
        opened += [f"{folder}/{name}" for name in ("environ", "mem") if _readable(f"{folder}/{name}")]
    if opened:
        what = f"environment or memory of the engine's user can be opened: {some(opened)}"
        yield Finding("processes", "error", what, opened[0], "another user for the agent, and no CAP_SYS_PTRACE")
    elif seen:
        what = f"{seen} processes of user {probes.uid}: neither environment nor memory can be opened, nor ptrace used"
        yield Finding("processes", "ok", what, "/proc")
    elif namespaces()["pid"] != probes.namespaces.get("pid") or not Path("/proc/1/status").exists():
        yield Finding("processes", "ok", f"no process of user {probes.uid} can be seen from here", "/proc")
    else:
        what = f"not measured: nothing runs as user {probes.uid} now"
        yield Finding("processes", "unknown", what, "/proc", "start the owner and the gateways, and run it again")


def _process_uid(folder: Path) -> int | None:
    try:
        lines = (folder / "status").read_text().splitlines()
    except OSError:  # it has ended, or is hidden
        return None
    return next((int(line.split()[1]) for line in lines if line.startswith("Uid:")), None)


def _asking(probes: Probes) -> Iterator[Finding]:
    from navicert.service import wire
    from navicert.service.exchange import Connections, Place

    owner, at = Connections(Place(socket=Path(probes.socket)), WAIT_S), probes.socket
    try:
        owner.probe()
    except NavicertError as error:
        what = (
            f"the owner cannot be asked from here: {error}. Fine only for an agent that has a gateway, and nothing else"
        )
        yield Finding(
            "asking", "warning", what, at, "a `socket` in a folder that the agent may enter; its user in `users`"
        )
        return
    may = []
    try:
        for request in (wire.ListWaits(), wire.ListStandings()):  # of the right to answer, of the right to govern
            with suppress(IdentityError):
                owner.ask(request, Any)
                may.append(type(request).__name__)
    finally:
        owner.close()
    if may:
        what = f"the owner lets this user do what is for people: {', '.join(may)} was answered"
        yield Finding("asking", "error", what, at, "name the agent's user under `users`, and not under `people`")
    else:
        yield Finding("asking", "ok", f"the owner answers {owner.peer}, and refuses what is for people", at)


def _launch(probes: Probes) -> Iterator[Finding]:
    do = "let the agent's user execute neither it nor what it reads, and keep its credentials in its entry"
    for item in probes.launched:
        at = item.program
        written = [path for path in (item.program, *item.files) if _writable(path)]
        if written:
            what = f"`{item.name}` is launched from what can be changed here: {some(written)}"
            yield Finding("launch", "error", what, at, "give it to another user, and the folders above it")
        closed = [path for path in item.files if not _readable(path)]
        if not os.access(item.program, os.X_OK, effective_ids=True) and not shutil.which(Path(item.program).name):
            yield Finding("launch", "ok", f"`{item.name}` cannot be executed here", at)
        elif closed:
            yield Finding("launch", "ok", f"`{item.name}` cannot be launched here: {some(closed)} is closed", at)
        elif item.needs:
            what = f"`{item.name}` can be launched here, around the gateway, though without {some(list(item.needs))}"
            yield Finding("launch", "warning", what, at, do)
        else:
            what = f"`{item.name}` can be launched here, around the gateway, and needs nothing that is kept from it"
            yield Finding("launch", "error", what, at, do)


def _clients(probes: Probes, named: Iterable[Path]) -> Iterator[Finding]:
    """What an MCP client would start or reach by itself is governed by nobody."""
    bases = dict.fromkeys((Path.home(), Path.cwd()))
    found = [path for base in bases for form in _CLIENTS for path in _glob(base, form)]
    behind, bad = 0, 0
    for path in dict.fromkeys([*named, *found]):
        if path.is_relative_to(probes.home):
            continue
        data = _client_data(path)
        try:
            entries = list(_entries(msgspec.json.decode(data)))
        except msgspec.DecodeError as error:
            if path in named or path.name.startswith("mcp") or b'"mcpServers"' in data:
                bad += 1
                what = f"not measured: {path} cannot be read as JSON: {error}"
                yield Finding("clients", "unknown", what, str(path), "name one that can be read, or mend it")
            continue
        for name, entry in entries:
            level, what = _entry(name, entry, probes)
            if level == "ok":
                behind += 1
            else:
                bad += 1
                yield Finding("clients", level, what, str(path), f"navicert attach {path}, or point it at the gateway")
    where = f"files of MCP clients below {some([*map(str, bases)])}"
    if behind and not bad:
        yield Finding("clients", "ok", f"{behind} servers in {where}: all behind the gateway", str(Path.cwd()))
    elif not bad:
        yield Finding("clients", "note", f"no server stands in {where}; name others with `--client`", str(Path.cwd()))


def _glob(base: Path, form: str) -> list[Path]:
    try:
        return sorted(base.glob(form))
    except OSError:  # a folder that is closed to us
        return []


def _client_data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""  # no JSON: said of a file that was named, and of one that is a client's by its name


def _entries(document: Any, depth: int = 5) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the servers in a client's file, which some keep a few levels down."""
    for key, held in document.items() if isinstance(document, dict) and depth else ():
        if key in PLACES and isinstance(held, dict):
            servers = {name: each for name, each in held.items() if isinstance(each, dict)}
            yield from ((name, each) for name, each in servers.items() if {"command", "url"} & {*each})
        else:
            yield from _entries(held, depth - 1)


def _entry(name: str, entry: dict[str, Any], probes: Probes) -> tuple[str, str]:
    """Return level and words for what a client does by itself; `ok` where it goes through the gateway."""
    if "url" not in entry:
        args = entry.get("args")
        words = [str(word) for word in (entry["command"], *(args if isinstance(args, list) else ()))]
        ours = "mcp" in words and any(Path(word).name == "navicert" for word in words)
        return ("ok", "") if ours else ("error", f"`{name}` is launched directly, around the gateway")
    try:
        place = place_of(str(entry["url"]))
    except PolicyError as error:
        return "warning", str(error)
    if any(place[:2] == (each.host, each.port) for each in probes.servers):
        return "error", f"`{name}` is reached at {place[0]}, around the gateway"
    return "note", f"`{name}` is reached at {place[0]}:{place[1]}, which has to be the gateway"
