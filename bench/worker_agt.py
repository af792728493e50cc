"""The other side of bench_peer.py: Agent Governance Toolkit 4.1.0 (`agentmesh.governance`), in .bench-venv.

`govern` keeps its audit entries in memory; its parameter for a file (`GovernanceConfig.audit_file`) is not read in
4.1.0, so that the package's own `FileAuditSink` is put behind its audit log by hand where a file is asked for.
"""

from __future__ import annotations

import json
import sys
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any

import rulesets
from worker import Run, serve

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it says that its import name will change
    from agentmesh.governance import govern
    from agentmesh.governance.audit import AuditLog
    from agentmesh.governance.audit_backends import FileAuditSink
    from agentmesh.governance.policy import Policy, PolicyEngine


class Agt:
    def about(self) -> dict[str, str]:
        return {
            "name": f"Agent Governance Toolkit {version('agent-governance-toolkit-core')}",
            "python": sys.version.split()[0],
            "pydantic": version("pydantic"),
        }

    def evaluate(self, rules: int) -> Run:
        engine = self._engine(rules)
        context = self._context(rulesets.arguments())

        def run(times: int) -> None:
            for _ in range(times):
                engine.evaluate("*", context)

        return run

    def call(self, rules: int, folder: str, audit: str) -> Run:
        ran = 0

        def send(**arguments: Any) -> str:  # noqa: ARG001
            nonlocal ran
            ran += 1
            return "sent"

        governed = govern(send, policy=self._policy(rules))
        if audit == "file":
            path = Path(folder)
            path.mkdir(parents=True, exist_ok=True)
            governed._audit = AuditLog(sink=FileAuditSink(path / "audit.jsonl", b"k" * 32))  # noqa: SLF001 - see above
        session, user = {"contains_pii": False}, {"role": "analyst"}
        calls = 0

        def run(times: int) -> None:
            nonlocal calls
            before = ran
            for _ in range(times):
                calls += 1
                arguments = rulesets.arguments(f"pe-{calls:08d}")
                governed(action=rulesets.NAME, session=session, user=user, **arguments)
            assert ran - before == times

        return run

    def probe(self, rules: int) -> list[bool]:
        engine = self._engine(rules, strategy="deny_overrides")
        return [
            engine.evaluate(
                "*", self._context(rulesets.arguments(**item["arguments"]), pii=item["pii"], role=item["role"])
            ).allowed
            for item in rulesets.probes()
        ]

    def close(self) -> None:
        """Nothing is held."""

    @staticmethod
    def _policy(rules: int) -> Policy:
        return Policy.from_json(json.dumps(rulesets.as_agt(rulesets.common(rules))))

    def _engine(self, rules: int, strategy: str = "deny_overrides") -> PolicyEngine:
        engine = PolicyEngine(conflict_strategy=strategy)
        engine.load_policy(self._policy(rules))
        return engine

    @staticmethod
    def _context(arguments: dict[str, Any], *, pii: bool = False, role: str = "analyst") -> dict[str, Any]:
        """Return the context as `govern` builds it."""
        given = {name: {"value": value} for name, value in arguments.items()}
        return {"action": {"type": rulesets.NAME}, "session": {"contains_pii": pii}, "user": {"role": role}} | given


if __name__ == "__main__":
    serve(Agt())
