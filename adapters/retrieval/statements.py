"""The statement that finds candidates in one space, put together from what a search needs."""

from functools import lru_cache
from typing import Literal, LiteralString

from psycopg import sql as statements

from adapters.postgres import sql
from adapters.postgres.passages.spaces import tables
from adapters.retrieval.rarity import TIERS

SQL = sql.load("adapters.retrieval", "search.sql")
SCHEMA = "passages_v1"
Weighing = Literal["ageless", "age_by_field", "age_by_version"]
"""What candidates are weighed by besides their sources: nothing, a field of theirs, or when they were given."""

MOST = 100
"""Candidates of each side: what fusion and thresholds choose from."""

FEWER = (20, 50, MOST)
"""How many nearest vectors are asked for where nothing else has a say in which are the best."""


TOLD = 14
"""Columns of what is told of a passage."""

PARAMETERS = ("vector", "near", "every_word", "several_words", "some_words", "all_words")
"""What each query has, besides the parts of its rank."""


def rank(number: int) -> statements.Composable:
    """Return how well a passage's words fit a query; takes part_N_0, words_N_0 and so on."""
    # PostgreSQL divides the rank by an "or" of words by their number, so that a group's part is that of all its words.
    # A group that is not there is null, and no call.
    return statements.SQL(" + ").join(
        statements.SQL("coalesce({part}::float4 * ts_rank(c.words, {words}::tsquery, 1), 0)").format(
            part=statements.Placeholder(f"part_{number}_{tier}"), words=statements.Placeholder(f"words_{number}_{tier}")
        )
        for tier in range(TIERS)
    )


def statement(
    space: str | None,
    *,
    vector: bool,
    words: bool,
    queries: int = 1,
    condition: statements.Composable | None = None,
    weighing: Weighing | None = None,
    parted: bool = False,
    named: bool = False,
    told: bool = False,
    most: int = MOST,
) -> statements.Composed:
    """Return the statement for a space and so many queries; with a condition, only places that satisfy it are found.

    `parted`: some passages are given as parts of others. `named`: another store names the nearest ones (near_N). Its rows
    are the number of the query, a passage, its distance, its rank and what it weighs; with `told` also what is told of the
    first ones of what vectors alone find. The last one has the indexes.
    """
    once: list[LiteralString] = [SQL["shelf"]]
    each: list[LiteralString] = []
    if condition is not None:
        once.append(SQL["matching"])
    if vector:
        each.append(SQL["vectors_named" if named else "vectors" if condition is None else "vectors_where"])
    if words:
        each.append(SQL["words" if condition is None else "words_where"])
    last = "candidates" if vector and words else "candidates_of_vectors" if vector else "candidates_of_words"
    told = told and last == "candidates_of_vectors" and not parted
    shared = {
        **(tables(space, SCHEMA) if space else {}),
        "condition": condition or statements.SQL(SQL["everything"]),
        # A literal: how the planner finds the nearest ones hangs on how few are wanted.
        "most": statements.Literal(most),
    }
    numbered = [{**shared, **_names(number), "factors": _factors(last, weighing)} for number in range(queries)]
    parts = [statements.SQL(part).format(**shared) for part in once]
    for names in numbered:
        inner = {name: statements.SQL(SQL[name]).format(**names) for name in ("likely", "sought")}
        parts += [statements.SQL(part).format(**names, **inner) for part in each]
    query = SQL["nearest_told" if told else last]
    found: list[statements.Composable] = [
        statements.SQL(query).format(**names, told=statements.SQL(SQL["told"])) for names in numbered
    ]
    if parted:
        found = [statements.SQL(SQL["given"]).format(found=each) for each in found]
    nulls = statements.SQL(", NULL" * TOLD if told else "")
    found.append(statements.SQL(SQL["answering"]).format(nulls=nulls))
    whole, rows = statements.SQL(", ").join(parts), statements.SQL(" UNION ALL ").join(found)
    return statements.Composed([statements.SQL("WITH "), whole, statements.SQL(" "), rows])


def _factors(last: str, weighing: Weighing | None) -> statements.Composable:
    """Return what a candidate weighs, where anything does."""
    if weighing is None:
        return statements.SQL(SQL["no_factors"])
    place = {"candidates": "coalesce(v.place, w.place)", "candidates_of_vectors": "v.place"}.get(last, "w.place")
    return statements.SQL(SQL["factors"]).format(
        place=statements.SQL(place), recency=statements.SQL(SQL[weighing]).format()
    )


def _names(number: int) -> dict[str, statements.Composable]:
    """Return what belongs to one of the queries."""
    return {
        "number": statements.Literal(number),
        "rank": rank(number),
        **{name: statements.Identifier(f"{name}_{number}") for name in ("vectors", "words")},
        **{name: statements.Placeholder(f"{name}_{number}") for name in PARAMETERS},
    }


@lru_cache(maxsize=256)
def ready_statement(
    space: str | None,
    *,
    vector: bool,
    words: bool,
    queries: int,
    condition: str | None,
    weighing: Weighing | None,
    parted: bool,
    named: bool,
    told: bool,
    most: int,
) -> bytes:
    """Return a statement in the form in which it is sent; a condition's text names its values and has none of them."""
    return statement(
        space,
        vector=vector,
        words=words,
        queries=queries,
        condition=None if condition is None else statements.SQL(condition),
        weighing=weighing,
        parted=parted,
        named=named,
        told=told,
        most=most,
    ).as_bytes(None)
