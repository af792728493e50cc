"""What each MCP method is, in both directions and both eras (2025-11-25, 2026-07-28); what stands nowhere is refused.

* Judged: it is an action, by the name `server.operation`, with what it asks for as parameters (R1.a).
* Passed: it carries nothing that acts, or its answer is looked at (`tools/list`, `initialize`, `server/discover`). Of
  its parameters only those that the protocol knows go on: others would be a channel that nobody judges.
* What comes later (a task), or after something else was asked for, is the result of the action that began it.
* What a server asks of the client (sampling, elicitation, roots) is an action too: of that server, for the policy to
  permit. Undeclared, it is refused, like any tool.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from navicert.model.action import Effect


class Surface(NamedTuple):
    """A judged method. operation: in the action's name; empty where the request names the tool itself.

    asks: the members of `params` that are its parameters. effect, resource: of the profile that stands where the policy
    declares none; effect None: the policy must declare it.
    """

    operation: str
    asks: tuple[str, ...]
    effect: Effect | None = None
    resource: tuple[str, ...] = ()


CALL: Final = "tools/call"
LIST: Final = "tools/list"
LISTEN: Final = "subscriptions/listen"
OPENING: Final = frozenset({"initialize", "server/discover"})
SUBSCRIBE: Final = "resources/subscribe"
UNSUBSCRIBE: Final = "resources/unsubscribe"
TOOLS_CHANGED: Final = "notifications/tools/list_changed"
CANCELLED: Final = "notifications/cancelled"
PROGRESS: Final = "notifications/progress"

JUDGED: Final[Mapping[str, Surface]] = {
    CALL: Surface("", ("arguments",)),
    "resources/read": Surface("resources-read", ("uri",), Effect.READ, ("uri",)),
    SUBSCRIBE: Surface("resources-subscribe", ("uri",), Effect.READ, ("uri",)),
    "prompts/get": Surface("prompts-get", ("name", "arguments"), Effect.READ),
    "completion/complete": Surface("completion-complete", ("ref", "argument", "context"), Effect.READ),
}
"""Requests of the client."""
ASKED_BACK: Final[Mapping[str, Surface]] = {
    "sampling/createMessage": Surface("sampling-create", ()),
    "elicitation/create": Surface("elicitation-create", ()),
    "roots/list": Surface("roots-list", ()),
}
"""Requests of the server, judged with all their parameters."""
PASSED: Final[Mapping[str, frozenset[str]]] = {
    "initialize": frozenset({"protocolVersion", "capabilities", "clientInfo"}),
    "server/discover": frozenset(),
    "ping": frozenset(),
    LIST: frozenset({"cursor"}),
    "prompts/list": frozenset({"cursor"}),
    "resources/list": frozenset({"cursor"}),
    "resources/templates/list": frozenset({"cursor"}),
    UNSUBSCRIBE: frozenset({"uri"}),
    "logging/setLevel": frozenset({"level"}),
}
"""Requests that are passed on → their parameters."""
ROUNDS: Final = frozenset({CALL, "resources/read", "prompts/get"})
"""Requests that may come again, with what the server asked for (2026-07-28)."""
TASKS: Final[Mapping[str, frozenset[str]]] = {
    "tasks/get": frozenset({"taskId"}),
    "tasks/result": frozenset({"taskId"}),
    "tasks/list": frozenset({"cursor"}),
    "tasks/update": frozenset({"taskId", "inputResponses"}),
    "tasks/cancel": frozenset({"taskId"}),
}
"""Requests about a result that comes later → their parameters."""
NOT_STATELESS: Final = frozenset(
    {"initialize", "ping", SUBSCRIBE, UNSUBSCRIBE, "logging/setLevel", "tasks/result", "tasks/list"}
)
"""Requests that 2026-07-28 does not have."""
PASSED_BACK: Final = frozenset({"ping"})
NOTICES: Final[Mapping[str, frozenset[str]]] = {
    "notifications/initialized": frozenset(),
    CANCELLED: frozenset({"requestId"}),
    PROGRESS: frozenset({"progressToken", "progress", "total"}),
    "notifications/roots/list_changed": frozenset(),
}
"""Notifications of the client that are passed on → their parameters, without free text; others are dropped."""
NOTICES_BACK: Final = frozenset(
    {
        CANCELLED, TOOLS_CHANGED, "notifications/progress", "notifications/message", "notifications/resources/updated",
        "notifications/resources/list_changed", "notifications/prompts/list_changed",
        "notifications/elicitation/complete", "notifications/subscriptions/acknowledged",
    }
)  # fmt: skip
"""Notifications of the server that are passed on."""
TASK_STATUS: Final = "notifications/tasks/status"
RELATED: Final = "io.modelcontextprotocol/related-task"
"""The member of `_meta` that names the task of a message."""
RESERVED: Final = frozenset({each.operation for each in (*JUDGED.values(), *ASKED_BACK.values())} - {""})
"""Names that no tool may have: an action's name says what it is."""
