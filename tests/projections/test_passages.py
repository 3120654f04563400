"""The read model that searches read, and searching it."""

from collections.abc import AsyncIterator

import pytest

from tests.support.knowledge import Knowledge, knowledge
from tests.support.postgres import Database


@pytest.fixture
async def known(database: Database) -> AsyncIterator[Knowledge]:
    async with knowledge(database) as made:
        yield made


async def test_a_passage_is_found_by_its_words_and_by_its_vector(known: Knowledge):
    await known.source()
    await known.add("handbook", "a", "Holidays are thirty days a year.", "Bring a bicycle.", title="Time off")
    await known.add("handbook", "b", "Lunch is at noon.")
    for mode in ("lexical", "vector", "hybrid"):
        found = await known.search("thirty holidays a year", mode=mode)
        assert found.retrieval == mode
        assert found.passages[0].text == "Holidays are thirty days a year."
    first = found.passages[0]
    assert (first.external_id, first.title, first.start, first.end) == ("a", "Time off", 0, 32)
    assert found.indexes == {str(known.sources["handbook"].id): 1}
    assert set(found.timings_ms) == {"embed", "sql", "fuse", "total"}
