"""`navicert quickstart [FOLDER]`: a demo folder, an agent let loose in it, and proof of what did and did not happen."""

from __future__ import annotations

import shutil
import sys
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from navicert.cli.faults import FINDINGS, FINE, Misused
from navicert.cli.home import common, shown_path
from navicert.cli.init import SIX_LINES, ignore
from navicert.cli.terminal import Terminal, emit, pad, wrap
from navicert.cli.verify import run_audit
from navicert.config import FILE, HOME
from navicert.model.errors import Unavailable, VerificationError

if TYPE_CHECKING:
    from navicert.demo.story import Ended, Judged, Proof
    from navicert.demo.world import World


@click.command()
@click.argument("folder", default="navicert-demo", type=click.Path(path_type=Path))
@click.option("--again", is_flag=True, help="Run the agent once more in a folder that is there, after an edit say.")
@common
def verb(folder: Path, again: bool, home: str | None, as_json: bool) -> int:
    """Make a demo in FOLDER (default: navicert-demo), and let an agent loose in it.

    There is a policy, files, a database, a mail server and a web service. A scripted agent tries twelve things. Three
    of them wait: a person approves one from another process, a missing fact is found out, and one times out. Then the
    world is asked, behind navicert's back, what really happened. Everything runs on this machine: no model, no network.
    Nothing that exists is overwritten.
    """
    start = monotonic()
    del home  # the demonstration has a home of its own
    folder = folder.resolve()
    _check(folder, again=again)
    from navicert.demo import story
    from navicert.demo.world import World

    world = World(folder) if again else story.make(folder)
    if not again:
        ignore(folder / HOME)
    out = Terminal()
    agent = _agent(world) if again else "assistant"
    if not as_json:
        _opening(out, world, agent, again=again)
    judged: list[Judged] = []
    ended: list[Ended] = []
    for item in story.run(world, agent):
        if isinstance(item, story.Ended):
            if not as_json:
                _tell_end(out, item, first=not ended)
            ended.append(item)
            continue
        if not as_json:
            _tell(out, item, new=not judged or item.session != judged[-1].session)
        judged.append(item)
    proofs = story.prove(world)
    if not as_json:
        _prove(out, proofs)
    broken = _verify(out, folder, quiet=as_json)
    seconds = monotonic() - start
    if as_json:
        emit(_document(folder, agent, judged, ended, proofs, broken, seconds))
    else:
        _closing(out, folder, judged, seconds)
    if broken is not None:
        raise broken
    return FINE if all(proof.agrees for proof in proofs) else FINDINGS


def _check(folder: Path, *, again: bool) -> None:
    at = shown_path(folder)
    if again and not (folder / HOME / FILE).is_file():
        raise Misused(f"{at}: no demo to run again; leave out --again to make one")
    if not again and folder.exists():
        raise Misused(
            f"{at}: it exists, and nothing is overwritten; name another folder, or run the agent of this one again: "
            f"navicert quickstart --again {at}"
        )
    if find_spec("aiosmtpd") is None:
        raise Unavailable("the demo runs a mail server, which is not installed: pip install 'navicert[demo]'")


def _agent(world: World) -> str:
    """Return a new agent's name: it starts without the labels that follow the one before."""
    from navicert.assemble import Home
    from navicert.audit import open_archive

    with open_archive(Home(world.folder / HOME)) as archive:
        return f"assistant-{sum(1 for _ in archive.log(kind='boot')) + 1}"


def _opening(out: Terminal, world: World, agent: str, *, again: bool) -> None:
    at = shown_path(world.folder)
    out.say()
    out.title("navicert quickstart", "no model, no network: everything on this machine")
    if again:
        out.text(f"The same world, the policy as it is now, and a new agent: {agent}.")
        out.text("What the agents before it have read does not follow it; it follows them.")
        return
    out.text(f"Made {at}, with all that the agent can reach:")
    out.fields(
        [
            (".navicert", "policy.yaml, keys (mode 0600), the log of receipts"),
            ("workspace", "three files"),
            ("customers.db", f"{world.made} invented customers, SQLite"),
            ("vault.json", "a credential"),
            ("ops", "what the operators say about this environment; no tool writes there"),
            ("mailbox", "what a mail server on this machine accepts"),
            ("requests.log", "what a deploy service on this machine is asked"),
        ]
    )


def _tell(out: Terminal, item: Judged, *, new: bool) -> None:
    if new:
        from navicert.demo.agent import LATER, REQUEST

        asked = REQUEST if item.number == 1 else LATER
        out.say()
        out.say(out.style("Ana asks: ", "dim") + f"“{asked}”")
        out.say()
    call = f"{item.name} {_first(item.parameters)}"
    room = out.width - 17 - 41 - 2 - 15
    out.say(
        f"  {item.number:>2}  {out.verdict(item.verdict)}  {pad(item.why, 39)}  "
        f"{out.style(pad(call, room), 'dim')}  {item.place:>15}"
    )
    for line in wrap(_note(item, new=new), out.width - 17):
        out.say(" " * 17 + out.style(line, "dim"))


_ENDS = {
    "approval": "Ben approves, from a process of his own",
    "facts": "the ops registry says which environment",
    "timeout": "nobody says that the window is open",
    "reevaluation": "judged again",
}


def _tell_end(out: Terminal, item: Ended, *, first: bool) -> None:
    if first:
        out.say()
        out.say(out.style("What waited", "dim"))
        out.say()
    told = _ENDS.get(item.method, item.reason)
    room = out.width - 17 - 41 - 2 - 15
    out.say(
        f"  {item.number:>2}  {out.verdict(item.verdict)}  {pad(told, 39)}  "
        f"{out.style(pad(item.name, room), 'dim')}  {f'from {item.attempt}':>15}"
    )
    done = "it ran, once; the receipt says who or what decided"
    note = done if item.verdict in {"ALLOW", "MODIFY"} else "timed out: a wait that nobody ends, ends in DENY"
    out.say(" " * 17 + out.style(note if item.verdict != "DENY" or item.method == "timeout" else item.reason, "dim"))


def _first(parameters: dict[str, Any]) -> str:
    """Return what tells this call from others of its tool."""
    for name in ("path", "to", "sql", "customer", "release", "name"):
        if name in parameters:
            text = str(parameters[name])
            return "…/" + "/".join(text.split("/")[-2:]) if text.startswith("/") else text
    return ""


def _note(item: Judged, *, new: bool) -> str:
    match item.verdict:
        case "MODIFY":
            changed = [
                f"{name} {value} → {(item.effective or {}).get(name)}"
                for name, value in item.parameters.items()
                if (item.effective or {}).get(name) != value
            ]
            rows = f": {len(item.answer)} rows came back" if isinstance(item.answer, list) else ""
            return ", ".join(changed) + rows
        case "STEP_UP" | "DEFER":
            until = (item.deadline or "")[11:16]
            return f"{item.reason}; held until {until} UTC, then DENY"
        case "DENY":
            return "what an agent has read follows it into new sessions" if new and item.followed else item.reason
    return f"the session carries {item.labels} from here on" if item.number == 3 else ""


def _prove(out: Terminal, proofs: list[Proof]) -> None:
    out.say()
    out.title("Asked behind navicert's back", "effects   permitted")
    for proof in proofs:
        text = f"  {out.mark('ok' if proof.agrees else 'error')} {pad(proof.where, 16)} {proof.holds}"
        numbers = f"{proof.found:>7}   {proof.permitted:>9}"
        plain = 4 + 16 + 1 + len(proof.holds)
        out.say(text + " " * (out.width - plain - len(numbers)) + numbers)


def _verify(out: Terminal, folder: Path, *, quiet: bool) -> VerificationError | None:
    """Verify the log and all that belongs to it, and show the steps; return what is wrong with it, if anything."""
    if not quiet:
        out.say()
        out.title("The log, verified", "as `navicert verify` does it")
    try:
        run_audit(folder / HOME, None, None if quiet else out, [])
    except VerificationError as error:
        return error
    return None


def _closing(out: Terminal, folder: Path, judged: list[Judged], seconds: float) -> None:
    at = shown_path(folder)
    waited = next((item.handle for item in judged if item.handle), None)
    out.say()
    out.title("Go on", f"all of this took {seconds:.1f} s")
    activate = Path(sys.prefix, "bin", "activate")
    hidden = shutil.which("navicert") is None and activate.is_file()
    steps = [
        (f". {shown_path(activate)}", "so that your shell finds navicert") if hidden else ("", ""),
        (f"cd {at}", "the commands below look for a home here and above"),
        ("navicert tail", "every receipt, one line each"),
        ("navicert sessions", "what each has read and tried"),
        (f"navicert show {waited}", "an action that waited: who approved what") if waited else ("", ""),
        ("navicert verify", "the log again, step by step"),
        ("$EDITOR .navicert/policy.yaml", "change a rule, and let the agent try again:"),
        ("navicert quickstart --again .", ""),
    ]
    for command, says in steps:
        if command:
            out.say(f"  {pad(command, 46)}  {out.style(says, 'dim')}")
    out.say()
    out.say("  A tool of your own, in a folder of its own, after `navicert init`:")
    out.say()
    for line in SIX_LINES:
        out.say(f"      {line}")
    out.say()


def _document(
    folder: Path,
    agent: str,
    judged: list[Judged],
    ended: list[Ended],
    proofs: list[Proof],
    broken: VerificationError | None,
    seconds: float,
) -> dict[str, Any]:
    return {
        "format": "navicert/quickstart/1",
        "folder": str(folder),
        "agent": agent,
        "seconds": round(seconds, 3),
        "verified": broken is None,
        "agrees": all(proof.agrees for proof in proofs),
        "actions": [
            {
                "number": item.number,
                "session": item.session,
                "action_id": item.action_id,
                "action": item.name,
                "parameters": item.parameters,
                "effective": item.effective,
                "verdict": item.verdict,
                "rule": item.rule,
                "place": item.place,
                "reason": item.reason,
                "handle": item.handle,
                "deadline": item.deadline,
            }
            for item in judged
        ],
        "ended": [
            {
                "number": item.number,
                "attempt": item.attempt,
                "action_id": item.action_id,
                "action": item.name,
                "verdict": item.verdict,
                "method": item.method,
                "reason": item.reason,
            }
            for item in ended
        ],
        "proofs": [
            {
                "where": proof.where,
                "holds": proof.holds,
                "found": proof.found,
                "permitted": proof.permitted,
                "agrees": proof.agrees,
            }
            for proof in proofs
        ],
    }
