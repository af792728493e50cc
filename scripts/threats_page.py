"""Generate the tables of docs/reference/threats.md: what came of the threat suite, and where each family is tested.

* What came is docs/reference/threats.json, the document of a run: `scripts/threats_page.py --play` plays the suite and
  writes it. Where each family is tested is read from the scenarios, and from `TESTED`, whose files must exist.
* Tables stand between marks as in `scripts/reference.py`, which runs this too, with `--check` as well.
"""

from __future__ import annotations

import json
import re
import sys
import tempfile
import textwrap
from collections.abc import Iterable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import Any, Final

from navicert.conformance.scenarios import threats
from navicert.conformance.threat_report import COLUMNS, counted, document
from navicert.conformance.threats import run_threats
from navicert.conformance.world import Observers

PAGE: Final = "docs/reference/threats.md"
RESULTS: Final = "docs/reference/threats.json"
EXAMPLE: Final = "T1.4"
"""The scenario that the page shows."""
_MARKED: Final = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_ATTACKS, _GATEWAY, _FAULTS, _UNIT = "tests/attacks/test_", "tests/gateway/test_", "tests/faults/test_", "tests/unit/"

TESTED: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "A.1": ("the policy backend fails, or answers late or oddly", (f"{_ATTACKS}gate.py", f"{_FAULTS}ports.py")),
    "A.2": ("no policy, or a broken edit of one", (f"{_UNIT}sdk/test_guard.py", f"{_FAULTS}owner.py")),
    "A.3": (
        "a rule that cannot mean anything, or a deny rule that raises",
        (f"{_UNIT}core/test_syntax.py", "tests/oracle/test_language.py", f"{_ATTACKS}cedar.py"),
    ),
    "A.4": ("a detector, resolver or check is down", (f"{_ATTACKS}gate.py", f"{_GATEWAY}attacks.py")),
    "A.5": ("a hook or wrapped object that leads around the gate", (f"{_ATTACKS}gate.py",)),
    "A.6": (
        "killed, disk full, read-only, two writers",
        (f"{_FAULTS}kill.py", f"{_FAULTS}stores.py", f"{_FAULTS}together.py", f"{_FAULTS}hammer.py"),
    ),
    "A.7": ("a surface's own failures", (f"{_GATEWAY}attacks.py", f"{_GATEWAY}message.py")),
    "A.8": ("child processes that never meet the gate", (f"{_ATTACKS}direct_path.py", f"{_GATEWAY}attacks.py")),
    "A.9": ("a receipt that cannot be written", (f"{_ATTACKS}gate.py", f"{_FAULTS}waits.py")),
    "B.1": ("arguments that change during the wait", (f"{_ATTACKS}waiting.py", f"{_ATTACKS}judged.py")),
    "B.2": ("an approval used for something else", (f"{_ATTACKS}waiting.py", f"{_ATTACKS}judged.py")),
    "B.3": ("an edit that is not evaluated again", (f"{_ATTACKS}waiting.py", f"{_ATTACKS}judged.py")),
    "B.4": ("a rejected call by another path", (f"{_ATTACKS}waiting.py", f"{_GATEWAY}attacks.py")),
    "B.5": ("the protected argument in another form", (f"{_ATTACKS}judged.py", f"{_UNIT}sdk/test_binding.py")),
    "B.6": ("odd JSON", (f"{_GATEWAY}message.py", f"{_ATTACKS}judged.py", "tests/properties/test_canonical.py")),
    "B.7": ("a batch with one that is denied", (f"{_GATEWAY}message.py", f"{_GATEWAY}http.py")),
    "C.1": ("tool names that dodge a rule", (f"{_ATTACKS}names.py",)),
    "C.2": ("tools that wrap the real one", (f"{_GATEWAY}dispatch.py", f"{_GATEWAY}attacks.py")),
    "C.3": ("hosts that seem to be another", (f"{_ATTACKS}places.py",)),
    "C.4": ("mail addresses that seem to be another", (f"{_ATTACKS}places.py",)),
    "C.5": ("paths that lead elsewhere", (f"{_ATTACKS}places.py", f"{_UNIT}adapters/test_paths.py")),
    "C.6": ("commands in disguise", (f"{_ATTACKS}analysers.py",)),
    "C.7": ("SQL in disguise", (f"{_ATTACKS}analysers.py",)),
    "C.8": (
        "secrets in disguise",
        (f"{_ATTACKS}released.py", f"{_UNIT}adapters/test_patterns.py", f"{_UNIT}adapters/test_patterns_parameters.py"),
    ),
    "C.9": ("patterns that blow up", (f"{_UNIT}adapters/test_patterns.py",)),
    "D.1": ("an argument shaped like identity or approval", (f"{_ATTACKS}identity.py", f"{_GATEWAY}attacks.py")),
    "D.2": ("identity that the agent chooses", (f"{_ATTACKS}identity.py", f"{_GATEWAY}attacks.py")),
    "D.3": ("an approver who may not", (f"{_ATTACKS}approvers.py", f"{_ATTACKS}forged_answers.py")),
    "D.4": ("tokens", (f"{_ATTACKS}tokens.py", f"{_GATEWAY}http_identity.py")),
    "D.5": ("delegation beyond its bounds", (f"{_UNIT}core/test_delegation.py", f"{_ATTACKS}approvers.py")),
    "D.6": ("no approver required; a rule that allows and one that asks", (f"{_ATTACKS}approvers.py",)),
    "D.7": (
        "forged approval pages",
        ("tests/console/test_browser.py", "tests/console/test_http.py", f"{_UNIT}core/test_inert.py"),
    ),
    "D.8": ("approval asked too often", (f"{_ATTACKS}waiting.py",)),
    "E.1": (
        "each field of each receipt flipped",
        ("tests/records/test_mutations.py", "tests/properties/test_bundle.py"),
    ),
    "E.2": ("a log cut, swapped, rewritten", (f"{_ATTACKS}records.py", f"{_ATTACKS}detection.py")),
    "E.3": ("a stranger's key, no key, another algorithm", (f"{_ATTACKS}trust_files.py", f"{_ATTACKS}records.py")),
    "E.4": ("a restored backup; two processes on one log", (f"{_FAULTS}together.py", f"{_ATTACKS}witness.py")),
    "E.5": ("an effect without a decision, or the like", (f"{_ATTACKS}forged_answers.py", f"{_FAULTS}hammer.py")),
    "E.6": ("a flood that pushes out a denial", (f"{_GATEWAY}notices.py", f"{_FAULTS}together.py")),
    "E.7": ("secrets in records, logs and errors", (f"{_ATTACKS}released.py", f"{_UNIT}adapters/test_notify.py")),
    "F.1": ("personal data is read, then sent", (f"{_ATTACKS}bounds.py", f"{_ATTACKS}sequences.py")),
    "F.2": ("the send starts while the read runs", (f"{_ATTACKS}sequences.py", f"{_UNIT}engine/test_flow.py")),
    "F.3": ("untrusted content, then a privileged act", (f"{_ATTACKS}provenance_engine.py",)),
    "F.4": ("an error that recommends a destructive fix", (f"{_GATEWAY}attacks.py", f"{_GATEWAY}pins.py")),
    "F.5": ("memory written once, believed later", ()),
    "F.6": ("environment facts that disagree", (f"{_ATTACKS}deferrals.py",)),
    "F.7": ("slow drift", (f"{_ATTACKS}drift.py",)),
    "F.8": ("a denied goal tried again", (f"{_ATTACKS}bounds.py", f"{_ATTACKS}authority.py")),
    "F.9": ("tool definitions that change", (f"{_GATEWAY}pins.py", f"{_GATEWAY}attacks.py")),
    "G": ("ordinary work that must pass", ("tests/e2e/test_starter.py", f"{_UNIT}adapters/test_patterns_corpus.py")),
}
"""Every item of the families → in words, and the test files that hold it besides the scenarios."""


class Incomplete(Exception):
    """The page, or what it is made of, is incomplete; the message says where."""


def made(root: Path) -> dict[str, str]:
    """Return every table by name; raises `Incomplete` where it could not be told where something is tested."""
    told = json.loads((root / RESULTS).read_text(encoding="utf-8"))
    return {"example": _example(), "counts": _counts(told), "red": _red(told), "families": _families(root)}


def _example() -> str:
    text = (files("navicert.conformance") / "attacks" / f"{EXAMPLE.partition('.')[0]}.yaml").read_text(encoding="utf-8")
    found = re.search(rf"^  - id: {EXAMPLE}\n.*?(?=\n\n)", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise Incomplete(f"the scenario {EXAMPLE} is shown on the page, and there is none; choose another")
    return f"```yaml\n{textwrap.dedent(found[0])}\n```\n"


def _counts(told: Mapping[str, Any]) -> str:
    rows = [
        [
            threat["threat"],
            threat["title"],
            f"`{surface}`",
            *(str(number) for number in counted(threat, surface).values()),
        ]
        for threat in told["threats"]
        for surface in told["surfaces"]
    ]
    return _table(["", "threat", "surface", *COLUMNS], rows)


def _red(told: Mapping[str, Any]) -> str:
    scenarios = [each for threat in told["threats"] for each in threat["scenarios"] if not each["green"]]
    rows = [
        [each["id"], each["title"], ", ".join(sorted({*each["came"].values()} - {"elsewhere"})), each["why"]]
        for each in scenarios
    ]
    return _table(["", "scenario", "came out", "why"], rows)


def _families(root: Path) -> str:
    scenarios = [each for threat in threats() for each in threat.scenarios]
    unknown = {item for each in scenarios for item in each.family} - TESTED.keys()
    if unknown:
        raise Incomplete(f"no family has the item {min(unknown)}; see `family` of the scenarios")
    rows = []
    for item, (words, tests) in TESTED.items():
        missing = [test for test in tests if not (root / test).is_file()]
        if missing:
            raise Incomplete(f"{item}: there is no {missing[0]}; name the file that tests it")
        played = [each.id for each in scenarios if item in each.family]
        if not tests and not played:
            raise Incomplete(f"{item}: it is tested nowhere; write a scenario or name a test")
        rows.append([item, words, ", ".join(played) or "–", ", ".join(f"`{test}`" for test in tests) or "–"])
    return _table(["", "case", "scenarios", "tests"], rows)


def _table(head: list[str], rows: Iterable[list[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def main(root: Path, arguments: list[str]) -> int:
    """Write the page, or with `--check` compare it; with `--play`, play the suite first. Return the exit status."""
    if "--play" in arguments:
        observers = Observers()
        with tempfile.TemporaryDirectory(prefix="navicert-threats-") as folder, observers.running():
            found = document(run_threats(Path(folder), observers))
        (root / RESULTS).write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    page = root / PAGE
    before = page.read_text(encoding="utf-8")
    try:
        tables = made(root)
        after = _MARKED.sub(lambda found: f"{found[1]}{tables.pop(found[2])}{found[3]}", before)
    except (Incomplete, KeyError) as error:
        print(f"{PAGE}: {error}", file=sys.stderr)
        return 1
    if tables:
        print(f"{PAGE}: the table `{min(tables)}` is missing; put its marks there", file=sys.stderr)
        return 1
    if "--check" not in arguments:
        page.write_text(after, encoding="utf-8")
    elif before != after:
        print(f"{PAGE} is not what the scenarios and {RESULTS} say; run `scripts/threats_page.py`", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(__file__).resolve().parent.parent, sys.argv[1:]))
