"""Small worlds for the comparison of the two decision points: few words, few fields, many collisions.

* Every policy keeps the restrictions under which a file loads: types per field, classifications per decision, what only
  some decisions may carry. At most six rules, so at most six are undetermined.
* Answers are content hashes: of rules of the policy, of the built-in one, and of a rule that nobody holds.
* Rules without a condition and conditions on facts that are often missing are frequent, so that conflicts, merges, and
  undetermined rules above, at and below the deciding priority are too.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

from hypothesis import strategies as st
from msgspec.structs import replace

from navicert.core.accumulate import OTHER
from navicert.core.builtin import supervision
from navicert.core.canonical import Number, canonical_parameters
from navicert.core.digest import rule_digest
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.authority import LADDER, Authority
from navicert.model.context import Fact, SessionContext, Waiting, Walked
from navicert.model.decision import Classification, Verdict
from navicert.model.evaluation import EvaluationInput, SharedFacts
from navicert.model.identity import ActionIdentity, Claims, Delegation
from navicert.model.labels import WORST, Labels, Level, Limit
from navicert.model.policy import (
    Condition,
    Destination,
    Earlier,
    Edit,
    Intent,
    Modification,
    Operator,
    PolicySet,
    Posture,
    Rule,
    Tally,
)
from navicert.model.signals import Signals

NOW = 1_000_000_000_000
WINDOW = 3_600
NUMBERS = ("0", "1", "1.0", "0.1", "99.5", "100", "1e2", "101", "9007199254740993", "-0", "-1", "-99.5")
OPERANDS = (0, 1, 0.1, 99.5, 100, 101, 9_007_199_254_740_992)
PLAIN = ("evil", "good", "evil@x.test", "bob@our.test", "a evil b", "Evil", "caf\u00e9", "cafe\u0301", "")
ODD = ("EVIL", "\uff45vil", "ev\u200bil", "e\u0301vil", "\u202eevil", " evil", "stra\u00dfe", "\ufb01le", "12\u0664")
PATHS = ("/etc/passwd", "../evil", "/desk/evil", "/desk/../etc", "desk/evil", "//desk", "/deskshop/x", "./x//evil", "")
INSIDE = ("bob@our.test", "Ann@our.test", "ann@our.test; bob@sub.our.test", "http://our.test/x", "127.1", "our.test")
OUTSIDE = ("x@evil.test", "ann@our.test, x@evil.test", "https://api.our.test.evil.test/v2", "8.8.8.8", "#support")
PAGES = (
    "https://api.our.test/v2/x",
    "https://API.our.test/V2",
    "http://api.our.test/v2",
    "https://api.our.test/v2/../x",
)
UNREADABLE = (
    "our.test@evil.test@x",
    "https://our.test@evil.test/",
    "\\\\our.test",
    "caf\u00e9.our.test",
    "s3://our.test",
)
ADDRESSES = (*INSIDE, *INSIDE, *OUTSIDE, *PAGES, *UNREADABLE, "010.0.0.1", "::1", "localhost", "\uff4four.test")
FOLDERS = ("/desk", "/desk/reports", "desk", "/", ".", "/DESK")
UNDER = (
    "/desk/reports/x",
    "/DESK/x",
    "~/x",
    "/desk/$HOME",
    "/proc/self/x",
    "desk/../../x",
    "/\uff44esk/x",
    "/desk/x/..",
)
AT = (
    "our.test",
    "*.our.test",
    "ann@our.test",
    "https://api.our.test/v2",
    "127.0.0.0/8",
    "8.0.0.0/8",
    "::1",
    "localhost",
)
TYPES = ("text", "number", "integer", "integer", "boolean", "list", "object")
PATTERNS = ("evil", "(?i)evil", "^evil$", r"\d{2}", "our\\.test$", "[A-Z]")
PARTS = ("evil", "Evil", "EVIL", "vi", "good", "bob@our.test", "@our.test", "caf\u00e9", "strasse", "file", "x")
CATEGORIES = ("PII", "mail", "Money")
SPELLED = (*CATEGORIES, "pii", "PI", "\uff30II", "mon", "MAIL", "mail.in")  # other spellings, parts, and longer names
LEVELS = tuple(level.name for level in Level)
PEOPLE = ("ann", "bob", "cas")
SUPERVISORS = ((), ("sue",), ("ann", "sue"))
STANDS = (*(Authority.FULL,) * 16, *(Authority.NARROWED, Authority.SUPERVISED) * 2, *LADDER)  # mostly something may run
SCOPES = (("*",), ("mail.*",), ("mail.send", "pay.*"), ("crm.read",), ("mail.*", "crm.*", "pay.transfer"), ())

MAIL = ToolProfile(
    tool="mail.send", effect=Effect.SEND, categories=("mail",), destination=("to", "cc"), content=("body", "path")
)
PAY = ToolProfile(
    tool="pay.transfer", effect=Effect.PAY, categories=("Money", "mail"), destination=("to",), amount=("amount", "fee")
)
READ = ToolProfile(tool="crm.read", effect=Effect.READ, resource=("path",))
PROFILES = (MAIL, PAY, READ)

ORDERED = (Operator.EQ, Operator.NE, Operator.LT, Operator.LE, Operator.GT, Operator.GE)
LISTED = (Operator.IN, Operator.NOT_IN)
PLACES = (Operator.AT, Operator.EXTERNAL)
PARTIAL = (Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH)
EQUALITY = (Operator.EQ, Operator.NE)

# ---------------------------------------------------------------------------------------------------------- parameters

texts = st.sampled_from((*PLAIN, *PLAIN, *ODD, *PATHS, *UNDER, *ADDRESSES))
numbers = st.sampled_from(NUMBERS).map(Number)
scalars = st.one_of(texts, texts, numbers, st.booleans(), st.none())
objects = st.fixed_dictionaries({}, optional={"city": st.one_of(texts, numbers, st.none()), "evil": scalars})
lists = st.one_of(st.lists(texts, max_size=3), st.lists(texts, max_size=3), st.lists(scalars, max_size=2))
nested = st.lists(st.one_of(objects, lists, scalars), max_size=2)
values = st.one_of(texts, texts, numbers, scalars, lists, lists, nested, objects)
_recipients = st.sampled_from((*PLAIN * 3, *ADDRESSES * 2, ODD[0], ODD[2]))
_gaps = st.lists(st.none(), max_size=2)
_several = st.lists(st.one_of(_recipients, _recipients, st.none()), max_size=3)
recipients = st.one_of(_recipients, _recipients, _several, numbers, st.none(), _gaps, objects, nested)
_sums = st.lists(st.one_of(numbers, numbers, scalars), max_size=3)
amounts = st.one_of(numbers, numbers, numbers, scalars, _sums, _gaps, nested)
parameters = st.fixed_dictionaries(
    {},
    optional={
        "to": recipients,
        "cc": recipients,
        "body": st.one_of(texts, values),
        "path": st.one_of(st.sampled_from((*PATHS, *UNDER)), values),
        "amount": amounts,
        "fee": amounts,
        "meta": st.one_of(objects, values),
    },
).map(canonical_parameters)

# ---------------------------------------------------------------------------------------------------------- conditions


@st.composite
def _condition(
    draw: st.DrawFn, field: str, kinds: tuple[tuple[tuple[Operator, ...], st.SearchStrategy[Any]], ...]
) -> Any:
    """One condition on a field: an operator out of those that it may have, and a value that this operator may have."""
    operators, operands = draw(st.sampled_from(kinds))
    operator = draw(st.sampled_from(operators))
    many = operator in (*LISTED, *PLACES, Operator.UNDER)
    value = draw(
        st.lists(operands, min_size=1, max_size=2, unique=not many or operator not in LISTED) if many else operands
    )
    if value == field:  # `same` compares with another field
        value = "identity.human"
    negated = operator not in (Operator.NE, Operator.NOT_IN) and draw(st.sampled_from((False, False, True)))
    return Condition(field=field, operator=operator, value=value, negated=negated)


_words = st.sampled_from(PARTS)
_text = (((*ORDERED, *LISTED, *PARTIAL), _words), ((*EQUALITY, *PARTIAL), _words))
_match = ((Operator.MATCHES,), st.sampled_from(PATTERNS))
_number = (((*ORDERED, *LISTED), st.sampled_from(OPERANDS)),)
_small = (((*ORDERED, *LISTED), st.integers(0, 3)),)
_truth = ((EQUALITY, st.booleans()),)
_exists = ((Operator.EXISTS,), st.booleans())
_at = (PLACES, st.sampled_from(AT))
_under = ((Operator.UNDER,), st.sampled_from(FOLDERS))
_others = ("identity.human", "identity.agent", *(f"parameters.{name}" for name in ("to", "cc", "amount", "meta.city")))
_same = ((Operator.SAME,), st.sampled_from(_others))
_type = ((Operator.TYPE,), st.sampled_from(TYPES))
_plain = (*_text, _match, *_number, *_truth, _exists)
_open = (*_plain, _at, _at, _under, _same)


def _listed(words: tuple[str, ...]) -> Any:
    """What a field that is a list of words may be asked."""
    return (((*EQUALITY, *LISTED, Operator.CONTAINS, Operator.CONTAINS), st.sampled_from(words)),)


def _texts(words: tuple[str, ...]) -> Any:
    """What a field that is a list of texts may be asked: also for parts and patterns, and whether it is there."""
    return (*_listed(words), *_listed(words), (PARTIAL, st.sampled_from(words)), _match, _exists)


_fields: dict[str, Any] = {
    "tool": (
        ((*EQUALITY, *LISTED), st.sampled_from(("mail", "pay", "crm", "Mail"))),
        ((Operator.STARTS_WITH,), st.sampled_from(("m", "M", "", "pa"))),  # how `m*` is read
    ),
    "operation": (
        ((*EQUALITY, *LISTED), st.sampled_from(("send", "transfer", "read", "SEND"))),
        ((Operator.STARTS_WITH,), st.sampled_from(("t", "se", "SE"))),
    ),
    "effect": (((*EQUALITY, *LISTED), st.sampled_from(("read", "send", "pay"))),),
    "category": _texts(SPELLED),
    "context.level": (((*ORDERED, *LISTED), st.sampled_from(LEVELS)),),
    "context.categories": _listed(SPELLED),
    "context.request": (*_text, _match),
    "context.said": (*_text, _match),
    "context.risk": _small,
    "context.intent": (*_text, _exists, ((*EQUALITY, *LISTED), st.sampled_from(("support", "ops", "OPS")))),
    "separation": (((*EQUALITY, *LISTED), st.sampled_from(("none", "user", "host"))),),
    "context.length": _small,
    "context.elapsed_s": (((*ORDERED, *LISTED), st.sampled_from((0, 59, 60, 61))),),
    "context.actions_last_minute": _small,
    "context.denied": _small,
    "context.entities": _texts(("evil", "bob@our.test")),
    "context.attempts.mail.send": _small,
    "context.attempts.pay.transfer": _small,
    "stored.level": (((*ORDERED, *LISTED), st.sampled_from(LEVELS)),),
    "stored.categories": _listed(SPELLED),
    "identity.human": (*_text, _at),
    "identity.service": (*_text, _exists),
    "identity.agent": (*_text, _match),
    "identity.roles": _texts(("evil", "admin")),
    "identity.scope": _texts(("*", "mail.*")),
    "identity.delegated": _small,
    "identity.development": _truth,
    "identity.authority": (((*EQUALITY, *LISTED), st.sampled_from(tuple(state.value for state in LADDER))),),
}
_facts: dict[str, Any] = {
    "context.facts.open": (*_truth, *_truth, _exists),
    "context.facts.owner": _open,
    "signals.injection": _number,
    "signals.words": _open,
    "signals.alignment_ppm": _number,
}
_shapes: dict[str, Any] = {
    f"parameters.{name}": (*_open, _type) for name in ("to", "body", "path", "amount", "meta", "meta.city")
} | {
    "parameters.*": _plain,
    "destination": (*_open, _at, _at),
    "resource": (*_open, _under, _under),
    "amount": (*_number, *_number, _exists),
    "content": _open,
}
_past = {field: _fields[field] for field in ("tool", "operation", "effect", "category")}


def _of(fields: dict[str, Any]) -> st.SearchStrategy[Condition]:
    return st.sampled_from(tuple(fields)).flatmap(lambda field: _condition(field, fields[field]))


_read: dict[str, Any] = {  # what reads texts and types, where it often finds some
    "parameters.to": (_at, _type, _same),
    "parameters.body": (_at, _type, _same),
    "parameters.path": (_under, _type),
    "parameters.meta": (_type, _type, _same),
    "parameters.amount": (_type, _same),
    "destination": (_at, _at, _same),
    "resource": (_under, _same),
    "content": (_at, _under),
}
constraints = st.one_of(_of(_shapes), _of(_read))
conditions = st.one_of(_of(_read), _of(_shapes), _of(_shapes), _of(_facts), _of(_facts), _of(_fields))
sequences = st.builds(
    Earlier,
    match=st.lists(_of(_past), min_size=1, max_size=2).map(tuple),
    within_s=st.sampled_from((None, 60, 600)),
    negated=st.booleans(),
)

# --------------------------------------------------------------------------------------------------------------- rules

tallies = st.builds(
    Tally,
    kind=st.sampled_from(("rate", "total")),
    per=st.sampled_from(("human", "agent", "destination")),
    above=st.sampled_from((0, 1, 2, 100_000, 1_000_000, 200_000_000)),
    window_s=st.just(WINDOW),
)
modifications = st.one_of(
    st.builds(Modification, parameter=st.just("amount"), edit=st.just(Edit.CAP), value=st.sampled_from((1, 99.5, 100))),
    st.builds(Modification, parameter=st.just("amount"), edit=st.just(Edit.SET), value=st.sampled_from((1, 1.0, "1"))),
    st.builds(Modification, parameter=st.just("body"), edit=st.just(Edit.REDACT), value=st.sampled_from(PATTERNS)),
    st.builds(Modification, parameter=st.just("body"), edit=st.just(Edit.SET), value=st.sampled_from(("good", "evil"))),
    st.builds(Modification, parameter=st.sampled_from(("body", "amount")), edit=st.just(Edit.DROP), value=st.none()),
    st.builds(
        Modification,
        parameter=st.just("path"),
        edit=st.just(Edit.PREFIX),
        value=st.sampled_from(("/desk", "/desk/", "desk", "/")),
    ),
)
_categories = ((), ("PII",), ("mail",), ("PII", "mail"), ("pii",), ("PI", "mon"), ("mail.in", "\uff30II"))
_labelled = tuple(Labels(level=level, categories=names) for level, names in product(Level, _categories))
labels = st.sampled_from((*(Labels(),) * 20, *_labelled, *(WORST,) * 4))  # mostly something may go somewhere
limits = st.builds(
    Limit,
    level=st.sampled_from((*Level, Level.RESTRICTED, Level.RESTRICTED)),
    categories=st.sampled_from((None, None, (), ("PII",), ("PII", "mail", "pii"))),
)
_named = (("#support",), ("evil", "good"), ("bob@our.test", "x@evil.test"), ("Evil", "good", "a evil b"))
_listed = st.sampled_from((*(("our.test",),) * 3, ("*.our.test", "our.test"), ("evil.test",), *((it,) for it in AT)))
destinations = st.one_of(
    st.builds(Destination, at=_listed, names=st.sampled_from(((), (), *_named)), accepts=limits),
    st.builds(Destination, names=st.sampled_from(_named), accepts=limits),
    st.builds(Destination, pattern=st.sampled_from(PATTERNS), accepts=limits),
)
intents = st.builds(
    Intent,
    name=st.sampled_from(("support", "ops")),
    tools=st.sampled_from((("*",), ("*",), ("mail.*", "crm.*"), ("pay.transfer",))),
    accepts=st.one_of(st.none(), limits),
    actions=st.sampled_from((None, 1, 2, 5, 6)),
)

CLASSES = {
    Verdict.DENY: (Classification.STATIC, Classification.CONTEXT_DENY, Classification.FORBIDDEN),
    Verdict.ALLOW: (Classification.STATIC, Classification.CONTEXT_ALLOW),
    Verdict.STEP_UP: (Classification.STATIC, Classification.CONTEXT_ALLOW),
    Verdict.DEFER: (Classification.STATIC, Classification.CONTEXT_DEFER),
    Verdict.MODIFY: (Classification.STATIC,),
}
_decisions = st.sampled_from((*Verdict, Verdict.ALLOW, *(Verdict.MODIFY,) * 4, None))


def _asked() -> list[dict[str, Any]]:
    """Whom a rule may ask: no backup is an approver, and enough can answer; the requester is none of two."""
    found = []
    for approvers in (("ann",), ("bob",), ("ann", "bob"), ("requester",), ("requester", "cas")):
        for backups in ((), ("cas",), ("ann", "cas")):
            able = {*approvers, *backups} - {"requester"}
            waits = (None,) if not backups else (10, 30)
            if not {*approvers} & {*backups}:
                found += [
                    {"approvers": approvers, "backups": backups, "approvals": count, "escalate_s": after}
                    for count in (1, 2, 3)[: max(1, len(able))]
                    for after in waits
                ]
    return found


_ASKED = _asked()


@st.composite
def rules(draw: st.DrawFn, number: int) -> Rule:
    """One rule that would load."""
    decision = draw(_decisions)
    waits = decision in (Verdict.STEP_UP, Verdict.DEFER)
    changes = st.lists(modifications, min_size=1, max_size=2, unique_by=lambda change: change.parameter)
    labelled = draw(st.booleans()) if decision is None else draw(st.integers(0, 9)) == 0
    risky = draw(st.integers(0, 4)) == 0
    lowers = not labelled and not risky if decision is None else draw(st.integers(0, 9)) == 0
    bound = decision in (Verdict.ALLOW, Verdict.MODIFY, Verdict.STEP_UP) and draw(st.integers(0, 2)) == 0
    asked = decision is Verdict.STEP_UP or (decision is Verdict.DEFER and draw(st.booleans()))
    return Rule(
        id=f"r{number}",
        match=tuple(draw(conditions) for _ in range(draw(st.sampled_from((0, 0, 0, 1, 1, 2))))),
        tallies=(draw(tallies),) if draw(st.integers(0, 7)) == 0 else (),
        after=tuple(draw(st.lists(sequences, max_size=2))) if draw(st.integers(0, 5)) == 0 else (),
        constraints=tuple(draw(st.lists(constraints, max_size=2))) if bound else (),
        limits=(draw(tallies),) if bound and draw(st.integers(0, 4)) == 0 else (),
        adds_risk=draw(st.integers(1, 3)) if risky else 0,
        shadow=decision is not None and draw(st.integers(0, 9)) == 0,
        decision=decision,
        classification=draw(st.sampled_from(CLASSES[decision])) if decision else Classification.STATIC,
        priority=draw(st.sampled_from((0, 1, 2))),
        modifications=tuple(draw(changes)) if decision is Verdict.MODIFY else (),
        timeout_s=draw(st.sampled_from((60, 600, 900))) if waits else None,
        set_context=draw(labels) if labelled else None,
        authority=draw(st.sampled_from(LADDER[1:])) if lowers else None,
        **(draw(st.sampled_from(_ASKED)) if asked else {}),
    )


_seldom = st.sampled_from((False, False, False, True))
_accepts = st.one_of(st.none(), st.none(), st.none(), limits)
_destinations = st.lists(destinations, min_size=1, max_size=3)
_intents = st.lists(intents, min_size=1, max_size=2, unique_by=lambda intent: intent.name)


@st.composite
def policies(draw: st.DrawFn) -> PolicySet:
    """One policy set that would load."""
    declared = draw(st.sets(st.sampled_from(range(len(PROFILES)))))
    return PolicySet(
        policy="small",
        version=1,
        posture=draw(st.sampled_from((*Posture, Posture.DECLARED_TOOLS))),
        tools=tuple(replace(PROFILES[index], accepts=draw(_accepts)) for index in sorted(declared)),
        rules=tuple(draw(rules(number)) for number in range(draw(st.sampled_from((1, 2, 2, 3, 3, 4, 4, 5, 6))))),
        confidence_ppm=draw(st.sampled_from((0, 0, 600_000))),
        destinations=tuple(draw(_destinations)) if draw(st.booleans()) else (),
        intents=tuple(draw(_intents)) if draw(_seldom) else (),
        risk_limit=draw(st.sampled_from((None, None, None, None, 0, 3, 4, 5, 6))),
        supervisors=draw(st.sampled_from(SUPERVISORS)),
    )


# -------------------------------------------------------------------------------------------------------------- inputs


_tallied = st.dictionaries(
    st.sampled_from(
        [f"{kind}|{per}|{WINDOW}" for kind in ("rate", "total") for per in ("human", "agent", "destination")]
    ),
    st.sampled_from((0, 1, 2, 100_000, 900_000, 199_900_000)),
)
_known: st.SearchStrategy[Any] = st.one_of(
    st.sampled_from((*PLAIN, *ODD)), st.sampled_from(OPERANDS), st.lists(_words, max_size=2), st.none()
)
_signals: st.SearchStrategy[dict[str, Any]] = st.fixed_dictionaries(
    {}, optional={"injection": st.sampled_from(OPERANDS), "words": _known, "alignment_ppm": st.sampled_from(OPERANDS)}
)


def _anywhere(kind: type[Any], fixed: dict[str, Any], **choices: Sequence[Any]) -> st.SearchStrategy[Any]:
    """Values of a kind whose fields have any of these choices; one draw instead of one per field, for speed."""
    rows = tuple(product(*choices.values()))
    return st.sampled_from(rows).map(lambda row: kind(**fixed, **dict(zip(choices, row, strict=True))))


_link = Delegation(delegator="ann", delegatee="bot", scope=("*",), issued_at=NOW)
identities = _anywhere(
    ActionIdentity,
    {"service": "good", "session": "s-1"},
    human=("good", "EVIL"),
    agent=("evil", "\uff45vil", "good"),
    roles=((), ("evil",), ("admin", "EVIL")),
    scope=(*(SCOPES[0],) * 60, *SCOPES),  # mostly wide enough
    delegation=((), (_link,), (_link, _link)),
    development=(False, True),
)
sessions = _anywhere(
    SessionContext,
    {"session_id": "s-1", "claims": Claims(), "salt": "salt", "last_at": NOW},
    request=("send good", "EVIL", "evil"),
    started_at=(NOW, NOW - 59_999_999, NOW - 60_000_000, NOW - 61_000_000),
    said=((), ("evil",), ("good", "Evil")),
    length=(0, 1, 2, 3),
    counts=({}, {"mail.send": 1}, {"mail.send": 3, "pay.transfer": 2}),
    verdicts=({}, {"DENY": 2}, {"ALLOW": 1}),
    entities=((), ("evil",), ("bob@our.test", "EVIL")),
    pace=((), (NOW - 61 * 10**6, NOW - 60 * 10**6, NOW - 59 * 10**6), (NOW - 60 * 10**6,), (NOW - 30 * 10**6, NOW)),
)


_done = st.dictionaries(
    st.sampled_from(("mail.send", "pay.transfer", "crm.read", "web.search", OTHER)),
    st.sampled_from((NOW, NOW - 60 * 10**6, NOW - 60 * 10**6 - 1, NOW - 600 * 10**6, NOW - 601 * 10**6)),
    max_size=3,
)


@st.composite
def contexts(draw: st.DrawFn) -> SessionContext:
    """The state of one session; `open` and `owner` are facts that are often missing, and sometimes in dispute."""
    seen: dict[str, Any] = {"open": draw(st.sampled_from((None, None, True, False))), "owner": draw(_known)}
    disputed = draw(st.sampled_from((False, False, True)))
    facts = tuple(
        Fact(name=name, value=value, source="app", at=NOW, conflicting=disputed)
        for name, value in seen.items()
        if value is not None
    )
    session: SessionContext = replace(
        draw(sessions),
        facts=facts,
        walked=Walked(done=draw(_done), risk=draw(st.integers(0, 4))),
        claims=Claims(intent=draw(st.sampled_from((*("support", "ops") * 4, "Support", None)))),
        waiting=draw(st.sampled_from(((), (), (Waiting(handle="w-1", action_id="act-1", digest="0" * 64),)))),
    )
    return session


_found = st.lists(
    st.builds(
        Fact,
        name=st.sampled_from(("open", "owner")),
        value=st.one_of(st.booleans(), _known),
        source=st.just("file"),
        at=st.just(NOW),
    ),
    max_size=2,
    unique_by=lambda fact: fact.name,
).map(tuple)


@st.composite
def inputs(draw: st.DrawFn) -> EvaluationInput:
    """One action with all that is known at the moment of decision."""
    profile = draw(st.sampled_from(PROFILES))
    tool, _, operation = profile.tool.partition(".")
    return EvaluationInput(
        action=Action(
            action_id="act-1",
            tool=tool,
            operation=operation,
            parameters=draw(parameters),
            digest="0" * 64,
            submitted_at=NOW,
            profile=draw(st.sampled_from((*(profile,) * 16, replace(profile, accepts=draw(limits)), None))),
        ),
        identity=draw(identities),
        context=draw(contexts()),
        labels=draw(labels),
        shared=SharedFacts(stored=draw(labels), tallies=draw(_tallied), authority=draw(st.sampled_from(STANDS))),
        signals=Signals(
            values=draw(_signals),
            unknown=draw(st.sampled_from(({}, {}, {}, {"sensitive_level": "took too long"}, {"injection": "gone"}))),
            labels=draw(labels) if draw(_seldom) else Labels(),
            confidence_ppm=draw(st.sampled_from((None, None, 599_999, 600_000, 900_000))),
        ),
        now=NOW,
        separation=draw(st.sampled_from(("none", "user", "host"))),
        facts=draw(st.one_of(st.just(()), _found)),
    )


def answerable(policy: PolicySet) -> tuple[str, ...]:
    """The content hashes of all rules that people could answer, whatever they decide."""
    return tuple(rule_digest(rule) for rule in (*policy.rules, supervision(policy.supervisors)))


@st.composite
def cases(draw: st.DrawFn) -> tuple[EvaluationInput, PolicySet]:
    """An action, a policy, and what people have answered so far."""
    given, policy = draw(inputs()), draw(policies())
    hashes = (*answerable(policy), "0" * 64)
    answered = draw(st.one_of(st.just(()), st.just(hashes), st.lists(st.sampled_from(hashes), unique=True).map(tuple)))
    return replace(given, answered=answered), policy


# --------------------------------------------------------------------------------------------- one thing, and no other

_any_of_addresses = st.sampled_from(ADDRESSES)
_typed = st.one_of(numbers, numbers, st.booleans(), objects, st.lists(st.sampled_from(PLAIN), max_size=2), st.none())
_aimed = st.fixed_dictionaries(
    {
        "to": st.one_of(_any_of_addresses, st.lists(_any_of_addresses, max_size=2), st.none()),
        "cc": st.sampled_from((None, None, "#support", "x@evil.test", "evil", "Evil", 1)),
        "body": st.one_of(st.sampled_from((*PLAIN, *ADDRESSES)), _typed),
        "path": st.one_of(st.sampled_from((*UNDER, *PATHS)), st.lists(st.sampled_from(UNDER), max_size=2), st.none()),
        "meta": _typed,
        "amount": numbers,
    }
).map(canonical_parameters)
_asides = {
    field: _fields[field]
    for field in ("separation", "context.risk", "context.intent", "context.level", "identity.human")
}
_single = st.one_of(_of(_read), _of(_read), _of(_asides))


@st.composite
def narrow(draw: st.DrawFn) -> tuple[EvaluationInput, PolicySet]:
    """One rule about one thing, with nothing in its way; or limits, with a rule that permits everything."""
    profile = draw(st.sampled_from(PROFILES))
    tool, _, operation = profile.tool.partition(".")
    about = draw(st.sampled_from(("match", "match", "after", "constraints", "limits", "intents")))
    restricts = about in ("match", "after") and draw(st.booleans())
    change = (Modification(parameter="cc", edit=Edit.DROP), Modification(parameter="cc", edit=Edit.SET, value="good"))
    rule = Rule(
        id="one",
        match=(draw(_single),) if about == "match" else (),
        after=tuple(draw(st.lists(sequences, min_size=1, max_size=2))) if about == "after" else (),
        constraints=tuple(draw(st.lists(_of(_read), min_size=1, max_size=2))) if about == "constraints" else (),
        decision=Verdict.DENY if restricts else draw(st.sampled_from((Verdict.ALLOW, Verdict.ALLOW, Verdict.MODIFY))),
    )
    if rule.decision is Verdict.MODIFY:
        rule = replace(rule, modifications=(draw(st.sampled_from(change)),))
    policy = PolicySet(
        policy="small",
        version=1,
        posture=Posture.DECLARED_TOOLS if restricts else Posture.DENY,
        tools=(replace(profile, accepts=draw(_accepts)), *(each for each in PROFILES if each is not profile)),
        rules=(rule,),
        destinations=tuple(draw(_destinations)) if about == "limits" else (),
        intents=tuple(draw(_intents)) if about == "intents" else (),
    )
    limited = about in ("limits", "intents", "match")
    given = EvaluationInput(
        action=Action(
            action_id="act-1",
            tool=tool,
            operation=operation,
            parameters=draw(_aimed),
            digest="0" * 64,
            submitted_at=NOW,
        ),
        identity=ActionIdentity(human="good", service="good", agent="EVIL", session="s-1", scope=("*",)),
        context=draw(contexts()),
        labels=draw(labels) if limited else Labels(),
        shared=SharedFacts(stored=draw(labels) if about == "limits" and draw(_seldom) else Labels()),
        signals=Signals(
            unknown={"sensitive_level": "took too long"} if limited and draw(_seldom) else {},
            labels=draw(labels) if about == "limits" and draw(_seldom) else Labels(),
        ),
        now=NOW,
        separation=draw(st.sampled_from(("none", "user", "host"))),
    )
    return given, policy
