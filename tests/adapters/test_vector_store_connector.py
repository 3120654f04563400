"""Passages of vector stores: their text wherever it is kept, what they are called and who may find them; nothing half listed."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from adapters.connectors.roots import Roots
from adapters.connectors.sql import SqlConnector
from adapters.connectors.stored_passages import StoredPassage, VectorStoreConfig, document_of
from adapters.connectors.vector_store import VectorStoreConnector
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from domain.errors import Invalid
from tests.support.asked_connectors import listed, place_of
from tests.support.site import Answer, Site, site
from tests.support.worlds.vector_store import ChromaWorld

NODE = json.dumps({"text": "from the node", "metadata": {"file": "a.md"}})


@pytest.fixture
async def there() -> AsyncIterator[Site]:
    async with site() as made:
        yield made


@pytest.fixture
async def connector(there: Site) -> AsyncIterator[VectorStoreConnector]:
    egress = Egress([there.place])
    web = Web(egress)
    yield VectorStoreConnector(web, SqlConnector(egress, Roots([], forbidden=[])))
    await web.close()


def settings(**more: Any) -> VectorStoreConfig:
    return VectorStoreConfig(**{"store": "qdrant", "url": "https://q.example", "collection": "c", **more})


@pytest.mark.parametrize(
    ("payload", "more", "text", "metadata"),
    [
        ({"text": "plain", "team": "a"}, {}, "plain", {"team": "a"}),
        ({"_node_content": NODE, "_node_type": "TextNode", "file": "a.md"}, {}, "from the node", {"file": "a.md"}),
        ({"page_content": "LangChain's", "metadata": {"source": "b.md"}}, {}, "LangChain's", {"source": "b.md"}),
        ({"body": {"de": "tief"}, "m": {"x": 1}}, {"text": "body.de", "metadata": "m"}, "tief", {"x": 1}),
    ],
)
def test_texts_and_metadata_are_found_where_the_usual_libraries_keep_them_or_where_it_is_said(
    payload: Any, more: Any, text: str, metadata: Any
):
    made = document_of(StoredPassage(id="7", payload=payload), settings(**more))
    assert (made.content.decode(), made.metadata, made.title, made.acl) == (text, metadata, "7", None)


def test_titles_links_and_groups_come_out_of_the_metadata():
    payload = {"text": "t", "name": "A\nname", "at": "https://a.example/1", "groups": ["staff"], "bad": "javascript:1"}
    named = {"title": "name", "link": "at", "acl": "groups"}
    made = document_of(StoredPassage(id="7", payload=payload), settings(**named))
    assert (made.title, made.url, made.acl) == ("A name", "https://a.example/1", ["staff"])
    assert document_of(StoredPassage(id="7", payload=payload), settings(link="bad")).url is None
    with pytest.raises(NotFetched):
        document_of(StoredPassage(id="7", payload=payload | {"groups": 5}), settings(**named))
    with pytest.raises(NotFetched, match="say where, by `text`"):
        document_of(StoredPassage(id="7", payload={"words": "t"}), settings())


async def test_records_that_change_while_they_are_listed_are_listed_again_and_never_taken_away(
    there: Site, connector: VectorStoreConnector
):
    world = ChromaWorld(there)
    for name in ("alpha", "beta", "gamma"):
        await world.put(name, name)
    place = place_of(world.config, world.secrets)
    assert len(await listed(connector, place)) == 3
    world.shown = 2
    with pytest.raises(SourceUnavailable, match="2 records were listed, and there are 3 now"):
        await listed(connector, place)


async def test_a_collection_that_is_not_there_says_nothing_of_its_records(there: Site, connector: VectorStoreConnector):
    world = ChromaWorld(there)
    await world.put("alpha", "alpha")
    place = place_of(world.config, world.secrets)
    [id] = await listed(connector, place)
    there.answers = lambda _: Answer(status=404)
    with pytest.raises(NotFetched) as told:
        await connector.fetch(place, id)
    assert told.value.error_code == "not_fetched"


@pytest.mark.parametrize(
    ("config", "pointer"),
    [
        ({"url": "https://q.example/?a=b"}, "/config/url"),
        ({"url": "file:///a"}, "/config/url"),
        ({"store": "pgvector", "url": "mysql+pymysql://u@h/d"}, "/config/url"),
        ({"store": "pinecone"}, "/config/store"),
        ({"collection": ""}, "/config/collection"),
    ],
)
async def test_what_can_be_no_vector_store_is_refused(connector: VectorStoreConnector, config: Any, pointer: str):
    with pytest.raises(Invalid) as refused:
        connector.check({"store": "qdrant", "url": "https://q.example", "collection": "c", **config})
    assert [each.pointer for each in refused.value.errors] == [pointer]
