"""Readers of destinations and paths: every form that is read, and its nearest forms that are not."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from navicert.core.places import LONGEST, Address, addresses, at, check_folder, check_place, under


def mail(local: str, host: str = "company.com") -> Address:
    return Address(host, local=local)


def ip(text: str, **more: object) -> Address:
    return Address(text, ip_address(text))._replace(**more)


MAILS = {
    "ann@company.com": (mail("ann"),),
    "Ann@COMPANY.com": (mail("Ann"),),
    "ann+list@company.com": (mail("ann+list"),),
    "o'neil_b.c-d@mail.company.com": (mail("o'neil_b.c-d", "mail.company.com"),),
    "<ann@company.com>": (mail("ann"),),
    "Ann Lee <ann@company.com>": (mail("ann"),),
    "Ann<ann@company.com>": (mail("ann"),),
    "Änn Müller <ann@company.com>": (mail("ann"),),
    '"Lee, Ann; (Sales)" <ann@company.com>': (mail("ann"),),
    '"" <ann@company.com>': (mail("ann"),),
    "ann@company.com,bob@other.org": (mail("ann"), mail("bob", "other.org")),
    "ann@company.com; Bob <bob@other.org>": (mail("ann"), mail("bob", "other.org")),
    '"Lee, Ann" <ann@company.com> , <bob@other.org>': (mail("ann"), mail("bob", "other.org")),
    "mailto:ann@company.com": (mail("ann"),),
    "MailTo:ann@company.com": (mail("ann"),),
    "root@localhost": (mail("root", "localhost"),),
}
NO_MAILS = [
    "@company.com",
    "ann@",
    "ann@@company.com",
    "ann@company.com@other.org",
    ".ann@company.com",
    "ann.@company.com",
    "a..b@company.com",
    "a b@company.com",
    "ann@company .com",
    "ann@company.com bob@other.org",
    "ann@company.com,",
    ",ann@company.com",
    "ann@company.com,,bob@other.org",
    "ann@company.com, Bob",
    "ann <ann@company.com",
    "ann@company.com>",
    "<<ann@company.com>>",
    "<ann@company.com> Ann",
    "<ann @company.com>",
    "<>",
    "Ann <>",
    '"Ann <ann@company.com>',
    '"Ann" Lee <ann@company.com>',
    '"a b"@company.com',
    "ann(work)@company.com",
    "(work) ann@company.com",
    "team: ann@company.com;",
    "<@relay.org:ann@company.com>",
    "ann@[10.0.0.1]",
    "ann@10.0.0.1",
    "ann@127.1",
    "ünn@company.com",
    "ann@cömpany.com",
    "x" * 65 + "@company.com",
    "mailto:ann@company.com?cc=eve@evil.com",
    "mailto:ann@company.com,eve@evil.com",
    "mailto:Ann <ann@company.com>",
    "mailto:",
]
PLACES = {
    "company.com": (Address("company.com"),),
    "localhost": (Address("localhost"),),
    "_srv.company.com": (Address("_srv.company.com"),),
    "xn--mnchen-3ya.de": (Address("xn--mnchen-3ya.de"),),
    "a" * 63 + ".com": (Address("a" * 63 + ".com"),),
    "company.com:8080": (Address("company.com", port=8080),),
    "company.com/v1": (Address("company.com", path="/v1"),),
    "company.com:80/v1/x": (Address("company.com", port=80, path="/v1/x"),),
    "//company.com/v1": (Address("company.com", path="/v1"),),
    "https://company.com": (Address("company.com", scheme="https", port=443, path="/"),),
    "HTTPS://Company.COM/V1": (Address("company.com", scheme="https", port=443, path="/V1"),),
    "http://company.com:8080/": (Address("company.com", scheme="http", port=8080, path="/"),),
    "https://company.com?q=1": (Address("company.com", scheme="https", port=443, path="/"),),
    "https://company.com#top": (Address("company.com", scheme="https", port=443, path="/"),),
    "https://company.com/a?b=/../c@d#e": (Address("company.com", scheme="https", port=443, path="/a"),),
    "https://company.com/@ann": (Address("company.com", scheme="https", port=443, path="/@ann"),),
    "https://company.com/a%20b": (Address("company.com", scheme="https", port=443, path="/a b"),),
    "https://company.com/%61": (Address("company.com", scheme="https", port=443, path="/a"),),
    "https://company.com/ä": (Address("company.com", scheme="https", port=443, path=None),),
    "s3://bucket/key": (Address("bucket", scheme="s3", path="/key"),),
    "ssh://host.company.com": (Address("host.company.com", scheme="ssh", port=22, path="/"),),
    "10.0.0.1": (ip("10.0.0.1"),),
    "10.0.0.1:80": (ip("10.0.0.1", port=80),),
    "http://10.0.0.1/x": (ip("10.0.0.1", scheme="http", port=80, path="/x"),),
    "2001:DB8:0::1": (ip("2001:db8::1"),),
    "[2001:db8::1]": (ip("2001:db8::1"),),
    "[::1]:80": (ip("::1", port=80),),
    "http://[::1]/x": (ip("::1", scheme="http", port=80, path="/x"),),
    "2001:db8::a:80": (ip("2001:db8::a:80"), ip("2001:db8::a", port=80)),
    "::ffff:10.0.0.1": (ip("10.0.0.1"),),
    "http://[::ffff:a00:1]:80/": (ip("10.0.0.1", scheme="http", port=80, path="/"),),
    "[64:ff9b::a00:1]": (ip("64:ff9b::a00:1"), ip("10.0.0.1")),
    "2002:a00:1::": (ip("2002:a00:1::"), ip("10.0.0.1")),
}
NO_PLACES = [
    "",
    " ",
    ".",
    "..",
    "-",
    "/",
    "//",
    "///company.com",
    "/company.com",
    "company..com",
    ".company.com",
    "company.com..",
    "-company.com",
    "company-.com",
    "a" * 64 + ".com",
    "a." * 127 + "aa",
    "company.com:",
    "company.com:0",
    "company.com:080",
    "company.com:65536",
    "company.com:8x",
    "company.com:80:80",
    "company.com:\u0668\u0660",
    "com pany.com",
    "bücher.de",
    "\u212aompany.com",
    "://company.com",
    "1http://company.com",
    "ht_tp://company.com",
    "file:///etc/passwd",
    "http://",
    "http:///company.com",
    "http:/company.com",
    "http:company.com",
    "http:80",
    "mailto:25",
    "javascript:alert(1)",
    "data:text/plain,x",
    "http://company.com/a b",
    "http://company.com:/",
    "http://[::1",
    "http://::1/",
    "http://[]/",
    "http://[::1]x/",
    "http://[company.com]/",
    "http://[v1.a]/",
    "[fe80::1%eth0]",
    "fe80::1%eth0",
    "[::10.0.0.1]",
    "[::ffff:0:10.0.0.1]",
    "[64:ff9b:1::1]",
    "[2001:0:4136:e378:8000:63bf:3fff:fdd2]",
    "::1/128",
    "10.0.0.0/8",
    "10.0.0.1.",
    "jdbc:postgresql://company.com/db",
    "s3://bucket/key?endpoint=evil.com",
]
LEGACY = {
    "127.1": ("127.0.0.1",),
    "127.0.1": ("127.0.0.1",),
    "2130706433": ("127.0.0.1",),
    "0x7f000001": ("127.0.0.1",),
    "0x7F.1": ("127.0.0.1",),
    "0x7f.0x0.0x0.0x1": ("127.0.0.1",),
    "0": ("0.0.0.0",),
    "017700000001": ("127.0.0.1",),
    "0177.0.0.1": ("127.0.0.1", "177.0.0.1"),
    "010.0.0.1": ("8.0.0.1", "10.0.0.1"),
    "01.1.1.1": ("1.1.1.1",),
}
NO_IPS = [
    "256.0.0.1",
    "1.2.3.256",
    "1.256.1",
    "4294967296",
    "1.2.3.4.5",
    "08.0.0.1",
    "0x",
    "0xg",
    "1_0.1",
    "0x1_0",
    "a.1",
]


@pytest.mark.parametrize("text", [*MAILS, *PLACES])
def test_a_plain_form_names_its_places(text):
    assert addresses(text) == (MAILS | PLACES)[text]


@pytest.mark.parametrize("text", [*NO_MAILS, *NO_PLACES, *NO_IPS])
def test_of_any_other_form_nothing_is_told(text):
    assert addresses(text) is None


@pytest.mark.parametrize("text", LEGACY)
@pytest.mark.parametrize("form", ["{}", "{}:80", "http://{}/x", "//{}"])
def test_an_ipv4_address_in_any_form_is_read_as_resolvers_do(text, form):
    assert [found.host for found in addresses(form.format(text))] == [*LEGACY[text]]


def test_a_text_is_read_up_to_its_bound():
    longest = "https://company.com/" + "x" * (LONGEST - 20)

    assert addresses(longest) is not None
    assert addresses(longest + "x") is None


PATTERNS = {
    "company.com": (
        [
            "company.com",
            "COMPANY.com.",
            "ann@company.com",
            "https://company.com:444/x",
            "//company.com",
            "company.com:1",
        ],
        ["www.company.com", "notcompany.com", "company.com.evil.net", "company.co", "com", "10.0.0.1"],
    ),
    "*.company.com": (
        ["www.company.com", "a.b.company.com", "ann@mail.company.com", "https://api.company.com/"],
        ["company.com", "ann@company.com", "notcompany.com", "www.company.com.evil.net"],
    ),
    "ann@company.com": (
        ["ann@company.com", "Ann <ann@COMPANY.com>", "mailto:ann@company.com"],
        ["ann+x@company.com", "bob@company.com", "ann@www.company.com", "company.com", "https://company.com/ann"],
    ),
    "10.0.0.0/8": (
        ["10.0.0.1", "http://10.255.255.255:80/", "::ffff:10.0.0.1", "167772161"],
        ["11.0.0.1", "localhost", "10.company.com", "2001:db8::1"],
    ),
    "169.254.169.254": (["169.254.169.254", "http://2852039166/latest", "[::ffff:a9fe:a9fe]"], ["169.254.169.253"]),
    "::1/128": (["::1", "http://[0:0:0:0:0:0:0:1]:80/"], ["2001:db8::1", "127.0.0.1", "localhost"]),
    "https://api.company.com": (
        ["https://api.company.com", "https://api.company.com:443/x/../y", "HTTPS://API.company.com?q"],
        ["http://api.company.com", "https://api.company.com:444/", "https://company.com", "ann@api.company.com"],
    ),
    "https://api.company.com/v1": (
        ["https://api.company.com/v1", "https://api.company.com/v1/x?y", "https://api.company.com/%76%31/x"],
        ["https://api.company.com/", "https://api.company.com/v12", "https://api.company.com/x/v1"],
    ),
    "http://[::1]:8080": (["http://[::1]:8080/x"], ["http://[::1]/", "http://[2001:db8::1]:8080/"]),
    "s3://bucket/in": (["s3://bucket/in/a"], ["s3://bucket/out", "s3://other/in", "https://bucket/in", "ann@bucket"]),
}
UNTOLD = [
    ("https://api.company.com/v1", "https://api.company.com/v1/../x"),
    ("https://api.company.com/v1", "https://api.company.com/v1/%2e%2e/x"),
    ("https://api.company.com/v1", "//api.company.com/v1"),
    ("https://api.company.com", "api.company.com"),
    ("s3://bucket", "s3://bucket:80/"),
    ("bucket", "s3://bucket/in"),
    ("other", "s3://bucket/in"),
    ("10.0.0.0/8", "redis://10.0.0.1/"),
]


def cases(part: int) -> list[tuple[str, str]]:
    return [(pattern, text) for pattern, both in PATTERNS.items() for text in both[part]]


def holds(pattern: str, text: str, *, restricting: bool = False) -> set[bool | None]:
    return {at([pattern], restricting=restricting)(found) for found in addresses(text)}


@pytest.mark.parametrize("restricting", [False, True])
@pytest.mark.parametrize(("pattern", "text"), cases(0))
def test_a_pattern_is_met_by_its_places(pattern, text, restricting):
    assert holds(pattern, text, restricting=restricting) == {True}


@pytest.mark.parametrize("restricting", [False, True])
@pytest.mark.parametrize(("pattern", "text"), cases(1))
def test_a_pattern_is_met_by_no_other_place(pattern, text, restricting):
    assert holds(pattern, text, restricting=restricting) == {False}


@pytest.mark.parametrize(("pattern", "text"), UNTOLD)
def test_what_a_text_does_not_settle_is_not_told(pattern, text):
    assert holds(pattern, text) == {None}


def test_of_several_patterns_one_is_enough_and_one_that_cannot_be_told_leaves_it_open():
    test = at(["https://api.company.com/v1", "10.0.0.0/8", "other.org"], restricting=False)

    assert [test(addresses(text)[0]) for text in ("other.org", "api.company.com", "evil.com")] == [True, None, False]
    assert at([], restricting=False)(Address("company.com")) is False


def test_the_local_part_counts_as_written_for_a_permit_and_in_any_case_for_a_restriction():
    assert holds("Ann@company.com", "ann@company.com") == {False}
    assert holds("Ann@company.com", "aNN@company.com", restricting=True) == {True}


def test_the_path_counts_as_written_for_a_permit_and_in_any_case_for_a_restriction():
    assert holds("https://company.com/Admin", "https://company.com/admin/x") == {False}
    assert holds("https://company.com/Admin", "https://company.com/aDMIN/x", restricting=True) == {True}


@pytest.mark.parametrize(
    "pattern",
    [*PATTERNS, "::/0", "0.0.0.0/0", "::1", "10.0.0.1/32", "https://company.com/", "https://x.y:443", "ssh://h"],
)
def test_a_plain_pattern_is_fine(pattern):
    assert check_place(pattern) is None


FAULTY = {
    ".company.com": "write `company.com`, or `*.company.com` for all its sub-domains",
    "@company.com": "write `company.com`, or `*.company.com` for all its sub-domains",
    "*company.com": "write `company.com`, or `*.company.com` for all its sub-domains",
    "*.*.company.com": "write `company.com`",
    "Company.com": "write `company.com`",
    "ann@Company.com": "write `ann@company.com`",
    "Ann <ann@company.com>": "write `ann@company.com`",
    "company.com.": "write `company.com`",
    "münchen.de": "write the host in its `xn--` form",
    "*": "leave the condition out",
    "*.": "leave the condition out",
    "": "leave the condition out",
    "https://ann@company.com/": "without a user",
    "10.0.0.1/8": "write `10.0.0.0/8`",
    "10.0.0.0/255.0.0.0": "write `10.0.0.0/8`",
    "2001:DB8::/32": "write `2001:db8::/32`",
    "127.1": "write `127.0.0.1`",
    "::ffff:0:0/96": "write the IPv4 network",
    "::10.0.0.0/104": "write the IPv4 network",
    "company.com:8080": "write `https://company.com:8080`",
    "company.com/v1": "write `https://company.com/v1`",
    "HTTPS://company.com": "write `https://company.com`",
    "https://company.com/v1/": "write `https://company.com/v1`",
    "https://company.com/v1?x": "write `https://company.com/v1`",
    "https://[0::1]:443/": "write `https://[::1]`",
    "https://company.com/../x": "a plain path",
    "https://company.com/a%20b": "a plain path",
    "*.company.com/x": "write a host",
    "*.ann@company.com": "write a host",
    "*.10.0.0.1": "write a host",
    "010.0.0.1": "write a host",
    "a@company.com,b@company.com": "write a host",
    "company com": "a name goes under `in`",
    "#general": "is no address; a name goes under `in`",
    "https://*.company.com/x y": "write `company.com`, or `*.company.com` for all its sub-domains",
    "https://*.company.com:80": "write `company.com`, or `*.company.com` for all its sub-domains",
    "https://*.10.0.0.1/x": "write a host",
    "10.0.0.0/40": "write a size from `/0` to `/32`",
    "2001:db8::/129": "write a size from `/0` to `/128`",
}


@pytest.mark.parametrize("pattern", FAULTY)
def test_a_pattern_that_is_nearly_one_is_refused_with_what_to_write(pattern):
    fault = check_place(pattern)

    assert fault is not None
    assert fault.startswith(f"`{pattern}` ")
    assert FAULTY[pattern] in fault
    with pytest.raises(ValueError, match=r"^`"):
        at(["company.com", pattern], restricting=False)


INSIDE = {
    "/desk": [
        "/desk",
        "/desk/",
        "/desk/a",
        "//desk//a",
        "/desk/./a",
        "/desk/a/../b",
        "/x/../desk/a",
        "///desk",
        "/desk/~a",
    ],
    "/": ["/", "/etc", "//"],
    "notes": ["notes", "notes/a", "./notes/a", "notes//a/../b", "x/../notes"],
    ".": [".", "a", "./a/b"],
    "/proc": [],
}
OUTSIDE = {
    "/desk": ["/", "/desktop", "/desk/..", "/desk/../etc", "/etc/desk", "/Desk/a", "/desk../a"],
    "notes": [".", "notebook", "notes/../x", "Notes/a", "x/notes"],
}
UNTOLD_PATHS = {
    "/desk": [
        *("desk/a", ".", "", "~/desk", "~", "$HOME/desk", "/desk/$X", "/desk/%2e%2e", "/desk\\..\\etc", "/desk/a\n"),
        *(
            "/proc/self/root/desk",
            "/dev/fd/3",
            "/desk/../proc/self/cwd",
            "//proc/1",
            "/desk/{a,../../etc}",
            "/desk/`id`",
        ),
        *(
            "/desk/*",
            "/desk/.?/etc",
            "/desk/.[.]/etc",
            "-",
            "-rf",
            "/desk\0",
            " /desk",
            "/desk/．．/etc",
            "/desk／a",
            "/desk/‥/etc",
        ),
    ],
    "notes": [
        "/notes",
        "../notes",
        "notes/../../x",
        "..",
        "~notes",
        "file:notes/a",
        "C:notes",
        "host:notes/a",
        "s3://notes/a",
    ],
    ".": ["..", "/a", "../a"],
    "/proc": ["/proc", "/proc/self", "/dev/fd/1"],
}


def paths(table: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [(folder, text) for folder, texts in table.items() for text in texts]


@pytest.mark.parametrize(("folder", "text"), paths(INSIDE))
def test_a_path_below_a_folder_is_under_it(folder, text):
    assert under([folder], restricting=False)(text) is True
    assert under([folder], restricting=True)(text) is True


@pytest.mark.parametrize(("folder", "text"), paths(OUTSIDE))
def test_a_path_elsewhere_is_not(folder, text):
    assert under([folder], restricting=False)(text) is False


@pytest.mark.parametrize(("folder", "text"), paths(UNTOLD_PATHS))
def test_of_a_path_that_is_not_plain_nothing_is_told(folder, text):
    assert under([folder], restricting=False)(text) is None


def test_a_restriction_compares_paths_in_normal_form_too():
    test = under(["/desk/Secret"], restricting=True)

    assert [test(text) for text in ("/DESK/secret/a", "/desk/ｓecret", "/desk/secretary")] == [True, True, False]
    assert under(["/proc"], restricting=True)("/desk/../proc/1/environ") is True
    assert test("/proc/1/root/desk") is None
    assert test("desk/Secret") is None


def test_a_path_is_read_up_to_its_bound():
    test = under(["/desk"], restricting=False)

    assert test("/desk/".ljust(LONGEST, "x")) is True
    assert test("/desk/".ljust(LONGEST + 1, "x")) is None


def test_of_several_folders_one_is_enough():
    test = under(["/desk", "notes"], restricting=False)

    assert [test(text) for text in ("/desk/a", "notes/a", "/etc")] == [True, True, None]


@pytest.mark.parametrize("folder", ["/desk", "/", "notes", "a/b", ".", "/desk/a b", "/proc"])
def test_a_plain_folder_is_fine(folder):
    assert check_folder(folder) is None


@pytest.mark.parametrize(
    ("folder", "todo"),
    [
        ("/desk/", "write `/desk`"),
        ("//desk", "write `/desk`"),
        ("./notes", "write `notes`"),
        ("/desk/../etc", "write `/etc`"),
        ("../x", "write one folder"),
        ("~/x", "write one folder"),
        ("$HOME", "write one folder"),
        ("", "write one folder"),
        ("C:/x", "write one folder"),
        ("/desk\\x", "write one folder"),
    ],
)
def test_a_folder_that_is_not_plain_is_refused_with_what_to_write(folder, todo):
    assert todo in str(check_folder(folder))
    with pytest.raises(ValueError, match="is not the plain path"):
        under([folder], restricting=True)
