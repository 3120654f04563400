"""Changes of the embedding model: each index is searched by the model that its vectors are of, whatever is asked for now."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from commands.configuration import Archive, ChangeThing
from commands.knowledge.document import INDEX_DOCUMENT
from commands.knowledge.knowledge_source import FOLLOW_MODELS, SwitchIndex
from commands.models.model_calls import ModelCallFailed
from domain.errors import Archived
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.provider import Provider
from domain.retrieval import Found, Search, space_name
from tests.support.indexing import ASKED, GIVEN, Indexing, installed
from tests.support.model_server import ModelServer
from tests.support.patience import PATIENCE
from tests.support.postgres import Database

MEAL = "Lunch is at noon."


@pytest.fixture
async def indexing(database: Database, tmp_path: Path) -> AsyncIterator[Indexing]:
    async with installed(database, tmp_path) as made:
        made.server.apart = True
        yield made


async def searched(indexing: Indexing, mode: Any = "vector", **more: Any) -> Found:
    search = Search(query=MEAL, sources=[indexing.source], groups=None, mode=mode, **more)
    return await indexing.container.searcher.search(search)


def is_by_the_right_model(found: Found) -> bool:
    """Return whether the passage that says the very words of the query is as near as can be."""
    best = found.passages[0]
    return best.text == MEAL and best.scores["vector"] == pytest.approx(1, abs=0.01)


async def name_another(indexing: Indexing, model: UUID) -> None:
    """Call the model by another name at its provider."""
    await indexing.container.bus.dispatch(ChangeThing(kind=Model, id=model, patch={"model": "better-1"}), ASKED)


async def make_another(indexing: Indexing, _: UUID) -> None:
    """Make another model the default one."""
    await indexing.models("better")


async def tried_in_vain(indexing: Indexing) -> None:
    """Wait until a document could not be put into the newest index."""
    async with asyncio.timeout(PATIENCE):
        while FOLLOW_MODELS in await indexing.container.jobs.depth():
            await asyncio.sleep(0.01)
        while not indexing.rows(f"SELECT FROM magnet.jobs WHERE kind = '{INDEX_DOCUMENT}' AND last_error IS NOT NULL"):
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("change", [name_another, make_another])
async def test_after_a_change_of_embedding_model_the_old_index_answers_until_the_new_one_is_complete(
    indexing: Indexing, change: Any
):
    model = await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    indexing.server.lacks = {"better-1"}
    await change(indexing, model)
    await tried_in_vain(indexing)
    thing = await indexing.thing()
    assert (thing.index, thing.newest_index) == (2, 3)
    for mode in ("vector", "hybrid"):
        found = await searched(indexing, mode)
        assert (found.retrieval, found.indexes, found.notes) == (mode, {str(thing.id): 2}, [])
        assert is_by_the_right_model(found)
        assert [each.model.model for each in found.embeddings] == ["embedding-1"]
    indexing.server.lacks = set()
    await indexing.settled()
    assert (await indexing.thing()).index == 3
    found = await searched(indexing)
    assert is_by_the_right_model(found)
    assert [each.model.model for each in found.embeddings] == ["better-1"]


async def test_an_earlier_index_of_a_models_former_name_is_searched_by_that_name(indexing: Indexing):
    model = await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    await name_another(indexing, model)
    await indexing.settled()
    pinned = await searched(indexing, pins={indexing.source: 2})
    assert pinned.indexes == {str(indexing.source): 2}
    assert is_by_the_right_model(pinned)


async def test_a_model_that_moved_to_another_provider_is_asked_where_the_vectors_of_an_index_were_made(
    indexing: Indexing,
):
    model = await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    with ModelServer(vectors="words") as elsewhere:
        elsewhere.apart, elsewhere.lacks = True, {"embedding-1", "better-1"}
        provider = await indexing.make(Provider, "elsewhere", type="openai_compatible", base_url=elsewhere.url)
        for patch in ({"provider": str(provider), "model": "better-1"}, {"title": "Better"}):
            await indexing.container.bus.dispatch(ChangeThing(kind=Model, id=model, patch=patch), ASKED)
        await tried_in_vain(indexing)
        assert is_by_the_right_model(await searched(indexing))


async def test_a_former_name_is_asked_where_the_model_had_it_last(indexing: Indexing):
    model = await indexing.models()
    space = space_name(model, "embedding-1")
    with ModelServer(vectors="words") as elsewhere:
        provider = await indexing.make(Provider, "elsewhere", type="openai_compatible", base_url=elsewhere.url)
        for patch in (
            {"model": "better-1"},
            {"model": "embedding-1", "provider": str(provider)},
            {"model": "better-1"},
        ):
            await indexing.container.bus.dispatch(ChangeThing(kind=Model, id=model, patch=patch), ASKED)
            await indexing.container.embedding_models.embed(model, [MEAL], space)
        asked = [[each.body["model"] for each in server.requests] for server in (indexing.server, elsewhere)]
    assert asked == [["embedding-1"], ["embedding-1", "embedding-1"]]


@pytest.mark.parametrize("mode", ["hybrid", "vector"])
async def test_an_index_whose_model_is_archived_before_the_next_is_complete_goes_on_by_words(
    indexing: Indexing, mode: str
):
    model = await indexing.models()
    await indexing.add(GIVEN)
    await indexing.settled()
    indexing.server.lacks = {"better-1"}
    await make_another(indexing, model)
    await indexing.container.bus.dispatch(Archive(kind=Model, id=model), ASKED)
    await tried_in_vain(indexing)
    if mode == "vector":
        with pytest.raises(Archived):
            await searched(indexing, mode)
        return
    found = await searched(indexing, mode)
    assert (found.retrieval, found.passages[0].text) == ("lexical", MEAL)
    assert found.notes == ["Searched by words only: the query could not be embedded (archived)."]


async def test_vectors_of_a_name_that_a_model_never_had_are_compared_with_none(indexing: Indexing):
    model = await indexing.models()
    embeddings = indexing.container.embedding_models
    with pytest.raises(ModelCallFailed) as refused:
        await embeddings.embed(model, [MEAL], space="0123456789abcdef")
    assert refused.value.error_code == "embedding_model_changed"
    assert indexing.server.requests == []


async def test_documents_given_after_a_models_name_was_changed_are_found_in_the_index_that_answers(indexing: Indexing):
    model = await indexing.models()
    await indexing.add({"a": "Holidays are thirty days."})
    await indexing.settled()
    indexing.server.lacks = {"better-1"}
    await name_another(indexing, model)
    await tried_in_vain(indexing)
    [id] = await indexing.add({"b": MEAL})
    async with asyncio.timeout(PATIENCE):
        while "2" not in (await indexing.document(id)).indexed:
            await asyncio.sleep(0.01)
    assert await indexing.container.reached("passages_v1", await indexing.container.log.head(), PATIENCE)
    found = await searched(indexing)
    assert found.indexes == {str(indexing.source): 2}
    assert is_by_the_right_model(found)


async def test_an_index_of_a_models_former_name_that_is_taken_back_gets_what_is_given_then(indexing: Indexing):
    model = await indexing.models()
    await indexing.add({"a": "Holidays are thirty days."})
    await indexing.settled()
    await name_another(indexing, model)
    await indexing.settled()
    await indexing.container.bus.dispatch(SwitchIndex(kind=KnowledgeSource, id=indexing.source, index=2), ASKED)
    await indexing.add({"b": MEAL})
    await indexing.settled()
    found = await searched(indexing)
    assert found.indexes == {str(indexing.source): 2}
    assert is_by_the_right_model(found)


@pytest.mark.parametrize("change", [name_another, make_another])
async def test_an_index_whose_model_is_gone_keeps_none_from_the_one_that_replaces_it(indexing: Indexing, change: Any):
    model = await indexing.models()
    await indexing.add({"a": "Holidays are thirty days."})
    await indexing.settled()
    indexing.server.lacks = {"better-1"}
    await change(indexing, model)
    if change is make_another:
        await indexing.container.bus.dispatch(Archive(kind=Model, id=model), ASKED)
    await tried_in_vain(indexing)
    indexing.server.lacks = {"embedding-1"}
    [id] = await indexing.add({"b": MEAL})
    await indexing.settled()
    assert (await indexing.thing()).index == 3
    assert is_by_the_right_model(await searched(indexing))
    assert (await indexing.document(id)).status == "indexed"
