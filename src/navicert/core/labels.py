"""Which label a result carries (R2.b, R2.c).

* A clean scan is a classification only where the operator declared a base; an undeclared source is highest.
* What no mechanism could look at is highest: binary, oversized, behind a failed classifier.
* A result that says nothing (null, true, false) carries nothing of its own.
"""

from __future__ import annotations

from navicert.model.context import SessionContext
from navicert.model.labels import NOTHING, WORST, Labels
from navicert.model.signals import Finding


def label_result(
    *, declared: Labels | None, ruled: Labels | None, stored: Labels, findings: tuple[Finding | None, ...], empty: bool
) -> Labels:
    """Return the label of one result.

    declared: the profile's base. ruled: from `set_context` rules. stored: of the resources read. findings: one per
    classifier, None where it failed. empty: the result is null, true or false.
    """
    if empty:
        return stored.join(ruled or NOTHING)
    if declared is None and ruled is None:
        return WORST
    label = stored.join(declared or NOTHING).join(ruled or NOTHING)
    for finding in findings:
        if finding is None or not finding.looked:
            return WORST
        label = label.join(finding.labels)
    return label


def labels_in_force(line: tuple[SessionContext, ...], sticky: Labels, owner: str) -> Labels:
    """Return the labels that the next action of a session is judged under.

    line: the session, and those that delegated to it: what they have read may have been handed on at any time (T7). An
    action that is open in another engine may have released its result: until it is settled the worst case stands.
    """
    labels = sticky
    for context in line:
        if any(entry.owner != owner for entry in context.open):
            return WORST
        labels = labels.join(context.labels)
    return labels
