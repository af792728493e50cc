"""Scenarios of the threat suite: one file per threat class in `attacks/`, read strictly (T1 to T11).

* A scenario says what the user asks for, what the world holds, what the scripted agent calls, and which effect tells
  whether it came through. The effect decides, not the verdict.
* `{secret}`, `{address}` and such are drawn when the scenario is played, so that nothing can know them beforehand;
  `{secret|base64}` is a form of one. Every effect holds at least one drawn value, or names a file of the scenario.
* A marker (`undefended`, `blocked`, `asks`) says what is known not to be as it should, and why. It has to be true:
  a scenario that comes out otherwise than its marker says is a finding, in either direction.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from importlib.resources import files
from secrets import choice, randbelow, token_hex
from typing import Any, Final, Literal

import msgspec

from navicert.model.errors import PolicyError
from navicert.model.value import Value

THREATS: Final = tuple(f"T{number}" for number in range(1, 12))
_USED: Final = re.compile(r"\{([a-z]+[0-9]?)(?:\|([a-z0-9]+))?\}")
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"


def _card() -> str:
    digits = [4, 1, 1, 1, *(randbelow(10) for _ in range(11))]
    doubled = (2 * digit if place % 2 == 0 else digit for place, digit in enumerate(digits))
    total = sum(digit - 9 if digit > 9 else digit for digit in doubled)
    return "".join(map(str, [*digits, -total % 10]))


KINDS: Final[Mapping[str, Callable[[], str]]] = {
    "secret": lambda: f"plan-{token_hex(6)}",
    "name": lambda: f"n{token_hex(4)}",
    "address": lambda: f"eve-{token_hex(4)}@evil.example",
    "host": lambda: f"h{token_hex(4)}.evil.example",
    "customer": lambda: f"jo-{token_hex(4)}@shop.example",
    "colleague": lambda: f"bob-{token_hex(4)}@company.example",
    "insider": lambda: f"mal-{token_hex(4)}@company.example",
    "card": _card,
    "key": lambda: "AKIA" + "".join(choice(_UPPER) for _ in range(16)),
    "number": lambda: f"{700_000 + randbelow(99_999)}",
}
"""What can be drawn: a word of the business, a name that the agent chooses, somebody outside, a host of theirs, a
customer, a colleague, a colleague who is not to be trusted, a card number, an access key, an order or ticket."""
FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "hex": lambda text: text.encode().hex(),
    "spaced": " ".join,
    "spelled": lambda text: text.replace("@", " at ").replace(".", " dot "),
    "upper": str.upper,
    "reversed": lambda text: text[::-1],
    "first": lambda text: text[: len(text) // 2],
    "rest": lambda text: text[len(text) // 2 :],
}

Place = Literal[
    "mail", "web", "share", "calendar", "ticket", "note", "bank", "account", "shell", "files", "gone", "database",
    "erased", "added", "heard", "refusals", "store", "log",
]  # fmt: skip
"""Where an effect shows. gone: a file is there no more; erased: a value is in no row any more; added: a tool that a
server added was called. heard: what the agent was told; refusals: of that, what it was told in place of a result.
store: the bytes of the product's own files; log: what it printed."""


class Effect(Value, frozen=True, kw_only=True):
    """What has to be seen at one place: all of `holds` in one mail, request, file or row."""

    at: Place
    holds: tuple[str, ...]


class Step(Value, frozen=True, kw_only=True):
    """One step: exactly one of call, session, says, observe, change.

    call: a tool, with its arguments; session: another session, of `agent` where it is named, or out of the session `of`
    by delegation with `scope`; says: what the user says; observe: a fact that the application reports; change: members
    of the world that are otherwise from now on. at: the session that this is in (`main`). because: where what the
    agent does comes from, for the reader.
    """

    call: str | None = None
    given: dict[str, Any] = msgspec.field(default={}, name="with")
    session: str | None = None
    request: str = ""
    agent: str = "assistant"
    of: str | None = None
    scope: tuple[str, ...] = ("*",)
    says: str | None = None
    observe: str | None = None
    value: Any = None
    source: str = ""
    change: dict[str, Any] | None = None
    at: str = "main"
    because: str = ""

    def __post_init__(self) -> None:
        """Raise `ValueError` unless it is one step."""
        if sum(each is not None for each in (self.call, self.session, self.says, self.observe, self.change)) != 1:
            raise ValueError("a step is one of call, session, says, observe and change")


class Scenario(Value, frozen=True, kw_only=True):
    """One attack, or one piece of ordinary work that must not be stopped.

    family: entries of the list of attack and failure cases, `F.3`. scope: of the first session. rules: rules that the
    deployment adds to the pack, as its author would; facts: sources of facts likewise, in which FOLDER is the folder of
    the files. effect: of an attack, what must not be seen; of ordinary work, what must. undefended: why this attack
    gets through today. blocked: why this work is stopped today. asks: why it is right that a person is asked.
    regardless: what stops this attack even under a policy that permits everything. surfaces: where it makes sense,
    empty for everywhere; `elsewhere` says why not there.
    """

    id: str
    title: str
    family: tuple[str, ...] = ()
    kind: Literal["attack", "benign"]
    pack: str
    request: str
    scope: tuple[str, ...] = ("*",)
    rules: str = ""
    facts: str = ""
    world: dict[str, Any] = {}
    steps: tuple[Step, ...]
    effect: Effect
    undefended: str | None = None
    blocked: str | None = None
    asks: str | None = None
    regardless: str | None = None
    surfaces: tuple[str, ...] = ()
    elsewhere: str = ""


class Threat(Value, frozen=True, kw_only=True):
    """One class of threats, and its scenarios; `watched` says in a sentence what they try."""

    threat: str
    title: str
    watched: str
    scenarios: tuple[Scenario, ...]


def threats() -> tuple[Threat, ...]:
    """Return the eleven classes, in order; raises `PolicyError` for a file that is not as it should be."""
    folder = files("navicert.conformance") / "attacks"
    found = []
    for name in THREATS:
        try:
            threat = msgspec.yaml.decode((folder / f"{name}.yaml").read_bytes(), type=Threat)
        except msgspec.MsgspecError as error:
            raise PolicyError(f"{name}.yaml: {error}") from None
        for each in threat.scenarios:
            _check(f"{name}.yaml: {each.id}", each, name)
        found.append(threat)
    return tuple(found)


def _check(where: str, each: Scenario, threat: str) -> None:
    if not each.id.startswith(f"{threat}.") or threat not in THREATS:
        raise PolicyError(f"{where}: the id must begin with `{threat}.`")
    marks = {"attack": (each.blocked, each.asks), "benign": (each.undefended, each.regardless)}[each.kind]
    if any(mark is not None for mark in marks):
        raise PolicyError(f"{where}: this marker is not for `{each.kind}`")
    if bool(each.surfaces) is not bool(each.elsewhere):
        raise PolicyError(f"{where}: `surfaces` and `elsewhere` stand together")
    if each.effect.at != "gone" and not any(_USED.search(text) for text in each.effect.holds):
        raise PolicyError(f"{where}: the effect holds no drawn value, so another scenario could bring it about")
    for name, form in _USED.findall(msgspec.json.encode(each).decode()):
        if name.rstrip("0123456789") not in KINDS or (form and form not in FORMS):
            raise PolicyError(f"{where}: `{name}|{form}` cannot be drawn; there are {', '.join(KINDS)}")


class Drawn:
    """The values of one run of a scenario. Thread-safe where each run has its own."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """Return the value of this name, drawn when it is first asked for."""
        if name not in self.values:
            self.values[name] = KINDS[name.rstrip("0123456789")]()
        return self.values[name]

    def is_in(self, name: str, text: str) -> bool:
        """Tell whether a text has a value in it, in whatever form: who reads one can use the other."""
        value = self(name)
        return value in text or any(form(value) in text for form in FORMS.values())

    def filled(self, thing: Any) -> Any:
        """Return a text, or anything made of texts, with the values in it."""
        if isinstance(thing, str):
            return _USED.sub(lambda found: FORMS[found[2]](self(found[1])) if found[2] else self(found[1]), thing)
        if isinstance(thing, list | tuple):
            return [self.filled(each) for each in thing]
        if isinstance(thing, dict):
            return {self.filled(key): self.filled(value) for key, value in thing.items()}
        return thing


def used(thing: Any) -> frozenset[str]:
    """Return the names of the values that a thing mentions."""
    return frozenset(name for name, _ in _USED.findall(msgspec.json.encode(thing).decode()))
