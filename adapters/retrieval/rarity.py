"""Which of a query's words are worth looking for: the rare ones find passages, the common ones only rank them.

Ranking costs a little for each passage that has one of the words, and a word such as "the" is in nearly all.
How common words are, PostgreSQL's statistics of the passages say; they are read again now and then.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

RANKED = 5_000
"""Passages that are ranked at most, as far as the statistics can tell; those of the rarest word always are."""

FRESH_FOR = 60.0
"""Seconds after which the statistics are read again."""


@dataclass(frozen=True, kw_only=True)
class Frequencies:
    """In which share of `passages` each of the most common words is, the commonest first."""

    passages: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)

    def expected(self, word: str) -> float:
        """Return in how many passages a word is; of one that is not among the common ones, at most."""
        least = min(self.shares.values(), default=0.0)
        return self.passages * self.shares.get(word, least)


class Rarity:
    """Chooses words; `read` returns rows of word, share of the passages, and number of passages."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[Sequence[Any]]]]) -> None:
        self._read = read
        self._known = Frequencies()
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def worth_finding(self, words: Collection[str]) -> frozenset[str]:
        """Return the rarest of the words, as many as find RANKED passages or fewer."""
        if len(words) < 2:
            return frozenset(words)
        known = await self._frequencies()
        if known.passages <= RANKED:
            return frozenset(words)
        chosen: list[str] = []
        found = 0.0
        for word in sorted(words, key=lambda word: (known.expected(word), word)):
            found += known.expected(word)
            if chosen and found > RANKED:
                break
            chosen.append(word)
        return frozenset(chosen)

    async def _frequencies(self) -> Frequencies:
        if time.monotonic() >= self._until and not self._reading.locked():
            async with self._reading:
                rows = await self._read()
                self._known = Frequencies(
                    passages=rows[0][2] if rows else 0, shares={word: share for word, share, _ in rows}
                )
                self._until = time.monotonic() + FRESH_FOR
        return self._known
