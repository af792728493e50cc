"""The adapter contract: what a product says and does so that the kit can put it under test.

The page for those who write adapters is docs/reference/adapter-contract.md.

* An adapter is a program. It reads one JSON object per line and answers each with one line, in any order: `{"id": 1,
  "do": "submit", …}` → `{"id": 1, "ok": {…}}` or `{"id": 1, "error": "…"}`. Unknown members are errors, on both sides.
* Nothing it answers is believed by itself: effects are seen by observers of the kit, records are verified by the
  product's own verifier run as a program of its own, and an adapter that lies fails the check.
* The version is in `hello`; members may be added with a default, never taken away, within a version.
"""

from __future__ import annotations

from typing import Any, Final, Literal

from navicert.model.value import Json, Value

CONTRACT: Final = "navicert/adapter/1"


class Hello(Value, frozen=True, kw_only=True):
    """What is under test.

    architecture: `gateway`, `sdk`, `kernel` or `vendor`. policy_model: in words. decisions: those it can give.
    twins: sabotages of itself that it can be started with. parts: what `break` can break, as `part:how`. probes: what
    `probe` can try.
    """

    contract: str
    product: str
    version: str
    surface: str
    architecture: str
    policy_model: str
    decisions: tuple[str, ...]
    twins: tuple[str, ...]
    parts: tuple[str, ...]
    probes: tuple[str, ...] = ()


class Issuer(Value, frozen=True, kw_only=True):
    """Who vouches for people and agents: access tokens (JWT, RFC 9068), Ed25519. keys, revocations: files."""

    issuer: str
    audience: str
    keys: str
    revocations: str


class Start(Value, frozen=True, kw_only=True, tag="start", tag_field="do"):
    """Set a fresh deployment up in the empty folder. world: the file by which the kit's tools find what they act on.

    policy: text in the specification's YAML. server: command of the kit's tools as an MCP server over standard input
    and output. approvers: names of people who may be asked. twin: sabotage yourself in this way; never in earnest.
    """

    folder: str
    world: str
    policy: str
    server: tuple[str, ...]
    issuer: Issuer
    approvers: tuple[str, ...] = ("ben", "eva")
    twin: str | None = None


class Started(Value, frozen=True, kw_only=True):
    """root: by which what it exports is verified. separation: `none`, `user` or `host`, as it stands here.

    verifier, log_verifier: commands that verify offline an exported package of one action, and the whole export;
    `{file}` and `{root}` in them are filled in. They exit with 0 where the file verifies.
    many, log_many: the same for many files at once, where there is such a thing: `{files}` stands for them, and it
    prints `verified` or `refused` for each, on a line of its own. signing: how records are signed, where the kit is to
    check that by itself (`jcs-inline`: `Record.raw` is JSON, its `signature.value` over the RFC 8785 bytes of the
    rest), with the public `keys` by id, in base64url. leeway_s: for so long after its `exp` a token is still taken.
    """

    root: str
    separation: str
    verifier: tuple[str, ...]
    log_verifier: tuple[str, ...]
    many: tuple[str, ...] = ()
    log_many: tuple[str, ...] = ()
    signing: str = ""
    keys: dict[str, str] = {}
    leeway_s: int = 0


class Open(Value, frozen=True, kw_only=True, tag="open", tag_field="do"):
    """Open a session as an application does. session: the kit's name for it; human, agent, roles: as the token says.

    parent: the session that delegates to this one, with `agent` and `scope`.
    """

    session: str
    request: str
    token: str
    human: str
    agent: str
    roles: tuple[str, ...] = ()
    scope: tuple[str, ...] = ("kit.*",)
    parent: str | None = None


class Say(Value, frozen=True, kw_only=True, tag="say", tag_field="do"):
    """Later words of the user, by the application's own channel."""

    session: str
    text: str


class Observe(Value, frozen=True, kw_only=True, tag="observe", tag_field="do"):
    """A fact about the environment that the application reports, with its source."""

    session: str
    name: str
    value: Json
    source: str


class Renew(Value, frozen=True, kw_only=True, tag="renew", tag_field="do"):
    """Another token of the same person and agent."""

    session: str
    token: str


class Submit(Value, frozen=True, kw_only=True, tag="submit", tag_field="do"):
    """The agent calls a tool of the kit. after: handles of waiting actions that come first."""

    session: str
    tool: str
    operation: str
    parameters: dict[str, Any]
    after: tuple[str, ...] = ()


class Resume(Value, frozen=True, kw_only=True, tag="resume", tag_field="do"):
    """The agent takes up a call that waited; `call` is that call, for surfaces on which it is made again."""

    handle: str
    call: Submit


class Answered(Value, frozen=True, kw_only=True):
    """What the agent got back. outcome: `ran`, `denied`, `waits`, or `failed` (the tool's own failure).

    text: what the agent can read. action: names the action in the product's records. handle: of what waits.
    """

    outcome: Literal["ran", "denied", "waits", "failed"]
    text: str
    action: str | None = None
    handle: str | None = None


class Approve(Value, frozen=True, kw_only=True, tag="approve", tag_field="do"):
    """Somebody answers what waits, from a process of their own, under another user where that can be.

    Which user that was, the adapter says in `Voted`. Somebody who is not among the `approvers` of the start is enrolled
    before they answer; not with `forged`: then it is a stranger, who says that they are this person.
    """

    handle: str
    approver: str
    approve: bool = True
    reason: str = "looked at it"
    forged: bool = False


class Voted(Value, frozen=True, kw_only=True):
    """Whether the answer was taken, what was shown to the person, as JSON text, and as which user they answered.

    distance, confidence: as they were shown, None where no such number is. escalated: shown as what was a deferral.
    """

    taken: bool
    shown: str
    why: str = ""
    user: int = 0
    distance: float | None = None
    confidence: float | None = None
    escalated: bool = False


class SetPolicy(Value, frozen=True, kw_only=True, tag="policy", tag_field="do"):
    """Put another policy in force; answered once it is. An error where it does not load: the last one stays."""

    text: str


class Find(Value, frozen=True, kw_only=True, tag="records", tag_field="do"):
    """The records of one action, oldest first."""

    action: str


class Link(Value, frozen=True, kw_only=True):
    """One link of a delegation."""

    delegator: str
    delegatee: str
    scope: tuple[str, ...]


class Record(Value, frozen=True, kw_only=True):
    """One signed record, as the product has it, in the specification's terms (R5).

    kind: `decision`, `resolution` or `outcome`. verdict: one of the five. parameters: as they were asked for;
    effective: as they would run. context: what was judged on, with `request`, `said` (later words of the user),
    `labels` (the level, then categories), `actions` (prior ones, denied ones too, each as full name and verdict: at
    least the newest) and `counts` (of all of them, by full name). at, deadline, resolved_at: RFC 3339. success: of an
    outcome. raw: the signed bytes.
    """

    kind: Literal["decision", "resolution", "outcome"]
    action: str
    tool: str
    operation: str
    at: str
    verdict: str
    rules: tuple[str, ...]
    reason_code: str
    reason: str
    policy_id: str
    policy_version: str
    policy_hash: str
    human: str
    service: str
    agent: str
    session: str
    roles: tuple[str, ...]
    scope: tuple[str, ...]
    delegation: tuple[Link, ...]
    parameters: dict[str, Any]
    effective: dict[str, Any]
    context: dict[str, Any]
    separation: str
    algorithm: str
    key_id: str
    raw: str
    handle: str | None = None
    deferral_reason: str | None = None
    method: str | None = None
    resolved_at: str | None = None
    deadline: str | None = None
    approvers: tuple[str, ...] = ()
    success: bool | None = None
    error: str | None = None


class Found(Value, frozen=True, kw_only=True):
    """Records of one action."""

    records: tuple[Record, ...]


class Export(Value, frozen=True, kw_only=True, tag="export", tag_field="do"):
    """Write the evidence to a file that the verifier takes: of one action as a package, or of everything."""

    to: str
    action: str | None = None


class Break(Value, frozen=True, kw_only=True, tag="break", tag_field="do"):
    """Break a part of yourself, as `hello` names them (`owner:kill`), from outside of the code that decides.

    While any is broken, nothing may run: `engine`, `owner`, `gateway` (who decides, or is in the way), `store`, `log`,
    `keys` (they sign), `identity`, `rules` (none can be read at a start). But `edit`: the policy's file is broken while
    it is in force, which then stays as it was. mend: put it right again instead.
    """

    part: str
    mend: bool = False


class Probe(Value, frozen=True, kw_only=True, tag="probe", tag_field="do"):
    """Somebody has a tool called who may not; answered with what they got. way: as `hello` names it.

    `session:none`: without any session, or anything that shows who they are. `session:ended`: the call's session is
    ended, and then used. `session:others`: who acts in the session `by` names the call's session in its place.
    """

    way: str
    call: Submit
    by: str = ""


class Tamper(Value, frozen=True, kw_only=True, tag="tamper", tag_field="do"):
    """Change what is stored, as somebody with the store's files and its key could.

    what: `context`, an earlier entry of it, and all that follows from that entry.
    """

    what: str
    session: str


class Stop(Value, frozen=True, kw_only=True, tag="stop", tag_field="do"):
    """Take the deployment down, orderly."""


class Done(Value, frozen=True, kw_only=True):
    """It was done. detail: what is worth knowing of it."""

    detail: str = ""


Request = (
    Start
    | Open
    | Say
    | Observe
    | Renew
    | Submit
    | Resume
    | Approve
    | SetPolicy
    | Find
    | Export
    | Break
    | Probe
    | Tamper
    | Stop
)
