"""Questions of a real server, answered by the official client through the gateway as they are without it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from gateway import peers
from gateway.peers import HANDSHAKE, STATELESS, client
from gateway.test_http_peers import plain, through

SAID = {"action": "accept", "content": {"response": "ana", "name": "ana"}}
ASKING = {
    HANDSHAKE: [
        ("test_elicitation", {"message": "who?"}),
        ("test_elicitation_sep1034_defaults", {}),
        ("test_sampling", {"prompt": "say"}),
        ("test_tool_with_logging", {}),
        ("test_tool_with_progress", {}),
    ],
    STATELESS: [
        ("test_input_required_result_elicitation", {}),
        ("test_input_required_result_sampling", {}),
        ("test_input_required_result_request_state", {}),
        ("test_input_required_result_multi_round", {}),
        ("test_tool_with_logging", {}),
        ("test_tool_with_progress", {}),
    ],
}


@pytest.fixture(scope="module")
def fixture(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """The conformance fixture's own address, and the one through the gateway."""
    with peers.fixture() as url, through(tmp_path_factory.mktemp("fixture"), url) as shown:
        yield url, shown


@pytest.mark.parametrize(("mode", "version"), [("legacy", HANDSHAKE), (STATELESS, STATELESS)])
@pytest.mark.parametrize("answer", [SAID, {"action": "decline"}], ids=["accept", "decline"])
def test_the_official_client_is_asked_the_same_through_the_gateway(
    fixture: tuple[str, str], mode: str, version: str, answer: dict[str, Any]
) -> None:
    calls = [("call_tool", {"name": name, "arguments": arguments}) for name, arguments in ASKING[version]]
    direct, found = (client(url, *calls, mode=mode, answer=answer, sample="said") for url in fixture)
    assert found["version"] == version
    assert found["asked"] == direct["asked"]
    assert found["asked"]
    assert found["notices"] == direct["notices"]
    for one, two in zip(direct["results"], found["results"], strict=True):
        assert ("error" in one) is ("error" in two), (one, two)
        if "result" in one:
            assert plain(one) == plain(two)
