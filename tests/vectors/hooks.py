"""Hooks: the harness of the agent-hooks conformance test kit, over our engine as the dispatch of a host.

The kit brings interceptors, which answer allow, deny or transform at points of an agent's loop, and asserts what the
host did. Here every step that a point guards is submitted to a real engine as an action, and happens only as
`engine.execute` runs it; the kit's interceptors are detectors of that engine.

| in the kit | here |
|---|---|
| an interceptor | a detector with one signal: `allow`, `deny`, `ask` (deny with `approval`), or which transform |
| an interceptor that raises, or returns what is no verdict | a detector that raises: the signal is unknown |
| `pre_tool_call` | the tool's own action, `tools.NAME`, with its arguments |
| every other point | an action `hooks.POINT`, with what the point is about as parameters; its effect is to go on |
| deny, liftable deny, transform, allow | rules on the signals: DENY, STEP_UP, MODIFY, ALLOW, by priority |
| a transform's path and value | a modification in the policy: written before the run, as policies are |
| `evaluate_only` | the same rules as shadow rules |
| the approval resolver | an approver, who signs an answer to the question whose digest the resolver echoed |
| an interception record | what the engine answered: verdict, deciding rules, how it was resolved, digests |

The loop around it is 40 lines of this file, and not ours to be judged; nor is the kit's own data model (`UNSOLD`). The
reference emitter is never run. Declarations and streams are not offered as capabilities, so that the kit skips them.
"""

from __future__ import annotations

import asyncio
import copy
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Final

from navicert.core.canonical import decode_parameters, parameter_bytes
from navicert.core.times import rfc3339
from navicert.engine.completing import Output
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.context import SessionContext
from navicert.model.decision import Permit, Suspended, Verdict
from navicert.model.identity import Claims
from navicert.model.labels import NOTHING
from navicert.model.signals import Finding
from navicert.model.suspension import Answer
from navicert.model.value import Json
from vectors.judged import Result
from vectors.stories import Story, stand_in

OPERATOR: Final = "the operator"
OFFERED: Final = "parallel/strictest"
"""How detectors of one engine compose: each measures the same action, and the strictest rule decides."""
_CODES: Final = {
    "context_missing": "host_error:interceptor_failed",
    "posture": "host_error:no_interceptor",
    "rules_conflict": "host_error:transform_conflict",
    "answer_refused": "host_error:approval_identity_mismatch",
    "modification_failed": "host_error:transform_invalid",
}
"""Codes of ours, and the reserved reasons of the kit that say the same."""
_OF_THE_KIT: Final = {
    "composition.": "the configuration of the kit's emitter",
    "identity_provider": "the kit's own digest of its own context",
    "input_identity": "the kit's own digest of its own context",
    "enforced_identity": "the kit's own digest of its own context",
    "fold_truncated": "whether interceptors were left out: every detector measures",
    "verdict.transform": "how the kit's record abridges a verdict",
    "verdict.warnings": "warnings that a verdict of the kit carries along",
    "verdict.result_labels": "labels that a verdict of the kit carries along",
    "timestamp": "the form of the kit's record",
    "trace": "the form of the kit's record",
}
"""Members of the kit's record of which navicert has no counterpart."""
_LOOP: Final = "which points a host's loop emits, in which order and with which numbers: the loop here is the harness"
UNSOLD: Final = {
    "AH-CTK-001": _LOOP,
    "AH-CTK-002": _LOOP,
    "AH-CTK-003": _LOOP,
    "AH-CTK-021": "a second spelling of paths in the kit's verdicts",
    "AH-CTK-022": "a table of the kit: what may be changed at which point",
    "AH-CTK-092": "how long the evidence may be that a verdict of the kit carries along",
    "AH-CTK-098": "an answer that contradicts itself: an approver's answer is one word",
    "AH-CTK-101": "a decision by no rule: a policy without rules has nothing to try in shadow",
    "AH-CTK-103": "an answer that changes the action: an approver says yes or no",
}
"""Vectors whose subject is not in the members of a record, and of which navicert has nothing to judge."""
FAILS: Final[dict[str, str]] = {}


class NotInPolicy(Exception):
    """An interceptor asks for a change that the policy does not have."""


class _Hook:
    """One interceptor as a detector."""

    inline = True

    def __init__(self, number: int, interceptor: Any, harness: NavicertHarness) -> None:
        self.name = f"hook_{number}"
        self.signals = (self.name,)
        self._number = number
        self._interceptor = interceptor
        self._harness = harness
        self._answered: tuple[int, dict[str, Any] | None] | None = None

    def measure(self, action: Action, parameters: Mapping[str, Json], context: SessionContext) -> Finding:
        del action, context
        step = self._harness.step
        if self._answered is None or self._answered[0] != step:  # it is asked once for each step
            asked = copy.deepcopy(self._harness.context_of(dict(parameters)))
            self._answered = step, None
            self._answered = step, self._interceptor.intercept(asked)
        verdict = self._answered[1]
        if verdict is None:
            raise ValueError("it failed")
        word = {"allow": "allow", "deny": "ask" if "approval" in verdict else "deny"}.get(verdict["decision"])
        if verdict["decision"] == "transform":
            word = self._harness.change(verdict["transform"])
        if word is None:
            raise ValueError("no verdict")
        self._harness.reasons[self._number] = (word, verdict.get("reason"))
        return Finding(values={self.name: word})


class NavicertHarness:
    """The `Harness` of the kit (`agent_hooks.ctk.harness`)."""

    name = "navicert"
    capabilities: ClassVar[frozenset[str]] = frozenset()
    tool_seam_host_error = "continue"

    def __init__(self) -> None:
        self.reasons: dict[int, tuple[str, str | None]] = {}
        self._changes: list[dict[str, Any]] = []

    def setup(
        self, scenario: Any, interceptors: list[Any], resolver: Any, mode: Any, composition: Any,
        identity_provider: str | None, redact_for_approval: list[str] | None = None,
    ) -> None:  # fmt: skip
        """Open an engine whose detectors are the interceptors."""
        del composition, identity_provider, redact_for_approval
        self._scenario, self._resolver, self._shadow = scenario, resolver, mode.value == "evaluate_only"
        self._changes = [change for each in interceptors for change in _changes_of(each)]
        self._count = len(interceptors)
        hooks = tuple(_Hook(number, each, self) for number, each in enumerate(interceptors))
        self._folder = TemporaryDirectory()
        policy = policy_of(self._count, self._changes, shadow=self._shadow)
        self._story = Story(Path(self._folder.name), policy, detectors=lambda real: (*real, *hooks))
        self._story.enrol(OPERATOR, stand_in(OPERATOR))
        self._session = self._story.engine.open_session("run", Claims(human="human", agent="agent"))
        self.step = 0
        self._members: dict[str, Any] = {}
        self._records: list[dict[str, Any]] = []
        self._identities: list[tuple[str | None, str | None]] = []
        self._calls: list[dict[str, Any]] = []

    def teardown(self) -> None:
        """Close it."""
        self._story.bench.close()
        self._folder.cleanup()

    # what the interceptors see

    def context_of(self, parameters: dict[str, Any]) -> dict[str, Any]:
        """Return the kit's context of an action as it is judged."""
        point, members = self._point, copy.deepcopy(self._members)
        if point == "pre_tool_call":
            members["tool_call"]["args"] = parameters
            target: Any = parameters
        elif point == "post_tool_call":
            members["tool_result"] = parameters
            target = parameters["value"]
        else:
            member = {"agent_startup": "agent_init", "post_model_call": "response", "agent_shutdown": "summary"}.get(
                point, "messages" if point == "pre_model_call" else point
            )
            target = members[member] = parameters["messages"] if member == "messages" else parameters
        return {
            "spec": "agent-hooks/0.1", "interception_point": point, "timestamp": rfc3339(self._story.clock.now()),
            "sequence": self.step - 1, "agent": {"id": "agent", "framework": "navicert"},
            "session": {"id": self._session}, "target": target, **members,
        }  # fmt: skip

    def change(self, transform: dict[str, Any]) -> str:
        """Return the signal for a transform that the policy has; raises `NotInPolicy` for another."""
        if transform not in self._changes:
            raise NotInPolicy(transform["path"])
        return f"change {self._changes.index(transform)}"

    # the loop

    async def run(self) -> Any:
        """Run the agent's loop; every step of it is mediated."""
        from agent_hooks.ctk.harness import RunOutcome, RunRecord

        outcome, final = RunOutcome.COMPLETED, None
        try:
            final = self._loop()
        except _Refused:
            outcome = RunOutcome.BLOCKED
        reason = "completed" if outcome is RunOutcome.COMPLETED else "error"
        with suppress(_Refused):  # it ends all the same
            self._step("agent_shutdown", {"reason": reason})
        return RunRecord(
            outcome=outcome, final_output=final, tool_invocations=self._calls, identities=self._identities,
            records=self._records,
        )  # fmt: skip

    def _loop(self) -> Any:
        scenario = self._scenario
        self._step("agent_startup", {"tools_registered": sorted(scenario.tools)})
        self._step("input", {"content": scenario.input["content"], "role": scenario.input["role"]})
        messages = [{"role": scenario.input["role"], "content": scenario.input["content"]}]
        for answer in scenario.model_script:
            model = {"model": {"id": "scripted"}}
            messages = self._step("pre_model_call", {"messages": messages}, model)["messages"]
            said = {"content": answer.content, "tool_calls": answer.tool_calls, "finish_reason": answer.finish_reason}
            self._step("post_model_call", said, model)
            messages.append({"role": "assistant", "content": answer.content or ""})
            if not answer.tool_calls:
                return self._step("output", {"content": answer.content})["content"]
            for call in answer.tool_calls:
                messages.append({"role": "tool", "content": self._call(call)})
        return None

    def _call(self, call: dict[str, Any]) -> Any:
        """Make one call of a tool; returns what the model is told."""
        members = {"tool_call": {"id": call["id"], "name": call["name"], "args": call["args"]}}
        try:
            ran, value, is_error = self._step("pre_tool_call", call["args"], members)
            members["tool_call"]["args"] = ran
            return self._step("post_tool_call", {"value": value, "is_error": is_error}, members)["value"]
        except _Refused as refused:
            return f"refused: {refused}"

    def _step(self, point: str, parameters: dict[str, Any], members: dict[str, Any] | None = None) -> Any:
        """Have one step judged; returns what it does as it was run; raises `_Refused`."""
        engine = self._story.engine
        self._point, self._members, self.reasons = point, members or {}, {}
        self.step += 1
        tool = point == "pre_tool_call"
        name = ("tools", self._members["tool_call"]["name"]) if tool else ("hooks", point)
        profile = ToolProfile(tool=".".join(name), effect=Effect.WRITE, returns=NOTHING)
        action = engine.action(*name, parameter_bytes(parameters), profile=profile)
        answer: Any = engine.decide(action, self._session)
        resolved = None
        if isinstance(answer, Suspended) and answer.verdict is Verdict.STEP_UP and self._resolver is not None:
            answer, resolved = self._consult(answer)
        self._record(action, answer, resolved)
        if not isinstance(answer, Permit):
            raise _Refused(self._records[-1]["verdict"].get("reason") or "no reason")
        effect = self._invoke if tool else decode_parameters
        return engine.execute(answer, effect, lambda _: Output(text="", json=b"null"))[1]

    def _invoke(self, data: bytes) -> Any:
        """Run the tool on the bytes that were permitted."""
        arguments, name = decode_parameters(data), self._members["tool_call"]["name"]
        value, is_error = self._scenario.tools[name].invoke(arguments)
        self._calls.append({"name": name, "args": arguments})
        return arguments, value, is_error

    # approval and record

    def _consult(self, waits: Suspended) -> tuple[Any, str]:
        """Ask the kit's resolver, have the operator sign what it says, and take the action up."""
        from agent_hooks import Verdict as KitVerdict
        from agent_hooks._types import InterceptionPoint
        from agent_hooks.approval import ApprovalOutcome, ApprovalRequest

        wait = self._story.engine.wait(waits.handle)
        if wait is None:
            raise LookupError(waits.handle)
        parameters = decode_parameters(wait.effective or wait.action.parameters)
        request = ApprovalRequest(
            context_identity=f"sha256:{wait.question.digest}", interception_point=InterceptionPoint(self._point),
            verdict=KitVerdict.escalate(), context=self.context_of(parameters),
        )  # fmt: skip
        try:
            said = self._resolver.resolve(request)
        except RuntimeError:  # nobody answers
            return waits, "rejection"
        answer = {ApprovalOutcome.APPROVE: Answer.APPROVE, ApprovalOutcome.REJECT: Answer.DENY}[said.outcome]
        echoed = (said.context_identity or "").removeprefix("sha256:")
        question = self._story.question(waits, digest=echoed)
        reason = (said.verdict.reason if said.verdict else None) or "as the resolver said"
        counts = self._story.approve(question, OPERATOR, stand_in(OPERATOR), answer=answer, reason=reason)
        if answer is Answer.DENY:
            self.reasons[-1] = ("deny", reason)
            return waits, "rejection"
        if not counts:
            self.reasons[-1] = ("deny", _CODES["answer_refused"])
            return waits, "rejection"
        resumed = self._story.engine.resume(waits.handle)
        return resumed, "approval" if isinstance(resumed, Permit) else "rejection"

    def _record(self, action: Action, answer: Any, resolved: str | None) -> None:
        """Write down what the engine answered, in the kit's form."""
        permitted = isinstance(answer, Permit)
        code = "" if permitted else answer.reason_code
        decided = self._decided_by(action, code)
        word = "deny" if not permitted else "transform" if answer.modified else "allow"
        reason = self.reasons.get(decided, ("", None))[1] if decided is not None else _CODES.get(code)
        if -1 in self.reasons:
            reason = self.reasons[-1][1]
        if self._shadow and (shadow := self._shadowed(action)):
            word, decided = shadow
            reason = self.reasons.get(decided, ("", None))[1] if decided is not None else None
        mine = action.digest, answer.digest if permitted else action.digest
        self._identities.append((f"sha256:{mine[0]}", f"sha256:{mine[1]}"))
        summary = {"allow": "allow", "deny": "deny", "ask": "deny"}
        self._records.append(
            {
                "interception_point": self._point, "mode": "evaluate_only" if self._shadow else "enforce",
                "verdict": {"decision": word, **({"reason": reason} if reason and word != "allow" else {})},
                "input_identity": f"sha256:{mine[0]}", "enforced_identity": f"sha256:{mine[1]}",
                "identity_provider": "navicert-action", "session_id": self._session, "sequence": self.step - 1,
                "timestamp": rfc3339(self._story.clock.now()), "decided_by": decided,
                "composition": {"profile": OFFERED}, "interceptors_registered": self._count,
                "verdicts": [
                    {"index": number, "decision": summary.get(said[0], "transform"), "reason": said[1]}
                    for number in range(self._count)
                    for said in (self.reasons.get(number, ("deny", _CODES["context_missing"])),)
                ],
                **({"resolved_by": resolved} if resolved else {}),
            }
        )  # fmt: skip

    def _decided_by(self, action: Action, code: str) -> int | None:
        """Return the interceptor by whose rule the receipt says that it was decided."""
        self._story.bench.store.flush()
        receipts = self._story.bench.store.receipts_of(action.action_id)
        rules = next(receipt.decision.rules for receipt, _ in receipts if receipt.decision is not None)
        if code in {"rules_conflict", "modification_failed"}:
            return None
        if code == "context_missing":  # undetermined: by the one that said nothing
            return next((number for number in range(self._count) if number not in self.reasons), None)
        return _number(rules)

    def _shadowed(self, action: Action) -> tuple[str, int | None] | None:
        """Return what the receipt says would have been decided with the shadow rules in force, and by whom."""
        receipts = self._story.bench.store.receipts_of(action.action_id)
        for receipt, _ in receipts:
            if receipt.decision is not None and (shadow := receipt.decision.shadow) is not None:
                word = {"ALLOW": "allow", "MODIFY": "transform"}.get(shadow.result, "deny")
                return word, _number(shadow.rules)
        return None


class _Refused(Exception):
    """The step was not permitted."""


def _number(rules: tuple[str, ...]) -> int | None:
    for rule in rules:
        kind, _, number = rule.partition("-")
        if kind in {"deny", "ask", "change"}:
            return int(number.partition("-")[0])
    return None


def _changes_of(interceptor: Any) -> list[dict[str, Any]]:
    """Return the transforms that a scripted interceptor may ask for."""
    rules = getattr(interceptor, "inner", interceptor).rules
    return [rule["return"]["transform"] for rule in rules if "transform" in rule.get("return", {})]


def policy_of(count: int, changes: list[dict[str, Any]], *, shadow: bool) -> str:
    """Return the policy of a host with so many interceptors."""
    rules: list[dict[str, Any]] = []
    for number in range(count):
        signal = f"hook_{number}"
        rules.append(
            {"id": f"deny-{number}", "match": {"signals": {signal: "deny"}}, "decision": "DENY", "priority": 40}
        )
        ask = {"id": f"ask-{number}", "match": {"signals": {signal: "ask"}}, "decision": "STEP_UP", "priority": 30}
        rules.append({**ask, "approvers": [OPERATOR]})
        for place, change in enumerate(changes):
            edit = {"parameter": change["path"].partition(".")[2], "set": change["value"]}
            match = {"tool": "tools", "signals": {signal: f"change {place}"}}
            rule = {"id": f"change-{number}-{place}", "match": match, "decision": "MODIFY", "modifications": [edit]}
            rules.append({**rule, "priority": 20})
    if shadow:
        rules = [{**rule, "shadow": True} for rule in rules]
    if count or shadow:
        rules.append({"id": "rest", "decision": "ALLOW", "priority": 10})
    lines = "".join(f"  - {json.dumps(rule)}\n" for rule in rules)
    return "policy: hooks\nversion: 1\nposture: deny\nrules:" + (f"\n{lines}" if lines else " []\n")


# judging


def judge(folder: Path) -> list[Result]:
    """Run every vector of the kit; the kit's own runner asserts."""
    from agent_hooks.ctk.harness import Capability
    from agent_hooks.ctk.runner import load_vectors, run_vector

    NavicertHarness.capabilities = frozenset(  # type: ignore[misc]  # the kit's own enumeration, known only here
        {Capability.MODEL_CALLS, Capability.TOOL_CALLS, Capability.INT64_JSON, Capability.BIGINT_JSON}
    )

    async def told(vector: dict[str, Any]) -> Any:
        return await run_vector(NavicertHarness(), vector)

    results = []
    for vector in load_vectors(folder):
        why, reduced = _unmeasurable(vector)
        came = asyncio.run(told(reduced))
        said = came.detail or "; ".join(came.failures)
        if came.status != "skip" and why:
            results.append(Result(vector["id"], "unmeasurable", vector["title"], f"run without it: {came.status}", why))
        else:
            meaning = FAILS.get(vector["id"], "not explained yet") if came.status == "fail" else ""
            results.append(Result(vector["id"], came.status, vector["title"], said, meaning))
    return results


def _unmeasurable(vector: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return why a vector cannot be measured, and the vector without what it is that cannot; empty where it can."""
    if vector["id"] in UNSOLD:
        return UNSOLD[vector["id"]], vector
    reduced = copy.deepcopy(vector)
    why = dict.fromkeys(_stripped(reduced["expect"]))
    scripts = vector.get("interceptor_scripts", [None])
    composition = vector.get("composition", {"profile": OFFERED if len(scripts) < 2 else "sequential/first_deny"})
    if composition["profile"] != OFFERED or composition.get("on_transform_conflict", "deny") != "deny":
        return f"a composition of interceptors that is not offered ({OFFERED} is)", reduced
    return "; ".join(why), reduced


def _stripped(expect: dict[str, Any]) -> list[str]:
    """Take the members of the kit's own record out of what is expected; return what they are."""
    found = []
    for record in expect.get("records", []):
        for part in ("assert", "present", "absent"):
            for name in list(record.get(part, ())):
                kind = next((words for start, words in _OF_THE_KIT.items() if name.startswith(start)), None)
                if kind is None or (part == "assert" and record[part][name] == OFFERED):
                    continue
                found.append(kind)
                record[part].pop(name) if isinstance(record[part], dict) else record[part].remove(name)
    return found
