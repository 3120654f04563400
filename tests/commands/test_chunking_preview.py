"""Previewing how a document is cut: the chunks as they would be, and nothing stored."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from adapters.reading.reader import Reader
from commands.knowledge.chunking_preview import ChunkingPreviews, PreviewChunking, headings_above
from commands.knowledge.reading import Heading, UnsupportedMediaType
from commands.knowledge.tokenizing import Cutter
from domain.knowledge_source import Chunking
from tests.support.reading import NoThings, NoTokenizers

MANUAL = "# Pump\n\nFor water.\n\n## Setup\n\nOpen the valve.\n\n## Faults\n\n" + "It hums and stands still. " * 30


@pytest.fixture
async def previews() -> AsyncIterator[ChunkingPreviews]:
    reader = Reader()
    yield ChunkingPreviews(cutter=Cutter(reader=reader, tokenizers=NoTokenizers()), things=NoThings())
    await reader.close()


def asked(text: str, media_type: str = "text/markdown", most: int = 200, **chunking: Any) -> PreviewChunking:
    settings = Chunking(**chunking).model_dump()
    return PreviewChunking(chunking=settings, content=text.encode(), media_type=media_type, name="", most=most)


async def test_a_preview_shows_each_chunk_with_its_place_headings_and_size(previews: ChunkingPreviews):
    shown = await previews.show(asked(MANUAL, strategy="markdown", size=64, overlap=0))
    assert [each["headings"] for each in shown["chunks"][:3]] == [["Pump"], ["Pump", "Setup"], ["Pump", "Faults"]]
    assert all(MANUAL[each["start"] : each["end"]] == each["text"] for each in shown["chunks"])
    assert all(0 < each["tokens"] <= 64 for each in shown["chunks"])
    assert (shown["parser"], shown["title"], shown["characters"]) == ("markdown", "Pump", len(MANUAL))
    assert shown["chunks_total"] == len(shown["chunks"]) > 4


async def test_of_many_chunks_the_first_are_shown_and_all_are_counted(previews: ChunkingPreviews):
    shown = await previews.show(asked("A sentence. " * 400, "text/plain", most=3, size=16, overlap=0))
    assert len(shown["chunks"]) == 3 < shown["chunks_total"]


async def test_what_can_not_be_read_is_told_as_it_would_be_of_a_document(previews: ChunkingPreviews):
    with pytest.raises(UnsupportedMediaType):
        await previews.show(asked("x", "image/png"))


async def test_a_preview_tells_which_profile_fits(previews: ChunkingPreviews):
    profiles = [{"glob": "*.log", "parser": "text", "chunking": Chunking(strategy="none").model_dump()}]
    given = replace(asked("# A\n\none\n\n# B\n\ntwo", strategy="markdown"), name="a.log", profiles=profiles)
    shown = await previews.show(given)
    assert (shown["profile"], shown["parser"], shown["chunks_total"]) == ("*.log", "text", 1)
    shown = await previews.show(replace(given, name="a.md"))
    assert (shown["profile"], shown["parser"], shown["chunks_total"]) == (None, "markdown", 2)


async def test_headings_are_looked_through_once_however_many_there_are():
    headings = [Heading(at=4 * number, level=number % 6 + 1, text=str(number)) for number in range(300_000)]
    found = headings_above([4 * number for number in range(299_000, 300_000)] * 2, headings)
    assert found[4 * 299_999] == ["299994", "299995", "299996", "299997", "299998", "299999"]
    assert len(found) == 1_000
