"""Promises of the detector that measures what an action would carry away (R2.b; attack case C.8)."""

import sys

import pytest

from navicert.adapters.detect.patterns import TEXT_LIMIT, ParameterPatterns
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.labels import NOTHING, Labels, Level
from navicert.model.signals import Finding
from navicert.ports import Detector

TOKEN = "ghp_" + "A" * 36
UNLOOKED = Finding(looked=False)
PROFILE = ToolProfile(tool="email.send", effect=Effect.SEND, destination=("to",))


def measure(profile=PROFILE, /, **parameters):
    action = Action(
        action_id="a", tool="email", operation="send", parameters=b"{}", digest="", submitted_at=0, profile=profile
    )
    return ParameterPatterns().measure(action, parameters, None)


def test_the_detector_is_a_detector_and_names_its_signals():
    detector = ParameterPatterns()
    assert isinstance(detector, Detector)
    assert (detector.name, detector.inline) == ("patterns", True)
    assert set(detector.signals) == set(measure(body="hello").values)


def test_clean_parameters_are_public():
    expected = Finding(values={"sensitive_categories": [], "sensitive_level": "PUBLIC"}, labels=NOTHING)
    assert (
        measure(to="bob@example.com", body="the minutes of Monday", count=3, urgent=True, ratio=0.5, no=None)
        == expected
    )
    assert measure() == expected


def test_what_an_action_carries_is_measured():
    finding = measure(to="bob@example.com", body="jane.roe@example.com has MRN: 00483920")
    labels = Labels(level=Level.RESTRICTED, categories=("PHI", "PII"))
    assert finding == Finding(
        values={"sensitive_categories": ["PHI", "PII"], "sensitive_level": "RESTRICTED"}, labels=labels
    )


@pytest.mark.parametrize(
    ("parameters", "category"),
    [
        ({"body": {"rows": [["x", {"note": TOKEN}]]}}, "CREDENTIAL"),
        ({"body": {"rows": {"jane.roe@example.com": {"visits": 3}}}}, "PII"),
        ({TOKEN: {}}, "CREDENTIAL"),
        ({"number": 4111111111111111}, "FINANCIAL"),
        ({"number": 4111111111111111.0}, "FINANCIAL"),
        ({"ssn": 123456789}, "PII"),
        ({"ssn": "123456789"}, "PII"),
        ({"customer": {"date_of_birth": "1984-03-12"}}, "PII"),
        ({"config": {"password": "Zx9fakeQw7pl"}}, "CREDENTIAL"),
        ({"first": TOKEN[:20], "second": TOKEN[20:]}, "CREDENTIAL"),
        ({"parts": ["see ", TOKEN[:9], TOKEN[9:]]}, "CREDENTIAL"),
        ({"to": TOKEN}, "CREDENTIAL"),
        ({"to": "https://x.example/?q=jane.roe@example.com"}, "PII"),
        ({"to": ["bob@example.com", "4111111111111111"]}, "FINANCIAL"),
    ],
)
def test_no_place_in_the_parameters_is_overlooked(parameters, category):
    assert category in measure(**parameters).values["sensitive_categories"]


def test_a_recipient_is_not_content():
    recipients = ["Jane Roe <jane.roe@example.com>", "+31 6 1234 5678"]
    assert measure(to=recipients, body="see you at noon").labels == NOTHING
    assert measure(None, to=recipients, body="see you at noon").labels.categories == ("PII",)
    assert measure(to=recipients, cc="jane.roe@example.com").labels.categories == ("PII",)


@pytest.mark.parametrize("name", ["body", "to"])
@pytest.mark.parametrize("value", ["x" * TEXT_LIMIT, "a\0b"])
def test_parameters_that_cannot_be_looked_at_have_no_values(name, value):
    assert measure(**{name: value}) == UNLOOKED


def test_parameters_of_any_depth_are_measured():
    deep = TOKEN
    for _ in range(sys.getrecursionlimit() * 2):
        deep = [deep]
    assert measure(body=deep).labels.categories == ("CREDENTIAL",)


def test_a_finding_never_holds_what_was_found():
    finding = measure(body=f"jane.roe@example.com {TOKEN} 4111111111111111")
    assert [each for each in ("jane", "ghp_", "AAAA", "4111") if each in repr(finding)] == []
