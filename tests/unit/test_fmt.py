"""`navicert fmt`: one layout, in which nothing is lost; and a file that cannot be laid out is left as it is."""

from __future__ import annotations

import ast
import json
import os
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from navicert.assemble import load_policy
from navicert.cli import main
from navicert.model.errors import PolicyError
from navicert.syntax import layout as laying
from navicert.syntax import policy_hash, read_policy
from navicert.syntax.layout import format_policy
from properties.test_syntax_fuzz import SEED, SEED_HASH, Dumper

ROOT = Path(__file__).resolve().parents[2]
HEAD = "policy: p\nversion: 1\nposture: deny\n"
LAID = HEAD + "\nrules:\n  - id: a\n    decision: DENY\n"
LOOSE = HEAD + "rules:\n-   id:  a\n    decision: DENY  \n\n\n"
BROKEN = HEAD + "rules:\n- {id: a, decision: PERMIT}\n"


def hash_of(text: str) -> str:
    return policy_hash(read_policy(text)[0])


def tidy(text: str) -> str:
    """The layout of a text, after a look at what every layout promises."""
    made = format_policy(text)
    assert hash_of(text) == hash_of(made)
    assert made == format_policy(made)
    assert made.endswith("\n")
    assert not made.endswith("\n\n")
    return made


# ------------------------------------------------------------------------------------------------------ what there is


def _loads(text: str) -> bool:
    try:
        read_policy(text)
    except PolicyError:
        return False
    return True


FILES = [*ROOT.glob("src/**/*.yaml"), *ROOT.glob("examples/**/*.yaml")]


def _found() -> dict[str, str]:
    """Every policy of the project, by where it stands: files, blocks of the documents, texts in the tests."""
    found = {str(path.relative_to(ROOT)): path.read_text("utf-8") for path in FILES}
    for page in [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]:
        blocks = re.findall(r"```yaml[^\n]*\n(.*?)```", page.read_text("utf-8"), re.DOTALL)
        found |= {f"{page.relative_to(ROOT)}#{at}": block for at, block in enumerate(blocks)}
    for page in sorted((ROOT / "tests").rglob("*.py")):
        nodes = ast.walk(ast.parse(page.read_text("utf-8")))
        texts = [node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)]
        found |= {f"{page.relative_to(ROOT)}#{at}": text for at, text in enumerate(texts) if "posture:" in text}
    return {where: text for where, text in found.items() if _loads(text)}


FOUND = _found()


def test_there_are_policies_to_try() -> None:
    assert len(FOUND) > 80
    assert {"src/navicert/cli/starter.yaml", "docs/reference/policy-language.md#0"} <= FOUND.keys()
    assert sum(where.startswith("src/navicert/starter/") for where in FOUND) == 5


@pytest.mark.parametrize("where", sorted(FOUND))
def test_every_policy_of_the_project_is_laid_out_and_stays_the_same(where: str) -> None:
    made = tidy(FOUND[where])

    assert re.findall(r"#.*\S", FOUND[where]) == re.findall(r"#.*\S", made)
    assert FOUND[where].split() == made.split() or re.search(r"[{\[,] | [\]},:]", FOUND[where])


# ---------------------------------------------------------------------------------------------------------- the layout

ODD = """

# head
policy:   office # one
version: 3       # two


posture:    'declared_reads'
tools:
    email.send:   # mail
        effect:   send
        content: [subject, # why
                  body]
        # deep in the tool


    # of the next tool
    email.read: {effect: read}
# of the rules
rules:
# before the first rule
- id:  a
  match: { tool: email , operation: "send" ,
     # inside brackets
     destination : {ends_with: '@x.example'} }   # behind brackets
  decision: ALLOW
  reason: >  # behind a header
     some text   # no comment
       deeper

     over lines


# between
-   id: b
    decision: DENY
    # deep in b
    reason: plain text
           over two lines
- {id: c, decision: DENY}
- id: d # behind an id

  decision: DENY
  reason: |2
     x
    y
  # deep at the end
# end
"""
EVEN = """\
# head
policy: office  # one
version: 3      # two

posture: 'declared_reads'

tools:
  email.send:   # mail
    effect: send
    content: [subject,  # why
      body]
    # deep in the tool

  # of the next tool
  email.read: {effect: read}

# of the rules
rules:
  # before the first rule
  - id: a
    match: {tool: email, operation: "send",
      # inside brackets
      destination: {ends_with: '@x.example'}}   # behind brackets
    decision: ALLOW
    reason: >  # behind a header
      some text   # no comment
        deeper

      over lines

  # between
  - id: b
    decision: DENY
    # deep in b
    reason: plain text
      over two lines

  - {id: c, decision: DENY}

  - id: d  # behind an id

    decision: DENY
    reason: |2
       x
      y
    # deep at the end
# end
"""


def test_the_layout_is_the_documented_one() -> None:
    assert tidy(ODD) == EVEN


def test_aligned_comments_keep_the_distance_that_the_author_gave_them() -> None:
    wide = HEAD.replace("p\n", "p             # one\n", 1).replace("1\n", "1            # two\n")

    assert tidy(wide) == wide
    assert tidy(wide.replace("p    ", "p ")) == HEAD.replace("p\n", "p   # one\n", 1).replace("1\n", "1  # two\n")


@pytest.mark.parametrize("where", sorted(where for where in FOUND if where.endswith(".yaml")))
def test_the_policies_to_start_from_are_laid_out_already(where: str) -> None:
    assert format_policy(FOUND[where]) == FOUND[where]


@pytest.mark.parametrize("change", [str, lambda text: text.replace("\n", "\r\n"), lambda text: "\ufeff" + text])
def test_line_ends_and_byte_order_mark_are_made_the_same(change) -> None:
    assert tidy(change(ODD)) == EVEN


@pytest.mark.parametrize("indent", [3, 5, 9])
def test_the_indentation_of_the_author_does_not_matter(indent: int) -> None:
    one, other = (
        yaml.dump(
            yaml.safe_load(SEED), Dumper=Dumper, sort_keys=False, width=10_000, indent=each, default_flow_style=False
        )
        for each in (2, indent)
    )
    assert one != other
    assert tidy(one) == tidy(other)


@pytest.mark.parametrize("tail", ["", "\n", "\n\n", "\n\n# a comment\n\n", "\n\n  # deep\n"])
@pytest.mark.parametrize("header", ["|", "|-", "|+", ">", ">+", "|3", "|1+"])
def test_the_end_of_a_text_in_a_block_stays(header: str, tail: str) -> None:
    edit = f"{HEAD}rules:\n- id: a\n  decision: MODIFY\n  modifications:\n  - parameter: x\n    set: {header}\n"
    text = edit + "         one  \n\n          two \n        \n" + tail + "- id: b\n  decision: DENY\n"
    made = format_policy(text)

    assert hash_of(text) == hash_of(made)
    assert made == format_policy(made)
    assert tail.count("#") == made.count("#")


def test_a_text_whose_end_is_the_end_of_the_file_is_refused_where_a_line_end_would_change_it() -> None:
    text = f"{HEAD}rules: [{{id: a, decision: DENY}}]\nfacts:\n  f:\n    command:\n    - /bin/echo\n    - |\n      x"

    with pytest.raises(PolicyError, match=r"f\.yaml: laying it out would change more than white space"):
        format_policy(text, "f.yaml")
    assert hash_of(text + "\n") == hash_of(format_policy(text + "\n"))


# ---------------------------------------------------------------------------------------------------------- any layout


@st.composite
def sprinkled(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A policy in some layout, with spaces, blank lines and comments put wherever YAML takes them; the comments."""
    flow = draw(st.sampled_from([True, False, None]))
    made = yaml.dump(
        yaml.safe_load(SEED), Dumper=Dumper, sort_keys=False, default_flow_style=flow, indent=draw(st.integers(2, 6)),
        default_style=draw(st.sampled_from([None, '"', "'"])), width=draw(st.sampled_from([20, 80, 10_000])),
    )  # fmt: skip
    text = draw(st.sampled_from([SEED, made]))
    tokens = [token for token in yaml.scan(text) if token.end_mark.index > token.start_mark.index]
    out, comments, end, depth, last = "", [], 0, 0, None
    for token in tokens:
        gap = text[end : token.start_mark.index]
        folded = getattr(last, "style", None) in {"|", ">"}
        kinds = draw(st.lists(st.sampled_from(["note", "blank", "own"]), max_size=3)) if draw(st.booleans()) else []
        free = "\n" in gap or folded or (depth and not isinstance(token, yaml.ValueToken))
        if kinds and free and last is not None:
            first, newline, rest = gap.partition("\n")
            lines = []
            for kind in kinds:
                comments.append(f"# c{len(comments)} '\"[{{: -") if kind != "blank" else None
                pad = " " * draw(st.integers(0, 4 if folded else 12))
                lines.append("" if kind == "blank" else pad + comments[-1])
            if kinds[0] == "note" and not folded:
                first += "  " + lines.pop(0).lstrip()
            rest = rest if newline else "  "
            gap = "\n".join([*lines, gap]) if folded else "\n".join([first, *lines, rest])
        elif isinstance(last, (yaml.ValueToken, yaml.FlowEntryToken)) and "\n" not in gap:
            gap += " " * draw(st.integers(0, 3))
        out += gap + text[token.start_mark.index : token.end_mark.index]
        depth += isinstance(token, (yaml.FlowMappingStartToken, yaml.FlowSequenceStartToken))
        depth -= isinstance(token, (yaml.FlowMappingEndToken, yaml.FlowSequenceEndToken))
        end, last = token.end_mark.index, token
    return out + text[end:], comments


@settings(max_examples=25, deadline=None)
@given(sprinkled())
def test_whatever_the_layout_no_comment_and_no_meaning_is_lost(pair) -> None:
    text, comments = pair
    made = format_policy(text)

    assert comments == re.findall(r"""# c\d+ '"\[\{: -""", made)
    assert "\n\n\n" not in made
    assert hash_of(made) == SEED_HASH


@pytest.mark.parametrize(
    "loss",
    [("  # two", ""), ("# one", "# won"), ("'declared_reads'", "declared_reads"), ("DENY", "ALLOW"), ("|2", "|1")],
)
def test_what_would_lose_a_comment_or_change_a_word_is_refused(monkeypatch, loss) -> None:
    made = [EVEN.replace(*loss), EVEN]
    monkeypatch.setattr(laying, "_lay_out", lambda _: made[0])
    with pytest.raises(PolicyError, match="would change more than white space"):
        format_policy(ODD)
    made.pop(0)
    assert format_policy(ODD) == EVEN


def test_what_would_be_laid_out_differently_the_next_time_is_refused(monkeypatch) -> None:
    made = [EVEN, EVEN.replace("rules:", "rules:\n")]
    monkeypatch.setattr(laying, "_lay_out", lambda _: made.pop())
    with pytest.raises(PolicyError, match="would change more than white space"):
        format_policy(ODD)


# ------------------------------------------------------------------------------------------------------------ the verb


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "policy.yaml"
    path.write_text(LOOSE, encoding="utf-8")
    return path


def call(*args: object, given: str | None = None):
    return CliRunner().invoke(main, ["fmt", *map(str, args)], input=given)


def left(path: Path) -> list[str]:
    return sorted(each.name for each in path.parent.iterdir())


def test_a_file_is_laid_out_once_with_its_mode(file: Path) -> None:
    file.chmod(0o640)

    assert call(file).exit_code == 0
    assert file.read_text("utf-8") == LAID
    assert file.stat().st_mode & 0o7777 == 0o640
    before = file.stat()
    assert call(file).output == ""
    assert file.stat() == before
    assert left(file) == ["policy.yaml"]


def test_the_target_of_a_link_is_laid_out_and_the_link_stays(file: Path, tmp_path: Path) -> None:
    link = tmp_path / "other" / "link.yaml"
    link.parent.mkdir()
    link.symlink_to(file)

    assert call(link).exit_code == 0
    assert link.is_symlink()
    assert file.read_text("utf-8") == LAID


def test_check_and_diff_write_nothing_and_say_what_would_change(file: Path) -> None:
    laid = file.with_name("laid.yaml")
    laid.write_text(LAID, encoding="utf-8")

    check, diff = call("--check", file, laid), call("--diff", file, laid)
    assert (check.exit_code, diff.exit_code, call("--check", laid).exit_code) == (1, 1, 0)
    assert [line.split("/")[-1] for line in check.output.splitlines()] == ["policy.yaml"]
    assert "-    decision: DENY  \n" in diff.output
    assert "+    decision: DENY\n" in diff.output
    assert file.read_text("utf-8") == LOOSE


def test_standard_input_goes_to_standard_output() -> None:
    assert call("-", given=LOOSE).output == LAID
    assert call("-", given=BROKEN).exit_code == 3
    assert call("-", "--check", given=LOOSE).output == "would change: standard input\n"


def test_the_document_has_every_file_and_its_text(file: Path) -> None:
    found = json.loads(call(file, "--check", "--json").stdout)

    assert found == {
        "format": "navicert/fmt/1",
        "written": False,
        "files": [{"file": str(file), "changed": True, "text": LAID}],
    }


@pytest.mark.parametrize("text", [BROKEN, "", HEAD + "# a\rrules: []\n", HEAD + "rules: []\n\ud800"])
def test_no_file_is_touched_where_one_does_not_load(file: Path, text: str) -> None:
    bad = file.with_name("bad.yaml")
    bad.write_bytes(text.encode(errors="surrogatepass"))

    assert call(file, bad).exit_code == 3
    assert file.read_text("utf-8") == LOOSE
    assert bad.read_bytes() == text.encode(errors="surrogatepass")


def test_a_lone_carriage_return_does_not_load_where_it_counts_either(file: Path) -> None:
    file.write_bytes(HEAD.encode() + b"# what a reviewer sees\rrules: []\n")
    with pytest.raises(PolicyError, match=r"4:23: the character U\+000D"):
        load_policy(file)
    assert CliRunner().invoke(main, ["lint", str(file)]).exit_code == 3


@pytest.mark.parametrize("name", ["policy.test.yaml", "policy.tests.yaml"])
def test_a_file_of_tests_is_refused_as_such(file: Path, name: str) -> None:
    result = call(file, file.with_name(name))

    assert (result.exit_code, "is a file of tests" in result.output) == (2, True)
    assert file.read_text("utf-8") == LOOSE


# ---------------------------------------------------------------------------------------------------------- the faults


def test_a_replacement_that_fails_leaves_the_file_and_nothing_else(file: Path, monkeypatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "policy.yaml")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        result = call(file)
    assert (result.exit_code, result.output) == (6, "navicert: policy.yaml: no space left on device\n")
    assert (file.read_text("utf-8"), left(file)) == (LOOSE, ["policy.yaml"])
    assert call(file).exit_code == 0


@pytest.mark.parametrize(
    ("meanwhile", "code"), [(Path.unlink, 6), (lambda path: path.write_text("policy: other\n", encoding="utf-8"), 2)]
)
def test_what_was_done_to_a_file_meanwhile_stands(file: Path, monkeypatch, meanwhile, code: int) -> None:
    def late(text: str, source: str) -> str:
        made = format_policy(text, source)
        meanwhile(file)
        return made

    monkeypatch.setattr(laying, "format_policy", late)
    assert call(file).exit_code == code
    assert file.exists() is (code == 2)
    assert code == 6 or file.read_text("utf-8") == "policy: other\n"
    assert left(file) == ["policy.yaml"][: file.exists()]


@pytest.mark.parametrize(("folder_mode", "mode"), [(0o555, 0o666), (0o777, 0o444)])
def test_a_folder_or_a_file_that_may_not_be_written_stays_as_it_is(folder_mode: int, mode: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "policy.yaml"
        path.write_text(LOOSE, encoding="utf-8")
        path.chmod(mode)
        path.parent.chmod(folder_mode)
        user = os.geteuid()
        if user == 0:
            os.seteuid(65534)  # nothing is refused to root
        try:
            result = call(path)
        finally:
            os.seteuid(user)
            path.parent.chmod(0o755)
        assert (result.exit_code, "permission denied" in result.output) == (6, True), result.output
        assert (path.read_text("utf-8"), left(path)) == (LOOSE, ["policy.yaml"])


def test_every_shape_that_the_verb_writes_is_documented() -> None:
    page = (ROOT / "docs/reference/cli.md").read_text("utf-8").split("\n## fmt\n")[1].split("\n## ")[0]
    ours = json.loads(call("-", "--json", given=LOOSE).stdout)
    (shown,) = (json.loads(block) for block in re.findall(r"```json\n(.*?)```", page, re.DOTALL))

    assert (ours.keys(), ours["files"][0].keys()) == (shown.keys(), shown["files"][0].keys())
