"""The statement that finds candidates in one space, put together from what a search needs."""

from functools import lru_cache
from typing import LiteralString

from psycopg import sql as statements

from adapters.postgres import sql
from adapters.postgres.passages.spaces import tables
from adapters.retrieval.rarity import TIERS

SQL = sql.load("adapters.retrieval", "search.sql")
SCHEMA = "passages_v1"
MOST = 100
"""Candidates of each side: what fusion and thresholds choose from."""

FEWER = (20, 50, MOST)
"""How many nearest vectors are asked for where nothing else has a say in which are the best."""

RANK = statements.SQL(" + ").join(
    # PostgreSQL divides the rank by an "or" of words by their number, so that a group's part is that of all its words.
    # A group that is not there is null, and no call.
    statements.SQL("coalesce({part}::float4 * ts_rank(c.words, {words}::tsquery, 1), 0)").format(
        part=statements.Placeholder(f"part_{number}"), words=statements.Placeholder(f"words_{number}")
    )
    for number in range(TIERS)
)
"""How well a passage's words fit; takes part_0, words_0 and so on."""


def statement(
    space: str | None,
    *,
    vector: bool,
    words: bool,
    condition: statements.Composable | None = None,
    most: int = MOST,
) -> statements.Composed:
    """Return the statement for a space; with a condition, only places that satisfy it are found."""
    parts: list[LiteralString] = [SQL["shelf"]]
    if condition is not None:
        parts.append(SQL["matching"])
    if vector:
        parts.append(SQL["vectors" if condition is None else "vectors_where"])
    if words:
        parts.append(SQL["words" if condition is None else "words_where"])
    last = SQL["candidates"] if vector and words else SQL["candidates_of_vectors" if vector else "candidates_of_words"]
    names = {
        **(tables(space, SCHEMA) if space else {}),
        "condition": condition or statements.SQL(SQL["everything"]),
        "most": statements.Literal(most),
        "rank": RANK,
    }
    whole = statements.SQL(", ").join([statements.SQL(part).format(**names) for part in parts])
    return statements.Composed([statements.SQL("WITH "), whole, statements.SQL(" "), statements.SQL(last)])


@lru_cache(maxsize=256)
def ready_statement(space: str | None, *, vector: bool, words: bool, limit: int) -> bytes:
    """Return the statement of a search that nothing narrows, in the form in which it is sent."""
    # A literal: how the planner finds the nearest ones hangs on how few are wanted.
    most = MOST if words else next((most for most in FEWER if most >= limit), MOST)
    return statement(space, vector=vector, words=words, most=most).as_bytes(None)
