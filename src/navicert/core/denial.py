"""The denial contract: what a model is told of a refusal, and what it may try next.

* A reason says what is refused and why, never which wording, value or detour would get past.
"""

from __future__ import annotations

from typing import Final

from navicert.core.canonical import percent
from navicert.model.action import Action
from navicert.model.errors import DenialKind

_STRUCTURAL: Final = DenialKind.STRUCTURAL
_PERMISSION: Final = DenialKind.PERMISSION
_TRANSIENT: Final = DenialKind.TRANSIENT

_CONTRACT: Final[dict[str, tuple[DenialKind, str]]] = {
    "unknown_tool": (_STRUCTURAL, "use a tool that is declared"),
    "out_of_scope": (_STRUCTURAL, "use the tools that this agent was given"),
    "destination_ambiguous": (_STRUCTURAL, "write the destination plainly"),
    "identity_unverified": (_STRUCTURAL, "the application must open a session with a human and an agent"),
    "no_session": (_STRUCTURAL, "the application must call tools inside guard.session()"),
    "session_ended": (_STRUCTURAL, "the application must open a new session"),
    "invalid_parameters": (_STRUCTURAL, "correct the arguments"),
    "not_accepted": (_STRUCTURAL, "tell the user: whoever runs the gateway has to look at it first"),
    "too_many_open": (_TRANSIENT, "wait until earlier actions of this session have ended"),
    "open_action": (_TRANSIENT, "do not repeat it: whether the first one happened is being established"),
    "posture": (_PERMISSION, "do the task without it, or tell the user what is missing"),
    "rule": (_PERMISSION, "do not try another way to the same end; tell the user"),
    "constraint": (_PERMISSION, "stay within what is permitted, or tell the user"),
    "label_limit": (_PERMISSION, "do not send this there by any way; tell the user"),
    "intent_unknown": (_STRUCTURAL, "the application must open the session with one of the policy's intents"),
    "outside_intent": (_PERMISSION, "keep to what was asked; tell the user what is missing"),
    "intent_length": (_PERMISSION, "stop here, and tell the user how far it went"),
    "intent_label": (_PERMISSION, "stop here, and tell the user"),
    "risk_limit": (_PERMISSION, "stop here, and tell the user"),
    "modification_failed": (_PERMISSION, "tell the user"),
    "modification_unstable": (_PERMISSION, "tell the user"),
    "authority_reduced": (_PERMISSION, "tell the user"),
    "authority_suspended": (_PERMISSION, "stop here, and tell the user: a person has to restore it"),
    "authority_revoked": (_PERMISSION, "stop here, and tell the user"),
    "approval_denied": (_PERMISSION, "do not try another way to the same end; tell the user"),
    "approval_timeout": (_PERMISSION, "nobody answered in time; tell the user"),
    "deferral_timeout": (_PERMISSION, "what was missing was not found out in time; tell the user"),
    "dependency_refused": (_PERMISSION, "what it depends on was refused; tell the user"),
    "cascade_limit": (_PERMISSION, "wait until earlier actions have been decided"),
    "too_many_waiting": (_TRANSIENT, "wait until earlier actions have been decided"),
    "unstable": (_PERMISSION, "tell the user"),
    "wait_over": (_STRUCTURAL, "what became of it was told to whoever resumed it first; see `navicert show`"),
    "no_wait": (_STRUCTURAL, "use the handle as it was given, with the store in which the action waits"),
    "engine_failed": (_TRANSIENT, "try again later; nothing ran"),
    "unavailable": (_TRANSIENT, "try again later; nothing ran"),
}

REASON_CODES: Final = frozenset({
    *_CONTRACT, "within_limits", "answered", "rules_conflict", "context_missing", "forbidden_undetermined",
    "confidence_low", "depends", "escalated",
})  # fmt: skip
"""Every code that a decision can have: those of refusals, and of what is permitted, asked or suspended."""


BEFOREHAND: Final = frozenset({"invalid_parameters", "not_accepted", "unavailable"})
"""Codes of calls that are refused before they are judged."""


def contract(reason_code: str) -> tuple[DenialKind, str]:
    """Return the kind of a refusal and its next step; raises `KeyError` for a code that no refusal has."""
    return _CONTRACT[reason_code]


def profile_to_paste(action: Action, names: tuple[str, ...]) -> str:
    """Return what the developer pastes into the policy to declare an unknown tool; the parameters are listed."""
    listed = ", ".join(map(percent, names)) or "none"  # extra keywords are the agent's own words
    key = action.name if action.name[:1].isalpha() else f'"{action.name}"'
    return (
        f"declare it under `tools:` in the policy:\n\n"
        f"  {key}:\n"
        f"    effect: read          # or write, delete, send, pay, grant, execute, credentials\n"
        f"    # destination: NAME   # and resource, amount, content, by role; its parameters: {listed}\n"
        f"    # returns: INTERNAL   # base label of the results; left out, they count as the highest\n"
    )
