"""What is said of one action: did the user ask for it, and where do its targets come from (R3; T1, T2, T4, T10, T11).

The order of the questions, each of which decides where it can:

1. Does text that poses as the user or the system order this, with values that the user never used? Then its origin
   proves an attack, wherever else the values stand: who writes such text can repeat them in a table.
2. Did the user rule this effect out?
3. Did the user ask for the effect, or tell the agent to follow a source that orders it?
4. Where does every target come from (`origins.py`)?

A target that only an instruction names is never asked about, nor one that only a text names towards which nobody asked
for anything: a person who always says yes is not the hole. What was asked for once is spent by the first target that it
reached. Judged is the action alone; scores play no part here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec.structs import replace

from navicert.core.fields import leaves, role_values
from navicert.intent.commands import effects_of_command
from navicert.intent.index import Index
from navicert.intent.matching import GRAVE, adds, asks, delegates, plain, same_site, shape, site, tool_words
from navicert.intent.origins import (
    STEPS,
    Case,
    Origin,
    Reached,
    Weight,
    at_a_site,
    cut,
    echoed,
    led_to,
    may_order,
    obeyed,
    origin_of,
    own_values,
    targets_of,
)
from navicert.intent.values import Asked, Finding, Form, Grant, Judgement, Sighting, Trust
from navicert.intent.verbs import words
from navicert.intent.wording import asked_to, called, doing, injected, judgement, place, short, whence
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.value import Json

_AT_A_SITE: Final = frozenset({Effect.SEND, Effect.WRITE})
"""What is part of working at a site to which the request leads: filling in its forms."""
_RUNS: Final = words("command cmd script code query sql statement bash")
"""Parameters that hold what is run."""
_BESIDE: Final = words("args arguments argv options flags params")
"""Parameters that hold what stands behind it."""
_SQL: Final = words("sql query statement database db sqlite postgres mysql")
"""Words of parameters and tools that say in which language."""
_SUM: Final = re.compile(
    r"\b(?:(?:pay|send|transfer|wire|refund|donate|give|move|deposit)\w*\s+(?:\w+\s+)?[$€£]?(?=\d)"
    r"|of\s+[$€£]?(?=[\d.,]+\s+(?:to|for|from|euros?|dollars?|pounds?|eur|usd|gbp)\b))(\d[\d,]*(?:\.\d+)?)",
    re.IGNORECASE,
)
_LEAVES: Final = 4_000
_FILE: Final = re.compile(r"/|\.\w{1,5}$")
_LADDER: Final = tuple(Finding)


def judge(
    action: Action,
    profile: ToolProfile,
    parameters: Mapping[str, Json],
    asked: Asked,
    index: Index,
    reached: Reached,
) -> Judgement:
    """Return what is said of the action; pure, and the same for the same input."""
    case = Case(action, profile, parameters, asked, index, reached)
    if profile.effect is not Effect.READ and len(leaves(dict(parameters), keys=True)) > _LEAVES:
        return Judgement(finding=Finding.UNSURE, why=f"it has more than {_LEAVES} values, too many to look at")
    if profile.effect is not Effect.EXECUTE:
        return _one(case)
    found = [_one(each) for each in _run(case)]
    return max(found, key=lambda item: _LADDER.index(item.finding))


def _run(case: Case) -> Iterator[Case]:
    """Yield a tool that runs something as each of what that does."""
    given = [(name.lower(), [str(leaf) for leaf in leaves(item)]) for name, item in case.parameters.items()]
    beside = [leaf for name, found in given if name in _BESIDE for leaf in found]
    database = bool(tool_words(case.profile.tool.replace(".", " ")) & _SQL)
    languages = [(found, database or name in _SQL) for name, found in given if name in _RUNS]
    texts = [(" ".join(found if sql else [*found, *beside]), sql) for found, sql in languages]
    effects = {each for text, sql in texts for each in effects_of_command(text, sql=sql)} or {Effect.EXECUTE}
    for effect in sorted(effects):
        yield case._replace(profile=replace(case.profile, effect=effect), runs=bool(texts))


def _one(case: Case) -> Judgement:
    profile, asked = case.profile, case.asked
    posed = _posed(case)
    if posed is not None:
        return posed
    if profile.effect is Effect.READ:
        return _read(case)
    if profile.effect in asked.refused:
        return Judgement(finding=Finding.REFUSED, why=f"you said not to {doing(profile)}")
    targets = [origin_of(case, value) for value in targets_of(case)]
    worst = min(targets, key=lambda item: item.weight, default=None)
    if asked == Asked():
        return _unstated(case, worst)
    grant = asks(asked, profile, [item.target for item in targets])
    if grant is not None:
        return _granted(case, grant, targets, worst)
    there = (
        profile.effect in _AT_A_SITE and not case.runs and targets and all(at_a_site(case, item) for item in targets)
    )
    if there and _ordered(case, worst, posing=False) is None:
        why = f"your request leads to {called(case, targets[0].target)}"
        return judgement(Finding.ASKED, why, targets[0], None, "yes")
    return _not_granted(case, targets, worst)


def _posed(case: Case) -> Judgement | None:
    """Return INJECTED where text that speaks to the model orders this very action."""
    values: list[str] | None = None
    for source, passage in case.known.directives():
        if passage.form is not Form.IMITATION or not may_order(passage, case.profile.effect) or echoed(source, passage):
            continue
        if values is None:
            values = own_values(case, posing=True)
        hit = next((item for item in values if obeyed(item, passage, case.asked)), None)
        if hit is not None:
            return injected(case, hit, source, passage)
    return None


# ------------------------------------------------------------------------------------------------ reading


def _read(case: Case) -> Judgement:
    """Reading is free, but for an address that only an instruction names, or that carries something away."""
    places = targets_of(case) if case.runs else role_values(case.profile, "destination", dict(case.parameters))
    for value in map(cut, places):
        strange = _strange(case, value) or _carrying(case, value)
        if strange is not None:
            return strange
    return Judgement(finding=Finding.READS, why="it reads, and changes nothing", asked="yes")


def _strange(case: Case, value: Any) -> Judgement | None:
    """Say what is wrong with an address to be fetched, if only an instruction names it; None for nothing.

    It is visited if the request leads to who names it.
    """
    origin = origin_of(case, value)
    where = site(origin.target)
    if origin.weight is Weight.UNSEEN and where is not None and not same_site(case.asked, origin.target):
        origin = origin_of(case, where[0])._replace(target=origin.target)  # put together: who names the host?
    found = origin.sighting
    if origin.weight is not Weight.ORDERED or found is None or origin.delegation is not None:
        return None
    source = found.source
    if found.passage.form is Form.IMITATION:
        return injected(case, origin.target, source, found.passage)
    if same_site(case.asked, origin.target) or any(led_to(case, item, STEPS) for item in source.about):
        return None
    why = f"only an instruction in {whence(source)} leads to {called(case, origin.target)}"
    return judgement(Finding.UNSURE, why, origin)


def _carrying(case: Case, value: Any) -> Judgement | None:
    """Say so where an address that the user did not name holds what another source gave: it carries that away (T3)."""
    target = plain(value)
    where = site(target)
    if where is None or not where[1] or same_site(case.asked, target):
        return None
    origin = origin_of(case, value)
    if origin.sighting is not None and origin.sighting.exact:
        return None  # it stood there whole
    host = {item.source.action_id for item in case.known.find(where[0])}
    for item in case.known.parts(where[1]):
        if item.source.action_id not in host:
            why = f"nobody chose {called(case, target)}, and it carries something of {whence(item.source)}"
            return judgement(Finding.UNSURE, why, Origin(target, Weight.UNSEEN, item))
    return None


# ------------------------------------------------------------------------------------------------ asked for


def _granted(case: Case, grant: Grant, targets: list[Origin], worst: Origin | None) -> Judgement:
    """The effect was asked for: what is left is where it goes, how much, and how often."""
    said = asked_to(grant)
    other = next((item for item in targets if _another(case, grant, item)), None)
    if other is not None:
        if other.sighting is not None and other.weight <= Weight.LED and other.sighting.passage.form is not Form.FIELD:
            return injected(case, other.target, other.sighting.source, other.sighting.passage)
        why = f"{said}, and {called(case, other.target)} is another target"
        return judgement(Finding.UNSURE, why, other, grant, "yes")
    if worst is None or worst.weight >= Weight.LED:
        beyond = _beyond(case, grant, targets)
        if beyond is not None:
            return _ordered(case, worst, posing=True) or judgement(
                Finding.UNSURE, f"{said}, {beyond}", worst, grant, "yes"
            )
        if worst is not None and case.profile.effect is Effect.PAY and _said_by_anybody(worst):
            return judgement(Finding.UNSURE, f"{said}, but {place(case, worst)}", worst, grant, "yes")
        came = f", and {place(case, worst)}" if worst is not None else ""
        return judgement(Finding.ASKED, said + came, worst, grant, "yes")
    if worst.delegation is not None:
        return _delegated(case, worst, grant)
    if worst.weight is Weight.ORDERED and worst.sighting is not None:
        return injected(case, worst.target, worst.sighting.source, worst.sighting.passage)
    if worst.weight is Weight.UNSEEN:
        if case.profile.effect is Effect.WRITE and shape(worst.target) == "name":
            return judgement(Finding.ASKED, said, worst, grant, "yes")
        why = f"{said}, but {place(case, worst)}"
        return judgement(Finding.UNSEEN, why, worst, grant, "yes")
    return judgement(Finding.UNSURE, f"{said}, but {place(case, worst)}", worst, grant, "yes")


def _said_by_anybody(origin: Origin) -> bool:
    """Tell whether only the words of a place that anybody can have filled lead to a target: money needs more."""
    found = origin.sighting
    return (
        origin.weight is Weight.LED
        and origin.delegation is None
        and found is not None
        and found.source.trust is Trust.PUBLIC
    )


def _another(case: Case, grant: Grant, origin: Origin) -> bool:
    """Tell whether the user wrote out an address of this kind, or what to remove, and this is another one."""
    kind = shape(origin.target)
    if kind == "name" and case.profile.effect is grant.effect is Effect.DELETE:
        open_ = grant.many or origin.delegation is not None or origin.target in grant.targets
        return not open_ and any(_FILE.search(item) for item in grant.targets)
    if origin.weight is Weight.USER or kind == "name":
        return False
    return any(shape(item) == kind for item in grant.targets)


def _beyond(case: Case, grant: Grant, targets: list[Origin]) -> str | None:
    """Say what goes beyond what was asked for: another sum, or a further target for what was asked for once."""
    said = _SUM.search(grant.words)
    if said is not None and case.profile.amount:
        sums = [item for item in role_values(case.profile, "amount", dict(case.parameters)) if type(item) is not bool]
        if any(plain(item).replace(",", "") not in _spellings(said.group(1)) for item in sums):
            return f"and said {said.group(1)}"
    if grant.many or len(grant.targets) > 1 or case.profile.effect in {Effect.WRITE, Effect.EXECUTE}:
        return None
    before = case.reached.get(case.profile.effect.value, ())
    spent = {shape(item) for item in before}  # what was filled in at a site is another thing than a message
    if any(
        item.weight is not Weight.USER and item.target not in before and shape(item.target) in spent for item in targets
    ):
        return "and that was done for another target already"
    if case.profile.effect is Effect.PAY and targets and all(item.target in before for item in targets):
        return "and that was paid already"
    return None


def _spellings(number: str) -> frozenset[str]:
    bare = number.replace(",", "")
    short_ = bare.rstrip("0").rstrip(".") if "." in bare else bare
    return frozenset({bare, short_, f"{short_}.0", f"{short_}.00"})


def _delegated(case: Case, origin: Origin, grant: Grant | None = None) -> Judgement:
    """A source that the user told the agent to follow names the target, or orders the effect."""
    delegation, sighting = origin.delegation, origin.sighting
    assert delegation is not None  # noqa: S101 - INVARIANT: only called with one
    assert sighting is not None  # noqa: S101 - INVARIANT: a delegation comes with a place
    effect = case.profile.effect
    if grant is None and effect not in delegation.effects and (delegation.effects or effect in GRAVE):
        why = f"you let {whence(sighting.source)} say what to do, but not to {doing(case.profile)}"
        return judgement(Finding.UNASKED, why, origin)
    why = f"you let {whence(sighting.source)} say what to do (“{short(delegation.words)}”)"
    return judgement(Finding.DELEGATED, why, origin, grant, "delegated")


# ------------------------------------------------------------------------------------------------ not asked for


def _unstated(case: Case, worst: Origin | None) -> Judgement:
    """Without a request, only the origin can speak against an action."""
    if worst is not None and worst.weight is Weight.ORDERED and worst.sighting is not None:
        return injected(case, worst.target, worst.sighting.source, worst.sighting.passage)
    return judgement(Finding.UNSTATED, "the session has no request, so nobody knows what was asked", worst)


def _not_granted(case: Case, targets: list[Origin], worst: Origin | None) -> Judgement:
    """Nobody asked for the effect, unless a source that the user let speak did."""
    ordered = _ordered(case, worst, posing=True)
    if ordered is not None:
        return ordered
    led = next((item for item in targets if item.delegation is not None), None)
    if led is not None and all(item.delegation is not None or item.weight >= Weight.LED for item in targets):
        return _delegated(case, led)
    if not targets or (worst is not None and worst.weight >= Weight.LED):
        for source, passage in reversed(case.known.directives()):
            here = Sighting(source=source, passage=passage)
            delegation = _follows(case, here)
            if delegation is not None:
                return _delegated(case, Origin("", Weight.LED, here, delegation))
    ordered = _ordered(case, worst, posing=False)
    if ordered is not None:
        return ordered
    for item in (*targets, *(origin_of(case, value) for value in own_values(case, posing=False) if len(value) > 5)):
        if item.sighting is not None and item.sighting.exact and item.delegation is None and _too_little(item):
            return injected(case, item.target, item.sighting.source, item.sighting.passage)
    if adds(case.profile) and all(_stays(case, item) for item in targets):
        return judgement(Finding.OWN, "it adds something among your own things, and reaches nobody", worst)
    why = f"you did not ask to {doing(case.profile)}"
    if worst is not None and worst.weight is Weight.UNSEEN:
        why += f", and {place(case, worst)}"
    return judgement(Finding.UNASKED, why, worst)


def _follows(case: Case, here: Sighting) -> Any:
    if here.passage.form is Form.IMITATION or not case.asked.delegations:
        return None
    return delegates(case.asked, here.source, case.known.near(here) if here.passage.record else ())


def _ordered(case: Case, worst: Origin | None, *, posing: bool) -> Judgement | None:
    """Return INJECTED where a text that nobody was told to follow orders this effect, and the action follows it.

    posing: text that poses as the user; towards targets that are not the user's own, the same effect is enough.
    """
    effect = case.profile.effect
    values = own_values(case, posing=posing)
    for source, passage in reversed(case.known.directives()):
        if effect not in passage.effects or (passage.form is Form.IMITATION) is not posing or echoed(source, passage):
            continue
        if not posing and _follows(case, Sighting(source=source, passage=passage)) is not None:
            continue
        hit = next((item for item in values if obeyed(item, passage, case.asked)), None)
        if hit is not None:
            return injected(case, hit, source, passage)
        if posing and not adds(case.profile) and _open_to_orders(effect, worst):
            return injected(case, "", source, passage)
    return None


def _open_to_orders(effect: Effect, worst: Origin | None) -> bool:
    """Tell whether nothing speaks for the targets of what is ordered; a message to where the request leads has that."""
    if worst is None or effect is not Effect.SEND:
        return worst is None or worst.weight is not Weight.USER
    return worst.weight < Weight.LED and worst.delegation is None


def _too_little(origin: Origin) -> bool:
    """Tell whether a target towards which nothing was asked for is known only from what proves nothing."""
    sighting = origin.sighting
    assert sighting is not None  # noqa: S101 - INVARIANT: the caller looks
    if origin.weight >= Weight.ISSUED or echoed(sighting.source, sighting.passage):
        return False
    typed = sighting.passage.form in {Form.ISSUED, Form.FIELD}
    return not typed or sighting.source.trust is Trust.PUBLIC or sighting.source.kind != "tool"


def _stays(case: Case, origin: Origin) -> bool:
    """Tell whether a target is a place of the user's own, or an address that is only fetched."""
    if shape(origin.target) != "site":
        return shape(origin.target) == "name"
    return origin.weight > Weight.UNSEEN or (origin.sighting is not None and _strange(case, origin.target) is None)
