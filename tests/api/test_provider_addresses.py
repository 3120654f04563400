"""Where calls of model providers may lead: the world outside, this machine until a key exists, and what settings name."""

import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.test_access import key_of
from tests.support.model_server import ModelServer
from tests.support.postgres import Database
from tests.support.server import Running, serving

OWN = [
    "127.0.0.1", "0177.0.0.1", "127。0。0。1", "2130706433", "0x7f.1", "127.1", "0", "0.0.0.0", "localhost", "localhost.", "[::1]",
    "[0:0:0:0:0:0:0:1]", "[::]", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1:7f00:0:100:808:808]", "[2002:7f00:1::]",
    "[::7f00:1]", "[::1%25lo]", "a:b@127.0.0.1", "example.com\\@127.0.0.1", "127.0.0.1\t",
]  # fmt: skip
"""This machine, in the ways that it can be written."""

OTHERS = ["169.254.169.254", "10.0.0.1", "192.168.0.1", "100.64.0.1", "224.0.0.1", "[fec0::1]", "[fd00:ec2::254]"]

NAMES_OF_NOTHING = ["a..b", f"{'a' * 64}.example"]
"""What can't be looked up: labels that are empty or too long."""


@contextlib.asynccontextmanager
async def canaries() -> AsyncIterator[tuple[int, list[socket.socket]]]:
    """Give a port of this machine, and the sockets that listen there, which nobody may connect to."""
    with contextlib.ExitStack() as open_ones:
        sockets = [open_ones.enter_context(socket.create_server(("127.0.0.1", 0)))]
        port = sockets[0].getsockname()[1]
        with contextlib.suppress(OSError):  # there is no IPv6 here
            sockets.append(open_ones.enter_context(socket.create_server(("::1", port), family=socket.AF_INET6)))
        for each in sockets:
            each.setblocking(False)
        yield port, sockets


def came(sockets: list[socket.socket]) -> int:
    """Return how many have connected."""
    found = 0
    for each in sockets:
        with contextlib.suppress(BlockingIOError):
            each.accept()[0].close()
            found += 1
    return found


async def a_provider(magnet: Running, name: str, base_url: str, **headers: str) -> int:
    body = {"name": name, "type": "openai_compatible", "base_url": base_url, "timeouts": {"connect": 1, "total": 2}}
    return (await magnet.call("POST", "/v1/providers", body, **headers)).status_code


async def tried(magnet: Running, name: str, **headers: str) -> Any:
    return await magnet.call("POST", f"/v1/providers/{name}/test", **headers)


async def test_with_a_key_made_no_provider_leads_to_this_machine_or_to_a_private_network(magnet: Running):
    editor = await key_of(magnet, "editor", "editor", admin=await key_of(magnet, "admin", "admin"))
    made = 0
    async with canaries() as (port, sockets):
        for number, host in enumerate([f"{host}:{port}" for host in OWN] + OTHERS + NAMES_OF_NOTHING):
            status = await a_provider(magnet, f"p{number}", f"http://{host}/v1", X_API_Key=editor)
            if status == 422:
                continue
            made += 1
            answers = [
                await tried(magnet, f"p{number}", X_API_Key=editor),
                await magnet.call("GET", f"/v1/providers/p{number}/available-models", X_API_Key=editor),
            ]
            for answer in answers:
                problem = answer.json()
                if host.startswith("localhost.") and "does not resolve" in problem["detail"]:
                    continue  # not every resolver knows it
                assert (answer.status_code, problem["code"]) == (409, "address_not_allowed"), (host, problem)
                assert any(words in problem["detail"] for words in ("is no address", "MAGNET_EGRESS_ALLOW")), (
                    host,
                    problem,
                )
                assert "?." not in problem["detail"], problem
        assert came(sockets) == 0
    assert made > 20


async def test_a_provider_on_this_machine_is_reached_until_a_key_exists(magnet: Running):
    with ModelServer() as first, ModelServer() as second:
        await a_provider(magnet, "first", first.url)
        await a_provider(magnet, "second", second.url)
        await a_provider(magnet, "network", "http://10.0.0.1/v1")
        assert (await tried(magnet, "first")).status_code == 200
        assert (await tried(magnet, "network")).json()["code"] == "address_not_allowed"

        admin = await key_of(magnet, "admin", "admin")
        refused = await tried(magnet, "second", X_API_Key=admin)
        assert (refused.status_code, refused.json()["code"]) == (409, "address_not_allowed")
        assert "once an API key exists" in refused.json()["detail"]
        assert (second.requests, second.open_connections) == ([], 0)


@pytest.mark.parametrize("setting", ["MAGNET_EGRESS_ALLOW", "OPENAI_BASE_URL"])
async def test_the_operators_settings_name_what_may_be_reached_with_a_key_made(
    setting: str, database: Database, tmp_path: Path
):
    with ModelServer() as named, ModelServer() as other:
        value = f"127.0.0.1:{named.port}" if setting == "MAGNET_EGRESS_ALLOW" else named.url
        async with serving(database, tmp_path, **{setting: value}) as magnet:
            admin = await key_of(magnet, "admin", "admin")
            for name, server, status in (("named", named, 200), ("other", other, 409)):
                await a_provider(magnet, name, server.url, X_API_Key=admin)
                assert (await tried(magnet, name, X_API_Key=admin)).status_code == status
    assert other.requests == []
