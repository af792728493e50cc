"""The command line: verb first, one file a verb, loaded when it is called (docs/reference/cli.md).

* Exit codes: 0 fine, 1 findings, 2 usage, 3 policy or configuration invalid, 4 tests failed or decisions changed,
  5 verification failed, 6 unavailable. An error is one line on standard error.
* Every verb has `--json`: one document of a stable shape. There is no verb and no option that disables enforcement.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any, Final, NoReturn

import click

VERBS: Final[dict[str, tuple[str, str]]] = {
    "quickstart": ("start", "make a demo folder and let an agent loose in it"),
    "init": ("start", "make a home: policy, keys, configuration"),
    "up": ("start", "own this home, and judge for other processes over a socket"),
    "attach": ("mcp", "put the servers of an MCP client behind the gateway"),
    "detach": ("mcp", "take them out again"),
    "tools": ("mcp", "the tools behind the gateway, and what has changed"),
    "call": ("mcp", "call one tool behind the gateway, as a client would"),
    "mcp": ("mcp", "the gateway itself, as an MCP client launches it"),
    "status": ("start", "what is in force, what waits, what is open"),
    "canary": ("start", "send what must be denied over every surface, and see that it is"),
    "coverage": ("record", "what was seen mediated, and what was not"),
    "doctor": ("start", "check that this deployment is sound, and say what it does not protect"),
    "tail": ("record", "the newest receipts, one line each"),
    "sessions": ("record", "all sessions"),
    "session": ("record", "one session: request, labels, every action"),
    "show": ("record", "one action with everything that its decision rested on"),
    "verify": ("record", "verify the log, or a receipt package"),
    "inbox": ("people", "what waits for a person or a fact"),
    "approve": ("people", "say yes to one waiting action, signed"),
    "deny": ("people", "say no to one waiting action, signed"),
    "answer": ("people", "state a fact that the requester is asked for, signed"),
    "settle": ("people", "record what a person found out about an open action"),
    "approver": ("people", "who may answer, and with which key"),
    "kill": ("control", "take authority away, at once"),
    "restore": ("control", "give authority back, signed by a supervisor"),
    "authority": ("control", "whose authority is reduced"),
    "erase": ("control", "destroy what receipts disclose about a person, or hold it: two people sign"),
    "sweep": ("control", "look once at everything that waits"),
    "lint": ("policy", "what a policy says and hardly means"),
    "fmt": ("policy", "lay policy files out: comments stay, and so does what they say"),
    "test": ("policy", "play the tests of a policy, and find what they would not notice"),
    "explain": ("policy", "one decision, step by step: what was asked, and what was found"),
    "replay": ("policy", "recorded sessions through a policy; nothing is executed"),
    "diff": ("policy", "every recorded decision that a change of policy would change"),
    "schema": ("policy", "the JSON Schema of policy files, for editors"),
    "export": ("record", "evidence for a stranger, in one file"),
    "log": ("trust", "the log as others know it: checkpoint, proofs, tiles; prune and restore"),
    "key": ("trust", "make, rotate and publish signing keys"),
    "calibrate": ("policy", "thresholds of drift from recorded sessions, and how often they are wrong"),
    "conformance": ("trust", "put this system, or another, under test, and leave evidence of it"),
    "witness": ("trust", "watch logs of others, and cosign what only ever grows"),
}
"""Verb → (group, what it does). Nothing is imported to list them."""


class Verbs(click.Group):
    """Finds a verb in its file, and turns every failure into one line and an exit code."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return all verbs, in the order in which one meets them."""
        del ctx
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a verb, or None where there is none of this name."""
        del ctx
        if cmd_name not in VERBS:
            return None
        found: click.Command = import_module(f"navicert.cli.{cmd_name}").verb
        return found

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the verbs by group, without loading them."""
        del ctx
        for group in dict.fromkeys(group for group, _ in VERBS.values()):
            with formatter.section(group):
                formatter.write_dl([(verb, says) for verb, (of, says) in VERBS.items() if of == group])

    def main(
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        standalone_mode: bool = True,
        windows_expand_args: bool = True,
        **extra: Any,
    ) -> NoReturn:
        """Run one verb and leave with its exit code."""
        del standalone_mode
        try:
            code = super().main(
                args,
                prog_name or "navicert",
                complete_var,
                standalone_mode=False,
                windows_expand_args=windows_expand_args,
                **extra,
            )
        except Exception as error:  # noqa: BLE001 - what is not ours is raised again by `_explain`
            code = _explain(error)
        except KeyboardInterrupt:
            code = 130
        sys.exit(code if isinstance(code, int) else 0)


def _explain(error: Exception) -> int:
    """Say in one line what went wrong, and return the exit code; raises what is a fault of navicert itself."""
    from navicert.cli.faults import exit_code, sentence

    if isinstance(error, BrokenPipeError):  # the reader of a pipe has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    code = exit_code(error)
    if code is None:
        raise error
    click.echo(f"navicert: {sentence(error)}", err=True)
    return code


@click.group(
    cls=Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Exit codes: 0 fine, 1 findings, 2 usage, 3 policy or configuration, 4 tests failed or decisions changed,"
    " 5 verification, 6 unavailable.",
)
@click.option("--home", metavar="PATH", help="The home folder, or a folder in or above which it lies (default: here).")
@click.version_option(package_name="navicert", message="navicert %(version)s")
@click.pass_context
def main(ctx: click.Context, home: str | None) -> None:
    """Judge what AI agents do before they do it, and keep a signed receipt of every decision."""
    ctx.obj = home
