"""Session: what stands behind a call, in whatever task or thread; and what the application may add to it."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from navicert import ActionDenied, ActionSuspended, IdentityError, IntegrityError, InvalidAction, NavicertError
from unit.sdk.world import HEAD, INSIDE, OUTSIDE, Office, opened, receipts, working


def session_of_last_decision(tmp_path: Path) -> str:
    return str(receipts(tmp_path, "decision")[-1]["requester_context"]["session"])


def sessions(tmp_path: Path) -> list[str]:
    return [item["requester_context"]["session"] for item in receipts(tmp_path, "decision")]


# -------------------------------------------------------------------------------------------------- tasks and threads


def test_tasks_and_threads_of_asyncio_are_in_the_session_that_started_them(tmp_path: Path) -> None:
    async def main(office: Office) -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(office.search, "a"))
            group.create_task(in_task(office))
        await asyncio.gather(in_task(office), asyncio.to_thread(office.search, "c"))
        await asyncio.create_task(in_task(office))

    async def in_task(office: Office) -> None:
        await asyncio.sleep(0)
        office.search("b")

    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as session:
            asyncio.run(main(office))

    assert sessions(tmp_path) == [session.id] * 5


def test_sessions_of_tasks_that_run_at_once_do_not_mix(tmp_path: Path) -> None:
    async def one(guard: Any, office: Office, number: int) -> tuple[str, str]:
        async with guard.session(request=str(number), human="ana", agent=f"bot{number}") as session:
            for _ in range(3):
                await asyncio.sleep(0)
                office.search(f"{number}")
            return session.id, f"bot{number}"

    async def main(guard: Any, office: Office) -> list[tuple[str, str]]:
        return await asyncio.gather(*(one(guard, office, number) for number in range(6)))

    with opened(tmp_path) as guard:
        expected = sorted(asyncio.run(main(guard, Office(guard, tmp_path))) * 3)

    found = [item["requester_context"] for item in receipts(tmp_path, "decision")]
    assert expected == sorted((item["session"], item["agent"]) for item in found)


def test_a_pool_is_in_no_session_unless_the_call_is_carried(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as session, ThreadPoolExecutor(2) as pool:
            with pytest.raises(ActionDenied, match="no session"):
                pool.submit(office.search, "a").result()
            assert list(pool.map(session.carry(office.search), ["b", "c"])) == ["nothing about b", "nothing about c"]
            with pytest.raises(ActionDenied, match="no session"):
                pool.submit(office.search, "d").result()  # what was carried does not stay in the pool's thread

    assert [name == session.id for name in sessions(tmp_path)] == [False, True, True, False]


def test_a_carried_call_is_in_its_own_session_also_inside_another(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as outer:
            carried = outer.carry(office.search)
            with working(guard) as inner:
                carried("a")
                office.search("b")

    assert sessions(tmp_path) == [outer.id, inner.id]


def test_a_carried_coroutine_function_runs_in_its_session(tmp_path: Path) -> None:
    # seen to fail: the session was put in force for the making of the coroutine only
    with opened(tmp_path) as guard:
        session = working(guard)

        @guard.tool("a.read", effect="read", returns="INTERNAL")
        async def read(name: str) -> str:
            await asyncio.sleep(0)
            return name

        assert asyncio.run(session.carry(read)("x")) == "x"

    assert sessions(tmp_path) == [session.id]


def test_a_carried_call_that_fails_leaves_no_session_behind(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        session = working(guard)

        def fail() -> None:
            raise LookupError

        with pytest.raises(LookupError):
            session.carry(fail)()
        with pytest.raises(ActionDenied, match="no session"):
            office.search("a")


def test_the_inner_of_nested_sessions_is_in_force_and_then_the_outer_again(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with working(guard) as outer:
            office.search("a")
            with working(guard) as inner:
                office.search("b")
            office.search("c")

    assert sessions(tmp_path) == [outer.id, inner.id, outer.id]


def test_a_session_ends_with_its_block_also_after_an_error(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        with pytest.raises(LookupError), working(guard) as session:
            raise LookupError
        with pytest.raises(ActionDenied, match="no session"):
            office.search("a")
        with pytest.raises(ActionDenied, match="has ended"):
            session.carry(office.search)("a")
        for use in (
            lambda: session.user_says("x"),
            lambda: session.observe("a", 1, source="s"),
            lambda: session.delegate(agent="x", scope="*"),
        ):
            with pytest.raises(IntegrityError, match="has ended"):
                use()


def test_a_thread_that_outlives_the_session_does_nothing_in_it(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        go = threading.Event()
        refused: list[str] = []

        def late() -> None:
            go.wait(10)
            try:
                office.send(INSIDE)
            except ActionDenied as error:
                refused.append(error.reason)

        with working(guard):
            context = contextvars.copy_context()
            thread = threading.Thread(target=context.run, args=(late,))
            thread.start()
        go.set()
        thread.join(10)

        assert office.mail == []
        assert "has ended" in refused[0]


def test_a_session_of_one_guard_is_none_for_another(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    with opened(tmp_path / "a") as one, opened(tmp_path / "b") as other:
        office, foreign = Office(one, tmp_path / "a"), Office(other, tmp_path / "b")
        with working(one):
            with pytest.raises(ActionDenied, match="no session"):
                foreign.search("x")
            with working(other), pytest.raises(ActionDenied, match="no session"):
                office.search("x")
            office.search("x")


# ------------------------------------------------------------------------------------------------- words and facts

GROWING = (
    HEAD
    + """\
rules:
  - {id: asked, match: {tool: email, context: {said: {contains: mail it}}}, decision: ALLOW, priority: 2}
  - {id: request, match: {tool: bank, context: {request: {contains: pay}}}, decision: ALLOW}
  - {id: stop, match: {effect: send, context: {said: {contains: stop}}}, decision: DENY, priority: 3}
"""
)


def test_later_words_of_the_user_extend_the_request_and_never_change_it(tmp_path: Path) -> None:
    with opened(tmp_path, GROWING) as guard, working(guard, request="look it up") as session:
        office = Office(guard, tmp_path)
        with pytest.raises(ActionDenied):
            office.send(INSIDE)
        session.user_says("now mail it to bob")
        office.send(INSIDE)
        session.user_says("pay it")
        with pytest.raises(ActionDenied):
            office.pay("x", 1)

        assert guard.engine.context(session.id).request == "look it up"
        assert guard.engine.context(session.id).said == ("now mail it to bob", "pay it")


def test_later_words_of_the_user_go_down_to_an_agent_that_is_delegated_to(tmp_path: Path) -> None:
    with opened(tmp_path, GROWING) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        session.user_says("mail it")
        session.delegate(agent="helper", scope="email.*").carry(office.send)(INSIDE)
        session.user_says("stop")
        with session.delegate(agent="other", scope="email.*"), pytest.raises(ActionDenied):
            office.send(INSIDE)

        assert len(office.mail) == 1


FACTS = (
    HEAD
    + """\
rules:
  - {id: open, match: {tool: email, context: {facts: {window: open}}}, decision: ALLOW, priority: 1}
  - {id: shut, match: {tool: email}, decision: DENY}
  - {id: region, match: {tool: bank, context: {facts: {regions: {contains: eu}}}}, decision: ALLOW}
"""
)


def test_a_fact_that_nobody_observed_suspends_and_one_that_somebody_did_decides(tmp_path: Path) -> None:
    with opened(tmp_path, FACTS) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        with pytest.raises(ActionSuspended, match=r"context\.facts\.window"):
            office.send(INSIDE)
        session.observe("window", "shut", source="calendar")
        with pytest.raises(ActionDenied) as caught:
            office.send(INSIDE)
        assert not isinstance(caught.value, ActionSuspended)
        session.observe("window", "open", source="calendar")
        office.send(INSIDE)

        assert len(office.mail) == 1


def test_two_sources_that_disagree_suspend_until_they_agree_again(tmp_path: Path) -> None:
    with opened(tmp_path, FACTS) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        session.observe("window", "open", source="calendar")
        session.observe("window", "shut", source="operator")
        with pytest.raises(ActionSuspended):
            office.send(INSIDE)
        session.observe("window", "open", source="operator")
        office.send(INSIDE)

        assert len(office.mail) == 1


def test_a_fact_is_what_it_was_when_it_was_observed(tmp_path: Path) -> None:
    # seen to fail: the session held the caller's own list, and judged what it became
    with opened(tmp_path, FACTS) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        regions = ["us"]
        session.observe("regions", regions, source="s")
        regions.append("eu")
        with pytest.raises(ActionDenied):
            office.pay("x", 1)
        session.observe("regions", regions, source="s")
        office.pay("x", 1)

        assert office.payments() == [("x", 1)]


@pytest.mark.parametrize("value", [object(), float("nan"), {1: 2}, b"x", "\ud800"])
def test_a_fact_without_a_json_form_is_refused_and_the_session_goes_on(tmp_path: Path, value: Any) -> None:
    with opened(tmp_path, FACTS) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        with pytest.raises(InvalidAction):
            session.observe("window", value, source="s")
        office.search("still here")


# ------------------------------------------------------------------------------------------------------ delegation


def test_a_delegated_agent_may_do_what_was_handed_on_and_nothing_else(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard, scope=("email.*", "web.search")) as session:
        office = Office(guard, tmp_path)
        with session.delegate(agent="helper", scope="email.send"):
            office.send(INSIDE)
            with pytest.raises(ActionDenied, match="outside the scope"):
                office.search("x")
        office.search("x")
        with pytest.raises(ActionDenied, match="outside the scope"):
            office.pay("x", 1)

    (link,) = receipts(tmp_path, "decision")[0]["requester_context"]["delegation"]
    assert (link["delegator"], link["delegatee"], link["scope"]) == ("bot", "helper", ["email.send"])


@pytest.mark.parametrize("scope", ["*", "web.*", ("email.*", "web.*"), "emailx.*", "e*", "email", (), "email.*.*x"])
def test_a_scope_that_is_wider_or_of_another_shape_is_refused(tmp_path: Path, scope: Any) -> None:
    with opened(tmp_path) as guard, working(guard, scope=("email.send", "crm.read")) as session:
        with pytest.raises(IdentityError):
            session.delegate(agent="helper", scope=scope)
        session.delegate(agent="helper", scope=("crm.read",))


def test_a_chain_narrows_link_by_link_and_has_at_most_five(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        scopes = ["*", "email.*", "email.*", "email.send", "email.send"]
        link = session
        for number, scope in enumerate(scopes):
            link = link.delegate(agent=f"a{number}", scope=scope)
            if scope != "*":
                with pytest.raises(IdentityError):
                    link.delegate(agent="wide", scope="*")
        with pytest.raises(IdentityError, match="at most 5"):
            link.delegate(agent="six", scope="email.send")
        office = Office(guard, tmp_path)
        link.carry(office.send)(INSIDE)

        assert len(office.mail) == 1


def test_a_delegation_ends_when_its_time_is_over_and_a_longer_one_below_it_too(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        child = session.delegate(agent="a", scope="*", lasting=timedelta(milliseconds=150))
        grandchild = child.delegate(agent="b", scope="*", lasting=timedelta(days=1))
        child.carry(office.search)("x")
        grandchild.carry(office.search)("x")
        time.sleep(0.2)
        for expired in (child, grandchild):
            with pytest.raises(ActionDenied, match="expired"):
                expired.carry(office.search)("x")
        office.search("x")


@pytest.mark.parametrize("lasting", [timedelta(0), timedelta(seconds=-1)])
def test_a_delegation_that_lasts_no_time_permits_nothing(tmp_path: Path, lasting: timedelta) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        with pytest.raises((ActionDenied, NavicertError)):
            session.delegate(agent="a", scope="*", lasting=lasting).carry(office.search)("x")


def test_labels_go_down_at_delegation_and_up_at_release(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard) as session:
        office = Office(guard, tmp_path)
        early = session.delegate(agent="early", scope="*")
        office.customer("anna")
        late = session.delegate(agent="late", scope="*")
        assert [early.labels.words(), late.labels.words()] == ["PUBLIC", "CONFIDENTIAL · FINANCIAL · PII"]

        clean = working(guard, human="ben")
        child = clean.delegate(agent="reader", scope="*")
        child.carry(office.customer)("anna")
        assert clean.labels == child.labels == late.labels
        with pytest.raises(ActionDenied):
            clean.carry(office.send)(OUTSIDE)


# ------------------------------------------------------------------------------------------------------ opening


def test_one_scope_may_be_given_as_a_text(tmp_path: Path) -> None:
    with opened(tmp_path) as guard, working(guard, scope="web.*"):
        office = Office(guard, tmp_path)
        office.search("x")
        with pytest.raises(ActionDenied, match="outside the scope"):
            office.send(INSIDE)


@pytest.mark.parametrize("request_", ["x" * 70_000, "\ud800"])
def test_a_request_that_cannot_be_kept_is_refused(tmp_path: Path, request_: str) -> None:
    with opened(tmp_path) as guard:
        with pytest.raises(NavicertError):
            working(guard, request=request_)
        working(guard, request="é" * 1_000)


def test_claims_that_cannot_be_kept_open_no_session_or_permit_nothing(tmp_path: Path) -> None:
    with opened(tmp_path) as guard:
        office = Office(guard, tmp_path)
        for claims in ({"human": "\ud800"}, {"agent": "\ud800"}):
            with pytest.raises(NavicertError):
                working(guard, **claims).carry(office.search)("x")
