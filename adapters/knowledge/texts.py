"""What contents say, and how that was cut, each under the hash of what it was made from."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from hashlib import sha256

import orjson
from psycopg_pool import AsyncConnectionPool

from adapters.knowledge.contents import execute
from adapters.postgres import sql
from adapters.postgres.arrays import byte_strings, integers, jsonbs, texts
from adapters.postgres.reading import rows_of
from adapters.reading.wire import text_document, text_of
from commands.knowledge.index_entries import Cut
from commands.knowledge.reading import Chunk, Text

SQL = sql.load("adapters.knowledge", "texts.sql")
CHUNK = ("text", "start", "end", "page", "heading", "tokens", "searched", "parent", "cut")
CHUNKS_AT_ONCE = 10_000
"""Chunks of one statement."""


class PostgresTexts:
    """Keeps each text and each way of cutting it once."""

    def __init__(self, pool: AsyncConnectionPool) -> None:
        self._pool = pool

    async def texts(self, names: Collection[tuple[str, str]]) -> Mapping[tuple[str, str], Text]:
        """Return the texts that are kept, by (SHA-256 of the content, parser)."""
        rows = await rows_of(self._pool, SQL["texts"], _named(names))
        return {(bytes(content).hex(), parser): text_of(outline, text) for content, parser, text, outline in rows}

    async def keep_texts(self, made: Mapping[tuple[str, str], Text]) -> None:
        """Keep texts."""
        values = {
            **_named(made),
            "texts": texts([text.text for text in made.values()]),
            "outlines": jsonbs([orjson.dumps(text_document(text)) for text in made.values()]),
            "languages": texts([text.language for text in made.values()]),
        }
        await execute(self._pool, SQL["keep_texts"], values)

    async def cuts(self, ids: Collection[bytes]) -> Mapping[bytes, int]:
        """Return into how many chunks texts were cut, of those that are kept."""
        rows = await rows_of(self._pool, SQL["cuts"], {"ids": byte_strings(list(ids))})
        return {bytes(id): number for id, number in rows}

    async def kept(self, ids: Collection[bytes]) -> Mapping[bytes, Cut]:
        """Return ways of cutting with their chunks."""
        values = {"ids": byte_strings(list(ids))}
        chunks: defaultdict[bytes, list[Chunk]] = defaultdict(list)
        for id, *told in await rows_of(self._pool, SQL["chunks"], values, binary=True):
            chunks[bytes(id)].append(Chunk(**dict(zip(CHUNK, told, strict=True))))
        return {
            bytes(id): Cut(
                id=bytes(id),
                content=bytes(content).hex(),
                parser=parser,
                settings=settings,
                chunks=chunks[bytes(id)],
                language=language,
            )
            for id, content, parser, settings, language in await rows_of(self._pool, SQL["kept"], values, binary=True)
        }

    async def keep_cuts(self, cuts: Sequence[Cut]) -> None:
        """Keep chunks; a way of cutting is there only when all of its chunks are."""
        chunks = [(cut.id, ordinal, chunk) for cut in cuts for ordinal, chunk in enumerate(cut.chunks)]
        for start in range(0, len(chunks), CHUNKS_AT_ONCE):
            part = chunks[start : start + CHUNKS_AT_ONCE]
            values = {
                "chunkings": byte_strings([id for id, _, _ in part]),
                "ordinals": integers([ordinal for _, ordinal, _ in part]),
                "texts": texts([chunk.text for *_, chunk in part]),
                "hashes": byte_strings([hash_of(chunk.found_by) for *_, chunk in part]),
                "cut_hashes": byte_strings(
                    [None if chunk.cut_hash == hash_of(chunk.found_by) else chunk.cut_hash for *_, chunk in part]
                ),
                "tokens": integers([-1 if chunk.tokens is None else chunk.tokens for *_, chunk in part]),
                "searched": texts([chunk.searched for *_, chunk in part]),
                "parents": integers([-1 if chunk.parent is None else chunk.parent for *_, chunk in part]),
                "starts": integers([chunk.start for *_, chunk in part]),
                "ends": integers([chunk.end for *_, chunk in part]),
                "pages": integers([chunk.page or 0 for *_, chunk in part]),
                "headings": texts([chunk.heading for *_, chunk in part]),
            }
            await execute(self._pool, SQL["keep_chunks"], values)
        values = {
            "ids": byte_strings([cut.id for cut in cuts]),
            "contents": byte_strings([bytes.fromhex(cut.content) for cut in cuts]),
            "parsers": texts([cut.parser for cut in cuts]),
            "settings": jsonbs([orjson.dumps(dict(cut.settings)) for cut in cuts]),
            "numbers": integers([len(cut.chunks) for cut in cuts]),
            "languages": texts([cut.language for cut in cuts]),
        }
        await execute(self._pool, SQL["keep_cuts"], values)


def hash_of(text: str) -> bytes:
    """Return the SHA-256 of a text."""
    return sha256(text.encode()).digest()


def _named(names: Collection[tuple[str, str]]) -> dict[str, object]:
    return {
        "contents": byte_strings([bytes.fromhex(content) for content, _ in names]),
        "parsers": texts([parser for _, parser in names]),
    }
