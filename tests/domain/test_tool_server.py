"""Tool servers: what they must be given, where their secrets may go, and what is recorded of their tools."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.tool_server import NoSuchTool, ToolServer
from tests.scenario import given

BEARER = {"kind": "bearer"}


def a_server(**definition: Any) -> ToolServer:
    return ToolServer.create(name="shop", definition={"type": "mcp", "url": "https://shop.example/mcp", **definition})


def an_api(**definition: Any) -> ToolServer:
    return ToolServer.create(name="shop", definition={"type": "openapi", **definition})


def a_tool(name: str = "look", **more: Any) -> dict[str, Any]:
    return {"name": name, "description": "", "input_schema": {}, "side_effects": False, "request": {}, **more}


def an_offer(*tools: dict[str, Any]) -> dict[str, Any]:
    return {"title": "Shop", "server": None, "tools": list(tools), "left_out": []}


@pytest.mark.parametrize(
    "definition",
    [
        {"type": "mcp"},
        {"type": "mcp", "url": "https://a.example", "spec": "{}"},
        {"type": "mcp", "url": "https://a.example", "base_url": "https://a.example"},
        {"type": "openapi"},
        {"type": "openapi", "url": "https://a.example", "spec": "{}"},
        {"type": "openapi", "url": "file:///etc/passwd"},
        {"type": "openapi", "url": "https://user:pass@a.example"},
        {"type": "openapi", "spec": "{}", "base_url": "https://a.example/?x=1"},
        {"type": "openapi", "spec": "{}", "auth": {"kind": "bearer"}},
        {"type": "openapi", "url": "https://a.example", "auth": {"kind": "api_key"}},
        {"type": "openapi", "url": "https://a.example", "auth": {"kind": "api_key", "name": "a b"}},
        {"type": "openapi", "url": "https://a.example", "auth": {"kind": "oauth2_client_credentials"}},
        {"type": "soap", "url": "https://a.example"},
    ],
)
def test_what_can_not_be_called_is_refused(definition: dict[str, Any]):
    with pytest.raises(Invalid):
        ToolServer.create(name="shop", definition=definition)


def test_the_type_of_a_tool_server_is_given_once():
    changed = {"type": "openapi", "url": "https://shop.example/spec"}
    given(a_server()).when(lambda s: s.change(s.definition | changed)).then_refused(Invalid, "fixed")


@pytest.mark.parametrize(
    "change",
    [
        {"url": "https://elsewhere.example/spec"},
        {"base_url": "https://elsewhere.example"},
        {"auth": {"kind": "oauth2_client_credentials", "client_id": "c", "token_url": "https://elsewhere.example/t"}},
    ],
)
def test_a_secret_is_cleared_when_any_of_the_addresses_moves_to_another_origin(change: dict[str, Any]):
    server = an_api(url="https://shop.example/spec", base_url="https://shop.example", auth=BEARER)
    server.set_secret("secrets/token", hint="")
    server.collect_events()
    before = server.origin
    server.change(server.definition | change)
    server.forget_secrets_of(before)
    assert server.secrets == {}


def test_a_secret_stays_when_only_the_path_changes():
    server = an_api(url="https://shop.example/spec", auth=BEARER)
    server.set_secret("secrets/token", hint="")
    before = server.origin
    server.change(server.definition | {"url": "https://shop.example:443/other"})
    server.forget_secrets_of(before)
    assert server.secrets == {"secrets/token": ""}


def test_credentials_go_where_calls_go_and_else_where_the_specification_is():
    assert an_api(url="https://spec.example/s", base_url="https://api.example/v1").home == "https://api.example:443"
    assert an_api(url="https://spec.example/s").home == "https://spec.example:443"
    assert an_api(spec="{}").home is None


def test_what_a_server_offers_is_recorded_when_it_differs():
    server = (
        given(a_server())
        .when(lambda s: s.sync(an_offer(a_tool())))
        .then((ToolServer.ToolsSynced, {"offer": an_offer(a_tool())}))
    )
    assert server.synced == {"title": "Shop", "server": None, "tools": 1, "left_out": []}
    given(server).when(lambda s: s.sync(an_offer(a_tool()))).then_nothing()
    given(server).when(lambda s: s.sync(an_offer())).then((ToolServer.ToolsSynced, {"offer": an_offer()}))
    with pytest.raises(NoSuchTool):
        server.tool("look")


def test_settings_say_otherwise_than_the_server_whether_a_tool_has_effects():
    server = a_server(tools={"buy": {"side_effects": False}, "look": {"side_effects": True}})
    assert not server.has_effects(a_tool("buy", side_effects=True))
    assert server.has_effects(a_tool("look", side_effects=False))
    assert server.has_effects(a_tool("sell", side_effects=True))


def test_settings_and_mocks_of_tools_that_are_not_offered_are_named():
    server = a_server(tools={"look": {}, "a/b": {}}, mocks={"sell": 1})
    server.sync(an_offer(a_tool()))
    assert server.unknown_names() == ["/tools/a~1b", "/mocks/sell"]
