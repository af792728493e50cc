"""The schema of policy files takes every policy that the reader takes, and refuses the mistakes that it can express."""

from __future__ import annotations

import re
from importlib.resources import files
from pathlib import Path

import pytest

from navicert.config import Config
from navicert.model.decision import Verdict
from navicert.model.errors import PolicyError
from navicert.model.policy import Operator
from navicert.syntax import read_policy
from navicert.syntax.fields import APPLIES, KEYS, PLAIN, SECTIONS
from navicert.syntax.reader import read_yaml
from navicert.syntax.schema import policy_schema
from navicert.syntax.words import json
from schema_check import problems

ROOT = Path(__file__).resolve().parents[3]
SCHEMA = policy_schema()
HEAD = "policy: p\nversion: 1\nposture: deny\n"


def loads(text: str) -> bool:
    try:
        read_policy(text)
    except PolicyError:
        return False
    return True


def known() -> list[str]:
    """Return every policy that loads, of the documents, the package and the tests."""
    found = [files("navicert.cli").joinpath("starter.yaml").read_text(encoding="utf-8")]
    found.append(files("navicert.demo").joinpath("policy.yaml").read_text(encoding="utf-8").replace("{DEMO}", "/desk"))
    for page in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        found += re.findall(r"```yaml\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)
    for page in sorted((ROOT / "tests").rglob("*.py")):
        found += re.findall(r'"""\\?\n?(policy: .*?)"""', page.read_text(encoding="utf-8"), re.DOTALL)
    return list(dict.fromkeys(text for text in found if loads(text)))


POLICIES = known()


def tree(text: str):
    return json(read_yaml(text), "the policy")


@pytest.mark.parametrize("text", POLICIES, ids=range(len(POLICIES)))
def test_every_policy_that_loads_satisfies_the_schema(text):
    assert problems(SCHEMA, tree(text)) == []


def test_there_are_policies_enough_to_show_it():
    words = set(re.findall(r"^ *(?:- )?\{?([a-z_]+):", "\n".join(POLICIES), re.MULTILINE))

    assert len(POLICIES) > 50
    assert {"facts", "roles", "supervisors", "escalate", "modifications", "set_context", "classification"} <= words
    assert {
        "intents",
        "destinations",
        "organisation",
        "constraints",
        "after",
        "not_after",
        "adds_risk",
        "shadow",
    } <= words


@pytest.mark.parametrize(
    "text",
    [
        "policy: p\nversion: 1\n",
        HEAD + "rule: []\n",
        HEAD.replace("deny", "maybe"),
        HEAD.replace("1", "'1'"),
        HEAD + "sticky: 1 day\n",
        HEAD + "tools: {send: {effect: send}}\n",
        HEAD + "tools: {mail.send: {effect: post}}\n",
        HEAD + "tools: {mail.send: {effect: send, returns: {categories: [PII]}}}\n",
        HEAD + "facts: {open: {file: /f, http: 'https://x'}}\n",
        HEAD + "facts: {open: {file: f}}\n",
        HEAD + "roles: {}\n",
        HEAD + "supervisors: []\n",
        HEAD + "rules: [{decision: DENY}]\n",
        HEAD + "rules: [{id: a}]\n",
        HEAD + "rules: [{id: a, decision: deny}]\n",
        HEAD + "rules: [{id: a, decision: MODIFY}]\n",
        HEAD + "rules: [{id: a, decision: STEP_UP}]\n",
        HEAD + "rules: [{id: a, decision: ALLOW, timeout: 1h}]\n",
        HEAD + "rules: [{id: a, decision: ALLOW, classification: forbidden}]\n",
        HEAD + "rules: [{id: a, authority: full}]\n",
        HEAD + "rules: [{id: a, decision: DEFER, approvals: 1}]\n",
        HEAD + "rules: [{id: a, decision: MODIFY, modifications: [{parameter: x, cap: 1, drop: true}]}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {amount: {gt: '5'}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {amount: {starts_with: '5'}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {destination: {endswith: x}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {destination: {not: {ne: x}}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {context: {levels: PUBLIC}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {rate: {per: human, above: 1}}}]\n",
        HEAD + "risk_limit: -1\n",
        HEAD + "organisation: []\n",
        HEAD + "organisation: 5\n",
        HEAD + "destinations: []\n",
        HEAD + "destinations: [{accepts: PUBLIC}]\n",
        HEAD + "destinations: [{at: a.com}]\n",
        HEAD + "destinations: [{at: a.com, accepts: {level: PUBLIC}}]\n",
        HEAD + "intents: {}\n",
        HEAD + "intents: {a: {}}\n",
        HEAD + "intents: {a: {tools: mail}}\n",
        HEAD + "intents: {a: {tools: '*', actions: 0}}\n",
        HEAD + "tools: {mail.send: {effect: send, accepts: public}}\n",
        HEAD + "rules: [{id: a, shadow: true}]\n",
        HEAD + "rules: [{id: a, decision: DENY, shadow: false}]\n",
        HEAD + "rules: [{id: a, adds_risk: 0}]\n",
        HEAD + "rules: [{id: a, adds_risk: 1, shadow: true}]\n",
        HEAD + "rules: [{id: a, decision: DENY, constraints: {amount: 5}}]\n",
        HEAD + "rules: [{id: a, decision: ALLOW, constraints: {}}]\n",
        HEAD + "rules: [{id: a, decision: ALLOW, constraints: {context: {level: PUBLIC}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {separation: vm}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {destination: {at: []}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {destination: {under: 5}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {parameters: {a: {type: string}}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {amount: {at: a.com}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {after: {}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {after: []}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {after: {within: 1h}}}]\n",
        HEAD + "rules: [{id: a, decision: DENY, match: {not_after: {tool: a, parameters: {x: 1}}}}]\n",
    ],
)
def test_what_the_reader_refuses_for_its_form_the_schema_refuses_too(text):
    assert not loads(text)
    assert problems(SCHEMA, tree(text)) != []


def test_the_schema_knows_every_field_and_every_operator():
    match = SCHEMA["$defs"]["match"]["properties"]

    assert set(match) == set(KEYS)
    for section, inner in SECTIONS.items():
        assert inner.keys() <= match[section].get("properties", {}).keys()
    for field, kind in PLAIN.items():
        table = SCHEMA["$defs"][match[field]["$ref"].rpartition("/")[2]]["anyOf"][-1]
        assert set(table["properties"]) == {*(operator.value for operator in APPLIES[kind]), "not"}
    assert set(SCHEMA["$defs"]["any"]["anyOf"][-1]["properties"]) == {*(each.value for each in Operator), "not"}
    assert SCHEMA["$defs"]["rule"]["properties"]["decision"]["enum"] == [verdict.value for verdict in Verdict]


def test_every_key_is_described():
    for table in (SCHEMA, SCHEMA["$defs"]["rule"]):
        assert [key for key, value in table["properties"].items() if not value.get("description")] == []


def test_the_schema_of_the_configuration_takes_what_init_writes(tmp_path):
    from navicert.assemble import make_home
    from navicert.cli.schema import config_schema

    schema = config_schema()
    made = make_home(tmp_path / "home", origin="tests", service="tests")
    assert problems(schema, tree(made.config.read_text(encoding="utf-8"))) == []
    assert problems(schema, {"origin": "o", "service": "s", "polcy": "p"}) != []
    assert schema["$defs"]["Config"]["properties"].keys() == set(Config.__struct_fields__)
