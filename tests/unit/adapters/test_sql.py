"""The SQL analyser: what it says of a statement holds in every dialect that takes it; the rest is unknown."""

from __future__ import annotations

import subprocess
import sys
import time
import timeit
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.adapters.detect.sql import LIMIT, SqlAnalyser
from navicert.core.canonical import parameter_bytes
from navicert.model.action import Action, Effect, ToolProfile
from navicert.model.errors import Unavailable
from navicert.model.signals import Finding
from navicert.ports import Detector

DATA = Path(__file__).parents[2] / "data" / "sql_corpus.txt"
CORPUS = [
    (kind, text.replace("⏎", "\n"))
    for line in DATA.read_text(encoding="utf-8").splitlines()
    if not line.startswith("#")
    for kind, text in [line.split(" :: ", 1)]
]
EVERY = SqlAnalyser()
POSTGRES = SqlAnalyser(dialects=["postgres"])


def action(categories: tuple[str, ...] = ("sql",), **roles: Any) -> Action:
    profile = ToolProfile(tool="db.query", effect=Effect.READ, categories=categories, **roles)
    return Action(
        action_id="act",
        tool="db",
        operation="query",
        parameters=parameter_bytes({}),
        digest="",
        submitted_at=0,
        profile=profile,
    )


def look(sql: Any, analyser: SqlAnalyser = EVERY, **roles: Any) -> Finding:
    parameters = sql if isinstance(sql, dict) else {"sql": sql}
    return analyser.measure(action(**roles), parameters, None)  # type: ignore[arg-type]


def value(sql: Any, name: str, analyser: SqlAnalyser = EVERY) -> Any:
    found = look(sql, analyser)
    assert found.looked, sql
    return found.values[name]


def test_it_is_a_detector_that_runs_inline() -> None:
    assert isinstance(EVERY, Detector)
    assert EVERY.inline


@pytest.mark.parametrize("text", [text for kind, text in CORPUS if kind == "writes"])
def test_what_writes_or_reaches_outside_is_never_called_a_read(text: str) -> None:
    found = look(text)

    assert not found.looked or found.values.get("sql_writes") is not False


def test_the_corpus_is_judged_with_no_miss_and_few_unknowns() -> None:
    verdicts = [
        (kind, found.values.get("sql_writes") if found.looked else None)
        for kind, text in CORPUS
        for found in [look(text)]
    ]
    reads = [verdict for kind, verdict in verdicts if kind == "reads"]
    writes = [verdict for kind, verdict in verdicts if kind == "writes"]

    assert min(len(reads), len(writes)) >= 70
    assert (reads.count(True), writes.count(False)) == (0, 0)
    assert reads.count(None) <= 1
    assert writes.count(None) <= 12


@pytest.mark.parametrize(
    ("sql", "kinds"),
    [
        ("select 1", ["select"]),
        ("(SELECT 1) UNION SELECT 2", ["select"]),
        ("SELECT 1; DROP TABLE a", ["select", "drop"]),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", ["select", "delete"]),
        ("EXPLAIN DELETE FROM a", ["explain", "delete"]),
        ("EXPLAIN ANALYZE SELECT 1", ["explain", "select"]),
        ("BEGIN; INSERT INTO a VALUES (1); COMMIT", ["transaction", "insert"]),
        ("CREATE TABLE a AS SELECT 1", ["create"]),
        ("CALL f()", ["call"]),
        ("TRUNCATE TABLE a", ["truncate"]),
        ("GRANT SELECT ON a TO b", ["grant"]),
        ("SET x = 1", ["set"]),
        ("-- nothing", []),
    ],
)
def test_kinds_name_every_statement_also_inside_another(sql: str, kinds: list[str]) -> None:
    assert value(sql, "sql_kinds") == kinds


def test_statements_are_counted_and_comments_are_none() -> None:
    assert value("SELECT 1; ; SELECT 2; -- end", "sql_statements") == 2
    assert value("/* SELECT 1; */", "sql_statements") == 0


def test_tables_are_named_in_lower_case_with_their_schema_and_without_what_a_with_defines() -> None:
    sql = "WITH r AS (SELECT * FROM Sales.Orders) SELECT * FROM r JOIN People ON 1 = 1"
    assert value(sql, "sql_tables") == ["people", "sales.orders"]


def test_a_with_does_not_hide_the_table_whose_name_it_borrows() -> None:
    # seen to fail: with every name of a WITH taken out, wherever it stands
    assert value("WITH users AS (SELECT * FROM users) SELECT * FROM users", "sql_tables") == ["users"]
    assert value("SELECT * FROM (WITH a AS (SELECT 1) SELECT * FROM a) AS x, a", "sql_tables") == ["a"]
    recursive = "WITH RECURSIVE t AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM t) SELECT * FROM t"
    assert value(recursive, "sql_tables") == []


@pytest.mark.parametrize(
    ("sql", "unbounded"),
    [
        ("DELETE FROM a", True),
        ("UPDATE a SET b = 1", True),
        ("DELETE FROM a WHERE true", True),
        ("UPDATE a SET b = 1 WHERE 1 = 1", True),
        ("WITH x AS (DELETE FROM a RETURNING *) SELECT * FROM x", True),
        ("SELECT 1; DELETE FROM a", True),
        ("DELETE FROM a WHERE id = 1", False),
        ("UPDATE a SET b = 1 WHERE id = 1", False),
        ("INSERT INTO a VALUES (1)", False),
        ("SELECT 1", False),
    ],
)
def test_a_change_of_every_row_is_told(sql: str, unbounded: bool) -> None:
    assert value(sql, "sql_unbounded") is unbounded


def test_an_unknown_function_leaves_open_whether_anything_is_written() -> None:
    found = look("SELECT lower(name), app.Score(id) FROM a")

    assert found.values["sql_functions"] == ["app.score"]
    assert "sql_writes" not in found.values
    assert found.values["sql_kinds"] == ["select"]


def test_a_function_of_ones_own_that_is_said_to_be_harmless_is() -> None:
    mine = SqlAnalyser(harmless=["app.score"])

    assert value("SELECT app.score(id) FROM a", "sql_writes", mine) is False
    assert "sql_writes" not in look("SELECT app.other(id) FROM a", mine).values
    assert value("SELECT pg_catalog.lower(name) FROM a", "sql_writes") is False
    assert "sql_writes" not in look("SELECT app.lower(name) FROM a").values  # not the one that we know


@pytest.mark.parametrize("sql", ["SELECT pg_read_file('x')", "SELECT ext.dblink('x', 'y')", "SELECT nextval('s')"])
def test_a_function_that_reaches_out_writes_and_is_listed(sql: str) -> None:
    assert value(sql, "sql_writes") is True
    assert value(sql, "sql_functions")


@pytest.mark.parametrize("sql", ["CALL f()", "DO $$ BEGIN DELETE FROM a; END $$", "VACUUM a"])
def test_what_the_parser_only_passes_over_writes_and_its_tables_are_open(sql: str) -> None:
    found = look(sql, POSTGRES)

    assert found.values["sql_writes"] is True
    assert not {"sql_tables", "sql_functions", "sql_unbounded"} & set(found.values)


@pytest.mark.parametrize(
    "sql",
    [
        "SELEKT 1",
        "SELECT (",
        "users please",
        "SELECT 1 /*! ; DELETE FROM a */",
        "SELECT 1 /*M! ; DELETE FROM a */",
        "SELECT 1 {# ; DELETE FROM a #}",
        "SELECT 'a\\'; DELETE FROM users; --'",
        "SELECT 'a\\'; DELETE FROM users; -- '; SELECT 2",
        "SELECT 'a\\', pg_read_file(1) -- ', 'b'",
        "SELECT 'a\\'; DELETE FROM users; -- '; INSERT INTO users VALUES (1)",
        "SELECT 1 --1; DELETE FROM users",
        "SELECT 1 /* /* */ ; DELETE FROM users -- */",
        "SELECT $tag$ ; DELETE FROM users; $tag$ AS text",
        "SELECT 1 # ; DELETE FROM users",
        "SELECT\x001",
        "SELECT 1 -- a\rDELETE FROM users",
        "SELECT \ud800",
        "SELECT " + "1," * LIMIT,
        "SELECT " + "(" * 5_000 + "1" + ")" * 5_000,
    ],
    ids=range(19),
)
def test_what_cannot_be_read_or_is_read_in_two_ways_is_unknown(sql: str) -> None:
    # seen to fail: with the comparison of the dialects, and of the counts of those that fail, taken out of `_agreed`
    assert not look(sql).looked


def test_lines_may_end_as_they_do_elsewhere() -> None:
    assert value("SELECT 1 -- a\r\n, 2", "sql_writes") is False
    assert value("SELECT 1; -- a\r\nDELETE FROM users", "sql_writes") is True


def test_where_the_database_is_known_its_dialect_decides() -> None:
    assert value("SELECT $tag$ ; DELETE FROM users; $tag$ AS text", "sql_writes", POSTGRES) is False
    assert value("SELECT 'a\\'; DELETE FROM users; --'", "sql_writes", POSTGRES) is True
    with pytest.raises(ValueError, match="name one at least"):
        SqlAnalyser(dialects=[])


def test_every_text_that_is_not_content_is_read() -> None:
    assert value({"a": "SELECT 1", "b": ["DELETE FROM a"]}, "sql_writes") is True
    assert value({"a": "SELECT 1", "b": {"c": {"DROP TABLE a": 1}}}, "sql_writes") is True
    found = look({"a": "SELECT 1", "values": ["DELETE FROM a", "O'Brien"]}, content=("values",))
    assert found.values["sql_writes"] is False


def test_a_lone_name_beside_the_statement_is_no_statement_unless_it_could_be_one() -> None:
    assert value({"database": "sales", "sql": "SELECT 1"}, "sql_statements") == 1
    assert value({"database": "vacuum", "sql": "SELECT 1"}, "sql_writes") is True
    assert not look({"database": "sales"}).looked


def test_a_tool_without_any_text_is_unknown() -> None:
    assert not look({}).looked
    assert not look({"sql": " ", "n": 5}).looked


def test_a_tool_of_another_category_costs_nothing_and_says_nothing() -> None:
    seen = action(categories=("crm",))
    took = min(timeit.repeat(lambda: EVERY.measure(seen, {"sql": "DROP TABLE a"}, None), number=2_000, repeat=5))  # type: ignore[arg-type]

    assert look("DROP TABLE a", categories=("crm",)) == Finding()
    assert took / 2_000 < 20e-6  # about half a microsecond on a quiet machine


def test_named_parameters_are_read_whatever_the_category() -> None:
    named = SqlAnalyser({"db.query": ["q"]})
    found = named.measure(action(categories=()), {"q": "DROP TABLE a", "x": "y z"}, None)  # type: ignore[arg-type]
    assert found.values["sql_writes"] is True


def test_without_the_parser_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "navicert.adapters.detect.sql_reading", raising=False)
    monkeypatch.delattr("navicert.adapters.detect.sql_reading", raising=False)
    monkeypatch.setitem(sys.modules, "sqlglot", None)

    with pytest.raises(Unavailable, match=r"install navicert\[analysers\]"):
        look("SELECT 1")
    assert look("SELECT 1", categories=()) == Finding()


def test_the_parsers_are_loaded_by_no_one_who_does_not_need_them() -> None:
    program = (
        "import sys, navicert, navicert.assemble as a\n"
        "a.SqlAnalyser(), a.ShellAnalyser()\n"
        "assert not {'sqlglot', 'tree_sitter', 'tree_sitter_bash'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_parser_does_not_log_what_it_reads(caplog: pytest.LogCaptureFixture) -> None:
    import logging

    look("CALL secret_procedure('hunter2')")
    assert caplog.text == ""
    logging.getLogger("sqlglot").warning("not ours")  # of others it may
    assert "not ours" in caplog.text


TEXT = """
    select from where ( ) a b , . * 'x 1 insert into values update set delete with as union join on case when end cast
    :: [ ] { } -> over create table function $$ ; if exists not -- /* */ # copy to merge returning explain pragma
"""
WORDS = st.sampled_from(TEXT.split())


@settings(deadline=None, max_examples=150)
@given(st.one_of(st.lists(WORDS, max_size=40).map(" ".join), st.text(max_size=200)))
def test_whatever_the_text_there_is_an_answer(text: str) -> None:
    found = look(text)

    assert set(found.values) <= set(EVERY.signals)
    assert found.looked or not found.values


@pytest.mark.parametrize(
    "piece", ["a.b.", "(", "f(", "case when ", "+1", "select (", "a,", ";", "x->", "cast(", "-", "array[", "join b "]
)
def test_time_is_bounded_by_the_size_of_the_text(piece: str) -> None:
    start = time.process_time()
    look(("SELECT " + piece * LIMIT)[:LIMIT])
    assert time.process_time() - start < 10  # under a second on a quiet machine
