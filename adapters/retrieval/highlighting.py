"""Highlighting: which words of a passage matched, as PostgreSQL's text search has them."""

from collections.abc import Sequence
from dataclasses import replace

from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import SQL
from domain.retrieval import Passage

BEGIN, END = "\x02", "\x03"


async def highlighted(rows: Rows, passages: Sequence[Passage], queries: Sequence[str]) -> list[Passage]:
    """Return the passages with the ranges of their texts that any of the queries' words match."""
    values = {"ids": [passage.id for passage in passages], "queries": list(queries)}
    marked = {id: ranges_of(text) for id, text in await rows.of(SQL["marked"], values)} if passages else {}
    return [replace(passage, highlights=marked.get(passage.id, [])) for passage in passages]


def ranges_of(marked: str) -> list[tuple[int, int]]:
    """Return where the marked words stand in the text without its marks: (start, end), in characters."""
    ranges, before, start = [], 0, 0
    for at, sign in enumerate(marked):
        if sign == BEGIN:
            start = at - before
            before += 1
        elif sign == END:
            ranges.append((start, at - before))
            before += 1
    return ranges
