"""Plugins that cut texts and plugins that are tools, over HTTP: used as all others are, and told where they fail."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from adapters.plugins.checking import CHUNKERS, TOOLS
from tests.api.test_secrets import assert_nowhere, dumped
from tests.support.patience import PATIENCE
from tests.support.plugin_modules import module_of
from tests.support.postgres import Database
from tests.support.server import Running, serving

SOURCES, SERVERS = "/v1/knowledge-sources", "/v1/tool-servers"
SECRET = "canary-0815-CANARY-4711"
SPEECH = "one, two. \n\n three - four."


class MarkConfig(BaseModel, extra="forbid"):
    """What a text is cut at."""

    mark: str


class Marks:
    """Cuts at a mark."""

    name = "marks"
    Config = MarkConfig

    def chunk(self, text: str, config: MarkConfig) -> Iterator[tuple[int, int]]:
        if "broken" in text:
            raise RuntimeError("it broke")
        if "backwards" in text:
            yield 5, 9
            yield 0, 4
        for found in re.finditer(f"[^{config.mark}]+", text):
            yield found.span()


class Orders(BaseModel, extra="forbid"):
    """Where orders are."""

    shop: str


class Order(BaseModel, extra="forbid"):
    item: str
    count: int = 1


class Ordering:
    """Orders something."""

    name = "acme.ordering"
    Config = Orders
    Arguments = Order
    secrets: Mapping[str, str] = {"token": "What may order."}

    async def call(self, arguments: Order, config: Orders, secrets: Mapping[str, str]) -> Any:
        if arguments.item == "nothing":
            raise LookupError(f"no item, {secrets['token']}")
        if arguments.item == "itself":
            return secrets["token"]
        return {"shop": config.shop, "item": arguments.item, "count": arguments.count}


@pytest.fixture
async def magnet(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    with module_of("groups_of_a_test", {CHUNKERS: [Marks], TOOLS: [Ordering]}):
        async with serving(database, tmp_path, MAGNET_PLUGINS="groups_of_a_test") as running:
            yield running


async def refused(magnet: Running, path: str, body: Any) -> list[tuple[str, str]]:
    answer = await magnet.call("POST", path, body)
    assert answer.status_code == 422, answer.text
    return [(each["pointer"], each["code"]) for each in answer.json()["errors"]]


CUTTING = {"strategy": "plugin", "plugin": "marks", "config": {"mark": "."}}


async def test_texts_are_cut_where_a_plugin_says_and_one_that_it_fails_at_fails_alone(magnet: Running):
    shown = await magnet.do("POST", f"{SOURCES}:preview", {"chunking": CUTTING, "document": {"text": SPEECH}})
    assert [each["text"] for each in shown["chunks"]] == ["one, two", "three - four"]
    assert all(each["text"] == SPEECH[each["start"] : each["end"]] and each["tokens"] for each in shown["chunks"])

    await magnet.do("POST", SOURCES, {"name": "talks", "type": "files", "chunking": CUTTING})
    texts = {"good": SPEECH, "bad": "it is broken.", "worse": "it is backwards."}
    documents = [{"external_id": name, "text": text} for name, text in texts.items()]
    await magnet.do("POST", f"{SOURCES}/talks/documents", {"documents": documents})
    found = await indexed(magnet, len(texts))
    assert {name: each["status"] for name, each in found.items()} == {
        "good": "indexed", "bad": "failed", "worse": "failed"
    }  # fmt: skip
    assert found["bad"]["failure"] == {
        "code": "chunker_failed", "reason": "The plugin 'marks' failed: RuntimeError: it broke"
    }  # fmt: skip
    assert "not in the text's order" in found["worse"]["failure"]["reason"]
    magnet.position = await magnet.container.log.head()
    passages = (await magnet.get(f"{SOURCES}/talks/passages"))["items"]
    assert [each["text"] for each in passages] == ["one, two", "three - four"]

    change = {"profiles": [{"glob": "*.txt", "chunking": {**CUTTING, "config": {}}}]}
    wrong = await magnet.call("PATCH", f"{SOURCES}/talks", change)
    assert wrong.json()["errors"][0]["pointer"] == "/profiles/0/chunking/config/mark"
    new = {"name": "more", "type": "files"}
    assert await refused(magnet, SOURCES, {**new, "chunking": {**CUTTING, "plugin": "words"}}) == [
        ("/chunking/plugin", "no_plugin")
    ]
    assert await refused(magnet, SOURCES, {**new, "chunking": {**CUTTING, "strategy": "code"}}) == [
        ("/chunking", "value_error")
    ]


async def indexed(magnet: Running, count: int) -> dict[str, Any]:
    """Return by name what became of the documents, once all are worked on."""
    async with asyncio.timeout(PATIENCE):
        while True:
            items = (await magnet.get(f"{SOURCES}/talks/documents"))["items"]
            if len(items) == count and all(each["status"] != "pending" for each in items):
                return {each["external_id"]: each for each in items}
            await asyncio.sleep(0.02)


async def test_a_plugin_is_a_tool_server_with_one_tool_that_is_called_and_fails_in_words(
    magnet: Running, database: Database
):
    body = {
        "name": "orders", "type": "plugin", "plugin": "acme.ordering", "config": {"shop": "Acme"},
        "secrets": {"token": SECRET},
    }  # fmt: skip
    await magnet.do("POST", SERVERS, body)
    [tool] = (await magnet.get(f"{SERVERS}/orders/tools"))["items"]
    assert (tool["name"], tool["description"], tool["side_effects"]) == ("acme_ordering", "Orders something.", True)
    assert tool["input_schema"]["required"] == ["item"]
    assert (await magnet.do("POST", f"{SERVERS}/orders/sync"))["changed"] == []

    async def tried(**arguments: Any) -> Any:
        return await magnet.do("POST", f"{SERVERS}/orders/test", {"tool": "acme_ordering", "arguments": arguments})

    done = await tried(item="pen")
    assert (done["ok"], done["result"]) == (True, '{"shop":"Acme","item":"pen","count":1}')
    failed = await tried(item="nothing")
    assert (failed["ok"], failed["result"]) == (
        False, "The plugin 'acme.ordering' failed: LookupError: no item, ***"
    )  # fmt: skip
    assert (await tried(item="itself"))["result"] == "[hidden]"
    wrong = {"tool": "acme_ordering", "arguments": {"item": 5}}
    assert await refused(magnet, f"{SERVERS}/orders/test", wrong) == [("/arguments/item", "invalid_argument")]

    agent = {"name": "clerk", "instructions": "Order.", "model": None}
    action = {"tool": "orders", "operation": "acme_ordering"}
    await magnet.do("POST", "/v1/agents", {**agent, "actions": [{"type": "api_tool", **action}]})
    other = {**agent, "name": "other", "actions": [{"type": "mcp_tool", **action}]}
    assert await refused(magnet, "/v1/agents", other) == [("/actions/0/type", "wrong_type")]

    assert await refused(magnet, SERVERS, {**body, "name": "a", "plugin": "gone"}) == [("/plugin", "no_plugin")]
    assert await refused(magnet, SERVERS, {**body, "name": "a", "config": {}}) == [("/config/shop", "missing")]
    assert await refused(magnet, SERVERS, {**body, "name": "a", "secrets": {"key": "k"}}) == [
        ("/secrets/key", "unknown_secret")
    ]
    assert await refused(magnet, SERVERS, {**body, "name": "a", "url": "https://a.example"}) == [("", "value_error")]
    for table, rows in dumped(database).items():
        assert_nowhere(rows, table, SECRET)
