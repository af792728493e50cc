"""The checks of `navicert doctor` on people, and on what facts and notices rest on."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import TYPE_CHECKING

from navicert.doctor.findings import Finding
from navicert.model.errors import NavicertError, Unavailable

if TYPE_CHECKING:
    from navicert.assemble import Home
    from navicert.config import Config
    from navicert.model.policy import PolicySet


def _policy_of(home: Home, config: Config) -> PolicySet | None:
    """Return the policy file, None where it does not load: the check on it says so."""
    from navicert.assemble import load_cedar, load_policy

    try:
        return load_policy(home.folder / config.policy, load_cedar(home.folder, config))[0].policy
    except NavicertError:
        return None


def _enrolled(home: Home) -> set[str]:
    from navicert.people import look

    with look(home) as seen:
        return {person.name for person in seen.approvers.people if person.until is None}


def approvers_check(home: Home, config: Config) -> Iterator[Finding]:
    """Yield the rules that ask people whom nobody has enrolled: what they hold ends in a refusal."""
    from navicert.core.answers import REQUESTER

    policy = _policy_of(home, config)
    if policy is None:
        return
    people, at, bad, asking = _enrolled(home), str(home.folder / config.policy), 0, 0
    for rule in policy.rules:
        named = (*rule.approvers, *rule.backups)
        if not named:
            continue
        asking += 1
        missing = [name for name in dict.fromkeys(named) if name != REQUESTER and name not in people]
        if not missing:
            continue
        bad += 1
        able = len(set(named) - set(missing))
        then = "what it holds can only time out" if able < rule.approvals else "the others can answer alone"
        what = f"rule `{rule.id}` asks {', '.join(missing)}, whom nobody has enrolled: {then}"
        yield Finding("approvers", "warning", what, at, f"navicert approver add {missing[0]}, or name somebody else")
    if not bad:
        what = (
            f"everybody whom the policy asks is enrolled ({asking} asking rules)" if asking else "no rule asks people"
        )
        yield Finding("approvers", "ok", what, at)


def supervisors_check(home: Home, config: Config) -> Iterator[Finding]:
    """Yield whether anybody could give authority back after `navicert kill`."""
    policy = _policy_of(home, config)
    if policy is None:
        return
    at = str(home.folder / config.policy)
    missing = [name for name in policy.supervisors if name not in _enrolled(home)]
    if not policy.supervisors:
        what = "the policy names no supervisors: after `navicert kill`, nobody could give authority back"
        yield Finding("supervisors", "note", what, at, "name them: `supervisors: [NAME]`, and enrol them")
    elif missing:
        what = f"{', '.join(missing)}: named as supervisors, and not enrolled"
        yield Finding("supervisors", "warning", what, at, f"navicert approver add {missing[0]}")
    else:
        yield Finding("supervisors", "ok", f"{', '.join(policy.supervisors)} can give authority back", at)


def sources_check(home: Home, config: Config) -> Iterator[Finding]:
    """Yield the sources of facts that others than root and this user could write: they would decide what is true."""
    from navicert.assemble import fact_files

    policy = _policy_of(home, config)
    if policy is None:
        return
    found = dict.fromkeys(map(str, fact_files(policy)))
    bad = 0
    for path in found:
        problem, there = _place_problem(path)
        if problem and there:
            bad += 1
            yield Finding("sources", "error", f"a fact comes from there, and cannot be trusted: {problem}", path, DO)
        elif problem:
            bad += 1
            do = "until it is there, whatever needs this fact waits, and is then refused"
            yield Finding("sources", "warning", f"a fact comes from there: {problem}", path, do)
    if not bad:
        what = f"{len(found)} files and programs that facts come from: nobody else can write them"
        yield Finding("sources", "ok", what if found else "no fact comes from a file or a program", str(home.folder))


def notify_check(home: Home, config: Config) -> Iterator[Finding]:
    """Yield whether the program that tells approvers is there, and only ours to change."""
    if not config.notify:
        what = "nobody is told that a question waits; people look with `navicert inbox`"
        yield Finding("notify", "note", what, str(home.config), "name a program: `notify: [/the/program]`")
        return
    program = config.notify[0]
    problem, _ = _place_problem(program)
    if not problem and not os.access(program, os.X_OK):
        problem = f"`{program}`: it is not executable"
    if problem:
        yield Finding("notify", "error", f"the program that tells approvers cannot be used: {problem}", program, DO)
    else:
        yield Finding("notify", "ok", "approvers are told by a program that nobody else can write", program)


DO = "give it and the folders above it to root or to this user, and take the right to write away from all others"


def _place_problem(path: str) -> tuple[str, bool]:
    """Return why a file is not one that only root or this user can have written (empty: it is), and if it is there."""
    from navicert.adapters.resolve.places import settled

    try:
        settled(path)
    except Unavailable as error:
        return str(error), False
    except NavicertError as error:
        return str(error), True
    return "", True
