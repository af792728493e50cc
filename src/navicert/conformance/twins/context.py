"""Sabotages of what reaches the decision: earlier actions, labels, the request, the chain (R2)."""

from __future__ import annotations

from collections import Counter
from typing import Any

from msgspec.structs import replace

from navicert.conformance.twins.registry import twin
from navicert.model.context import Attempt, SessionContext, Walked
from navicert.model.labels import NOTHING


@twin
def context_forgotten() -> None:
    """What came before in the session does not reach the decision."""
    from navicert.engine import finding, judging

    evaluate = judging.evaluate

    def forgetful(given: Any, policy: Any) -> Any:
        bare = replace(
            given.context, recent=(), counts={}, verdicts={}, entities=(), facts=(), said=(), walked=Walked()
        )
        return evaluate(replace(given, context=bare), policy)

    judging.evaluate = finding.evaluate = forgetful


@twin
def labels_forgotten() -> None:
    """No result carries a label."""
    _labelled(lambda _: NOTHING)


@twin
def unclassified_is_public() -> None:
    """A result carries what it is declared to, or a rule says: nothing looks at it, and an undeclared one is public."""
    from navicert.core.labels import label_result

    _labelled(lambda given: label_result(**given | {"declared": given["declared"] or NOTHING, "findings": ()}))


@twin
def request_from_arguments() -> None:
    """What stands in the arguments counts as words of the user."""
    from navicert.core import fields

    for name in ("context.request", "context.said"):
        fields._FIELDS[name] = _with_arguments(fields._FIELDS[name])


@twin
def counts_lost_in_compaction() -> None:
    """What is older than the window of recent actions is gone from the counts, too."""
    from navicert.core import accumulate

    attempt = accumulate._attempt

    def lossy(context: SessionContext, entry: Attempt) -> SessionContext:
        after = attempt(context, entry)
        names = Counter(item.name for item in after.recent)
        done = {name: at for name, at in after.walked.done.items() if name in names}
        return replace(
            after,
            counts=dict(names),
            verdicts=dict(Counter(item.verdict.value for item in after.recent)),
            walked=replace(after.walked, done=done),
        )

    accumulate._attempt = lossy


@twin
def chain_unchecked() -> None:
    """Nobody holds a stored context against its chain."""
    from navicert.adapters.store.reading import Reader

    Reader._check_session = lambda *_: None  # type: ignore[method-assign]  # that is the sabotage


@twin
def context_unverified() -> None:
    """The verifier takes any context for the one that was judged on."""
    import msgspec

    from navicert.verification import package

    package._context = lambda data, _: msgspec.json.decode(data, type=SessionContext)


def _labelled(label: Any) -> None:
    from navicert.engine import releasing

    releasing.label_result = lambda **given: label(given)


def _with_arguments(get: Any) -> Any:
    from navicert.core.fields import leaves

    return lambda subject: "\n".join([get(subject), *map(str, leaves(subject.parameters))])
