"""MCP servers through the official client, by both transports: what they offer, how they are called, what goes wrong."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from adapters.egress import Egress
from adapters.tool_servers.servers import ReachedToolServers, tool_servers
from adapters.tool_servers.withholding import REPEATS
from commands.agents.tools import ToolAnswer, ToolServerUnavailable
from domain.configuration import Configuration
from domain.tool_server import ToolServer
from domain.turn_effects import UNKNOWN
from tests.support.mcp_shop import McpShop, mcp_shop
from tests.support.site import Answer, Asked, site

SECRET = "s3cret-canary-17"


class Secrets:
    """Stands where sealed secrets are."""

    async def of(self, source: Configuration) -> Mapping[str, str]:
        return {"token": SECRET, "client_secret": SECRET}


@dataclass
class Customer:
    """Somebody who calls a shop's tools."""

    shop: McpShop
    servers: ReachedToolServers
    server: ToolServer

    async def call(self, tool: str, seconds: float = 10, **arguments: Any) -> ToolAnswer:
        return await self.servers.call(self.server, self.server.tool(tool), arguments, seconds=seconds)

    async def refused(self, tool: str, seconds: float = 10, **arguments: Any) -> ToolServerUnavailable:
        with pytest.raises(ToolServerUnavailable) as refusal:
            await self.call(tool, seconds, **arguments)
        return refusal.value


@asynccontextmanager
async def reached(allow: str) -> AsyncIterator[ReachedToolServers]:
    async with tool_servers(Egress([allow]), Secrets()) as made:  # type: ignore[arg-type]
        yield made


def server_at(url: str, **more: Any) -> ToolServer:
    definition = {"type": "mcp", "url": url, "auth": {"kind": "bearer"}, **more}
    return ToolServer.create(name="shop", definition=definition)


@pytest.mark.parametrize("transport", ["streamable_http", "sse"])
async def test_tools_prompts_and_resources_are_offered_and_called(transport: Any):
    async with mcp_shop(transport) as shop, reached(shop.place) as servers:
        server = server_at(shop.url, transport=transport)
        offer = await servers.offer(server)
        server.sync(offer.document())
        effects = {tool["name"]: tool["side_effects"] for tool in offer.tools}
        assert effects == {
            "find": False, "order": True, "fail": True, "hang": True, "flood": True, "get_prompt": False,
            "read_resource": False,
        }  # fmt: skip
        assert server.tool("get_prompt")["input_schema"]["properties"]["name"]["enum"] == ["greet"]
        customer = Customer(shop=shop, servers=servers, server=server)
        assert (await customer.call("find", item="pen")).text == "pen costs 12.50"
        ordered = await customer.call("order", item="pen", count=2)
        assert (ordered.text, ordered.request, shop.orders) == ("ordered 2 pen", "tools/call order", ["pen"])
        assert (await customer.call("get_prompt", name="greet", arguments={"name": "Ada"})).text == (
            "user: Say hello to Ada."
        )
        assert (await customer.call("read_resource", uri="shop://hours")).text == "9 to 5"
        assert (await customer.call("fail")).failed
        assert {each["authorization"] for each in shop.headers} == {f"Bearer {SECRET}"}
        flood = await customer.refused("flood")
        assert UNKNOWN in str(flood)
        shop.status = 401
        assert "does not let this installation in (401)" in str(await customer.refused("order", item="pen"))
        assert shop.orders == ["pen"]


async def test_a_call_that_is_not_answered_in_time_may_have_been_done_and_says_so():
    async with mcp_shop() as shop, reached(shop.place) as servers:
        server = server_at(shop.url)
        server.sync((await servers.offer(server)).document())
        refusal = await Customer(shop=shop, servers=servers, server=server).refused("hang", 0.5)
        assert (refusal.error_code, UNKNOWN in str(refusal)) == ("tool_timed_out", True)


async def test_a_token_is_had_once_and_anew_when_it_is_refused():
    given: list[str] = []

    def gives(asked: Asked) -> Answer:
        given.append(asked.body.decode())
        return Answer(body={"access_token": f"token-{len(given)}", "expires_in": 3600})

    async with mcp_shop() as shop, site(gives) as door, reached("127.0.0.0/8") as servers:
        auth = {"kind": "oauth2_client_credentials", "token_url": f"{door.url}/token", "client_id": "me"}
        server = server_at(shop.url, auth=auth)
        shop.token = "token-1"
        server.sync((await servers.offer(server)).document())
        customer = Customer(shop=shop, servers=servers, server=server)
        assert (await customer.call("order", item="pen")).text == "ordered 1 pen"
        assert len(given) == 1
        shop.token = "token-2"
        assert (await customer.call("order", item="ink")).text == "ordered 1 ink"
        shop.token = "another"
        assert "(401)" in str(await customer.refused("order", item="nib"))
        assert (shop.orders, len(given)) == (["pen", "ink"], 3)


async def test_no_server_leads_to_an_address_that_may_not_be_reached():
    async with mcp_shop() as shop, reached("10.0.0.0/8") as servers:
        with pytest.raises(ToolServerUnavailable, match="MAGNET_EGRESS_ALLOW") as refusal:
            await servers.offer(server_at(shop.url))
        assert (refusal.value.error_code, shop.headers) == ("address_refused", [])


@pytest.mark.parametrize("host", ["①②⑦.0.0.1", "ü..example"])
async def test_a_host_that_is_no_name_is_told(host: str):
    async with reached("10.0.0.0/8") as servers:
        with pytest.raises(ToolServerUnavailable, match="is no address") as refusal:
            await servers.offer(server_at(f"http://{host}/mcp"))
        assert refusal.value.error_code == "address_refused"


async def test_a_server_whose_name_is_not_ascii_is_at_home_there():
    async with reached("10.0.0.0/8") as servers:
        with pytest.raises(ToolServerUnavailable, match="the name of the host is not known"):
            await servers.offer(server_at("http://ü.invalid/mcp"))


async def test_what_a_server_offers_is_told_without_the_secret_that_let_us_in():
    async with mcp_shop() as shop, reached(shop.place) as servers:
        shop.repeats(SECRET)
        offer = await servers.offer(server_at(shop.url))
    told = {tool["name"]: tool["description"] for tool in offer.tools}
    assert told["show"] == "Show what [hidden] may see."
    assert [each["reason"] for each in offer.left_out] == [REPEATS]
    assert SECRET not in str(offer.document())


@pytest.mark.parametrize("status", [302, 307])
async def test_credentials_do_not_follow_a_redirect_to_another_origin(status: int):
    async with site() as canary:
        moved = Answer(status=status, headers={"Location": f"{canary.url}/mcp"})
        async with site(lambda _: moved) as shop, reached("127.0.0.0/8") as servers:
            with pytest.raises(ToolServerUnavailable, match=str(status)):
                await servers.offer(server_at(f"{shop.url}/mcp"))
            assert shop.asked
        assert canary.asked == []


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=b"<html>", headers={"Content-Type": "text/html"}),
        Answer(body={"jsonrpc": "2.0", "id": 1, "result": {"nothing": 1}}),
        Answer(body=b"{" * 10_000, headers={"Content-Type": "application/json"}),
        Answer(body=b"data: nothing\n\n", headers={"Content-Type": "text/event-stream"}),
        Answer(body=b"x", headers={"Content-Encoding": "gzip"}),
        Answer(status=404),
    ],
    ids=["html", "no_result", "deep", "no_message", "packed", "absent"],
)
async def test_what_is_no_mcp_is_said_in_words(answer: Answer):
    async with site(lambda _: answer) as shop, reached(shop.place) as servers:
        with pytest.raises(ToolServerUnavailable, match=shop.url):
            await servers.offer(server_at(f"{shop.url}/mcp", timeout=3))
