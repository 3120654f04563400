"""The words of a query as the statement of a search takes them: what finds passages, and what ranks them."""

from collections.abc import Collection, Mapping
from typing import Any

from adapters.retrieval.rarity import TIERS, Rarity


async def words_of(known: Rarity, number: int, lexemes: Collection[str], *, sought: bool) -> Mapping[str, Any]:
    """Return the words of a query, those that find passages, and what they count for; by name, queries as text."""
    tiers: list[tuple[float | None, str | None]] = [(part, any_of(words)) for part, words in await known.tiers(lexemes)]
    tiers += [(None, None)] * (TIERS - len(tiers))
    every, several, some = await _likely(known, lexemes) if sought else (None, None, any_of(lexemes))
    return {
        f"all_words_{number}": any_of(lexemes),
        f"every_word_{number}": every,
        f"several_words_{number}": several,
        f"some_words_{number}": some,
        **{f"part_{number}_{tier}": part for tier, (part, _) in enumerate(tiers)},
        **{f"words_{number}_{tier}": words for tier, (_, words) in enumerate(tiers)},
    }


async def _likely(known: Rarity, lexemes: Collection[str]) -> tuple[str | None, str | None, str]:
    """Return what finds candidates, each wider than the one before, as far as they are needed.

    Those are all words together, a rare one with another, and any rare one. Where that finds no more than are ranked,
    it alone is asked for: each costs a walk through the index.
    """
    rare = await known.worth_finding(lexemes)
    some, others = any_of(rare), frozenset(lexemes) - rare
    if len(lexemes) < 2 or await known.found_by(rare) <= await known.ranked():
        return None, None, some
    every = " & ".join(map(_quoted, sorted(lexemes)))
    if len(lexemes) == 2 or not others:
        return None, every, some
    return every, f"({some}) & ({any_of(others)})", some


def any_of(lexemes: Collection[str]) -> str:
    """Return a tsquery that any of the words satisfies."""
    return " | ".join(map(_quoted, sorted(lexemes)))


def _quoted(lexeme: str) -> str:
    written = lexeme.replace("\\", "\\\\").replace("'", "''")
    return f"'{written}'"
