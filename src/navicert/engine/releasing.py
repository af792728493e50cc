"""Releasing: what of a result its agent gets, and which labels come with that (R2.b, R2.c; DESIGN.md property 3).

* Without a word of the policy the whole is released, under its labels. Where a tool has `redact`, what is recognised of
  those categories is blanked first; `withhold` then looks at the labels of what is left.
* A blank counts for nothing by itself: what would be released is looked at again, and withheld where a category that
  was to be blanked is still found, in disguise or in what is no text. So is what cannot be looked at, or taken apart.
* What is withheld labels nobody. Labels stand for what a session has seen, and of a withheld result it has seen
  nothing: what it is told (that the tool ran, and for which of the policy's own words it was withheld) is no data of
  the result. Were it labelled, one unlucky read would stop an agent that saw nothing. This holds because it is all or
  nothing: no part of a screened result is released before all of it was looked at. What a tool says while it runs
  (`extending`) is looked at with all that it said before, and labels as soon as it is released.
* What is not released is not kept either: the receipt discloses what was released.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from navicert.core.labels import label_result
from navicert.engine.drive import Ask, Call, Machine
from navicert.engine.output import Output, Released, kept
from navicert.engine.redacting import Document
from navicert.engine.workings import Live, Terms, Workings, replace
from navicert.model.action import ToolProfile
from navicert.model.errors import InvalidAction, ResultWithheld
from navicert.model.labels import NOTHING, Labels, Level
from navicert.model.policy import PolicySet
from navicert.model.receipt import ReleasePart
from navicert.model.shared import Stored
from navicert.model.signals import Finding
from navicert.ports import Locator, Span

ROUNDS: Final = 3
"""What is recognised only once something else is blanked is blanked so often; what is left then is not released."""
_UNCLASSIFIED: Final = ("*",)
Findings = list[Finding | None]


def terms_of(policy: PolicySet, profile: ToolProfile) -> Terms | None:
    """Return what may not be released of a tool's results; None for no limit."""
    withhold = policy.withhold if profile.withhold is None else profile.withhold
    redact = policy.redact if profile.redact is None else profile.redact
    return Terms(withhold=withhold, redact=redact) if withhold or redact else None


def releasing(works: Workings, live: Live, output: Output) -> Machine[Released]:
    """Return what may be released of a result, or of a part of it; that is not recorded yet, and labels nobody yet."""
    stored = yield from _stored(works, live)
    findings = yield from _findings(works, output)
    shown, blanked = output, frozenset[str]()
    if live.terms is not None and output.text is not None and not output.empty:
        shown, blanked, located = yield from _redacted(works, output, live.terms.redact)
        if shown is not output:
            findings = yield from _findings(works, shown)
        findings.append(located)
    labels = label_result(
        declared=live.profile.returns if live.profile else None,
        ruled=live.ruled,
        stored=stored,
        findings=tuple(findings),
        empty=output.empty,
    )
    names = _against(live.terms, labels, findings) if live.terms is not None else ()
    if names:
        part = ReleasePart(how="withheld", labels=names)
        return Released(labels=NOTHING, part=part, output=msgspec.json.encode({"withheld": names}))
    if shown is output:
        return Released(labels=labels, output=kept(output))
    part = ReleasePart(how="redacted", labels=tuple(sorted(blanked)))
    return Released(labels=labels, json=shown.json, part=part, output=kept(shown))


def withheld(live: Live, part: ReleasePart | None, what: str) -> ResultWithheld:
    """Return the error in place of a result. what: `ran, and what it gave back`, or the like."""
    permit = live.permit
    names = "unclassified" if part is None or part.labels == _UNCLASSIFIED else ", ".join(part.labels)
    return ResultWithheld(
        f"`{permit.tool}.{permit.operation}` {what} is withheld by policy ({names}); go on without it "
        f"[{permit.action_id}]"
    )


def _against(terms: Terms, labels: Labels, findings: Findings) -> tuple[str, ...]:
    """Return the words of the policy that forbid the release."""
    blind = any(finding is None or not finding.looked for finding in findings)
    found = [finding.labels for finding in findings if finding is not None]
    names = {name for name in terms.withhold if _carries(labels, name)}
    names |= {name for name in terms.redact if blind or any(item.has(name) for item in found)}
    return _UNCLASSIFIED if names and (blind or labels.everything) else tuple(sorted(names))


def _carries(labels: Labels, name: str) -> bool:
    return labels.level >= Level[name] if name in Level.__members__ else labels.has(name)


def _redacted(
    works: Workings, output: Output, redact: Sequence[str]
) -> Machine[tuple[Output, frozenset[str], Finding | None]]:
    """Return the output as redacted, the categories that were blanked, and what is left; None where nobody could look.

    What is left: what is located still, in the strings put together as well, which no classifier sees.
    """
    locators = [item for item in works.classifiers if isinstance(item, Locator)]
    shown, blanked = output, frozenset[str]()
    left = NOTHING
    for _ in range(ROUNDS):
        try:
            document = Document(shown.json)
        except InvalidAction:
            return shown, blanked, None
        texts = [document.text, *(item.text for item in document.glued)]
        calls = [
            Call(item.name, partial(item.locate, text, glued=place > 0), item.inline)
            for item in locators
            for place, text in enumerate(texts)
        ]
        answers = (yield Ask(tuple(calls), works.settings.measure_s)) if calls else []
        if any(not _are_spans(answer.value) for answer in answers):
            return shown, blanked, None
        found = [
            [span for answer in answers[place :: len(texts)] for span in answer.value] for place in range(len(texts))
        ]
        left = _joined(span.labels for spans in found for span in spans)
        wanted = [[span for span in spans if span.category in redact] for spans in found]
        data = document.blanked(*wanted) if output.rewritable else None
        if data is None:
            break
        blanked |= {span.category for spans in wanted for span in spans}
        text = msgspec.json.decode(data) if data.startswith(b'"') else data.decode()
        shown = replace(output, text=text, json=data)
    return shown, blanked, Finding(labels=left)


def _are_spans(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and all(isinstance(item, Span) for item in value)


def _joined(labels: Iterable[Labels]) -> Labels:
    found = NOTHING
    for item in labels:
        found = found.join(item)
    return found


def _stored(works: Workings, live: Live) -> Machine[Labels]:
    yield from works.refresh(live.stored)  # written meanwhile, by whomever: the label was durable before the write
    rows = yield from works.fetch(live.stored)
    held: list[Stored | None] = [rows[key][0] for key in live.stored]
    return _joined(item.labels for item in held if item is not None)


def _findings(works: Workings, output: Output) -> Machine[Findings]:
    """Return what each classifier finds; None for one that could not say."""
    if output.text is None:
        return [None]
    if output.empty:
        return []
    calls = tuple(Call(item.name, partial(item.classify, output.text), item.inline) for item in works.classifiers)
    answers = (yield Ask(calls, works.settings.measure_s)) if calls else []
    return [answer.value if _is_finding(answer.value) else None for answer in answers]


def _is_finding(value: Any) -> bool:
    return isinstance(value, Finding) and isinstance(value.labels, Labels)
