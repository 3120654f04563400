"""Counting the tokens of a text and of all parts of it, each word once.

It fits vocabularies whose words end where a space follows something else, whatever stands before or after: then the
tokens of a text are those of its words, and those of a part are the words in it and what the part has of one at
either end.
"""

import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from itertools import accumulate, compress, count, repeat
from operator import add, sub
from typing import NamedTuple

Count = Callable[[str], int]
"""Tells how many tokens a text has."""

Within = Callable[[int, int, int | None], int]
"""Tells how many tokens a part of a text has: where it begins and ends, and how many tokens matter.

Of a part that has far more than those it may only tell that it has more; None: exactly.
"""

PIECE = re.compile(r"\s*+\S++(?:[^\S ]\s*+\S++)*+(?:[^\S ]\s*+\Z)?+|\s++")
"""A part of a text that ends where a space follows something else, or with the text."""

BREAK = re.compile(r"(?<=\S) ")
BLOCK = 200_000
"""Characters that are looked at together: the words of longer texts would take much memory."""

LONGEST_PIECE, MOST_PIECES = 32, 100_000
"""Characters of a piece, and pieces, whose numbers of tokens are remembered: most of a text are words seen before."""

LONG = 2_000
"""Characters of a piece from which on it is not counted as a whole."""

BEGINNING = 12
"""Characters of a long text for each token that matters: these are counted, and mostly tell that it has more."""


def about(text: str, most: int, counted: Count) -> int:
    """Return how many tokens a text has; of one that has far more than `most`, only that it has more."""
    first = BEGINNING * most
    if len(text) > first:
        found = counted(text[:first])
        if found > 2 * most:  # whatever follows, it can't make half of these go away
            return found
    return counted(text)


class Index(NamedTuple):
    """Where the words of a text end, and how many tokens it has up to there; and where words begin that are too long."""

    ends: MutableSequence[int]
    sums: MutableSequence[int]
    long: MutableSequence[int]


class Words:
    """Counts tokens by words; words that were seen are remembered."""

    def __init__(self, encode: Callable[[str], Sequence[int]], spaced: bytes) -> None:
        """Take what makes tokens of a text, and for each token whether it begins with a space: 0 or 1."""
        self._encode = encode
        self._spaced = spaced
        self._pieces = Pieces(lambda text: len(encode(text)))
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        """Return how many tokens a text has."""
        return sum(map(self._pieces.__getitem__, PIECE.findall(text)))

    def within(self, text: str) -> Within:
        """Return what counts the parts of a text."""
        index = Index([0], [0], []) if len(text) <= BLOCK else Index(array("Q", [0]), array("Q", [0]), array("Q"))
        for start, end in blocks(text):
            self._add(text[start:end], index)
        ends, sums, long = index
        pieces = self._pieces

        def counted(start: int, end: int, most: int | None) -> int:
            first, last = bisect_left(ends, start), bisect_right(ends, end) - 1
            if first > last:  # all of it lies in one word
                begins = stops = end
                found = 0
            else:
                begins, stops = ends[first], ends[last]
                found = sums[last] - sums[first]
            if (
                begins - start > LONG
                or end - stops > LONG
                or (long and bisect_left(long, begins) < bisect_left(long, stops))
            ):
                part = text[start:end]
                return self(part) if most is None else about(part, most, self)
            if start < begins:
                found += pieces[text[start:begins]]
            if stops < end:
                found += pieces[text[stops:end]]
            return found

        return counted

    def _add(self, block: str, index: Index) -> None:
        """Add the words of a block."""
        words = block.split(" ")
        tokens = self._tokens(words)
        if tokens is None:
            first, *others = PIECE.findall(block)
            words = [first, *(piece[1:] for piece in others)]
            tokens = self._tokens(words)
            assert tokens is not None  # so are pieces made
        ends, sums, long = index
        sizes = list(map(len, words))
        if max(sizes) >= LONG:  # with the space before it, one of that many is too long, too
            places = accumulate(map(add, sizes, repeat(1)), initial=ends[-1])
            long.extend(place for place, size in zip(places, sizes, strict=False) if size >= LONG)
        sizes[0] += ends[-1] - 1
        ends.extend(accumulate(map(add, sizes, repeat(1))))
        tokens[0] += sums[-1]
        sums.extend(accumulate(tokens))

    def _tokens(self, words: Sequence[str]) -> list[int] | None:
        """Return how many tokens words have, all but the first with a space before; of what is too long, none.

        None: these are no words, as some of them end in blanks.
        """
        first, *inner = words
        if not inner:
            return [self._number(first)]
        last = inner.pop()
        # Words of a text are looked up among its own ones, which are few, and only these among all that are known.
        own = dict.fromkeys(inner, 0)
        own = dict(zip(own, map(self._known.get, own, repeat(0)), strict=True))
        unknown = [word for word, number in own.items() if not number]
        if first[-1:].isspace() or not all(word and not word[-1].isspace() for word in unknown):
            return None
        if unknown:
            own.update(self._learnt(unknown))
        return [self._number(first), *map(own.__getitem__, inner), self._number(" " + last)]

    def _number(self, piece: str) -> int:
        return 0 if len(piece) > LONG else self._pieces[piece]

    def _learnt(self, words: Sequence[str]) -> dict[str, int]:
        """Return how many tokens words have with a space before; those that are short are remembered."""
        learnt = self._together([word for word in words if len(word) <= LONG and " " not in word])
        for word in words:
            if word not in learnt:
                learnt[word] = self._number(" " + word)
        if len(self._known) + len(learnt) > MOST_PIECES:
            self._known.clear()
        self._known.update((word, number) for word, number in learnt.items() if len(word) <= LONGEST_PIECE)
        return learnt

    def _together(self, words: Sequence[str]) -> dict[str, int]:
        """Count words without blanks, with a space before, all at once: each for itself takes three times as long."""
        made = self._encode(" " + " ".join(words)) if words else ()
        begun = [*compress(count(), map(self._spaced.__getitem__, made)), len(made)]
        return dict(zip(words, map(sub, begun[1:], begun), strict=True))


class Pieces(dict[str, int]):
    """How many tokens pieces have; what has not been seen is counted, and remembered where it is short."""

    def __init__(self, counted: Count) -> None:
        super().__init__()
        self._counted = counted

    def __missing__(self, piece: str) -> int:
        found = self._counted(piece)
        if len(piece) <= LONGEST_PIECE:
            if len(self) == MOST_PIECES:
                self.clear()
            self[piece] = found
        return found


def blocks(text: str) -> Iterator[tuple[int, int]]:
    """Yield where the blocks of a text begin and end, each at the end of a word."""
    start = 0
    while start < len(text):
        found = BREAK.search(text, start + BLOCK)
        end = found.start() if found else len(text)
        yield start, end
        start = end
