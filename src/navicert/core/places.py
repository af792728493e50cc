"""Destinations and paths in text: strict readers, and the patterns that rules compare them with (attack family C).

* Only the plain form is read. What two programs could take for different places is unknown: None, no guess, never safe.
* Where common programs do read a plain form in two ways, the text names both places: `010.0.0.1` is 8.0.0.1 and
  10.0.0.1, `::1:80` is an address and a port of another; an IPv6 address of NAT64 or 6to4 is itself and the IPv4
  address inside. An IPv4-mapped one is that IPv4 address; of IPv4-compatible, -translated and Teredo ones nothing can
  be told.
* A name is never looked up: no name is in a network, `localhost` neither. The "host" of a scheme that is not known here
  may be a bucket or an account: only a pattern with that scheme speaks about it.
* Time is linear in the text, and text of more than `LONGEST` characters is not read.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_network
from string import ascii_letters, digits, hexdigits, octdigits
from typing import Final, NamedTuple
from unicodedata import normalize
from urllib.parse import unquote

from navicert.core.inert import brief
from navicert.core.text import normal_form

LONGEST: Final = 65_536
_KEPT: Final = 512
_NAME: Final = frozenset(ascii_letters + digits + "-_.")
_SCHEME: Final = frozenset(ascii_letters + digits + "+-.")
_ATOM: Final = frozenset(ascii_letters + digits + ".-_+='&~")
"""Of an e-mail's local part; without what mail programs have read as a route, a pipe, an option or a URL (`%!|/#?`)."""
_PHRASE_ENDS: Final = frozenset('@<>"(),;:[]')
_DIGITS: Final = {8: frozenset(octdigits), 10: frozenset(digits), 16: frozenset(hexdigits)}
_PORTS: Final = {"http": 80, "https": 443, "ws": 80, "wss": 443, "ftp": 21, "ftps": 990, "ssh": 22, "sftp": 22}
_NOT_HOSTS: Final = frozenset(_PORTS) | {"about", "blob", "data", "file", "javascript", "mailto", "sip", "sms", "tel"}
"""In front of a colon and a number these are schemes, not hosts."""
_NAT64: Final = IPv6Network("64:ff9b::/96")
_MAPPED: Final = IPv6Network("::ffff:0:0/96")
_UNTOLD: Final = tuple(map(IPv6Network, ("::/96", "::ffff:0:0:0/96", "64:ff9b:1::/48", "2001::/32")))
_OWN: Final = frozenset({IPv6Address("::"), IPv6Address("::1")})
_OPAQUE: Final = ("/proc", "/dev/fd")


class Address(NamedTuple):
    """One network place that a text names.

    host: lower case ASCII without trailing dot, or canonical text of an IP address, which `ip` then holds.
    local: of an e-mail address, as written. scheme: of a URL, lower case; None for a bare host.
    port: stated, or the scheme's default. path: of a URL or `host/path`, decoded, begins with `/`; None where it cannot
    be told, and for an e-mail address or a bare host.
    """

    host: str
    ip: IPv4Address | IPv6Address | None = None
    local: str | None = None
    scheme: str | None = None
    port: int | None = None
    path: str | None = None


def addresses(text: str) -> tuple[Address, ...] | None:
    """Return every place that the text names (at least one); None where it cannot be told."""
    return _short(text) if len(text) <= _KEPT else _addresses(text) if len(text) <= LONGEST else None


def _addresses(text: str) -> tuple[Address, ...] | None:
    if not text.isprintable() or "\\" in text or text != text.strip(" "):
        return None
    if text.startswith("//"):
        return _located(None, text[2:])
    scheme, found, rest = text.partition("://")
    if found:
        plain = _SCHEME.issuperset(scheme) and scheme[:1].isalpha()
        return _located(scheme.lower(), rest) if plain else None
    if "@" not in text:
        return _located("", text)
    if text[:7].lower() == "mailto:":
        return _mailbox(text[7:])
    return _mailbox(text) or _mailboxes(text)


_short = lru_cache(maxsize=4096)(_addresses)

# ---------------------------------------------------------------------------------------------------- e-mail addresses


def _mailbox(text: str) -> tuple[Address, ...] | None:
    local, _, domain = text.partition("@")
    if not _ATOM.issuperset(local) or len(local) > 64 or "" in local.split(".") or local[0] == "-":
        return None
    hosts = _hosts(domain)
    return (Address(hosts[0].host, local=local),) if hosts and hosts[0].ip is None else None


def _mailboxes(text: str) -> tuple[Address, ...] | None:
    pieces = text.split('"')  # every second one is quoted: a display name, of which only the marks are kept
    if len(pieces) % 2 == 0 or any(mark in name for name in pieces[1::2] for mark in "@<>"):
        return None
    if "=?" in text or _forged(text, _PHRASE_ENDS):
        return None
    found: list[Address] = []
    for item in '""'.join(pieces[::2]).replace(";", ",").split(","):
        name, bracket, mailbox = item.strip(" ").partition("<")
        if bracket and (mailbox[-1:] != ">" or not (name.rstrip(" ") == '""' or _PHRASE_ENDS.isdisjoint(name))):
            return None
        one = _mailbox(mailbox[:-1] if bracket else name)
        if one is None:
            return None
        found += one
    return tuple(found)


def _forged(text: str, marks: Iterable[str]) -> bool:
    """Tell whether characters beyond ASCII become one of the marks for a program that normalises text."""
    foreign = "" if text.isascii() else normalize("NFKC", "".join(char for char in text if not char.isascii()))
    return any(mark in foreign for mark in marks)


# ------------------------------------------------------------------------------------------------------ URLs and hosts


def _located(scheme: str | None, rest: str) -> tuple[Address, ...] | None:
    """Read what follows `//`, or (scheme "") a bare host and what follows it."""
    authority = rest
    for end in "/?#":
        authority = authority.partition(end)[0]
    tail = rest[len(authority) :]
    if " " in rest or (tail[:1] in {"?", "#"} and ("@" in tail or not tail.isascii())):
        return None  # some have read `good.com#@evil.com` as a user at evil.com
    if scheme and scheme not in _PORTS and "?" in tail:
        return None  # such a query may name another host, as `?host=` does for libpq
    if scheme == "" and not tail and authority.count(":") > 1 and authority[0] != "[":
        front, _, last = authority.rpartition(":")
        whole, port = _ipv6(authority), _port(last)
        with_port = [one._replace(port=port) for one in _ipv6(front)] if port and whole else []
        return (*whole, *with_port) or None
    if authority[:1] == "[":
        name, bracket, behind = authority[1:].partition("]")
        colon, stated = behind[:1], behind[1:]
        hosts = _ipv6(name) if bracket and colon in {"", ":"} else ()
    else:
        name, colon, stated = authority.partition(":")
        hosts = _hosts(name)
    port = _port(stated) if colon else _PORTS.get(scheme or "")
    if not hosts or (colon and port is None):
        return None
    if scheme == "" and ((colon and name.lower() in _NOT_HOSTS) or (hosts[0].ip and tail[1:].isdecimal())):
        return None  # `http:80` is a URL for some, `10.0.0.0/8` a network
    path = _plain_path(tail.partition("?")[0].partition("#")[0] or "/") if tail or scheme != "" else None
    return tuple(Address(one.host, one.ip, None, scheme or None, port, path) for one in hosts)


def _port(text: str) -> int | None:
    plain = len(text) <= 5 and _DIGITS[10].issuperset(text) and text[:1] not in {"", "0"}
    return int(text) if plain and int(text) < 65_536 else None


def _plain_path(path: str) -> str | None:
    plain = unquote(path) if "%" in path else path
    if not plain.isascii() or not plain.isprintable() or plain.count("/") != path.count("/") or "//" in plain:
        return None
    if any(mark in plain for mark in "%;?#\\") or not {".", ".."}.isdisjoint(plain.split("/")):
        return None  # `;`: `/v1/..;/x` is `/x` for some servers
    return plain


def _hosts(text: str) -> tuple[Address, ...]:
    """Return the one host that a name or an IPv4 address in any form is; two where it is read in two ways, or ()."""
    host = text.lower().removesuffix(".") if _NAME.issuperset(text) else ""
    labels = host.split(".")
    if len(host) > 253 or not all(0 < len(label) <= 63 and label[0] != "-" != label[-1] for label in labels):
        return ()
    if labels[-1].isdecimal() or labels[-1].startswith("0x"):
        return _ipv4(labels) if text[-1] != "." else ()
    return (Address(host),)


def _ipv4(labels: list[str]) -> tuple[Address, ...]:
    """Read as inet_aton does; numbers that begin with 0 also as programs do that take them for decimal."""
    found: dict[Address, None] = {}
    for octal in (8, 10):
        *head, last = (_number(label, octal) for label in labels)
        if len(head) > 3 or not all(0 <= part < 256 for part in head) or not 0 <= last < 256 ** (4 - len(head)):
            break
        ip = IPv4Address(last + sum(part << 24 - 8 * place for place, part in enumerate(head)))
        found[Address(str(ip), ip)] = None
    return tuple(found)


def _number(label: str, octal: int) -> int:
    base, figures = 10, label
    if label.startswith("0x"):
        base, figures = 16, label[2:]
    elif label[0] == "0" and label != "0":
        base, figures = octal, label[1:]
    return int(figures, base) if figures and _DIGITS[base].issuperset(figures) else -1


def _ipv6(text: str) -> tuple[Address, ...]:
    try:
        ip = IPv6Address(text)
    except ValueError:
        return ()
    if ip.scope_id is not None or (ip not in _OWN and any(ip in network for network in _UNTOLD)):
        return ()
    inside = ip.ipv4_mapped or ip.sixtofour or (IPv4Address(int(ip) % 2**32) if ip in _NAT64 else None)
    own = () if ip.ipv4_mapped else (Address(str(ip), ip),)
    return (*own, Address(str(inside), inside)) if inside else own


# ------------------------------------------------------------------------------------------------------ their patterns


def at(patterns: Sequence[str], *, restricting: bool) -> Callable[[Address], bool | None]:
    """Return the test whether an address is at one of the patterns; None where it cannot be told.

    restricting: the local part of an e-mail address and the path of a URL are compared in any case; else as written.
    Raises `ValueError` for a pattern that `check_place` objects to.
    """
    names: set[str] = set()
    networks: list[IPv4Network | IPv6Network] = []
    boxes: set[tuple[str, str]] = set()
    pages: list[Address] = []
    for pattern in _sound(patterns, check_place):
        if "://" in pattern:
            pages += addresses(pattern) or ()
        elif "@" in pattern:
            local, _, host = pattern.partition("@")
            boxes.add((local.casefold() if restricting else local, host))
        elif (network := _network(pattern)) is not None:
            networks.append(network)
        else:
            names.add(pattern)
    ends = tuple(name[1:] for name in names if name[0] == "*")

    def test(address: Address) -> bool | None:
        host, ip, local = address[:3]
        if local is not None and ((local.casefold() if restricting else local), host) in boxes:
            return True
        found = [_on(page, address, restricting=restricting) for page in pages]
        if names or networks:
            met = host in names or host.endswith(ends) or (ip is not None and any(ip in one for one in networks))
            found.append(met if address.scheme is None or address.scheme in _PORTS else None)
        return True if True in found else None if None in found else False

    return test


def _sound(patterns: Sequence[str], check: Callable[[str], str | None]) -> Sequence[str]:
    for fault in filter(None, map(check, patterns)):
        raise ValueError(fault)
    return patterns


def _on(page: Address, address: Address, *, restricting: bool) -> bool | None:
    """Tell whether the address is the page of a pattern, or below it."""
    path, folder = address.path, page.path or "/"
    if restricting:
        path, folder = path and path.casefold(), folder.casefold()
    found = {
        address.local is None and page.host == address.host,
        _same(page.scheme, address.scheme),
        _same(page.port, address.port),
        True if folder == "/" else None if path is None else _below(path, folder),
    }
    return False if False in found else None if None in found else True


def _same(expected: object, found: object) -> bool | None:
    return True if expected == found else None if expected is None or found is None else False


def _network(pattern: str) -> IPv4Network | IPv6Network | None:
    try:
        return ip_network(pattern, strict=False)
    except ValueError:
        return None


def check_place(pattern: str) -> str | None:
    """Return what is wrong with a pattern for `at`, and what to do; None where it is fine."""
    shown = f"`{brief(pattern, 64)}`"
    name = pattern.rpartition("*")[2].lstrip(".@")
    bare = pattern.removeprefix("*.")
    network = _network(pattern)
    if not pattern.isascii():
        return f"{shown} is not ASCII; write the host in its `xn--` form"
    if not name:
        return f"{shown} names no place; leave the condition out where every place is meant"
    if pattern[0] in ".@" or "*" in bare:
        for end in "/?#:; ":
            name = name.partition(end)[0]
        fine = "." in name and len(name) <= 64 and check_place(f"*.{name}") is None
        return f"{shown} is no pattern; write {f'`{name}`, or `*.{name}` for all its sub-domains' if fine else _FORMS}"
    if network is not None:
        if network.version == 6 and any(map(network.subnet_of, (_MAPPED, *_UNTOLD))) and network[0] not in _OWN:
            return f"{shown} is met by no address; write the IPv4 network that is meant"
        fine = pattern in {str(network), str(network).removesuffix("/32").removesuffix("/128")}
        return None if fine else f"{shown} is not the plain form of a network; write `{network}`"
    start, slash, size = pattern.partition("/")
    block = _network(start)
    if block is not None and slash and size.isdecimal():
        return f"{shown} is no network; write a size from `/0` to `/{block.max_prefixlen}`"
    found = addresses(bare) or ()
    one = found[0] if len(found) == 1 else Address("")
    told = one.path is not None and "%" not in pattern if one.scheme else one == Address(one.host) or bare == pattern
    if not one.host and set("./:@").isdisjoint(pattern):
        return f"{shown} is no address; a name goes under `in`"
    if not one.host or not told:
        return f"{shown} names no place that can be told; write {_FORMS}"
    plain = _written(one, pattern)
    fine = bare == plain or (one.path == "/" and pattern == f"{plain}/")
    return None if fine else f"{shown} is not in plain form; write `{brief(plain, 64)}`"


_FORMS: Final = "a host, an e-mail address, a network, or a URL without a user and with a plain path"


def _written(one: Address, pattern: str) -> str:
    if one.local is not None:
        return f"{one.local}@{one.host}"
    if one == Address(one.host, one.ip):
        return one.host
    scheme = one.scheme or "https"
    site = f"{scheme}://[{one.host}]" if one.ip and one.ip.version == 6 else f"{scheme}://{one.host}"
    default = one.port == _PORTS.get(scheme) and not pattern.startswith(f"{site}:")
    return (site if default or one.port is None else f"{site}:{one.port}") + (one.path or "").rstrip("/")


# --------------------------------------------------------------------------------------------------------------- paths


def under(folders: Sequence[str], *, restricting: bool) -> Callable[[str], bool | None]:
    """Return the test whether a text is the path of one of the folders, or of something below; None: cannot be told.

    The path is resolved as text: links are not looked up. restricting: compared in normal form too.
    Raises `ValueError` for a folder that `check_folder` objects to.
    """
    normal = [normal_form(folder) for folder in _sound(folders, check_folder)]

    def test(text: str) -> bool | None:
        path = _path(text)
        found = [_inside(path, folder) for folder in folders]
        if restricting:
            folded = path and _path(normal_form(path))
            found += [_inside(folded, folder) for folder in normal]
        opaque = any(_inside(path, folder) for folder in _OPAQUE)  # the name of one thing there leads to any other
        if True in found and (restricting or not opaque):
            return True
        return None if opaque or None in found else False

    return test


def check_folder(pattern: str) -> str | None:
    """Return what is wrong with a pattern for `under`, and what to do; None where it is fine."""
    path = _path(pattern)
    if path == pattern:
        return None
    todo = "write one folder, without variables, escapes or patterns" if path is None else f"write `{brief(path, 64)}`"
    return f"`{brief(pattern, 64)}` is not the plain path of a folder; {todo}"


def _path(text: str) -> str | None:
    """Return the path without `.`, `..` and double slashes; None where it is not certain which one is meant."""
    return _short_path(text) if len(text) <= _KEPT else _plain(text)


def _plain(text: str) -> str | None:
    if not 0 < len(text) <= LONGEST or not text.isprintable() or text != text.strip() or text[0] in "~-":
        return None
    if any(mark in text for mark in "\\%$`{*?[") or _forged(text, "./~\\%$`{*?[:"):
        return None
    if text[0] != "/" and ":" in text.partition("/")[0]:
        return None  # a URL, a drive, a path on another machine
    path = posixpath.normpath("/" + text.lstrip("/") if text[0] == "/" else text)
    return None if path.partition("/")[0] == ".." else path


_short_path = lru_cache(maxsize=4096)(_plain)


def _inside(path: str | None, folder: str) -> bool | None:
    if path is None or (path[0] == "/") != (folder[0] == "/"):
        return None
    return folder == "." or _below(path, folder)


def _below(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder.rstrip("/") + "/")
