"""What docs/how-to/isolate-the-network.md shows and CI cannot start: it has the shape that the page promises (R1.e)."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "how-to" / "isolate-the-network.md").read_text(encoding="utf-8")


def block(name: str) -> str:
    found = re.search(rf"<!-- file: {re.escape(name)} -->\n```[a-z]+\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_the_agents_container_has_the_gateway_and_nothing_else():
    # seen to fail: with `outside` among the agent's networks
    document = yaml.safe_load(block("compose.yaml"))
    services, networks = document["services"], document["networks"]
    agent, gateway = services["agent"], services["gateway"]

    assert agent["networks"] == ["inside"]
    assert networks["inside"] == {"internal": True}
    assert {name for name, each in services.items() if "inside" in each.get("networks", ())} == {"agent", "gateway"}
    assert services["door"]["network_mode"] == "service:gateway"
    assert not {"ports", "privileged", "network_mode", "pid", "extra_hosts", "cap_add"} & agent.keys()
    assert agent["user"] not in {"0", "root", gateway["user"]}
    assert agent["cap_drop"] == ["ALL"]
    assert agent["volumes"] == ["./probes.json:/etc/navicert/probes.json:ro"]
    assert set(document["volumes"]) == {"home"}


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not on this machine")
def test_the_unit_says_nothing_that_systemd_does_not_know(tmp_path):
    # seen to fail: with `PrivateNetworks=`
    text = re.sub(r"(?m)^(Exec\w+)=\S+", r"\1=/bin/true", block("agent.service")).replace("User=agent", "User=root")
    text = re.sub(r"(?m)^(Requires|After)=.*\n", "", text)
    (tmp_path / "agent.service").write_text(text)
    command = ["systemd-analyze", "verify", "--man=no", str(tmp_path / "agent.service")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    said = [line for line in (done.stdout + done.stderr).splitlines() if "agent.service" in line]
    assert said == []


def test_the_filter_lets_one_port_through_and_refuses_the_rest():
    rules = [line.strip() for line in block("navicert.nft").splitlines() if "skuid" in line]
    assert [rule.rsplit(" ", 1)[1] for rule in rules] == ["accept", "reject"]
    assert rules[1] == 'meta skuid "agent" reject'
