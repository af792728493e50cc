"""Test files: YAML → cases, each a session as a list of actions with what is expected of them (B.8).

* As strict as policies are: what a file cannot mean does not load, and says where, what, and what to write.
* Under `profiles: inferred` a tool that nobody declares is taken for what its name and parameters say.
* A check that cannot fail does not load either: every call expects a verdict, every answer says what it comes to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path
from typing import Any, Final

from msgspec.structs import replace

from navicert.core.builtin import PREFIX, with_builtin
from navicert.core.canonical import parameter_bytes
from navicert.core.compile import CompiledPolicy, compile_policy
from navicert.core.denial import REASON_CODES
from navicert.core.fields import ROLES
from navicert.core.times import micros
from navicert.intent.effects import infer
from navicert.model.action import ToolProfile
from navicert.model.decision import Verdict
from navicert.model.errors import InvalidAction, PolicyError
from navicert.model.identity import Claims
from navicert.model.labels import Labels
from navicert.model.policy import PolicySet
from navicert.model.value import Json, Value
from navicert.syntax import Spans, policy_hash, read_policy, words
from navicert.syntax.policy import read_returns, read_tools
from navicert.syntax.reader import Fault, Node, Place, Scalar, Table, read_yaml, shown

START: Final = 1_800_000_000_000_000
"""2027-01-15T08:00:00Z, in microseconds: when a case begins that does not say."""
POSTURE: Final = "posture"
"""In place of a rule: none matched, and the posture decided. Also its reason code."""
NONE: Final = "none"
"""As `shadow`: the shadow rules would change nothing."""
MAX_TEXT: Final = 20_000

_FACTS: Final = ("context.facts.", "context.ages.")
_VERDICTS: Final = {verdict.value: verdict for verdict in Verdict}
_ASKING: Final = (Verdict.STEP_UP, Verdict.DEFER)
_PERMITS: Final = (Verdict.ALLOW, Verdict.MODIFY)
_TEXTS: Final = tuple(name for name in Claims.__struct_fields__ if name not in {"roles", "scope", "token", "peer"})
_IDENTITY: Final = (*_TEXTS, "roles", "scope", "development", "separation")
_SEPARATIONS: Final = {word: word for word in ("none", "user", "host")}
_FILE: Final = ("policy", "identity", "tools", "survivors", "cases")
_SHADOWS: Final = {word: word for word in (*Verdict, NONE)}
_CASE: Final = ("name", "request", "identity", "at", "actions")
_ANSWERS: Final = ("facts", "after", "approve", "deny", "timeout")
_CALL: Final = ("call", "with", "expect", "rule", "reason", "shadow", "becomes", "result", "returns", *_ANSWERS, "then")
_STEPS: Final = ("call", "wait", "says", "observe", "session")


class Call(Value, frozen=True, kw_only=True):
    """An action, and what is expected of it. rules: exactly those that determine it; None: not looked at.

    shadow: the verdict that the shadow rules would give, or `NONE`; None: not looked at.
    becomes: the parameters that MODIFY makes others, None where one goes. result, found: what the tool gives back, and
    the labels that a classifier finds in it. The rest is what happens while it waits, and what that comes to (`then`).
    """

    tool: str
    parameters: dict[str, Json]
    expect: Verdict
    rules: tuple[str, ...] | None = None
    reason: str | None = None
    shadow: str | None = None
    becomes: dict[str, Json] | None = None
    result: Json = None
    found: Labels | None = None
    facts: dict[str, Json] = {}
    after_s: int = 0
    approve: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    timeout: bool = False
    then: Verdict | None = None


class Pause(Value, frozen=True, kw_only=True):
    """The clock moves on."""

    seconds: int


class Says(Value, frozen=True, kw_only=True):
    """Later words of the user."""

    text: str


class Observe(Value, frozen=True, kw_only=True):
    """The application reports a fact."""

    name: str
    value: Json
    source: str


class Anew(Value, frozen=True, kw_only=True):
    """The same people and agent go on in a new session."""

    request: str


Step = Call | Pause | Says | Observe | Anew


class Case(Value, frozen=True, kw_only=True):
    """One case. steps: each with the line and column where it stands.

    development: as in `ActionIdentity`. separation: between agent and engine, as in receipts.
    """

    name: str
    request: str
    claims: Claims
    development: bool
    separation: str
    at: int
    steps: tuple[tuple[Step, tuple[int, int]], ...]


class Remark(Value, frozen=True, kw_only=True):
    """Something about a test file that may be a mistake, and is no failure."""

    file: str
    line: int
    column: int
    text: str


class Suite:
    """A test file with its policy. tools: those that the policy leaves to the code, and those that are inferred.

    accepted: changes that may survive, as they are reported, each with its line and column.
    """

    def __init__(self, path: Path) -> None:
        """Read both; raises `PolicyError` where one of them does not load."""
        self.path = path
        text = _text(path)
        try:
            document = _document(text)
            if "posture" in document.nodes:
                todo = "name its `*.test.yaml`, or look at it with `navicert lint`"
                raise PolicyError(f"{path}: this is a policy, and no test file; {todo}")
            file = words.fields(document, "the test file", _FILE, ("cases",))
            named = words.line(file.nodes["policy"], "`policy`", MAX_TEXT) if "policy" in file.nodes else "policy.yaml"
            self.policy_path = path.parent / named
            self.policy, self.spans, self.compiled = load_policy(self.policy_path)
            self.tools = {
                item.tool: item for item in (read_tools(file.nodes["tools"])[0] if "tools" in file.nodes else ())
            }
            self.accepted = _accepted(file.nodes["survivors"]) if "survivors" in file.nodes else {}
            reader = _Reader(self.policy, self.tools)
            self.cases = reader.cases(file)
            self.tools |= _inferred(self.cases, self.tools.keys() | {item.tool for item in self.policy.tools})
            self.remarks = tuple(
                Remark(file=str(path), line=place.line, column=place.column, text=text)
                for place, text in reader.remarks
            )
        except Fault as fault:
            line, column = fault.place
            raise PolicyError(f"{path}:{line}:{column}: {fault}") from None


def _accepted(node: Node) -> dict[str, tuple[int, int]]:
    found: dict[str, tuple[int, int]] = {}
    for item in words.items(node, "`survivors`"):
        text = words.line(item, "an entry of `survivors`", MAX_TEXT)
        if text in found:
            raise Fault(item.place, f"{shown(text)} stands twice in `survivors`; keep one")
        found[text] = (item.place.line, item.place.column)
    return found


def load_policy(path: Path) -> tuple[PolicySet, Spans, CompiledPolicy]:
    """Return a policy file with the built-in rule, its places, and compiled; raises `PolicyError`."""
    policy, spans = read_policy(_text(path), str(path))
    whole = with_builtin(policy)
    return whole, spans, compiled(whole)


def compiled(policy: PolicySet) -> CompiledPolicy:
    """Compile a policy set under its content hash."""
    return compile_policy(policy, policy_hash(policy))


def _text(path: Path) -> str:
    try:
        return path.read_bytes().decode()
    except OSError as error:
        why = str(error.strerror).lower()
    except ValueError:
        why = "it is not UTF-8"
    raise PolicyError(f"{path}: the file cannot be read: {why}; name another, or mend it")


def _document(text: str) -> Table:
    if not any(line.partition("#")[0].strip() for line in text.splitlines()):
        raise Fault(Place(1, 1), "the file is empty; a test file has `cases:`, with `name:` and `actions:` each")
    return read_yaml(text)


class _Reader:
    """Reads cases against a policy: what neither knows is refused."""

    def __init__(self, policy: PolicySet, tools: Mapping[str, ToolProfile]) -> None:
        self._profiles = {item.tool: item for item in (*tools.values(), *policy.tools)}
        self._inferring = policy.profiles == "inferred"
        self._rules = {rule.id for rule in policy.rules} | {POSTURE, f"{PREFIX}supervision"}
        fields = {item.field for rule in policy.rules for item in (*rule.match, *rule.constraints)}
        asked = {field.split(".", 2)[2] for field in fields if field.startswith(_FACTS)}
        self._facts = asked | {fact.name for fact in policy.facts}
        self.remarks: list[tuple[Place, str]] = []

    def cases(self, file: Table) -> tuple[Case, ...]:
        who = self._identity(file.nodes["identity"]) if "identity" in file.nodes else {}
        found: list[Case] = []
        for node in words.items(file.nodes["cases"], "`cases`"):
            case = self._case(words.fields(node, "a case", _CASE, ("name", "actions")), who)
            if any(case.name == other.name for other in found):
                raise Fault(node.place, f"two cases have the name {shown(case.name)}; rename one")
            found.append(case)
        if not found:
            raise Fault(file.nodes["cases"].place, "there is no case, so nothing could fail; add one")
        return tuple(found)

    def _case(self, found: Table, who: Mapping[str, Any]) -> Case:
        nodes = found.nodes
        name = words.text(nodes["name"], "`name`", words.MAX_NAME)
        said = {**who, **(self._identity(nodes["identity"]) if "identity" in nodes else {})}
        development, separation = said.pop("development", False), said.pop("separation", "none")
        claims = {"human": "user", "agent": "agent", "service": "tests", **said}
        steps = tuple(self._steps(words.items(nodes["actions"], "`actions`")))
        if not any(isinstance(step, Call) for step, _ in steps):
            raise Fault(nodes["actions"].place, "nothing is expected here, so nothing could fail; add a `call:`")
        return Case(
            name=name,
            request=words.text(nodes["request"], "`request`", MAX_TEXT) if "request" in nodes else "",
            claims=Claims(**claims),
            development=development,
            separation=separation,
            at=_time(nodes["at"]) if "at" in nodes else START,
            steps=steps,
        )

    def _identity(self, node: Node) -> dict[str, Any]:
        nodes = words.fields(node, "`identity`", _IDENTITY).nodes
        found: dict[str, Any] = {key: words.line(nodes[key], f"`{key}`") for key in _TEXTS if key in nodes}
        for key in ("roles", "scope"):
            if key in nodes:
                found[key] = words.names(nodes[key], f"`{key}`", 2 * words.MAX_ID)
        if "development" in nodes:
            found["development"] = words.truth(nodes["development"], "`development`")
        if "separation" in nodes:
            found["separation"] = words.choice(nodes["separation"], "`separation`", _SEPARATIONS)
        return found

    def _steps(self, nodes: tuple[Node, ...]) -> Iterator[tuple[Step, tuple[int, int]]]:
        for node in nodes:
            found = words.table(node, "an action")
            kinds = [key for key in _STEPS if key in found.nodes]
            if len(kinds) != 1:
                options = words.listed(_STEPS)
                raise Fault(
                    node.place, f"this is {len(kinds) or 'no'} kind{'s'[: len(kinds)]} of step; write one of {options}"
                )
            words.fields(node, "an action", _CALL if kinds[0] == "call" else kinds)
            yield self._step(kinds[0], found), (node.place.line, node.place.column)

    def _step(self, kind: str, found: Table) -> Step:
        node = found.nodes[kind]
        match kind:
            case "wait":
                return Pause(seconds=words.duration(node, "`wait`"))
            case "says":
                return Says(text=words.text(node, "`says`", MAX_TEXT))
            case "session":
                return Anew(request=words.text(node, "`session`", MAX_TEXT))
            case "observe":
                nodes = words.fields(node, "`observe`", ("name", "value", "source"), ("name", "value")).nodes
                return Observe(
                    name=self._fact(words.line(nodes["name"], "`name`", 2 * words.MAX_ID), nodes["name"].place),
                    value=words.json(nodes["value"], "`value`"),
                    source=words.line(nodes["source"], "`source`") if "source" in nodes else "test",
                )
        return self._call(found)

    def _fact(self, name: str, place: Place) -> str:
        if name not in self._facts:
            raise Fault(
                place, f"no rule asks for the fact {shown(name)}; {words.advice(name, self._facts, 'there are')}"
            )
        return name

    def _call(self, found: Table) -> Call:
        nodes = words.fields(found, "a call", _CALL, ("expect",)).nodes
        tool = words.line(nodes["call"], "`call`", 2 * words.MAX_ID)
        if tool not in self._profiles and not self._inferring:
            near = words.advice(tool, self._profiles, "there are")
            hint = f"{near}; or declare it under `tools:`, in the policy or here"
            raise Fault(nodes["call"].place, f"no tool {shown(tool)} is declared; {hint}")
        expect = words.choice(nodes["expect"], "`expect`", _VERDICTS)
        then = words.choice(nodes["then"], "`then`", _VERDICTS) if "then" in nodes else None
        self._check(found, expect, then)
        parameters = _json(nodes["with"], "`with`") if "with" in nodes else {}
        self._look(tool, parameters, nodes["call"].place)
        return Call(
            tool=tool,
            parameters=parameters,
            expect=expect,
            rules=self._named(nodes["rule"]) if "rule" in nodes else None,
            reason=_code(nodes["reason"]) if "reason" in nodes else None,
            shadow=words.choice(nodes["shadow"], "`shadow`", _SHADOWS) if "shadow" in nodes else None,
            becomes=_json(nodes["becomes"], "`becomes`") if "becomes" in nodes else None,
            result=words.json(nodes["result"], "`result`") if "result" in nodes else None,
            found=self._labels(tool, nodes["returns"]) if "returns" in nodes else None,
            facts=self._stated(nodes["facts"]) if "facts" in nodes else {},
            after_s=words.duration(nodes["after"], "`after`") if "after" in nodes else 0,
            approve=words.names(nodes["approve"], "`approve`") if "approve" in nodes else (),
            deny=words.names(nodes["deny"], "`deny`") if "deny" in nodes else (),
            timeout=words.truth(nodes["timeout"], "`timeout`") if "timeout" in nodes else False,
            then=then,
        )

    def _look(self, tool: str, parameters: dict[str, Json], place: Place) -> None:
        """Remark on a role whose parameters are all missing while others are given: a name may be misspelt."""
        for role in ROLES[:3] if parameters and tool in self._profiles else ():
            names: tuple[str, ...] = getattr(self._profiles[tool], role)
            if names and not any(name.partition(".")[0] in parameters for name in names):
                given = f"`with` has {words.listed(parameters)}"
                self.remarks.append((place, f"no {role} of `{tool}` is given, which is {words.listed(names)}; {given}"))

    def _check(self, found: Table, expect: Verdict, then: Verdict | None) -> None:
        """Refuse what could have no effect: answers that nobody asks for, results of what does not run."""
        answers = [key for key in _ANSWERS if key in found.nodes]
        if answers and expect not in _ASKING:
            raise Fault(found.keys[answers[0]], f"`{answers[0]}` goes with `expect: STEP_UP` or `DEFER`; remove it")
        if answers and then is None:
            raise Fault(found.keys[answers[0]], f"nothing says what `{answers[0]}` comes to; add `then:`")
        if then is not None and not answers:
            raise Fault(found.keys["then"], f"nothing happens before `then`; add one of {words.listed(_ANSWERS)}")
        runs = expect in _PERMITS or then in _PERMITS
        for key in ("result", "returns"):
            if key in found.nodes and not runs:
                raise Fault(found.keys[key], f"nothing runs here, so there is no `{key}`; remove it")
        if "becomes" in found.nodes and Verdict.MODIFY not in (expect, then):
            raise Fault(found.keys["becomes"], "`becomes` goes with `MODIFY`; remove it")
        if "result" in found.nodes and "returns" in found.nodes:
            raise Fault(
                found.keys["returns"], "`result` is looked at for its labels, and `returns` states them; keep one"
            )

    def _named(self, node: Node) -> tuple[str, ...]:
        rules = words.names(node, "`rule`")
        for rule in rules:
            if rule not in self._rules:
                near = words.advice(rule, self._rules, "there are")
                raise Fault(node.place, f"the policy has no rule {shown(rule)}; {near}")
        if POSTURE in rules and len(rules) > 1:
            raise Fault(node.place, f"`{POSTURE}` is for no rule at all; write it alone, or remove it")
        return () if rules == (POSTURE,) else rules

    def _labels(self, tool: str, node: Node) -> Labels:
        labels = read_returns(node)
        base = self._profiles[tool].returns if tool in self._profiles else None
        if base is not None and not labels.covers(base):
            raise Fault(node.place, f"`{tool}` returns {base.words()} at least, and labels only grow; write more")
        return labels

    def _stated(self, node: Node) -> dict[str, Json]:
        found = words.table(node, "`facts`")
        for name, place in found.keys.items():
            self._fact(name, place)
        return {name: words.json(value, f"`{name}`") for name, value in found.nodes.items()}


def _inferred(cases: tuple[Case, ...], declared: AbstractSet[str]) -> dict[str, ToolProfile]:
    """Return what undeclared tools seem to do, by their names and all parameters that a call of theirs gives."""
    given: dict[str, list[dict[str, Json]]] = {}
    for step in (step for case in cases for step, _ in case.steps):
        if isinstance(step, Call) and step.tool not in declared:
            given.setdefault(step.tool, []).append(step.parameters)
    found = {}
    for tool, calls in given.items():
        schema = _schema({name: value for call in calls for name, value in call.items()})
        schema["required"] = [name for name in schema["properties"] if all(name in call for call in calls)]
        found[tool] = replace(infer(tool, "", schema).profile, inferred=True)
    return found


def _schema(value: Json) -> dict[str, Any]:
    """Return the JSON Schema of a value, as a tool would state it of its parameters."""
    if isinstance(value, dict):
        return {"type": "object", "properties": {name: _schema(item) for name, item in value.items()}}
    if isinstance(value, list):
        return {"type": "array", "items": _schema(value[0]) if value else {}}
    return {"type": "boolean" if isinstance(value, bool) else "string" if isinstance(value, str) else "number"}


def _json(node: Node, what: str) -> dict[str, Json]:
    """Return parameters; refused like those of a call that could not be judged."""
    found = words.table(node, what)
    try:
        parameters = {name: words.json(value, f"`{name}`") for name, value in found.nodes.items()}
        parameter_bytes(parameters)
    except InvalidAction as error:
        raise Fault(node.place, f"{what}: {error}") from None
    return parameters


def _code(node: Node) -> str:
    code = words.line(node, "`reason`")
    if code not in REASON_CODES:
        near = words.advice(code, sorted(REASON_CODES), "the codes are")
        raise Fault(node.place, f"{shown(code)} is no reason code; {near}")
    return code


def _time(node: Node) -> int:
    text = node.value if isinstance(node, Scalar) else None
    try:
        return micros(f"{str(text)[:-1]}.000000Z" if isinstance(text, str) and text.endswith("Z") else "")
    except (ValueError, OverflowError):
        raise Fault(node.place, "`at` is no time; write it in UTC, as `2026-03-02T09:00:00Z`") from None
