"""Break every enforcement branch of the loop, one at a time, and name those that no test minds (ADR 0028).

    make mutants                                  all of it; about an hour
    make mutants ARGS="--module evaluate"         modules whose path holds this word (again for more)
    make mutants ARGS="--only 'assess | negated'" mutants whose name holds this text
    make mutants ARGS=--again                     those that survived last time
    make mutants ARGS="--seconds 5"               a first look: less time for each mutant
    make mutants ARGS=--list                      the mutants, without running them

* The tests are collected once, in one process. Each mutant is a fork of it: the changed module is compiled, and its
  code put into the functions that are there; no file is changed, and nothing is imported again.
* Which tests come to which statement is recorded once, with the time that each takes, in build/mutants/. A mutant is
  tried on those that come to it, cheapest first, what killed its neighbours in front, until one fails or the time for
  one mutant is used up. A test that does not come back counts as one that failed.
* A mutant that survives fails the run, unless scripts/equivalent_mutants.toml names it and says why it changes nothing;
  so does a line there that names no mutant any more, or one that a test kills.
* Written: build/mutants/report.json and report.txt.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import gc
import hashlib
import importlib
import json
import os
import resource
import select
import shutil
import signal
import sys
import tempfile
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from time import monotonic
from types import CodeType, FunctionType, ModuleType
from typing import Any, Final, NoReturn

ROOT: Final = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(Path(__file__).parent))
import mutating  # noqa: E402 - it lies beside this file, which is run by its path
from mutating import Mutant, Source  # noqa: E402

BUILD: Final = ROOT / "build" / "mutants"
EQUIVALENT: Final = ROOT / "scripts" / "equivalent_mutants.toml"
SUITES: Final = (
    "tests/rows",
    "tests/attacks",
    "tests/oracle",
    "tests/properties/test_context.py",
    "tests/properties/test_lifecycle.py",
    "tests/properties/test_lives.py",
    "tests/properties/test_released.py",
    "tests/faults",
    "tests/unit/core",
    "tests/unit/engine",
    "tests/unit/sdk",
    "tests/unit/service",
)
SLOW_S: Final = 8.0
"""A test that takes longer is not used."""
FAILED_S: Final = 1e9
"""What is recorded of one that fails as it is."""
TURN_S: Final = 0.1
"""So much longer a test may take than another, to be tried one turn earlier."""
HANG_S: Final = 20.0
"""A test that takes ten times as long as ever, and this more, does not come back."""
MEMORY: Final = 8 << 30
MEMORY_DISK: Final = "/dev/shm"  # noqa: S108 - the folder made in it is the run's own
"""Where there is one: the tests wait for the disk more than for anything else."""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A module under `src`. left_out: functions that decide nothing, and why not."""

    path: str
    left_out: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """What it is imported as."""
        return self.path.removesuffix(".py").replace("/", ".")

    def source(self) -> Source:
        """Return it as a tree."""
        return Source(self.path, (ROOT / "src" / self.path).read_text("utf-8"), frozenset(self.left_out))


_LEFT_OUT: Final = {
    "navicert/core/lifecycle.py": {
        "reachable": "used by tests and documents alone",
        "diagram": "a picture for a document",
    },
    "navicert/core/evaluate.py": {"_default_reason": "words for people"},
    "navicert/engine/finding.py": {"named": "words for people"},
}


def targets() -> list[Target]:
    """Return the modules that enforce: evaluate, the lifecycle, and the whole engine."""
    engine = sorted((ROOT / "src/navicert/engine").glob("*.py"))
    paths = ["navicert/core/evaluate.py", "navicert/core/lifecycle.py"]
    paths += [item.relative_to(ROOT / "src").as_posix() for item in engine if item.name != "__init__.py"]
    return [Target(path=path, left_out=_LEFT_OUT.get(path, {})) for path in paths]


@dataclass
class Known:
    """What was recorded of one test: how long it took, and the statements that it came to, by module."""

    seconds: float
    reached: dict[str, list[int]]


@dataclass(kw_only=True)
class Fate:
    """What became of a mutant. how: killed, hung, survived, unreached, or equivalent (argued). by: the test."""

    mutant: Mutant
    how: str
    by: str = ""
    tests: int = 0
    seconds: float = 0.0


# putting changed code in place of what is there


def install(module: ModuleType, tree: ast.Module) -> None:
    """Have the functions of a live module run the code of a tree of the same module."""
    codes: dict[tuple[str, int], CodeType] = {}

    def collect(code: CodeType) -> None:
        for item in code.co_consts:
            if isinstance(item, CodeType):
                codes[item.co_qualname, item.co_firstlineno] = item
                collect(item)

    collect(compile(tree, str(module.__file__), "exec"))
    for function in _live(module):
        code = function.__code__
        function.__code__ = codes[code.co_qualname, code.co_firstlineno]


def _live(module: ModuleType) -> Iterator[FunctionType]:
    """Return every function and method that a module defines."""
    held = [*vars(module).values()]
    held += [item for kind in held if _is_class(kind, module) for item in vars(kind).values()]
    seen: set[int] = set()
    while held:
        item = held.pop()
        if isinstance(item, (staticmethod, classmethod)):
            item = item.__func__
        if isinstance(item, property):
            held += [part for part in (item.fget, item.fset) if part is not None]
        elif isinstance(item, FunctionType) and id(item) not in seen:
            seen.add(id(item))
            if hasattr(item, "__wrapped__"):
                held.append(item.__wrapped__)
            if item.__code__.co_filename == module.__file__ and "<" not in item.__code__.co_qualname:
                yield item


def _is_class(item: Any, module: ModuleType) -> bool:
    return isinstance(item, type) and item.__module__ == module.__name__


def rebind(module: ModuleType, name: str, tree: ast.Module) -> None:
    """Have a constant of a module hold what a tree says, wherever it was imported to."""
    for item in tree.body:
        target = item.targets[0] if isinstance(item, ast.Assign) else getattr(item, "target", None)
        if isinstance(target, ast.Name) and target.id == name and isinstance(item, (ast.Assign, ast.AnnAssign)):
            assert item.value is not None  # noqa: S101 - a constant has a value
            code = compile(ast.Expression(item.value), str(module.__file__), "eval")
            new, old = eval(code, vars(module)), getattr(module, name)  # noqa: S307 - our own source
            if isinstance(old, dict):
                old.clear()
                old.update(new)
                return
            for other in list(sys.modules.values()):
                if getattr(other, "__name__", "").startswith("navicert") and vars(other).get(name) is old:
                    setattr(other, name, new)


def change(mutant: Mutant, tree: ast.Module, module: ModuleType) -> None:
    """Put a mutant in place, in this process. tree: of the source that the mutant was found in."""
    mutant.change()
    ast.fix_missing_locations(tree)
    if mutant.statement is None:
        rebind(module, mutant.function, tree)
    else:
        install(module, tree)


# the runner, as a plugin of pytest: it stands in place of the loop over the tests


class Runner:
    """Tries mutants on the tests that were collected."""

    def __init__(
        self, chosen: list[Target], only: str, seconds: float, again: frozenset[str] | None, without: list[str]
    ) -> None:
        self.targets = chosen
        self.again = again
        self.without = without
        self.only = only
        self.seconds = seconds
        self.fates: list[Fate] = []
        self.items: dict[str, Any] = {}
        self.known: dict[str, Known] = {}
        self.near: dict[tuple[str, int], list[str]] = defaultdict(list)
        self.killers: dict[str, list[str]] = defaultdict(list)
        self._failed = False
        self._texts: dict[Path, str] = {}

    def pytest_configure(self) -> None:
        """Have random tests be the same ones each time, and stop at what they find: nobody reads the example."""
        from hypothesis import Phase, settings

        phases = [Phase.explicit, Phase.generate]
        settings.register_profile("mutants", derandomize=True, database=None, report_multiple_bugs=False, phases=phases)
        settings.load_profile("mutants")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Note a test that failed."""
        self._failed = self._failed or bool(report.failed)

    def pytest_runtestloop(self, session: Any) -> bool:
        """Try every mutant; returns that the tests were run."""
        self.items = {item.nodeid: item for item in session.items}
        modules = {target.path: importlib.import_module(target.name) for target in self.targets}
        gc.collect()
        gc.freeze()  # what is collected stays shared with each fork
        self.known = self._recorded()
        for name, one in self.known.items():
            for module, statements in one.reached.items():
                for statement in statements:
                    self.near[module, statement].append(name)
        sources = {target.path: target.source() for target in self.targets}
        mutants = [(mutant, source) for source in sources.values() for mutant in source.mutants()]
        mutants = [(mutant, source) for mutant, source in mutants if self.only in mutant.name]
        mutants = [(mutant, source) for mutant, source in mutants if mutant.operator not in self.without]
        if self.again is not None:
            mutants = [(mutant, source) for mutant, source in mutants if mutant.name in self.again]
        for number, (mutant, source) in enumerate(mutants, 1):
            fate = self._fate(mutant, source, modules[mutant.module])
            self.fates.append(fate)
            if fate.how in {"survived", "unreached"} or number % 50 == 0 or number == len(mutants):
                _progress(number, len(mutants), self.fates)
        return True

    # which tests

    def _recorded(self) -> dict[str, Known]:
        """Return what every test comes to: as recorded before, unless its file or a module that it comes to changed."""
        path = BUILD / "record.json"
        held: dict[str, Any] = {"sources": {}, "files": {}, "tests": {}}
        with contextlib.suppress(OSError, ValueError):
            held = json.loads(path.read_text("utf-8"))
        every = targets()
        state = {target.path: _digest(ROOT / "src" / target.path) for target in every}
        changed = {target for target, digest in state.items() if held["sources"].get(target) != digest}
        files = {item.nodeid: _digest(item.path) for item in self.items.values()}
        known = {
            name: Known(**one)
            for name, one in held["tests"].items()
            if held["files"].get(name) == files.get(name) and changed.isdisjoint(one["reached"]) and held["sources"]
        }
        left = [item for name, item in self.items.items() if name not in known]
        if left:
            print(f"recording what {len(left)} tests come to", flush=True)
            for line in self._in_fork(lambda tell: self._record(every, left, tell), [600.0]):
                one = json.loads(line)
                known[one["test"]] = Known(seconds=one["seconds"], reached=one["reached"])
                if one["seconds"] == FAILED_S:
                    print(f"   not used, for it fails by itself: {one['test']}", flush=True)
            BUILD.mkdir(parents=True, exist_ok=True)
            data = {"sources": state, "files": files, "tests": {name: asdict(one) for name, one in known.items()}}
            path.write_text(json.dumps(data), "utf-8")
        return known

    def _record(self, every: list[Target], items: list[Any], tell: Any) -> None:
        reached: dict[str, set[int]] = {}
        for target in every:
            module = importlib.import_module(target.name)
            reached[target.path] = set()
            vars(module)[mutating.REACHED] = reached[target.path].add
            install(module, mutating.probed(target.source()))
        for place, item in enumerate(items):
            for held in reached.values():
                held.clear()
            self._failed, start = False, monotonic()
            self._run(item, items[place + 1] if place + 1 < len(items) else None)
            seconds = monotonic() - start
            came = {path: sorted(held) for path, held in reached.items() if held}
            if self._failed:
                seconds, came = FAILED_S, {}
            tell(json.dumps({"test": item.nodeid, "seconds": seconds, "reached": came}))

    @staticmethod
    def _run(item: Any, following: Any) -> None:
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)

    def _tests(self, mutant: Mutant, inside: frozenset[int]) -> list[str]:
        """Return the tests of a mutant, in the order in which they are tried, as many as its time allows.

        inside: the statements of its function.
        """
        if mutant.statement is None:
            near = [
                name for name, one in self.known.items() if mutant.module in one.reached or self._names(name, mutant)
            ]
        else:
            near = self.near.get((mutant.module, mutant.statement), [])
        near = sorted(
            (name for name in near if self.known[name].seconds <= SLOW_S), key=lambda name: self.known[name].seconds
        )
        alike: Counter[frozenset[int]] = Counter()
        order: dict[str, int] = {}
        for name in near:  # one of each way through the function before the second of any
            way = inside.intersection(self.known[name].reached.get(mutant.module, ()))
            order[name] = alike[way]
            alike[way] += 1
        first = {name: place for place, name in enumerate(self.killers[f"{mutant.module}::{mutant.function}"])}
        near.sort(key=lambda name: (first.get(name, 1000), order[name] + self.known[name].seconds / TURN_S))
        chosen: list[str] = []
        left = self.seconds
        for name in near:
            left -= self.known[name].seconds
            if left < 0 and chosen:
                break
            chosen.append(name)
        return chosen

    def _names(self, test: str, mutant: Mutant) -> bool:
        """Tell whether the file of a test names a constant of a module, which it may look at without coming to it."""
        path = self.items[test].path
        if path not in self._texts:
            self._texts[path] = path.read_text("utf-8")
        text = self._texts[path]
        return mutant.function in text and mutant.module.removesuffix(".py").replace("/", ".") in text

    # one mutant

    def _fate(self, mutant: Mutant, source: Source, module: ModuleType) -> Fate:
        chosen = self._tests(mutant, source.members.get(mutant.function) or frozenset(source.statements.values()))
        if not chosen:
            return Fate(mutant=mutant, how="unreached")
        start = monotonic()

        def body(tell: Any) -> None:
            change(mutant, source.tree, module)
            for place, name in enumerate(chosen):
                tell(f"start {place}")
                following = self.items[chosen[place + 1]] if place + 1 < len(chosen) else None
                self._run(self.items[name], following)
                if self._failed:
                    tell(f"killed {place}")
                    return
            tell("survived")

        how, by, limit = "hung", chosen[0], [HANG_S]
        for line in self._in_fork(body, limit):
            word, _, place = line.partition(" ")
            if word == "start":
                by = chosen[int(place)]
                limit[0] = HANG_S + 10 * self.known[by].seconds
            else:
                how = word
        if how != "survived":
            killers = self.killers[f"{mutant.module}::{mutant.function}"]
            if by in killers:
                killers.remove(by)
            killers.insert(0, by)
            del killers[12:]
        return Fate(
            mutant=mutant,
            how=how,
            by="" if how == "survived" else by,
            tests=len(chosen),
            seconds=round(monotonic() - start, 3),
        )

    def _in_fork(self, body: Any, limit: list[float]) -> Iterator[str]:
        """Run something in a fork of this process; returns the lines that it tells, until it ends or is silent.

        limit: how long it may be silent, seconds; looked at anew before each line.
        """
        folder = tempfile.mkdtemp(prefix="nvm-", dir=MEMORY_DISK if os.access(MEMORY_DISK, os.W_OK) else None)
        Path(folder).chmod(0o755)  # some tests act as another user
        reading, writing = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        child = os.fork()
        if child == 0:
            os.close(reading)
            _child(folder, writing, body)
        os.close(writing)
        try:
            rest = b""
            while True:
                ready, _, _ = select.select([reading], [], [], limit[0])
                data = os.read(reading, 1 << 16) if ready else b""
                if not data:
                    break
                *lines, rest = (rest + data).split(b"\n")
                for line in lines:
                    yield line.decode()
        finally:
            os.close(reading)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(child, signal.SIGKILL)  # with whatever it started: the group is the child's own
            os.waitpid(child, 0)
            shutil.rmtree(folder, ignore_errors=True)


def _child(folder: str, writing: int, body: Any) -> NoReturn:
    """What a fork does: nothing of it comes back but what it tells."""
    os.setsid()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    os.environ["PYTEST_DEBUG_TEMPROOT"] = os.environ["TMPDIR"] = tempfile.tempdir = folder
    silent = os.open(os.devnull, os.O_RDWR)
    os.dup2(silent, 1)
    if not os.environ.get("MUTANTS_LOUD"):
        os.dup2(silent, 2)
    try:
        body(lambda line: os.write(writing, f"{line}\n".encode()))
    except BaseException as error:  # noqa: BLE001 - a fork that fails says so, and ends here
        os.write(writing, f"broken {type(error).__name__}: {error}\n".replace("\n", " ").encode() + b"\n")
    os._exit(0)


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _progress(number: int, every: int, fates: list[Fate]) -> None:
    last = fates[-1]
    count = Counter(fate.how for fate in fates)
    if last.how in {"survived", "unreached"}:
        print(f"   {last.how}: line {last.mutant.line} of {last.mutant.name} ({last.tests} tests)")
    else:
        print(f"{number}/{every}  " + ", ".join(f"{how} {count[how]}" for how in sorted(count)))
    sys.stdout.flush()


# equivalent mutants, and the report


def argued() -> dict[str, str]:
    """Return why each mutant that is listed changes nothing, by its name."""
    found: dict[str, str] = {}
    for entry in tomllib.loads(EQUIVALENT.read_text("utf-8")).get("equivalent", []):
        for name in entry["mutants"]:
            if name in found:
                raise SystemExit(f"{EQUIVALENT.name}: listed twice: {name}")
            found[name] = entry["why"]
    return found


def survivors() -> frozenset[str]:
    """Return the names of the mutants that survived the run before."""
    data = json.loads((BUILD / "report.json").read_text("utf-8"))
    return frozenset(one["name"] for one in data["mutants"] if one["how"] in {"survived", "unreached"})


def names() -> set[str]:
    """Return the name of every mutant that there is."""
    return {mutant.name for target in targets() for mutant in target.source().mutants()}


def report(fates: list[Fate], reasons: dict[str, str], seconds: float) -> list[str]:
    """Write the report; returns what fails the run."""
    wrong = [f"named as equivalent, and no mutant any more: {name}" for name in sorted(reasons.keys() - names())]
    for fate in fates:
        if fate.mutant.name in reasons:
            if fate.how in {"survived", "unreached"}:
                fate.how = "equivalent"
            else:
                wrong.append(f"named as equivalent, and {fate.how} by {fate.by}: {fate.mutant.name}")
        elif fate.how not in {"killed", "hung"}:
            wrong.append(f"{fate.how}: line {fate.mutant.line} of {fate.mutant.name}")
    count = dict(sorted(Counter(fate.how for fate in fates).items()))
    entries = [
        {
            "module": fate.mutant.module,
            "line": fate.mutant.line,
            "function": fate.mutant.function,
            "operator": fate.mutant.operator,
            "before": fate.mutant.before,
            "after": fate.mutant.after,
            "name": fate.mutant.name,
            "how": fate.how,
            "by": fate.by,
            "tests": fate.tests,
            "seconds": fate.seconds,
            "why": reasons.get(fate.mutant.name, ""),
        }
        for fate in fates
    ]
    data = {"format": "navicert/mutants", "count": count, "seconds": round(seconds), "wrong": wrong, "mutants": entries}
    BUILD.mkdir(parents=True, exist_ok=True)
    (BUILD / "report.json").write_text(json.dumps(data, indent=1), "utf-8")
    words = ", ".join(f"{how} {number}" for how, number in count.items())
    text = "\n".join([*wrong, f"{len(fates)} mutants in {seconds:.0f} s: {words}", ""])
    (BUILD / "report.txt").write_text(text, "utf-8")
    print(text, end="")
    return wrong


def main(arguments: list[str]) -> int:
    """Run; returns the exit status."""
    parser = argparse.ArgumentParser(prog="mutants", description="break every enforcement branch, one at a time")
    parser.add_argument("--module", action="append", default=[], help="modules whose path holds this word")
    parser.add_argument("--only", default="", help="mutants whose name holds this text")
    parser.add_argument("--without", action="append", default=[], help="leave out this operator (again for more)")
    parser.add_argument("--seconds", type=float, default=30.0, help="time of the tests that one mutant is tried on")
    parser.add_argument("--again", action="store_true", help="those that survived the run before")
    parser.add_argument("--list", action="store_true", help="print the mutants, and run nothing")
    options = parser.parse_args(arguments)
    chosen = [item for item in targets() if not options.module or any(word in item.path for word in options.module)]
    if options.list:
        print("\n".join(mutant.name for target in chosen for mutant in target.source().mutants()))
        return 0
    import pytest

    os.chdir(ROOT)
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    sys.path.insert(0, str(ROOT / "src"))
    again = survivors() if options.again else None
    runner, start = Runner(chosen, options.only, options.seconds, again, options.without), monotonic()
    quiet = ["-q", "-q", "--capture=no", "-p", "no:xdist", "-p", "no:cacheprovider", "--tb=native"]
    status = pytest.main([*quiet, *(suite for suite in SUITES if (ROOT / suite).exists())], plugins=[runner])
    if status not in {pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED}:
        print(f"the tests could not be collected: {status!r}", file=sys.stderr)
        return 1
    return 1 if report(runner.fates, argued(), monotonic() - start) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
