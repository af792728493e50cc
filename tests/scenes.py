"""Scenes for the judge of intent: what the user said, what the session has read, and the action that is judged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from navicert.core.canonical import parameter_bytes
from navicert.core.digest import action_digest
from navicert.intent.index import Index
from navicert.intent.judging import judge
from navicert.intent.passages import passages
from navicert.intent.request import read
from navicert.intent.values import Judgement, Source, Trust
from navicert.model.action import Action, Effect, ToolProfile

TOOLS = {
    profile.tool: profile
    for profile in (
        ToolProfile(tool="mail.send", effect=Effect.SEND, destination=("to", "cc"), content=("subject", "body")),
        ToolProfile(tool="mail.search", effect=Effect.READ, resource=("query",)),
        ToolProfile(tool="mail.delete", effect=Effect.DELETE, resource=("id",)),
        ToolProfile(tool="bank.pay", effect=Effect.PAY, destination=("iban",), amount=("amount",), content=("note",)),
        ToolProfile(tool="drive.share", effect=Effect.GRANT, destination=("user",), resource=("file",)),
        ToolProfile(tool="drive.delete_file", effect=Effect.DELETE, resource=("file",)),
        ToolProfile(tool="drive.create_file", effect=Effect.WRITE, resource=("file",), content=("content",)),
        ToolProfile(tool="drive.write_file", effect=Effect.WRITE, resource=("file",), content=("content",)),
        ToolProfile(tool="users.set_password", effect=Effect.CREDENTIALS, resource=("user",), content=("password",)),
        ToolProfile(tool="calendar.update_event", effect=Effect.WRITE, resource=("id",), content=("time",)),
        ToolProfile(tool="web.read", effect=Effect.READ, destination=("url",)),
        ToolProfile(tool="web.post", effect=Effect.SEND, destination=("url",), content=("text",)),
        ToolProfile(tool="shell.run", effect=Effect.EXECUTE, content=("command",)),
        ToolProfile(tool="db.query", effect=Effect.EXECUTE, content=("sql",)),
    )
}
OWN, KNOWN, PUBLIC = Trust


class Was(NamedTuple):
    """One result that was read. about: what was asked of the tool."""

    tool: str
    about: str
    output: Any
    trust: Trust = PUBLIC
    kind: str = "tool"


def index_of(*results: Was) -> Index:
    """Return what a session has seen."""
    index = Index()
    for number, was in enumerate(results):
        about = (was.about,) if was.about else ()
        source = Source(action_id=str(number), tool=was.tool, about=about, trust=was.trust, kind=was.kind)
        index.add(source, passages(was.output))
    return index


def action_of(profile: ToolProfile, parameters: Mapping[str, Any]) -> Action:
    """Return the action of a tool."""
    tool, _, operation = profile.tool.rpartition(".")
    data = parameter_bytes(dict(parameters))
    digest = action_digest(tool, operation, data)
    return Action(action_id="a", tool=tool, operation=operation, parameters=data, digest=digest, submitted_at=0)


def judged(
    request: str,
    results: Sequence[Was],
    tool: str | ToolProfile,
    parameters: Mapping[str, Any],
    reached: Mapping[str, Sequence[str]] | None = None,
) -> Judgement:
    """Return what is said of an action in a scene. tool: a profile, or the name of one in `TOOLS`."""
    profile = TOOLS[tool] if isinstance(tool, str) else tool
    action = action_of(profile, parameters)
    return judge(action, profile, parameters, read(request), index_of(*results), reached or {})
