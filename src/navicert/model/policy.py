"""PolicySet: what a policy file means, without where it stood (that is `syntax`'s business).

* A condition is a field, an operator, a value. The fields of `match` are joined by AND.
* A rule with `set_context` labels what its action returns; a rule with a decision decides; one may do both.
* The content hash is taken over these values, so that layout and comments do not change it.
"""

from __future__ import annotations

from enum import StrEnum

from navicert.model.action import ToolProfile
from navicert.model.authority import Authority
from navicert.model.decision import Classification, Verdict
from navicert.model.labels import Labels, Limit
from navicert.model.value import Json, Value


class Operator(StrEnum):
    """The closed set of operators; `matches` is RE2, unanchored.

    The value of `external` is the patterns of the organisation; that of `same` a field; of `at` and `under`, patterns.
    """

    EQ = "eq"
    NE = "ne"
    LT = "lt"
    LE = "le"
    GT = "gt"
    GE = "ge"
    IN = "in"
    NOT_IN = "not_in"
    CONTAINS = "contains"
    MATCHES = "matches"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    EXISTS = "exists"
    TYPE = "type"
    SAME = "same"
    AT = "at"
    EXTERNAL = "external"
    UNDER = "under"


class Posture(StrEnum):
    """What happens where no rule matches; the file must state it. Undeclared tools are refused under each."""

    DENY = "deny"
    DECLARED_READS = "declared_reads"
    DECLARED_TOOLS = "declared_tools"


class Condition(Value, frozen=True, kw_only=True):
    """`field` is a dotted path: tool, operation, effect, category, parameters.*, context.*, identity.*, signals.*.

    negated: the condition stands under `not`; undetermined stays undetermined.
    """

    field: str
    operator: Operator
    value: Json
    negated: bool = False


class Tally(Value, frozen=True, kw_only=True):
    """`rate` or `total`: how often, or how much, in a window.

    per: human, agent or destination. above: matches when the count (or the sum of the amount parameter, in millionths)
    with this action would exceed it. window_s: seconds, at most 31 days.
    """

    kind: str
    per: str
    above: int
    window_s: int


class Earlier(Value, frozen=True, kw_only=True):
    """What the session was permitted before: an action that meets all the conditions (on its tool's name and profile).

    within_s: not longer ago than this. negated: holds where there was none.
    """

    match: tuple[Condition, ...]
    within_s: int | None = None
    negated: bool = False


class Edit(StrEnum):
    """How MODIFY changes a parameter."""

    SET = "set"
    CAP = "cap"
    REDACT = "redact"
    PREFIX = "prefix"
    DROP = "drop"


class Modification(Value, frozen=True, kw_only=True):
    """One edit of one parameter. value: the new value, the cap, the RE2 pattern to blank, or the prefix."""

    parameter: str
    edit: Edit
    value: Json = None


class SourceKind(StrEnum):
    """Where the value of a fact can be fetched from (R4.b)."""

    FILE = "file"
    HTTP = "http"
    COMMAND = "command"
    REQUESTER = "requester"


class Source(Value, frozen=True, kw_only=True):
    """One source of a fact. place: path, URL, or the question to the requester; words: a command and its arguments.

    at: JSON pointer (RFC 6901) into what the source answers; empty for the whole.
    """

    kind: SourceKind
    place: str = ""
    words: tuple[str, ...] = ()
    at: str = ""


class FactSource(Value, frozen=True, kw_only=True):
    """How a fact is found out while an action waits for it: every source must answer, and they must agree.

    attempts: at most so many rounds. every_s: seconds between them. wait_s: the longest one round may take.
    """

    name: str
    sources: tuple[Source, ...]
    attempts: int = 3
    every_s: int = 10
    wait_s: int = 5


class Rule(Value, frozen=True, kw_only=True):
    """One rule. A higher `priority` decides before a lower one; ids are unique in the set.

    approvals: how many persons must approve. backups: who may besides, after escalate_s seconds. approvers of a DEFER
    rule are asked when nothing more can be found out. authority: what the agent's authority becomes where it matches.
    after: what must have happened in the session. constraints, limits: what must hold besides where the rule permits or
    asks; else DENY (R3.b). adds_risk: points that the action adds to the session's risk where the rule matches. shadow:
    what the rule would do is recorded, and nothing else. require_witnessed: what it permits starts only once witnesses
    have confirmed the log up to the decision.
    """

    id: str
    name: str = ""
    match: tuple[Condition, ...] = ()
    tallies: tuple[Tally, ...] = ()
    decision: Verdict | None = None
    classification: Classification = Classification.STATIC
    priority: int = 0
    reason: str = ""
    risk: str = "medium"
    modifications: tuple[Modification, ...] = ()
    approvers: tuple[str, ...] = ()
    timeout_s: int | None = None
    set_context: Labels | None = None
    approvals: int = 1
    backups: tuple[str, ...] = ()
    escalate_s: int | None = None
    authority: Authority | None = None
    after: tuple[Earlier, ...] = ()
    constraints: tuple[Condition, ...] = ()
    limits: tuple[Tally, ...] = ()
    adds_risk: int = 0
    shadow: bool = False
    require_witnessed: bool = False


class Destination(Value, frozen=True, kw_only=True):
    """Places with the highest label that they may be sent. at: address patterns; names: destinations as written.

    pattern: RE2, for destinations that are neither addresses nor few (accounts).
    """

    at: tuple[str, ...] = ()
    names: tuple[str, ...] = ()
    pattern: str = ""
    accepts: Limit


class Intent(Value, frozen=True, kw_only=True):
    """A class of work and its bounds: tools as scope patterns, the highest label it may touch, how many actions."""

    name: str
    tools: tuple[str, ...]
    accepts: Limit | None = None
    actions: int | None = None


class PolicySet(Value, frozen=True, kw_only=True):
    """One policy: id, version, posture, tool profiles, rules in file order.

    sticky_s: how long labels follow a principal and agent into new sessions. confidence_ppm: below it, DEFER (R3.c).
    facts: how missing facts are found out. roles: what each role may use at most, as scope patterns; None for no
    ceiling. supervisors: who approves what an agent of reduced authority does. cascade: how deep waits may hang on
    waits (R4.f). destinations: what may be sent where; one that is not listed takes PUBLIC; empty for no such limits.
    intents: the classes of work; empty for none. risk_limit: a session's risk above it is DENY (step 2). withhold,
    redact: of the results of tools that do not say so themselves (`ToolProfile`). profiles: `declared`, or `inferred`
    where a tool that nobody declared is taken for what it seems to do. drift: the numbers of
    an `intent.drift.Profile`; None for those of an assistant.
    """

    policy: str
    version: int
    posture: Posture
    tools: tuple[ToolProfile, ...] = ()
    rules: tuple[Rule, ...] = ()
    sticky_s: int = 86_400
    confidence_ppm: int = 0
    facts: tuple[FactSource, ...] = ()
    roles: dict[str, tuple[str, ...]] | None = None
    supervisors: tuple[str, ...] = ()
    cascade: int = 3
    destinations: tuple[Destination, ...] = ()
    intents: tuple[Intent, ...] = ()
    risk_limit: int | None = None
    withhold: tuple[str, ...] = ()
    redact: tuple[str, ...] = ()
    profiles: str = "declared"
    drift: dict[str, int] | None = None
