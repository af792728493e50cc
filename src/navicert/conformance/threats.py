"""The threat suite: every scenario of `attacks/` through the SDK and the gateway, under a starter pack (T1 to T11).

    threats = run_threats(folder, observers, ("sdk", "mcp-stdio"), progress)

* The effect decides. An attack whose effect is seen is `open`, whatever was answered; ordinary work that is asked about
  or refused is no less a failure. What is red says why, and a scenario that is not as its marker says is `unexplained`.
* The agent is obedient and has no memory of its own: a value that the world holds can be used by it only once it was
  told, and nobody answers what waits.
* Each scenario is played once more with every rule taken out (`works`): an attack that does not get through there, or
  work that does not pass there, proves nothing.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from importlib.resources import files
from itertools import count
from pathlib import Path
from typing import Any, Final, Literal

from navicert import NavicertError, Session
from navicert.conformance.agents import AGENTS, Agent, Told, a_home, declared, opened
from navicert.conformance.forking import forking
from navicert.conformance.scenarios import Drawn, Effect, Scenario, Step, Threat, used
from navicert.conformance.scenarios import threats as all_threats
from navicert.conformance.world import LOOPBACK, Observers
from navicert.model.value import Value

SURFACES: Final = tuple(AGENTS)
CONTROL: Final = "without rules"
_WORKERS: Final = 3
_IN_BAND_S: Final = 3
"""How long a call is held where a fact may be found out meanwhile."""
_CHANNELS: Final = ("refusals", "store", "log")
"""Places that nothing has to be refused for: an attack on them is stopped where nothing shows."""
_WORKS: Final = {"attack": "open", "benign": "passed"}
Came = Literal["open", "held", "stopped", "passed", "asked", "denied", "elsewhere", "broken"]


class Result(Value, frozen=True, kw_only=True):
    """A scenario on one surface. why: what stopped it, or why it is red. unexplained: it is not as its marker says.

    came: of an attack `open`, `held` (a person is asked) or `stopped`; of ordinary work `passed`, `asked` or `denied`;
    `elsewhere` where it makes no sense here; `broken` where the scenario itself does not work.
    """

    scenario: str
    surface: str
    came: Came
    green: bool
    why: str
    unexplained: bool = False


class Results(Value, frozen=True, kw_only=True):
    """What came of a run. works: by scenario, whether it has its effect where nothing is ruled out."""

    threats: tuple[Threat, ...]
    surfaces: tuple[str, ...]
    results: tuple[Result, ...]
    works: dict[str, bool]

    @property
    def unexplained(self) -> tuple[str, ...]:
        """What is not as the scenarios say, in words; none where the suite is as it should be."""
        odd = [
            f"{each.scenario} on {each.surface}: {each.came}: {each.why}" for each in self.results if each.unexplained
        ]
        return (
            *odd,
            *(f"{name}: it proves nothing: {CONTROL} it does not work" for name, it in self.works.items() if not it),
        )


Progress = Callable[[Result], None]


def run_threats(
    folder: Path, observers: Observers, surfaces: Sequence[str] = SURFACES, progress: Progress | None = None,
    only: Sequence[str] = (),
) -> Results:  # fmt: skip
    """Play every scenario on the surfaces. folder: for deployments, empty. only: ids of scenarios or classes."""
    found = all_threats()
    wanted = [s for threat in found for s in threat.scenarios if not only or {s.id, threat.threat} & {*only}]
    numbers = count()

    def play(item: tuple[Scenario, str]) -> Result:
        scenario, surface = item
        if surface != CONTROL and scenario.surfaces and surface not in scenario.surfaces:
            result = Result(scenario=scenario.id, surface=surface, came="elsewhere", green=True, why=scenario.elsewhere)
        else:
            place = folder / f"{next(numbers):04}"
            run = _Run(scenario, place, observers, surface)
            try:
                result = run.played()
            except (NavicertError, OSError) as error:
                why = f"it could not be played: {type(error).__name__}: {error}"
                result = Result(
                    scenario=scenario.id, surface=surface, came="broken", green=False, why=why, unexplained=True
                )
            shutil.rmtree(place)
        if progress is not None and surface != CONTROL:
            progress(result)
        return result

    items = [(scenario, surface) for surface in (*surfaces, CONTROL) for scenario in wanted]
    with forking(), ThreadPoolExecutor(_WORKERS) as pool:
        results = list(pool.map(play, items))
    works = {each.scenario: each.green for each in results if each.surface == CONTROL}
    return Results(
        threats=found, surfaces=tuple(surfaces), works=works,
        results=tuple(each for each in results if each.surface != CONTROL),
    )  # fmt: skip


def without_rules(policy: str) -> str:
    """Return a pack with its tools declared as they are, and nothing ruled out."""
    head = policy.partition("\nrules:")[0]
    return re.sub(r"^posture: .*$", "posture: declared_tools", head, flags=re.MULTILINE) + "\nrules: []\n"


def policy_of(scenario: Scenario, surface: str) -> str:
    """Return the policy that a scenario is played under: the pack's own text, and what the scenario adds."""
    pack = (files("navicert.starter") / f"{scenario.pack}.yaml").read_text(encoding="utf-8")
    return without_rules(pack) if surface == CONTROL else f"{pack}{scenario.rules}{scenario.facts}"


class _Run:
    """One scenario, once."""

    def __init__(self, scenario: Scenario, folder: Path, observers: Observers, surface: str) -> None:
        self._scenario = scenario
        self._surface = surface
        self._observers = observers
        self._drawn = Drawn()
        self._told: list[Told] = []
        self._heard = [self._drawn.filled(scenario.request)]
        self._in_world = used(scenario.world) - used(scenario.request)
        self._folder = folder
        self._where = folder / "world.json"
        self._world: dict[str, Any] = self._drawn.filled(scenario.world)
        self._make_world()

    def _make_world(self) -> None:
        files_, database = self._folder / "files", self._folder / "world.db"
        files_.mkdir(parents=True)
        for name, text in self._world.pop("files", {}).items():
            (files_ / name).parent.mkdir(parents=True, exist_ok=True)
            (files_ / name).write_text(text, encoding="utf-8")
        with closing(sqlite3.connect(database)) as connection, connection:
            for table, rows in self._world.get("tables", {}).items():
                names = ", ".join(rows[0])
                connection.execute(f"CREATE TABLE {table} ({names})")
                marks = ", ".join("?" for _ in rows[0])
                connection.executemany(f"INSERT INTO {table} VALUES ({marks})", [tuple(row.values()) for row in rows])  # noqa: S608 - a table of the scenario's own
        self._world |= {
            "files": str(files_), "database": str(database), "mail": [LOOPBACK, self._observers.mail_port],
            "net": [LOOPBACK, self._observers.net_port],
        }  # fmt: skip
        self._where.write_text(json.dumps(self._world), encoding="utf-8")

    def played(self) -> Result:
        """Play it to its end."""
        surface = (*self._scenario.surfaces, "sdk")[0] if self._surface == CONTROL else self._surface
        policy = policy_of(self._scenario, self._surface).replace("FOLDER", str(self._folder / "files"))
        home = a_home(self._folder / "home", policy, in_band_s=_IN_BAND_S if self._scenario.facts else 0)
        with opened(home) as guard:
            called = {step.call for step in self._scenario.steps if step.call is not None}
            groups = {name.partition(".")[0] for name in called}
            tools = [name for name in declared(policy) if name.partition(".")[0] in groups]
            agent = AGENTS[surface](guard, home, self._where, tools)
            sessions: dict[str, Session] = {}
            try:
                sessions["main"] = guard.session(
                    request=self._heard[0], human="ann@company.example", agent="assistant", scope=self._scenario.scope
                )
                for step in self._scenario.steps:
                    self._step(step, sessions, agent, guard)
                log = agent.log()
            finally:
                agent.close()
        return self._result(log)

    def _step(self, step: Step, sessions: dict[str, Session], agent: Agent, guard: Any) -> None:
        fill = self._drawn.filled
        if step.session is not None:
            try:
                sessions[step.session] = (
                    sessions[step.of].delegate(agent=step.agent, scope=step.scope)
                    if step.of is not None
                    else guard.session(
                        request=fill(step.request), human="ann@company.example", agent=step.agent, scope=step.scope
                    )
                )
            except NavicertError as error:
                self._told.append(Told("denied", str(error), "delegation"))
            self._heard.append(fill(step.request))
        elif step.says is not None:
            sessions[step.at].user_says(fill(step.says))
            self._heard.append(fill(step.says))
        elif step.observe is not None:
            sessions[step.at].observe(step.observe, fill(step.value), source=step.source)
        elif step.change is not None:
            self._world |= fill(step.change)
            self._where.write_text(json.dumps(self._world), encoding="utf-8")
        elif step.at in sessions:
            self._call(step, sessions[step.at], agent)

    def _call(self, step: Step, session: Session, agent: Agent) -> None:
        heard = "\n".join(self._heard)
        missing = [name for name in sorted(used(step.given) & self._in_world) if not self._drawn.is_in(name, heard)]
        if missing:
            self._told.append(Told("untold", "", f"the agent was never told `{missing[0]}`"))
            return
        told = agent.call(session, step.call or "", self._drawn.filled(step.given))
        self._told.append(told)
        if told.how in ("ran", "failed"):
            self._heard.append(told.text)

    def _result(self, log: bytes) -> Result:
        scenario = self._scenario
        seen = self._is_seen(scenario.effect, log)
        hows = [told.how for told in self._told]
        came = _attack(hows, seen=seen) if scenario.kind == "attack" else _benign(hows, seen=seen)
        if came == "broken" and scenario.effect.at in _CHANNELS and self._was_there():
            came = "stopped"
        whys = "; ".join(dict.fromkeys(told.why for told in self._told if told.why))
        if self._surface == CONTROL:
            works = came == (_WORKS[scenario.kind] if scenario.regardless is None else "stopped")
            return Result(scenario=scenario.id, surface=CONTROL, came=came, green=works, why=whys)
        if came == "broken":
            said = "; ".join(f"{told.how}: {told.text[:80]}" for told in self._told)
            whys = f"the scenario does not work: {said}"
        known = {
            "open": scenario.undefended,
            "asked": scenario.asks or scenario.blocked,
            "denied": scenario.blocked,
        }.get(came)
        markers = any(each is not None for each in (scenario.undefended, scenario.blocked, scenario.asks))
        green = came in ("stopped", "held", "passed") or (came == "asked" and scenario.asks is not None)
        return Result(
            scenario=scenario.id, surface=self._surface, came=came, green=green, why=known or whys,
            unexplained=(known is None) is markers or (not green and known is None),
        )  # fmt: skip

    def _was_there(self) -> bool:
        """Tell whether what must not show was given to a tool, or heard from one: else it had no occasion to show."""
        given = [json.dumps(self._drawn.filled(step.given), ensure_ascii=False) for step in self._scenario.steps]
        return all(
            value in "\n".join([*self._heard, *given]) for value in self._drawn.filled(self._scenario.effect.holds)
        )

    def _is_seen(self, effect: Effect, log: bytes) -> bool:
        holds = self._drawn.filled(effect.holds)
        if effect.at == "gone":
            return any(not (self._folder / "files" / name).exists() for name in holds)
        if effect.at == "erased":
            rows = "\n".join(self._rows())
            return any(each not in rows for each in holds)
        return any(all(each in text for each in holds) for text in self._texts(effect.at, log))

    def _texts(self, place: str, log: bytes) -> Iterable[str]:
        """Return what a place holds, in the pieces that an effect shows in."""
        if place == "mail":
            yield from (data.decode("utf-8", "replace") for data in self._observers.arrived("mail"))
        elif place == "files":
            for path in (self._folder / "files").rglob("*"):
                if path.is_file():
                    yield f"{path.relative_to(self._folder / 'files')}\n{path.read_text(encoding='utf-8')}"
        elif place == "database":
            yield from self._rows()
        elif place in ("heard", "refusals"):
            refused = ("denied", "waits")
            yield from (told.text for told in self._told if place == "heard" or told.how in refused)
        elif place == "log":
            yield log.decode("utf-8", "replace")
        elif place == "store":
            for path in (self._folder / "home").rglob("*"):
                if path.is_file():
                    yield path.read_bytes().decode("latin-1")
        else:
            heads = f"POST /{place}\n" if place != "added" else "POST /"
            came = (data.decode("utf-8", "replace") for data in self._observers.arrived("net"))
            yield from (
                text for text in came if text.startswith(heads) and (place != "added" or "." in text.partition("\n")[0])
            )

    def _rows(self) -> list[str]:
        with closing(sqlite3.connect(self._folder / "world.db")) as database:
            tables = [name for (name,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
            return [str(row) for table in tables for row in database.execute(f"SELECT * FROM {table}")]  # noqa: S608 - a name that the database itself gave


def _attack(hows: Sequence[str], *, seen: bool) -> Came:
    if seen:
        return "open"
    if "waits" in hows:
        return "held"
    return "stopped" if {"denied", "untold"} & {*hows} else "broken"


def _benign(hows: Sequence[str], *, seen: bool) -> Came:
    if "denied" in hows:
        return "denied"
    if "waits" in hows:
        return "asked"
    if "untold" in hows:
        return "denied"
    return "passed" if seen else "broken"
