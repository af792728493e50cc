"""Throw broken policies at the reader, for as long as one likes (R3.a; attack cases A.3).

    scripts/fuzz_reader.py --seconds 60        a minute, as CI does
    scripts/fuzz_reader.py --inputs 10000000   so many inputs
    --seed N                                   another beginning (default: the day)

Promises: a text is a policy or a `PolicyError` with its place, never anything else; what is read has one canonical form
that reads back; no text takes longer than a second. A text that breaks one of them is printed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from navicert.model.errors import PolicyError
from navicert.syntax import canonical_policy, decode_policy, read_policy
from navicert.syntax.fields import KEYS, OPERATORS, SECTIONS

LONGEST_S = 1.0
ROOT = Path(__file__).resolve().parent.parent
HEAD = "policy: p\nversion: 1\nposture: deny\n"
PIECE = re.compile(r"\w+|\s+|[^\w\s]")
PLACED = re.compile(r"policy\.yaml:\d+:\d+: .")
# ruff: noqa: E501 - lists of words
ODD = (
    "", " ", "\n", "\t", "\0", "\r", "\u2028", "\ufeff", "\u202e", "\ud83d", "~", "!!python/object:os.system", "&a", "*a",
    "<<", "%YAML 1.1", "---", "...", "|", ">", ">-2", "?", ": ", "- ", "#", "'", '"', "{", "}", "[", "]", ",", "@", "`", "0x1F",
    "0123", "1e400", "-0", ".inf", ".nan", "1_000", "99999999999999999999", "true", "True", "null", "yes", "2026-11-23", "(?i)",
    "(a+)+$", "\\", "\\x", "**", "*.", "..", "/", "://", "@x", "::1", "10.0.0.0/33", "xn--", "10m", "31d", "1w", "é", "ﬁ", "İ",
)  # fmt: skip
WORDS = (
    *KEYS, *OPERATORS, *SECTIONS, *(field for fields in SECTIONS.values() for field in fields), "not", "decision", "match",
    "priority", "constraints", "approvers", "timeout", "escalate", "shadow", "adds_risk", "intents", "destinations", "facts",
    "roles", "ALLOW", "DENY", "MODIFY", "STEP_UP", "DEFER", "forbidden", "PUBLIC", "RESTRICTED", "send", "read", "requester",
)  # fmt: skip


def seeds() -> list[str]:
    """Return whole policies, and small ones of one section or one rule each."""
    files = [*(ROOT / "src").rglob("*.yaml"), *(ROOT / "examples").rglob("*.yaml")]
    texts = [path.read_text(encoding="utf-8") for path in files if ".test." not in path.name]
    page = (ROOT / "docs/reference/policy-language.md").read_text(encoding="utf-8")
    texts += re.findall(r"```yaml\n(.*?)```", page, flags=re.DOTALL)
    small: list[str] = []
    for text in texts:
        for section in re.split(r"\n(?=[a-z])", text):
            rules = re.split(r"\n(?= *- id:)", section)
            if len(rules) > 1:
                small += [f"{HEAD}rules:\n{rule}\n" for rule in rules[1:]]
            elif ":" in section:
                small.append(HEAD + section + "\n")
    return [*texts, *small * 10]


def broken(text: str, pick: random.Random, others: list[str]) -> str:
    """Return the text with one to six changes: pieces cut, doubled, swapped, moved in from elsewhere, or made odd."""
    pieces = PIECE.findall(text) or [""]
    for _ in range(pick.choice((1, 1, 2, 3, 6))):
        at = pick.randrange(len(pieces))
        match pick.randrange(8):
            case 0:
                pieces[at] = pick.choice(ODD)
            case 1 | 2:
                pieces[at] = pick.choice(WORDS)
            case 3:
                pieces.insert(at, pick.choice(ODD))
            case 4:
                del pieces[at : at + pick.choice((1, 1, 4, 20))]
            case 5:
                pieces[at:at] = pieces[at : at + pick.choice((1, 5, 40))] * pick.choice((1, 2, 50))
            case 6:
                other = PIECE.findall(pick.choice(others))
                start = pick.randrange(len(other) or 1)
                pieces[at:at] = other[start : start + pick.choice((1, 5, 30))]
            case _:
                to = pick.randrange(len(pieces))
                pieces[at], pieces[to] = pieces[to], pieces[at]
        pieces = pieces[:20_000] or [""]
    return "".join(pieces)


def fault(text: str) -> str | None:
    """Return what is wrong with how the reader takes this text, None where it keeps its promises."""
    start = time.process_time()
    try:
        policy, _ = read_policy(text, "policy.yaml")
    except PolicyError as error:
        if PLACED.match(str(error)) is None:
            return f"no place in `{error}`"
    except Exception as error:  # noqa: BLE001 - this is what is looked for
        return f"{type(error).__name__}: {error}"
    else:
        data = canonical_policy(policy)
        if decode_policy(data) != policy:
            return "its canonical form is another policy"
    took = time.process_time() - start
    return f"it took {took:.1f} s" if took > LONGEST_S else None


def main() -> int:
    """Run until the time or the inputs are used up; return the exit status."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seconds", type=float, default=None)
    options.add_argument("--inputs", type=int, default=None)
    options.add_argument("--seed", type=int, default=int(datetime.now(UTC).strftime("%Y%m%d")))
    given = options.parse_args()
    pick = random.Random(given.seed)  # noqa: S311 - chooses inputs, guards nothing
    texts = seeds()
    end = time.monotonic() + (given.seconds if given.seconds is not None else 1e9)
    count = loaded = 0
    while (given.inputs is None or count < given.inputs) and time.monotonic() < end:
        text = broken(pick.choice(texts), pick, texts)
        count += 1
        wrong = fault(text)
        if wrong is not None:
            print(f"seed {given.seed}, input {count}: {wrong}\n{text!r}", file=sys.stderr)
            return 1
        if count % 100_000 == 0:
            print(f"   {count} inputs", flush=True)
        loaded += count % 100 == 0 and _loads(text)
    print(f"   {count} inputs, about {100 * loaded * 100 // max(count, 1)} % of them policies; seed {given.seed}")
    return 0


def _loads(text: str) -> bool:
    try:
        read_policy(text)
    except PolicyError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
