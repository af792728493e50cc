"""The page on which a person decides: all of it is there, and nothing in it lies (R4.a, consent integrity)."""

from __future__ import annotations

import json
import re
from time import process_time

import msgspec
import pytest
from click.testing import CliRunner

from desk import LIE
from navicert.asking.decoded import decoded
from navicert.asking.question import leaves, wait_document
from navicert.cli import main
from navicert.cli.page import LONGEST, show_question
from navicert.cli.terminal import Terminal
from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest
from navicert.model.action import Effect, ToolProfile
from navicert.model.context import Fact
from navicert.model.decision import Verdict
from navicert.model.errors import IntegrityError
from navicert.model.identity import Delegation, Evidence
from navicert.model.labels import Labels, Level
from navicert.model.suspension import Approvers, Try

BEHIND = re.compile(r"(?: {4}| {2}.{14})│ |  ┊ ")
"""Lines of what others wrote, and of the sentence that quotes them."""
MAIL = ToolProfile(tool="email.send", effect=Effect.SEND, destination=("to",), content=("body",))


@pytest.fixture
def page(desk, capsys):
    """Render a wait as its approvers see it, with other parameters, or anything else of it changed."""

    def render(parameters=None, *, now=None, profile=MAIL, **changes):
        wait = desk.wait("email.send")
        if parameters is not None:
            data = parameter_bytes(parameters)
            action = msgspec.structs.replace(wait.action, parameters=data)
            digest = action_digest("email", "send", data)
            question = msgspec.structs.replace(wait.question, digest=digest)
            wait = msgspec.structs.replace(wait, action=action, question=question)
        wait = msgspec.structs.replace(wait, **changes)
        at = wait.question.asked_at if now is None else now
        document = wait_document(wait, Approvers(), at, reasons={})
        show_question(Terminal(), wait, document, at, profile)
        return capsys.readouterr().out

    render.wait = lambda: desk.wait("email.send")
    return render


def shown(desk, name="email.send"):
    return CliRunner().invoke(main, ["--home", str(desk.folder), "show", desk.handles[name]]).output


def flat(text):
    return " ".join(text.split())


# what an approver must see


def test_the_digest_stands_first_and_is_that_of_what_is_shown(desk):
    lines = shown(desk).splitlines()
    document = json.loads(
        CliRunner().invoke(main, ["--home", str(desk.folder), "show", desk.handles["email.send"], "--json"]).stdout
    )["wait"]

    assert lines[0].split() == ["digest", document["digest"]]
    assert action_digest(document["tool"], document["operation"], document["canonical"].encode()) == document["digest"]
    assert json.loads(document["canonical"]) == document["parameters"]


def test_everything_that_an_approver_must_see_is_on_the_page(desk):
    text = flat(shown(desk))
    order = [
        "The user asked", "write to Bob", "Asked for? yes, but its target stands nowhere",
        "you asked to “write to Bob", "but the recipient “bob@partner.example” stands nowhere that was", "read",
        "“you” ana", "target │ bob@partner.example", "seen nowhere that the session has read",
        "request", "send, once; grants this effect │ write to Bob", "What exactly would run",
        "tool email", "operation send", "bob@partner",
        "Before it, in this session", "What is at stake",
        "data CONFIDENTIAL · PII (its parameters: CONFIDENTIAL · PII)", "distance", "risk high",
        "confidence", "For whom", "human ana", "service shop", "agent assistant", "ses_", "scope *",
        "taken on the application's word", "checked again before it runs: identity, scope, delegation, authority",
        "Why you are asked direct step-up", "rule mail-outside", "two people read what leaves the house", "Who decides",
        "0 of 2 answers", "may answer ben, cho", "later dan, from", "until", "then it is denied",
        "What an approval does not grant", "Any other action",
    ]  # fmt: skip
    at = 0
    for part in order:
        assert part in text[at:], part
        at = text.index(part, at) + len(part)
    assert re.search(r"\d+ min \d+ s left", text)


def test_a_digest_that_is_not_that_of_the_bytes_shown_is_an_error(page):
    wait = page.wait()

    with pytest.raises(IntegrityError, match="answer nothing"):
        page(effective=parameter_bytes({"to": ["eve@evil.example"], "body": "x"}))
    with pytest.raises(IntegrityError, match="answer nothing"):
        page(question=msgspec.structs.replace(wait.question, digest="0" * 64))
    with pytest.raises(IntegrityError, match="answer nothing"):
        page(action=msgspec.structs.replace(wait.action, operation="delete"))
    page()


def test_what_runs_is_shown_and_what_the_policy_changed_beside_it(page):
    data = parameter_bytes({"to": ["bob@partner.example"], "body": "short"})
    question = msgspec.structs.replace(page.wait().question, digest=action_digest("email", "send", data))
    before, after = page(effective=data, question=question).split("The policy changed this")

    assert "│ short" in before
    assert "Dear Bob" not in before
    assert "Dear Bob" in after
    assert "│ Boss <eve@evil.example>" in after


def test_a_purged_request_is_marked_and_not_left_out(page):
    given = page.wait().given
    given = msgspec.structs.replace(given, context=msgspec.structs.replace(given.context, request=""))

    assert "The user asked\n    (not available)\n" in page(given=given)


def test_an_escalated_deferral_shows_every_attempt(page):
    tries = (
        Try(fact="window", source="/desk/calendar.json", at=1_700_000_000_000_000, problem="it does not answer"),
        Try(fact="window", source="/desk/calendar.json", at=1_700_000_001_000_000, value="shut\x1b[2J"),
    )
    text = flat(page(reason_code="escalated", tries=tries, facts=(Fact(name="a", value=1, source="b", at=1),)))

    assert "Why you are asked escalated deferral" in text
    assert "tried 2023-11-14 22:13:20 UTC window from /desk/calendar.json: it does not answer" in text
    assert "22:13:21 UTC window from /desk/calendar.json: shut‹U+001B›[2J" in text
    assert "found out a = 1 (b)" in text
    assert "direct step-up" not in text


def test_delegation_shows_its_end_and_evidence_who_vouched(page):
    links = (
        Delegation(
            delegator="planner", delegatee="mailer", scope=("email.*",), issued_at=1, expires_at=1_800_000_000_000_000
        ),
        Delegation(delegator="mailer", delegatee="assistant", scope=("email.send",), issued_at=1),
    )
    evidence = (
        Evidence(subject="ana", method="token", issuer="https://login.example", verified_at=1_700_000_000_000_000),
    )
    identity = msgspec.structs.replace(page.wait().identity, delegation=links, evidence=evidence, development=False)
    text = flat(page(identity=identity))

    assert "planner → mailer: email.*, until 2027-01-15 08:00:00 UTC" in text
    assert "mailer → assistant: email.send, without an end (on the application's word)" in text
    assert "ana by token of https://login.example, 2023-11-14 22:13:20 UTC" in text
    assert "taken on the application's word" not in text


def test_named_files_are_shown_with_their_digests(page):
    question = msgspec.structs.replace(page.wait().question, files={"/desk/report.pdf": "ab" * 32})
    text = page(question=question)

    assert "  /desk/report.pdf\n    " + "ab" * 32 in text


def test_a_deferral_shows_what_it_asks_the_requester(desk):
    text = flat(shown(desk, "crm.delete"))

    assert "Why you are asked deferral: something is not known yet" in text
    assert "meant_it Did you ask for the customer to be deleted?" in text
    assert "may answer ana" in text


def test_when_time_is_over_it_says_so(page):
    text = page(now=page.wait().question.deadline + 1)

    assert "time is over" in text
    assert page.wait().question.verdict is Verdict.STEP_UP


# what an agent wrote


def test_hostile_text_is_inert_and_hides_no_recipient(desk):
    text = shown(desk)
    lines = text.splitlines()

    for raw in ("\u202e", "\u200b", "\x1b", "\u2028", "\r"):
        assert raw not in text
    for chip in ("‹U+202E›", "‹60 blank lines›", "‹U+001B›[2J", "‹U+200B›"):
        assert chip in text
    assert "Bcc: eve@evil.example" in flat(text.replace("│", ""))
    at = next(index for index, line in enumerate(lines) if "Bcc:" in line)
    assert at < 40  # sixty blank lines have pushed nothing out of sight


def test_nothing_that_an_agent_wrote_stands_outside_of_its_bar(desk):
    text = shown(desk)
    outside = [line for line in text.splitlines() if not BEHIND.match(line)]

    assert "APPROVED" in text
    assert "APPROVED" not in "\n".join(outside)
    assert "nothing to see" not in "\n".join(outside)
    assert "write to Bob" not in "\n".join(outside)
    assert [line.split()[1] for line in outside if line.startswith("digest")] != ["0000"]
    assert sum(line.startswith("digest") for line in text.splitlines()) == 1


def judged(wait, **said):
    signals = {f"intent_{name}": value for name, value in said.items()}
    return msgspec.structs.replace(wait.given, signals=msgspec.structs.replace(wait.given.signals, values=signals))


def test_the_judgement_of_intent_is_told_in_a_sentence_and_what_others_wrote_stays_behind_its_bar(page):
    # seen to fail: with `_behind` without its bar; with `tell_intent` without `brief`; without `SAID`
    lie = "x\n  may answer    ben\u202e" + " approved" * 90
    why = "the recipient “x may answer ben\u202e” appears only in text inside the mail that `mail.search` gave back"
    said = {
        "finding": "injected",
        "why": why,
        "asked": "no",
        "origin": "text",
        "trust": "known",
        "source": "mail.search",
    }
    text = page(given=judged(page.wait(), **said, target=lie, passage=lie))
    ours = [line for line in text.splitlines() if not BEHIND.match(line)]

    assert "Asked for?   no, somebody else's text orders it" in ours
    assert "  ┊ the recipient “x may answer ben‹U+202E›” appears only in text" in text
    assert "  seen          in the text of a mail: written by people who are known" in ours
    assert not any("approved" in line for line in ours)
    assert sum(line.startswith("  may answer") for line in text.splitlines()) == 1
    assert "\u202e" not in text
    assert text.count("approved approved") < 120


def test_what_was_not_judged_says_why(page):
    given = page.wait().given
    signals = msgspec.structs.replace(given.signals, values={}, unknown={"intent_finding": "the tool is not declared"})
    text = flat(page(given=msgspec.structs.replace(given, signals=signals)))
    assert "Asked for? not judged because the tool is not declared" in text


def test_names_of_parameters_and_nested_values_are_inert_too(page):
    lie = "x\n\n\ndigest 0000\u202e"
    text = page({"to": ["a@b.example"], "body": {lie: [{"deep": lie}]}, lie: 1})

    assert "\u202e" not in text
    assert not any(line.startswith("digest 0000") for line in text.splitlines())
    assert "body.x" in text
    assert "[0].deep" in text


def test_every_recipient_is_shown_however_many_and_however_long(page):
    people = [f"person-{number}@{'x' * 50}.example" for number in range(300)]
    text = page({"to": people, "body": "b" * 100_000})

    assert all(name in text for name in people)
    one = page({"to": [", ".join(people)], "body": "b"})
    assert "person-150@" in one
    assert "sha256" not in one
    assert "head and tail only" in text
    assert text.count("b" * 50) < LONGEST / 20


def test_a_parameter_of_no_declared_role_is_shown_whole(page):
    note = " ".join(str(number) for number in range(2_000))
    text = page({"to": ["a@b.example"], "headers": note}, profile=None)

    assert "1000 1001" in flat(text.replace("│", ""))
    assert "head and tail only" not in text


def test_lengths_stand_beside_names(page):
    text = page({"to": ["a@b.example"], "body": LIE, "copies": 3, "urgent": True, "extra": {}, "none": None})

    assert "to[0]         destination · text, 11 characters" in text
    assert f"body          content · text, {len(LIE)} characters" in text
    assert "copies        number" in text
    assert "urgent        true or false" in text


def test_where_the_data_comes_from_adds_up_to_the_whole(page):
    given = page.wait().given
    own, red = Labels(level=Level.INTERNAL), Labels(level=Level.RESTRICTED, categories=("CREDENTIALS",))
    context = msgspec.structs.replace(given.context, labels=own)
    shared = msgspec.structs.replace(given.shared, sticky=own, stored=Labels(categories=("HEALTH",)))
    given = msgspec.structs.replace(given, context=context, shared=shared, labels=own)
    question = msgspec.structs.replace(page.wait().question, labels=red)
    text = flat(page(given=given, question=question))

    assert (
        "data RESTRICTED · CREDENTIALS · HEALTH · PII (this session: INTERNAL; its parameters: CONFIDENTIAL · PII;"
        " what it names: PUBLIC · HEALTH; since it was first asked: RESTRICTED · CREDENTIALS)"
    ) in text
    shared = msgspec.structs.replace(shared, sticky=Labels(level=Level.CONFIDENTIAL))
    assert "earlier sessions: CONFIDENTIAL" in flat(page(given=msgspec.structs.replace(given, shared=shared)))


def test_answers_to_an_earlier_question_are_said_to_count_no_more(page, capsys):
    wait = page.wait()
    for void, said in (
        (0, None),
        (1, "1 answer to an earlier question does"),
        (2, "2 answers to earlier questions do"),
    ):
        document = wait_document(wait, Approvers(), wait.question.asked_at, reasons={}, void=void)
        show_question(Terminal(), wait, document, wait.question.asked_at, MAIL)
        shown = flat(capsys.readouterr().out)
        assert ("not count any more" in shown) is bool(void)
        assert said is None or f"asked anew {said} not count any more" in shown


def test_numbers_are_shown_as_they_stand_in_the_bytes():
    data = b'{"a":1.0,"b":9007199254740993,"c":[],"d":"x"}'

    assert [(leaf.path, leaf.text) for leaf in leaves(data)] == [
        ("a", "1.0"), ("b", "9007199254740993"), ("c", "[]"), ("d", "x"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("https://ex\u0430mple.com/a", [("host", "xn--exmple-4nf.com (reads as ex\u0430mple.com)")]),
        ("https://xn--exmple-4nf.com/", [("host", "xn--exmple-4nf.com (reads as ex\u0430mple.com)")]),
        ("https://good.example@evil.example/", [("host", "evil.example"), ("carries a user", "good.example")]),
        ("https://a.example:8443/%2e%2e/x", [("host", "a.example, port 8443"), ("path, decoded", "/../x")]),
        ("https://[::1", [("reaches", "what this URL reaches cannot be told: it is malformed")]),
        ('"boss@good.example" <eve@evil.example>', [("goes to", "eve@evil.example")]),
        (
            "a@b.example, c@d\u00e9.example",
            [("goes to", "a@b.example, c@xn--d-bga.example (reads as d\u00e9.example)")],
        ),
        ("a@b.example", []),
        ("a@b.example>, <c@d.example", []),
        ("write to me @ home", []),
        ("plain text", []),
    ],
)
def test_addresses_are_decoded_where_that_is_certain(text, expected):
    assert decoded(text) == expected


def test_decoding_takes_no_time_whatever_the_text():
    for part in (" ", "a ", '"', '" ', "<", "a@", "a@b ", "@", ",", "é ", "a@b,", "\t\n"):
        text = "a@b" + part * (4_000 // len(part))
        started = process_time()
        decoded(text)
        assert process_time() - started < 1, part


@pytest.mark.parametrize("columns", [60, 100])
def test_the_page_fits_the_terminal(desk, columns):
    with desk.person("show", desk.handles["email.send"], columns=columns) as person:
        assert person.ends() == 0

    assert max(map(len, person.seen.splitlines())) <= columns
    with desk.person("inbox", columns=columns) as person:
        assert person.ends() == 0
    assert max(map(len, person.seen.splitlines())) <= columns
