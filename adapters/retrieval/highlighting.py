"""Highlighting: which words of a passage matched, as PostgreSQL's text search has them."""

import re
from collections.abc import Sequence
from dataclasses import replace

from adapters.retrieval.rows import Rows
from adapters.retrieval.statements import SQL
from domain.retrieval import Passage

BEGIN, END = "\x02", "\x03"
BLANKS = str.maketrans(dict.fromkeys(f"./_:@\\<{BEGIN}{END}", " "))
"""What separates words when they are stored; beginnings of tags, which would be left out; and our own signs."""

LONG = re.compile(r"\w{500,}|\W{500,}")
"""What PostgreSQL may leave out of a marked text: words, and what is none, of more than 2,046 bytes."""


async def highlighted(rows: Rows, passages: Sequence[Passage], queries: Sequence[str]) -> list[Passage]:
    """Return the passages with the ranges of their texts that any of the queries' words match."""
    texts = {passage.id: prepared(passage.text) for passage in passages}
    values = {"ids": list(texts), "texts": list(texts.values()), "queries": list(queries)}
    marked = {id: (text, parts) for id, text, parts in await rows.of(SQL["marked"], values)} if texts else {}
    return [replace(passage, highlights=_all(passage.text, *marked.get(passage.id, ("", [])))) for passage in passages]


def _all(text: str, marked: str, parts: Sequence[str]) -> list[tuple[int, int]]:
    """Return what is marked, with all places of the parts that no blanks tell from others; what overlaps or touches is one."""
    among = [(found.start(), found.start() + len(part)) for part in parts for found in re.finditer(f"(?={part})", text)]
    ranges: list[tuple[int, int]] = []
    for start, end in sorted(ranges_of(marked) + among):
        before = ranges.pop() if ranges and start <= ranges[-1][1] else (start, end)
        ranges.append((before[0], max(before[1], end)))
    return ranges


def prepared(text: str) -> str:
    """Return a text of the same length, none of which is left out when it is marked."""
    return LONG.sub(_broken, text.translate(BLANKS))


def _broken(run: "re.Match[str]") -> str:
    sign = " " if run[0][0].isalnum() or run[0][0] == "_" else "-"
    return "".join(sign if place % 500 == 499 else each for place, each in enumerate(run[0]))


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
