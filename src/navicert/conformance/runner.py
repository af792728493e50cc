"""A run: every check on every surface, and every twin of it; deployments are made, used and thrown away.

* Checks of one policy share a deployment, each with people and sessions of its own; what breaks its deployment has it
  alone. A twin is a deployment of its own, on which the checks that name it must fail by an expectation.
* Surfaces run beside each other; what one of them does is in order.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from shutil import copytree
from tempfile import TemporaryDirectory
from typing import Final

import msgspec
from msgspec.structs import replace

from navicert.conformance.auditor import verifies
from navicert.conformance.checks import CHECKS
from navicert.conformance.contract import Done, Export, Hello, SetPolicy, Start, Started
from navicert.conformance.forking import forking
from navicert.conformance.issuer import TokenIssuer
from navicert.conformance.policies import placed
from navicert.conformance.product import Broken, Product, Refusal
from navicert.conformance.trial import Check, Outcome, Trial, run_check
from navicert.conformance.world import Observers, World
from navicert.model.value import Value

ADAPTERS: Final = {
    "sdk": (sys.executable, "-m", "navicert.conformance.adapters.sdk"),
    "mcp-stdio": (sys.executable, "-m", "navicert.conformance.adapters.mcp", "stdio"),
    "mcp-http": (sys.executable, "-m", "navicert.conformance.adapters.mcp", "http"),
}
TOOLS: Final = str(Path(__file__).with_name("tools.py"))


class TwinOutcome(Value, frozen=True, kw_only=True):
    """A check under one sabotage: `caught` where it failed by an expectation of its own."""

    twin: str
    caught: bool
    outcome: Outcome


class Evidence(Value, frozen=True, kw_only=True):
    """What a deployment left behind: the export, by file name, and the root that it is verified by.

    verified: the product's own verifier, a program of its own, has accepted it.
    """

    file: str
    root: str
    verified: bool = True


class Judged(Value, frozen=True, kw_only=True):
    """A check on one surface: its outcome, its twins, and the evidence its actions are in."""

    surface: str
    check: str
    outcome: Outcome
    twins: tuple[TwinOutcome, ...] = ()
    evidence: Evidence | None = None


Progress = Callable[[str, str, str | None, Outcome], None]
"""Surface, check, twin, outcome: called as each is there, from several threads."""


class Run:
    """One run of the kit. folder: for deployments and evidence, empty."""

    def __init__(self, folder: Path, observers: Observers, progress: Progress) -> None:
        self.folder = folder
        self.observers = observers
        self.progress = progress
        self._numbers = count(1)
        (folder / "evidence").mkdir(parents=True)

    def surfaces(
        self, adapters: Mapping[str, Sequence[str]], wanted: Iterable[Check]
    ) -> Iterator[tuple[Hello, list[Judged]]]:
        """Run the checks on every adapter, beside each other; yields what each said of itself, and the results.

        The first has every twin of every check; each further one, of the same product, the first twin of each.
        """
        some = list(wanted)
        fewer = [replace(each, twins=each.twins[:1]) for each in some]
        first = next(iter(adapters))
        with ThreadPoolExecutor(len(adapters)) as pool:
            yield from pool.map(
                lambda name: self.surface(name, adapters[name], some if name == first else fewer), adapters
            )

    def surface(self, name: str, command: Sequence[str], wanted: list[Check]) -> tuple[Hello, list[Judged]]:
        """Run checks on one surface."""
        with self.deployment(name, command, wanted[0].policy, None) as trials:
            hello, name = trials.hello, trials.hello.surface
            judged = {each.id: self._elsewhere(name, each) for each in wanted if not _is_here(each, name)}
            here = [each for each in wanted if each.id not in judged]
            together = [each for each in here if not each.alone]
            for each in together:
                judged[each.id] = Judged(surface=name, check=each.id, outcome=self._one(trials, each, None))
            evidence = trials.left()
        for found in (judged[each.id] for each in together):
            judged[found.check] = replace(found, evidence=evidence)
        for each in (each for each in here if each.alone):
            with self.deployment(name, command, each.policy, None) as trials:
                outcome = self._one(trials, each, None)
                judged[each.id] = Judged(
                    surface=name, check=each.id, outcome=outcome, evidence=trials.left(f"-{each.id.replace('/', '_')}")
                )
        for twin in dict.fromkeys(twin for each in here for twin in each.twins if twin in hello.twins):
            some = [each for each in here if twin in each.twins]
            for each, outcome in self._twin(name, command, twin, some):
                found = judged[each.id]
                caught = TwinOutcome(twin=twin, caught=outcome.by == "expectation", outcome=outcome)
                judged[each.id] = replace(found, twins=(*found.twins, caught))
        return hello, [judged[each.id] for each in wanted]

    def _twin(self, name: str, command: Sequence[str], twin: str, some: list[Check]) -> Iterator[tuple[Check, Outcome]]:
        together = [each for each in some if not each.alone]
        if together:
            with self.deployment(name, command, together[0].policy, twin) as trials:
                for each in together:
                    yield each, self._one(trials, each, twin)
        for each in (each for each in some if each.alone):
            with self.deployment(name, command, each.policy, twin) as trials:
                yield each, self._one(trials, each, twin)

    def _one(self, trials: Deployment, each: Check, twin: str | None) -> Outcome:
        outcome = trials.run(each)
        self.progress(trials.surface, each.id, twin, outcome)
        return outcome

    def _elsewhere(self, name: str, each: Check) -> Judged:
        outcome = Outcome(check=each.id, result="unmeasurable", why=each.elsewhere, milliseconds=0, transcript=())
        self.progress(name, each.id, None, outcome)
        return Judged(surface=name, check=each.id, outcome=outcome)

    @contextmanager
    def deployment(self, name: str, command: Sequence[str], policy: str, twin: str | None) -> Iterator[Deployment]:
        """Start a deployment with a world of its own."""
        folder = self.folder / f"{next(self._numbers):03}-{name}{'-' + twin if twin else ''}"
        folder.mkdir()
        world = World(folder / "world", self.observers)
        world.make()
        issuer = TokenIssuer(folder / "issuer")
        with Product(command, folder / "adapter.err") as product:
            yield Deployment(self, product, world, issuer, folder, policy, twin)


class Deployment:
    """A deployment under test, with one policy in force at a time."""

    def __init__(
        self, run: Run, product: Product, world: World, issuer: TokenIssuer, folder: Path, policy: str,
        twin: str | None,
    ) -> None:  # fmt: skip
        self.hello = product.hello
        self.surface = product.hello.surface
        self._run = run
        self._product = product
        self._world = world
        self._issuer = issuer
        self._folder = folder
        self._policy = policy
        (folder / "deployment").mkdir()
        self._started = product.ask(
            Start(
                folder=str(folder / "deployment"), world=str(world.where), policy=placed(policy, world.folder),
                server=(sys.executable, "-I", "-S", TOOLS, str(world.where)), issuer=issuer.files, twin=twin,
            ),
            Started,
        )  # fmt: skip

    def run(self, wanted: Check) -> Outcome:
        """Run a check, under its policy."""
        trial = self.trial()
        if wanted.policy != self._policy:
            try:
                self._product.ask(SetPolicy(text=placed(wanted.policy, self._world.folder)), Done)
            except (Broken, Refusal) as error:
                why = f"the check's policy was not taken: {error}"
                return Outcome(check=wanted.id, result="fail", why=why, by="system", milliseconds=0, transcript=())
            self._policy = wanted.policy
        return run_check(wanted, trial)

    def trial(self) -> Trial:
        """Return what a check works with, under the policy in force."""
        return Trial(self._product, self._started, self._world, self._issuer, self._folder)

    def left(self, word: str = "") -> Evidence | None:
        """Return what the deployment leaves behind; None where it is too broken to export: the package then says so."""
        try:
            return self.export(word)
        except (Broken, Refusal):
            return None

    def export(self, word: str = "") -> Evidence:
        """Have everything exported into the run's evidence."""
        file = f"{self.surface}{word}.jsonl"
        path = self._run.folder / "evidence" / file
        self._product.ask(Export(to=str(path)), Done)
        verified, _ = verifies(self._started.log_verifier, path, self._started.root)
        return Evidence(file=file, root=self._started.root, verified=verified)


def run_all(
    folder: Path, adapters: Mapping[str, Sequence[str]], wanted: Sequence[Check], progress: Progress
) -> tuple[list[Hello], list[Judged]]:
    """Run checks on every adapter; the evidence is in `folder` afterwards, the deployments are gone.

    Deployments lie in a temporary folder that other users of this machine may enter: their agents and people do.
    """
    observers = Observers()
    with TemporaryDirectory(prefix="navicert-kit-") as room, observers.running(), forking():
        Path(room).chmod(0o755)
        run = Run(Path(room), observers, progress)
        found = list(run.surfaces(adapters, wanted))
        copytree(Path(room) / "evidence", folder / "evidence")
        judged = [each for _, some in found for each in some]
    plain = msgspec.json.encode(judged).replace(room.encode(), b"/kit")  # where it was, is nobody's business
    return [hello for hello, _ in found], msgspec.json.decode(plain, type=list[Judged])


def _is_here(each: Check, surface: str) -> bool:
    return not each.surfaces or surface in each.surfaces


def chosen(level: str = "extended", only: Sequence[str] = ()) -> list[Check]:
    """Return the checks of a level, or those named; all checks have run in the order in which they are registered."""
    from navicert.conformance.catalogue import is_core

    return [
        each for each in CHECKS.values() if (level == "extended" or is_core(each.id)) and (not only or each.id in only)
    ]
