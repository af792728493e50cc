"""How often the patterns are right (R2.b; attack cases C.8 and G), on two corpora that are read beside this file.

Run as a program, this file prints the rates. A bound is stated for each category; a line that fails stays in its
corpus, so that the rates stay honest.
"""

import base64
import codecs
import re
from collections import Counter
from pathlib import Path

from navicert.adapters.detect import patterns
from navicert.adapters.detect.patterns import PatternClassifier
from navicert.adapters.detect.rules import RULES

DATA = Path(__file__).resolve().parents[2] / "data"
CATEGORIES = ("CREDENTIAL", "FINANCIAL", "PHI", "PII")

FALSE_ALARMS = {"CREDENTIAL": 0.01, "FINANCIAL": 0.01, "PHI": 0.01, "PII": 0.01}
"""Share of benign lines that may be labelled so, at most."""

RECALL = {"CREDENTIAL": 0.95, "FINANCIAL": 0.95, "PHI": 0.90, "PII": 0.95}
"""Share of sensitive lines that must be found, at least."""

_DISGUISES = {
    "b64": lambda text: base64.b64encode(text.encode()).decode().rstrip("="),
    "hex": lambda text: text.encode().hex(),
    "rot13": lambda text: codecs.encode(text, "rot13"),
    "spaced": " ".join,
    "percent": lambda text: "".join(f"%{byte:02X}" for byte in text.encode()),
}


def expanded(line):
    """`{A*36}` is 36 times A; `{b64:…}` and its like put on a disguise; `⏎` is a line break."""
    line = re.sub(r"\{([^{}]+)\*(\d+)\}", lambda found: found[1] * int(found[2]), line)
    line = re.sub(rf"\{{({'|'.join(_DISGUISES)}):([^{{}}]*)\}}", lambda found: _DISGUISES[found[1]](found[2]), line)
    return line.replace("⏎", "\n")


def lines(name):
    text = (DATA / name).read_text(encoding="utf-8")
    return [line for line in text.split("\n") if line and not line.startswith("# ")]


BENIGN = [line.replace("⏎", "\n") for line in lines("benign_text.txt")]
SENSITIVE = [
    (category, expanded(text)) for category, text in (line.split("\t", 1) for line in lines("sensitive_text.txt"))
]


def found(text):
    finding = PatternClassifier().classify(text)
    return finding.labels.categories if finding.looked else CATEGORIES


def rates():
    """Return, for each category, the share of false alarms, the share found, and the lines behind both."""
    alarms = Counter(category for text in BENIGN for category in found(text))
    asked = Counter(category for category, _ in SENSITIVE)
    hits = Counter(category for category, text in SENSITIVE if category in found(text))
    return {
        each: {
            "false alarms": alarms[each] / len(BENIGN),
            "recall": hits[each] / asked[each],
            "lines": f"{alarms[each]} of {len(BENIGN)} benign, {hits[each]} of {asked[each]} sensitive",
        }
        for each in CATEGORIES
    }


def test_the_corpora_are_large_enough_to_say_something():
    assert len(BENIGN) >= 150
    assert len(SENSITIVE) >= 80
    assert len(set(BENIGN)) == len(BENIGN)
    assert len(set(SENSITIVE)) == len(SENSITIVE)
    assert {category for category, _ in SENSITIVE} == set(CATEGORIES)


def test_ordinary_text_is_left_alone():
    measured = rates()
    assert {
        each: measured[each]["lines"] for each in CATEGORIES if measured[each]["false alarms"] > FALSE_ALARMS[each]
    } == {}


def test_ordinary_text_read_as_one_document_is_left_alone():
    assert found("\n".join(BENIGN)) == ()


def test_sensitive_text_is_found():
    measured = rates()
    assert {each: measured[each]["lines"] for each in CATEGORIES if measured[each]["recall"] < RECALL[each]} == {}


def test_sensitive_text_is_found_in_the_midst_of_ordinary_text():
    before, after = "\n".join(BENIGN[:20]), "\n".join(BENIGN[-20:])
    alone = {text for category, text in SENSITIVE if category in found(text)}
    missed = [
        text for category, text in SENSITIVE if text in alone and category not in found(f"{before}\n{text}\n{after}")
    ]
    assert missed == []


def test_every_rule_finds_something_and_no_trigger_hides_it():
    engine = patterns._engine()
    confirmed, triggered = set(), set()
    for number, (_, text) in enumerate(SENSITIVE):
        data = text.encode()
        places = [place for place, exact in enumerate(engine._exact) if patterns._confirmed(RULES[place], exact, data)]
        confirmed |= {(RULES[place].name, number) for place in places}
        triggered |= {(RULES[place].name, number) for place in places if place in patterns._hits(engine._first, data)}
    assert {name for name, _ in confirmed} == {rule.name for rule in RULES}
    assert triggered == confirmed


if __name__ == "__main__":
    for category, figures in rates().items():
        print(f"{category:10} {figures['false alarms']:.2%} false, {figures['recall']:.1%} found: {figures['lines']}")  # noqa: T201
    missed = (text for category, text in SENSITIVE if category not in found(text))
    print("missed:", *missed, sep="\n  ")  # noqa: T201
