"""What the words of a query are worth: the rare ones find passages, the common ones only rank them, and little.

Ranking costs a little for each passage that has one of the words, and a word such as "the" is in nearly all.
How common words are, PostgreSQL's statistics of the passages say; they are read again now and then.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import log
from typing import Any

ALL_RANKED = 5_000
"""Passages up to which all that have one of the words are ranked, if that is all there are."""

RANKED = 1_000
"""As many are ranked of more: looking at each takes some microseconds."""

MOST_RANKED = 20_000
"""As many where a condition leaves only a part of what is ranked."""

UNCOMMON = 4
"""How many times as rare as the rarest of the common words the others are taken to be: most are rarer still."""

TIERS = 4
"""Groups of about equally rare words: PostgreSQL ranks by one query of equal words at a time."""

FRESH_FOR = 60.0
"""Seconds after which the statistics are read again."""


@dataclass(frozen=True, kw_only=True)
class Frequencies:
    """In which share of `passages` each of the most common words is, the commonest first."""

    passages: int = 0
    shares: Mapping[str, float] = field(default_factory=dict)

    @cached_property
    def _least(self) -> float:
        return min(self.shares.values(), default=0.0)

    def expected(self, word: str) -> float:
        """Return in how many passages a word is; one that is not among the common ones is rarer than the rarest of them."""
        return self.passages * self.shares.get(word, self._least / UNCOMMON)

    def idf(self, word: str) -> float:
        """Return the word's inverse document frequency; above 0."""
        having = self.expected(word)
        return log(1 + (self.passages - having + 0.5) / (having + 0.5))


class Rarity:
    """Weighs words; `read` returns rows of word, share of the passages, and number of passages."""

    def __init__(self, read: Callable[[], Awaitable[Sequence[Sequence[Any]]]]) -> None:
        self._read = read
        self._known = Frequencies()
        self._until = 0.0
        self._reading = asyncio.Lock()

    async def tiers(self, words: Collection[str]) -> Sequence[tuple[float, frozenset[str]]]:
        """Return the words in at most TIERS groups, each with the part that it has in a passage's rank.

        A word's part grows with its inverse document frequency, as in BM25 (Robertson and Zaragoza, 2009, section
        3.3.1); the parts of all words together are 1.
        """
        known = await self._frequencies()
        idfs = {word: known.idf(word) for word in sorted(words)}
        lowest, width = (
            min(idfs.values(), default=0.0),
            max(idfs.values(), default=0.0) - min(idfs.values(), default=0.0),
        )
        groups: dict[int, list[str]] = {}
        for word, idf in idfs.items():
            groups.setdefault(min(TIERS - 1, int(TIERS * (idf - lowest) / width)) if width else 0, []).append(word)
        whole = sum(idfs.values())
        return [(sum(idfs[word] for word in group) / whole, frozenset(group)) for _, group in sorted(groups.items())]

    async def worth_finding(self, words: Collection[str]) -> frozenset[str]:
        """Return the rarest of the words, as many as find RANKED passages or fewer."""
        if len(words) < 2:
            return frozenset(words)
        known = await self._frequencies()
        if known.passages <= ALL_RANKED:
            return frozenset(words)
        chosen: list[str] = []
        found = 0.0
        for word in sorted(words, key=lambda word: (known.expected(word), word)):
            found += known.expected(word)
            if chosen and found > RANKED:
                break
            chosen.append(word)
        return frozenset(chosen)

    async def found_by(self, words: Collection[str]) -> float:
        """Return in how many passages one of the words is, at most."""
        known = await self._frequencies()
        return min(known.passages, sum(map(known.expected, words)))

    async def ranked(self) -> int:
        """Return how many passages are ranked at most."""
        known = await self._frequencies()
        return ALL_RANKED if known.passages <= ALL_RANKED else RANKED

    async def _frequencies(self) -> Frequencies:
        if time.monotonic() >= self._until and not self._reading.locked():
            async with self._reading:
                rows = await self._read()
                self._known = Frequencies(
                    passages=rows[0][2] if rows else 0, shares={word: share for word, share, _ in rows}
                )
                self._until = time.monotonic() + FRESH_FOR
        return self._known
