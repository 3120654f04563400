"""The vector store that VECTOR_DB_TYPE names: looked at before anything starts, asked by searches, told of by the command line."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from adapters.plugins.checking import VECTOR_STORES
from adapters.retrieval import narrowing
from api.settings import SettingsError
from tests.support.library import library
from tests.support.model_server import ModelServer
from tests.support.plugin_modules import module_of
from tests.support.postgres import Database
from tests.support.server import Running, serving
from tests.support.vector_stores import Simple

SEARCH = "/v1/retrieval-tools/find/search"
ABSENT = "VECTOR_DB_TYPE is wrong: there is no vector store of this name"
OURS, THEIRS = "Holidays are thirty days a year.", "canary holidays are ninety days a year."


class Failing(Simple):
    """A store that does not start."""

    name = "failing"

    def start(self) -> None:
        raise RuntimeError("no licence")


@pytest.fixture
def plugin() -> Simple:
    return Simple()


@pytest.fixture
async def magnet(database: Database, tmp_path: Path, plugin: Simple) -> AsyncIterator[Running]:
    with module_of("vector_plugins", {VECTOR_STORES: [plugin, Failing]}) as module:
        named = {"VECTOR_DB_TYPE": "simple", "VECTOR_DB_CONFIG": '{"where": "there"}', "MAGNET_PLUGINS": module}
        async with serving(database, tmp_path, MAGNET_EGRESS_ALLOW="127.0.0.0/8", **named) as running:
            yield running


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"VECTOR_DB_TYPE": "pinecone"}, f"{ABSENT}. There are chroma, pgvector, qdrant, simple."),
        ({"VECTOR_DB_TYPE": "failing"}, f"{ABSENT} (RuntimeError: no licence). There are"),
        (
            {"VECTOR_DB_TYPE": "qdrant"},
            "VECTOR_DB_CONFIG is wrong for qdrant: as a whole: Value error, either `url` or `path`.",
        ),
        (
            {"VECTOR_DB_TYPE": "qdrant", "VECTOR_DB_CONFIG": '{"url": "hush", "port": "hush"}'},
            "VECTOR_DB_CONFIG is wrong for qdrant: url: String should match pattern",
        ),
        (
            {"VECTOR_DB_TYPE": "qdrant", "VECTOR_DB_SECRETS": '{"key": "hush"}'},
            "VECTOR_DB_SECRETS is wrong: qdrant has api_key, not key.",
        ),
    ],
)
async def test_a_store_that_is_not_there_or_set_wrongly_stops_the_start(
    database: Database, tmp_path: Path, plugin: Simple, settings: dict[str, str], told: str
):
    modules = module_of("vector_plugins", {VECTOR_STORES: [plugin, Failing]})
    with modules as module, pytest.raises(SettingsError) as refused:
        async with serving(database, tmp_path, MAGNET_PLUGINS=module, **settings):
            pytest.fail("it started")
    assert str(refused.value).startswith(told)
    assert "hush" not in str(refused.value)


async def test_an_extra_that_is_not_installed_is_named(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("adapters.vector_stores.extras.find_spec", lambda _: None)
    named = {"VECTOR_DB_TYPE": "chroma", "VECTOR_DB_CONFIG": '{"path": "there"}'}
    with pytest.raises(SettingsError, match=r"pip install 'magnet\[chroma\]'"):
        async with serving(database, tmp_path, **named):
            pytest.fail("it started")


async def test_searches_ask_the_store_and_nobody_gets_what_is_not_theirs(
    magnet: Running, plugin: Simple, monkeypatch: pytest.MonkeyPatch
):
    for name in ("FEWEST", "MOST_EXACT"):  # else the few there are would be compared without asking the store
        monkeypatch.setattr(narrowing, name, 0)
    asked = {"query": "canary holidays are ninety days a year", "limit": 100}
    with ModelServer(vectors="words") as server:
        async with library(magnet) as books:
            await books.models(server, chat=False)
            await books.tools(mode="vector")
            await books.add("a", OURS)
            await books.add("b", THEIRS, acl=["board"])
            while not plugin.asked:
                all_of_it = await books.search(asked["query"])
            plugin.down = True
            down = await magnet.call("POST", SEARCH, asked)
            plugin.down = False
            key = await magnet.do("POST", "/v1/api-keys", {"name": "clerk", "roles": ["user"], "groups": ["staff"]})
            before = plugin.asked
            mine = await magnet.call("POST", SEARCH, asked, X_API_Key=key["key"])
    assert [each["text"] for each in all_of_it["passages"]] == [THEIRS, OURS]
    assert (down.status_code, down.json()["code"]) == (503, "vector_store_unavailable")
    assert "nobody answers" not in down.text
    assert [each["text"] for each in mine.json()["passages"]] == [OURS]
    assert "canary" not in mine.text
    assert plugin.asked > before


async def test_stores_that_come_along_are_listed_as_plugins_with_what_they_are_set_by(magnet: Running):
    listed = (await magnet.do("GET", "/v1/plugins"))["items"]
    stores = {each["name"]: each for each in listed if each["group"] == VECTOR_STORES}
    assert {name: (each["state"], each["built_in"]) for name, each in stores.items()} == {
        "chroma": ("ready", True),
        "qdrant": ("ready", True),
        "simple": ("ready", False),
        "failing": ("failed", False),
    }
    assert set(stores["qdrant"]["schema"]["properties"]) == {"url", "path"}
    assert set(stores["qdrant"]["secrets"]) == {"api_key"}
