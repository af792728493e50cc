"""Promises of the patterns (R2.b, R2.c; attack cases C.8, C.9 and G). How often they hold: test_patterns_corpus.py."""

import base64
import codecs
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from navicert.adapters.detect import checksums, disguises, patterns, rules
from navicert.adapters.detect.patterns import TEXT_LIMIT, PatternClassifier
from navicert.model.errors import Unavailable
from navicert.model.labels import NOTHING, Labels, Level
from navicert.model.signals import Finding

TOKEN = "ghp_" + "A" * 36
KEY = "-----BEGIN PRIVATE KEY-----"
UNLOOKED = Finding(looked=False)


def classify(text):
    return PatternClassifier().classify(text)


def categories(text):
    finding = classify(text)
    assert finding.looked
    return finding.labels.categories


# ------------------------------------------------------------------------------- each category, and its benign twin

TWINS = [
    ("PII", "write to jane.roe@example.com", "write to support@example.com"),
    ("PII", "jane.roe@example.com", "logo@2x.png"),
    ("PII", "jane.roe@example.com", "lodash@4.17.21-beta.rc"),
    ("PII", "jane.roe@example.com", "user@1000.service"),
    ("PII", "https://example.com/?q=jane%40example.org", "ssh://deploybot.eu@host.example.com/path"),
    ("PII", "+31 6 1234 5678", "1.2.3+31612345678"),
    ("PII", "+1 415 555 0100", "+1 015 555 0100"),
    ("PII", "tel=+31612345678", "1e+31612345678"),
    ("PII", "+49 30 901820", "+2024-05-06 12"),
    ("PII", "+441632960961", "Decimal('+441632960.1')"),
    ("PII", "phone: 020 7946 0958", "iPhone 15 2020 7946 0958"),
    ("PII", "123-45-6789", "000-45-6789"),
    ("PII", "123-45-6789", "666-45-6789"),
    ("PII", "123-45-6789", "900-45-6789"),
    ("PII", "123-45-6789", "123-00-6789"),
    ("PII", "123-45-6789", "123-45-0000"),
    ("PII", "123-45-6789", "123-45-6789-01"),
    ("PII", "ssn 123456789", "row 123456789"),
    ("PII", "born on 1984-03-12", "built on 1984-03-12"),
    ("PII", "dob: 12/03/1984", "due: 12/03/1984"),
    ("PII", "BSN 123456782", "BSN 123456783"),
    ("PII", "NHS number 943 476 5919", "NHS number 943 476 5918"),
    ("PII", "PESEL 44051401359", "PESEL 44051401358"),
    ("PII", "DNI 12345678Z", "DNI 12345678A"),
    ("PII", "Aadhaar 2341 2341 2346", "Aadhaar 2341 2341 2347"),
    ("PII", "CPF 529.982.247-25", "CPF 529.982.247-26"),
    ("PII", "85.07.30-033.28", "85.07.30-033.29"),
    ("PII", "RSSMRA85T10A562S", "RSSMRA85T10A562T"),
    ("PII", "11010519491231002X", "110105194912310021"),
    ("PII", "255081416802538", "255081416802539"),
    ("PII", "nino AB123456C", "nino GB123456C"),
    ("PII", "Passport no. X12345678", "Passport version 0.7.0"),
    ("FINANCIAL", "4111 1111 1111 1111", "4111 1111 1111 1112"),
    ("FINANCIAL", "card 4111111111111111", "order 4111111111111112"),
    ("FINANCIAL", "4111-1111-1111-1111", "9111-1111-1111-1111"),
    ("FINANCIAL", "pay 4012888888881881", "mean 0.4012888888881881"),
    ("FINANCIAL", "visa 4222000000006", "EAN 4222000000006"),
    ("FINANCIAL", "378282246310005", "3f25-378282246310005a-9a0c-0305e82c3301"),
    ("FINANCIAL", "card4111111111111111.txt", "etag 4111111111111111abcdefabcdefabcd"),
    ("FINANCIAL", "NL91ABNA0417164300", "NL91ABNA0417164301"),
    ("FINANCIAL", "GB82 WEST 1234 5698 7654 32", "GB82 WEST 1234 5698 7654 23"),
    ("FINANCIAL", "DE89370400440532013000", "DE8937040044053201300"),
    ("PHI", "MRN: 00483920", "MRN: see the header"),
    ("PHI", "patient id 20391847", "parent id 20391847"),
    ("PHI", "diagnosis E11.9", "release E11.9"),
    ("PHI", "ICD-10: F32", "node F32"),
    ("CREDENTIAL", f"{KEY}\n{'A' * 64}", f"if '{KEY}' in text: raise ValueError"),
    ("CREDENTIAL", f"{KEY}\n{'A' * 64}", f"-----BEGIN PUBLIC KEY-----\n{'A' * 64}"),
    ("CREDENTIAL", "AKIA" + "A" * 16, "the prefix AKIA"),
    ("CREDENTIAL", TOKEN, "ghp_ and gho_ are prefixes"),
    ("CREDENTIAL", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "eyJzdWIiOiJ4eCJ9.example.name"),
    ("CREDENTIAL", "eyJhbGciOiJIUzI1NiJ9.e30.c2ln", "eyebright.example.name"),
    ("CREDENTIAL", "password: Zx9!fake!Qw7", "password: at least 12 characters"),
    ("CREDENTIAL", "password = 'Zx9fakeQw7pl'", "password = os.environ['PASSWORD1']"),
    ("CREDENTIAL", "token: f4k3n0tr34l7z9q", "token: ${GITHUB_TOKEN_2}"),
    ("CREDENTIAL", "access_token: f4k3n0tr34l7z9q", "next_page_token: f4k3n0tr34l7z9q"),
    ("CREDENTIAL", "token: f4k3n0tr34l7z9q", "token: 3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
    ("CREDENTIAL", "postgres://app:Zx9-fake@db/app", "postgres://user:password@db/app"),
    ("CREDENTIAL", "postgres://app:Zx9-fake@db/app", "postgres://${U}:${P}@db/app"),
    ("CREDENTIAL", "postgres://app:Zx9-fake@db/app", "http://localhost:8080/a@b"),
    ("CREDENTIAL", "Authorization: Bearer f4k3N0tR34lT0k3n99", "Authorization: Bearer $TOKEN"),
]


@pytest.mark.parametrize(("category", "sensitive", "benign"), TWINS)
def test_what_is_sensitive_is_found_and_its_benign_twin_is_not(category, sensitive, benign):
    assert category in categories(sensitive)
    assert categories(benign) == ()


@pytest.mark.parametrize(
    "text",
    [
        "3f2504e0-4f89-41d3-9a0c-0305e82c3301",
        "9fceb02d0ae598e95dc970b74767f19372d61af8",
        "2024-05-06T07:08:09.123456Z",
        "1715000000123456789",
        "release 10.15.7-19H2026",
        "INV-2024-05-000917",
        "",
    ],
)
def test_identifiers_hashes_and_dates_are_nothing(text):
    assert classify(text) == Finding(labels=NOTHING)


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("jane.roe@example.com", Labels(level=Level.CONFIDENTIAL, categories=("PII",))),
        ("4111111111111111", Labels(level=Level.CONFIDENTIAL, categories=("FINANCIAL",))),
        ("NL91ABNA0417164300", Labels(level=Level.CONFIDENTIAL, categories=("FINANCIAL", "PII"))),
        ("MRN: 00483920", Labels(level=Level.RESTRICTED, categories=("PHI",))),
        (TOKEN, Labels(level=Level.RESTRICTED, categories=("CREDENTIAL",))),
        (f"jane.roe@example.com {TOKEN}", Labels(level=Level.RESTRICTED, categories=("CREDENTIAL", "PII"))),
    ],
)
def test_a_text_has_the_highest_level_of_what_is_in_it(text, labels):
    assert classify(text) == Finding(labels=labels)


@pytest.mark.parametrize("number", ["4111111111111111", "378282246310005", "5555555555554444"])
def test_one_wrong_digit_makes_a_card_an_order_number(number):
    assert checksums.card(number)
    wrong = [
        number[:place] + digit + number[place + 1 :]
        for place in range(len(number))
        for digit in "0123456789"
        if digit != number[place]
    ]
    assert [each for each in wrong if checksums.card(each)] == []


# ------------------------------------------------------------------------------------------------- disguises (C.8)


@pytest.mark.parametrize("secret", [TOKEN, "AKIA" + "A" * 16, "glpat-" + "x" * 20, "xoxb-" + "0" * 24])
@pytest.mark.parametrize(
    "around", ["x{}", "_{}_", "file{}.txt", "https://x.example/a/{}/b", "{}.x.example", "{}", "9{}"]
)
def test_a_secret_glued_to_other_characters_is_found(secret, around):
    assert categories(around.format(secret)) == ("CREDENTIAL",)


LINES = base64.encodebytes(f"{'some text. ' * 12} {TOKEN}".encode()).decode()
DISGUISED = {
    "base64": base64.b64encode(f"the token is {TOKEN}".encode()).decode(),
    "base64url in a path": "https://x.example/c/" + base64.urlsafe_b64encode(TOKEN.encode()).decode(),
    "base64 glued to a word": "note" + base64.b64encode(TOKEN.encode()).decode().rstrip("="),
    "base64 in lines": LINES,
    "base64 in lines of JSON": LINES.replace("\n", "\\n"),
    "hex": TOKEN.encode().hex(),
    "hex at an odd place": "0xf" + TOKEN.encode().hex(),
    "rot13": codecs.encode(TOKEN, "rot13"),
    "spaced": " ".join(TOKEN),
    "dotted": ".".join(TOKEN),
    "percent": "".join(f"%{byte:02x}" for byte in TOKEN.encode()),
    "zero width": "\u200b".join(TOKEN),
    "soft hyphens": "\u00ad".join(TOKEN),
    "variation selectors": "\ufe0f".join(TOKEN),
    "full width": "".join(chr(ord(each) + 0xFEE0) for each in TOKEN),
    "mathematical": "ghp_" + "\U0001d400" * 36,
}


@pytest.mark.parametrize("text", DISGUISED.values(), ids=DISGUISED)
def test_a_disguised_secret_is_found(text):
    assert categories(text) == ("CREDENTIAL",)


def test_personal_data_in_other_digits_and_dashes_is_found():
    assert categories("ssn ٤٥٧-٥٥-٥٤٦٢") == ("PII",)
    assert categories("457\u201155\u20135462") == ("PII",)


# ------------------------------------------------------------------------------- what cannot be looked at (R2.c)


@pytest.mark.parametrize(
    "text",
    [
        "a\0b",
        "ordinary words " * 40 + "\0",
        "x" * (TEXT_LIMIT + 1),
        "é" * (TEXT_LIMIT // 2 + 1),
        "\ufdfa" * 20_000,
        bytes(range(1, 256)).decode("latin-1"),
        random.Random(1).randbytes(400).replace(b"\0", b"").decode("utf-8", "replace"),
        random.Random(1).randbytes(400).replace(b"\0", b"").decode("utf-8", "surrogateescape"),
        base64.b64encode(b"plain words " * (disguises.DECODED_LIMIT // 8)).decode(),
        (b"plain words " * (disguises.DECODED_LIMIT // 10)).hex(),
    ],
)
def test_binary_oversized_and_overstuffed_text_is_not_called_clean(text):
    assert classify(text) == UNLOOKED


@pytest.mark.parametrize(
    "text",
    [
        "x" * TEXT_LIMIT,
        "\x1b[32mok\x1b[0m\r\n\tdone\f\n",
        "今日の会議は午後三時からです。",
        base64.b64encode(random.Random(1).randbytes(TEXT_LIMIT // 2)).decode(),
    ],
)
def test_long_coloured_foreign_and_image_carrying_text_is_looked_at(text):
    assert classify(text) == Finding(labels=NOTHING)


def test_an_automaton_that_fails_is_not_called_clean(monkeypatch):
    class Exhausted:
        def Match(self, _data):  # noqa: N802
            return None

    monkeypatch.setattr(patterns._engine(), "_first", Exhausted())
    with pytest.raises(Unavailable):
        classify("anything")


HOSTILE = [
    *("eyJ", "eyJ.", "A1 ", "4111 ", "4111-1111-", "1", "1 ", "NL91ABNA", "000-12-1234 ", "a@", "a@b.", "://a:"),
    *("password=", "-----BEGIN PRIVATE KEY-----", "AbCdEfGhIjKlMnOpQrStUvWx ", "é", "%41", "born ", "token: Zz9 "),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_no_text_stalls_the_classifier(piece):
    classify(piece * (TEXT_LIMIT // len(piece.encode())))  # C.9; pytest's own timeout judges


def test_backtracking_expressions_are_not_used():
    sources = [file.read_text(encoding="utf-8") for file in Path(patterns.__file__).parent.glob("*.py")]
    lines = [line.strip() for source in sources for line in source.splitlines()]
    assert [line for line in lines if line == "import re" or line.startswith(("import re ", "from re "))] == []


# ------------------------------------------------------------------------------------------------------- the table


def test_every_rule_has_a_name_of_its_own_and_a_level():
    names = [rule.name for rule in rules.RULES]
    assert sorted(set(names)) == sorted(names)
    assert {category for rule in rules.RULES for category in rule.categories} == set(rules.LEVELS)
    assert set(names) >= rules.ADDRESSING


def test_many_threads_may_start_at_once():
    patterns._made.cache_clear()
    with ThreadPoolExecutor(16) as pool:
        findings = list(pool.map(classify, [TOKEN, "nothing here"] * 64))
        engines = set(pool.map(lambda _: id(patterns._engine()), range(64)))
    assert [finding.labels.categories for finding in findings] == [("CREDENTIAL",), ()] * 64
    assert len(engines) == 1
