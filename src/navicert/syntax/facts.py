"""`facts`: how what is missing is found out while an action waits for it (R4.b; docs/reference/policy-language.md).

* A place is written as exactly as it is fetched: a path from the root, a URL that every parser takes for the same.
* The sources of a fact must agree, so no place counts twice: each is told apart by where it is, not by what is read.
"""

from __future__ import annotations

import re
from ipaddress import AddressValueError, IPv6Address

from navicert.model.policy import FactSource, Source, SourceKind
from navicert.syntax import words
from navicert.syntax.reader import Fault, Node, Place, Scalar, Table, kind, shown

DEFAULT_ATTEMPTS = 3
DEFAULT_EVERY_S = 10
DEFAULT_WITHIN_S = 5
MAX_ATTEMPTS = 100
MAX_EVERY_S = 86_400
MAX_WITHIN_S = 60
MAX_PLACE = 1000
MAX_QUESTION = 500

_KINDS = {kind.value: kind for kind in SourceKind}
_SOURCE = (*_KINDS, "at")
_FACT = ("sources", *_SOURCE, "attempts", "every", "within")


def read_facts(node: Node) -> tuple[FactSource, ...]:
    """Return how each fact is found out, by name; raises `Fault`."""
    found = words.table(node, "`facts`")
    return tuple(
        _fact(words.named(name, place, "a fact"), found.nodes[name]) for name, place in sorted(found.keys.items())
    )


def _fact(name: str, node: Node) -> FactSource:
    found = words.fields(node, f"the fact {shown(name)}", _FACT)
    nodes = found.nodes
    attempts, every, within = (nodes.get(key) for key in ("attempts", "every", "within"))
    return FactSource(
        name=name,
        sources=_sources(found) if "sources" in nodes else (_source(found, f"the fact {shown(name)}"),),
        attempts=words.integer(attempts, "`attempts`", 1, MAX_ATTEMPTS) if attempts else DEFAULT_ATTEMPTS,
        every_s=words.duration(every, "`every`", most=MAX_EVERY_S) if every else DEFAULT_EVERY_S,
        wait_s=words.duration(within, "`within`", most=MAX_WITHIN_S) if within else DEFAULT_WITHIN_S,
    )


def _sources(fact: Table) -> tuple[Source, ...]:
    for key in _SOURCE:
        if key in fact.keys:
            raise Fault(fact.keys[key], f"`{key}` stands beside `sources`; write it in an entry of `sources`")
    node = fact.nodes["sources"]
    entries = words.items(node, "`sources`")
    if not entries:
        raise Fault(node.place, "`sources` is an empty list; add where to ask")
    sources: list[Source] = []
    seen: dict[tuple[str, ...], Place] = {}
    for entry in entries:
        source = _source(words.fields(entry, "a source", _SOURCE), "a source")
        where = _where(source)
        if where in seen:
            first = f"first in line {seen[where].line}"
            raise Fault(entry.place, f"the same place stands twice in `sources` ({first}); keep one")
        seen[where] = entry.place
        sources.append(source)
    return tuple(sources)


def _where(source: Source) -> tuple[str, ...]:
    """Return what tells places apart: for a URL, its parts, so that another spelling of the same is no other place."""
    url = _URL.fullmatch(source.place) if source.kind is SourceKind.HTTP else None
    if url is None:
        return (source.kind, source.place, *source.words)
    port = str(int(url["port"])) if url["port"] else _PORTS[url["scheme"]]
    return (source.kind, url["scheme"], url["host"].lower(), port, url["path"] or "/", url["query"] or "")


def _source(found: Table, what: str) -> Source:
    kinds = [word for word in found.nodes if word in _KINDS]
    if len(kinds) != 1:
        more = "" if what == "a source" else ", or several under `sources:`"
        raise Fault(
            found.place, f"{what} names one place to ask, not {len(kinds)}; write one of {words.listed(_KINDS)}{more}"
        )
    of = _KINDS[kinds[0]]
    node = found.nodes[of.value]
    at = _pointer(found.nodes["at"]) if "at" in found.nodes else ""
    match of:
        case SourceKind.FILE:
            return Source(kind=of, place=_path(node, "`file`"), at=at)
        case SourceKind.HTTP:
            return Source(kind=of, place=_url(node), at=at)
        case SourceKind.COMMAND:
            return Source(kind=of, words=_command(node), at=at)
        case SourceKind.REQUESTER:
            if "at" in found.nodes:
                raise Fault(found.keys["at"], "`at` does not go with `requester`, whose answer is one value; remove it")
            return Source(kind=of, place=words.line(node, "`requester`", MAX_QUESTION))


# -------------------------------------------------------------------------------------------------------------- places


def _path(node: Node, what: str) -> str:
    path = words.line(node, what, MAX_PLACE)
    if not path.startswith("/"):
        raise Fault(node.place, f"{what} {shown(path)} is no absolute path; start it with `/`")
    if not {"", ".", ".."}.isdisjoint(path[1:].split("/")):
        hint = "write the way to the file itself"
        raise Fault(node.place, f"{what} {shown(path)} has a part that is empty, `.` or `..`; {hint}")
    return path


def _command(node: Node) -> tuple[str, ...]:
    entries = words.items(node, "`command`")
    if not entries:
        raise Fault(node.place, "`command` is an empty list; add the program, then its arguments")
    program, *arguments = entries
    return (_path(program, "the program of `command`"), *(_argument(item) for item in arguments))


def _argument(node: Node) -> str:
    """Any text: spaces, or nothing at all, are a program's own business."""
    what = "an argument of `command`"
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        hint = "quote it" if isinstance(node, Scalar) and node.written else "write some text"
        raise Fault(node.place, f"{what} must be text, not {kind(node)}; {hint}")
    if len(node.value) > MAX_PLACE:
        raise Fault(node.place, f"{what} has {len(node.value)} characters; use at most {MAX_PLACE}")
    return node.value


_PORTS = {"https": "443", "http": "80"}
_HERE = frozenset({"localhost", "127.0.0.1", "[::1]"})
_URL = re.compile(
    r"""(?P<scheme>https?)://
        (?P<user>[^/?\#]*@)?
        (?P<host>[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*|\[[0-9A-Fa-f:.]+\])
        (?::(?P<port>[0-9]{1,5}))?
        (?P<path>/(?:[A-Za-z0-9._~!$&'()*+,;=:@/-]|%[0-9A-Fa-f]{2})*)?
        (?:\?(?P<query>(?:[A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*))?
        (?P<fragment>\#.*)?
    """,
    re.VERBOSE,
)


def _url(node: Node) -> str:
    """No message shows the URL: it may hold a password where none belongs."""
    text = words.line(node, "`http`", MAX_PLACE)
    url = _URL.fullmatch(text)
    if url is None or not _exists(url["host"]):
        hint = "write `https://host/path`, and `%20` and the like for special characters"
        raise Fault(node.place, f"`http` is no URL that can be fetched; {hint}")
    if url["user"] is not None:
        raise Fault(node.place, "`http` has a user or a password before the host; remove it, up to the `@`")
    if url["fragment"] is not None:
        raise Fault(node.place, "`http` has a part after `#`, which is never sent; remove it, or use `at:`")
    if url["port"] and not 1 <= int(url["port"]) <= 65535:
        raise Fault(node.place, f"`http` has the port {url['port']}; write one from 1 to 65535")
    if url["scheme"] == "http" and url["host"].lower() not in _HERE:
        hint = f"write `https:`, or a host of this machine: {words.listed(sorted(_HERE))}"
        raise Fault(node.place, f"`http` goes over the network in the clear; {hint}")
    return text


def _exists(host: str) -> bool:
    """Tell whether a host in brackets is an address; one without brackets is a name."""
    if not host.startswith("["):
        return True
    try:
        IPv6Address(host[1:-1])
    except AddressValueError:
        return False
    return True


def _pointer(node: Node) -> str:
    """Return a JSON pointer (RFC 6901): nothing, or steps that each start with `/`."""
    if not isinstance(node, Scalar) or not isinstance(node.value, str):
        raise Fault(node.place, f"`at` must be a JSON pointer, not {kind(node)}; write `/key`, or leave it out")
    if node.value and not node.value.startswith("/"):
        raise Fault(node.place, f"`at` cannot be {shown(node.value)}; start it with `/`: a JSON pointer, `/key/0`")
    if re.search(r"~(?![01])", node.value):
        raise Fault(node.place, f"`at` cannot be {shown(node.value)}; write `~0` for `~`, and `~1` for a `/` in a key")
    if len(node.value) > MAX_PLACE:
        raise Fault(node.place, f"`at` has {len(node.value)} characters; use at most {MAX_PLACE}")
    return node.value
