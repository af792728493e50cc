"""Readers of destinations and paths, on any text: nothing is raised, nothing told that other readers see otherwise."""

from __future__ import annotations

import posixpath
import re
import socket
from email.utils import getaddresses
from ipaddress import IPv4Address, IPv6Address
from string import ascii_lowercase, digits
from urllib.parse import quote, urlsplit

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from navicert.core.places import Address, addresses, at, check_folder, check_place, under

MANY = settings(max_examples=600, deadline=None, suppress_health_check=list(HealthCheck))
PIECES = [
    *(
        "good.com",
        "evil.com",
        "a",
        "10.0.0.1",
        "0x7f",
        "0177",
        "127.1",
        "2130706433",
        "[::1]",
        "::ffff:7f00:1",
        "%2e",
        "%40",
    ),
    *(
        "http://",
        "https:",
        "//",
        "/",
        "\\",
        "@",
        ":",
        ":80",
        "?",
        "#",
        ".",
        "..",
        ",",
        ";",
        "<",
        ">",
        '"',
        " ",
        "\t",
        "\0",
        "*.",
    ),
    *(
        "%",
        "~",
        "$",
        "{",
        "(",
        ")",
        "mailto:",
        "xn--",
        "-",
        "_",
        "ä",
        "\uff20",
        "\uff0f",
        "\u212a",
        "/proc",
        "/desk",
        "s3",
        "/24",
    ),
]
crafted = st.lists(st.sampled_from(PIECES), max_size=9).map("".join)
anything = st.one_of(crafted, st.text(max_size=40), st.text(alphabet="a.@:/[]0x1f", max_size=24))
LDH = frozenset(ascii_lowercase + digits + "-_.")


def written(address: Address) -> str:
    """Return a text that names the address."""
    host = f"[{address.host}]" if isinstance(address.ip, IPv6Address) else address.host
    if address.local is not None:
        return f"{address.local}@{host}"
    port = "" if address.port is None else f":{address.port}"
    if address.scheme is None and address.path is None:
        return f"{host}{port}"
    front = "" if address.scheme is None else f"{address.scheme}:"
    return f"{front}//{host}{port}{'/%25' if address.path is None else quote(address.path)}"


@given(anything)
@example("a" * 70_000)
@MANY
def test_nothing_is_raised_on_any_text(text):
    found = addresses(text)

    assert found is None or len(found) > 0
    for address in found or ():
        for restricting in (False, True):
            test = at(
                ["good.com", "*.evil.com", "a@good.com", "10.0.0.0/8", "https://good.com/a"], restricting=restricting
            )
            assert test(address) in {True, False, None}
    for folders in (["/desk"], ["a"], ["/"], ["."]):
        assert under(folders, restricting=True)(text) in {True, False, None}


@given(anything)
@MANY
def test_what_was_read_reads_back_equal_when_it_is_written(text):
    found = addresses(text) or ()

    assert {again for address in found for again in addresses(written(address))} == set(found)


@given(anything)
@MANY
def test_a_host_is_ldh_or_an_address_in_canonical_form(text):
    for address in addresses(text) or ():
        assert address.host == str(address.ip) if address.ip else LDH.issuperset(address.host)
        assert address.ip is None or not getattr(address.ip, "ipv4_mapped", None)
        assert address.host[-1] != "."
        assert address.path is None or (
            address.path[0] == "/" and posixpath.normpath(address.path + "x") == address.path + "x"
        )


hosts = st.sampled_from(["good.com", "GOOD.com.", "10.0.0.1", "0x7f.1", "[::1]", "[2001:DB8::1]", "x", ""])
located = st.tuples(
    hosts, st.sampled_from(["", ":80", ":", "@evil.com", "\\", "#", "?"]), st.just("/") | st.just(""), crafted
)


@given(st.sampled_from(["http://", "https://", "//", "ftp://", "s3://"]), located.map("".join) | anything)
@example("http://", "good.com\\@evil.com")
@example("https://", "good.com\u2100.evil.com")
@MANY
def test_a_url_that_another_reader_takes_for_another_host_is_not_read(scheme, rest):
    found = addresses(scheme + rest)
    if found is None:
        return
    parts = urlsplit(scheme + rest)
    read = {address.host for address in addresses(f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname)}

    assert {address.host for address in found} == read
    assert parts.port is None or {parts.port} == {address.port for address in found}
    assert parts.username is None
    assert parts.password is None


mails = st.sampled_from(["a@good.com", "B.c+d@evil.com.", "x@localhost", "a@", "@b", "a@b@c"])
names = st.sampled_from(
    ["", "Ann ", "Änn Lee ", '"Lee, Ann" ', '"a@b.c" ', "a@b.c ", "a, ", "(x) ", "g: ", '"\\" ', "=?x "]
)
boxed = st.tuples(names, st.just("<"), mails, st.just(">")).map("".join)


@given(st.lists(mails | boxed | crafted, min_size=1, max_size=4), st.sampled_from([",", ", ", " , "]))
@example(['"a@good.com" <b@evil.com>'], ",")
@MANY
def test_mail_addresses_are_those_that_another_reader_finds(items, comma):
    text = comma.join(items)
    found = addresses(text)
    if found is None or found[0].local is None or text.startswith("mailto:"):
        return
    read = [mail.rpartition("@") for _, mail in getaddresses([text if '"' in text else text.replace(";", ",")])]

    assert [(local, domain.lower().removesuffix(".")) for local, _, domain in read] == [
        (address.local, address.host) for address in found
    ]


number = st.integers(0, 2**32 - 1) | st.integers(0, 300)
figure = number.flatmap(lambda n: st.sampled_from([f"{n}", f"{n:#x}", f"{n:#X}", f"0{n:o}", f"00{n:o}", f"0{n}"]))
dotted = st.lists(figure, min_size=1, max_size=5).map(".".join) | st.text(alphabet="0178x.fF_", min_size=1, max_size=14)


@given(dotted)
@example("0x")
@example("08.1")
@example("1_0.1")
@MANY
def test_an_ipv4_address_is_what_resolvers_read(text):
    try:
        expected = IPv4Address(socket.inet_aton(text))
    except OSError:
        expected = None
    found = addresses(text)

    if expected is None:
        assert found is None or all(address.ip is None for address in found)
    else:
        assert found is not None
        assert found[0].ip == expected


@given(st.ip_addresses())
@MANY
def test_an_address_in_canonical_form_is_itself_or_not_told(ip):
    found = addresses(f"[{ip}]" if ip.version == 6 else str(ip))

    assert found is None or ip in {address.ip for address in found} or ip.ipv4_mapped == found[0].ip
    assert found is not None or ip.version == 6


@given(st.lists(st.sampled_from(["desk", "a", "..", ".", "", "secret", "Desk"]), max_size=8), st.booleans())
@MANY
def test_a_path_is_under_the_folder_that_posix_resolves_it_to(parts, rooted):
    text = "/" * rooted + "/".join(parts)
    found = under(["/desk"], restricting=False)(text)
    plain = posixpath.normpath(text if not text.startswith("//") else "/" + text.lstrip("/"))

    assert found is (plain.startswith("/desk/") or plain == "/desk" if text[:1] == "/" else None)


@given(anything)
@MANY
def test_a_restriction_holds_wherever_a_permit_does(text):
    folders, patterns = ["/desk", "a"], ["good.com", "a@evil.com", "https://evil.com/a", "s3://a"]

    if under(folders, restricting=False)(text) is True:
        assert under(folders, restricting=True)(text) is True
    for address in addresses(text) or ():
        if at(patterns, restricting=False)(address) is True:
            assert at(patterns, restricting=True)(address) is True


@given(anything)
@MANY
def test_a_pattern_that_is_fine_is_met_by_the_place_that_it_names(text):
    if check_place(text) is None and not text.startswith("*.") and "/" not in text.replace("://", ""):
        assert {at([text], restricting=False)(address) for address in addresses(text)} == {True}
    if check_folder(text) is None:
        assert under([text], restricting=True)(text) is True


@given(anything | st.lists(st.sampled_from(PIECES), min_size=1, max_size=5).map("".join))
@MANY
def test_what_a_refused_pattern_is_told_to_write_is_not_refused_in_turn(text):
    fault = check_place(text) if len(text) < 60 and "`" not in text else None
    for advice in re.findall("`([^`]*)`", (fault or "").partition("; write ")[2]):
        assert advice[0] == "/" or advice == "xn--" or check_place(advice) is None
