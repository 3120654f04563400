"""Counting tokens in a reading process, by the tokenizer that was sent there: no file is opened for it."""

import re
from base64 import b64decode
from collections.abc import Callable

import tiktoken

from commands.knowledge.reading import Unreadable

try:
    import tokenizers
except ImportError as error:
    MISSING: str | None = error.name
else:
    MISSING = None

Count = Callable[[str], int]
CL100K_PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"""
    r"""|\s+(?!\S)|\s"""
)
"""How cl100k_base separates words, as tiktoken has it."""

PIECE = re.compile(r"\s*+\S++(?:[^\S ]\s*+\S++)*+(?:[^\S ]\s*+\Z)?+|\s++")
"""A part of a text that ends where a space follows something else, or with the text.

No word of CL100K_PATTERN reaches over such a place, and what follows is separated whatever stands before: so the tokens
of a text are those of its pieces.
"""

LONGEST_PIECE, MOST_PIECES = 32, 100_000
"""Characters of a piece, and pieces, whose numbers of tokens are remembered: most of a text are words seen before."""


def count_of(name: str, data: bytes) -> Count:
    """Return what counts the tokens of a text, without those that a model puts around it; or raise Unreadable."""
    if name == "cl100k_base":
        pairs = (line.split() for line in data.splitlines() if line)
        ranks = {b64decode(token): int(rank) for token, rank in pairs}
        encoding = tiktoken.Encoding(name, pat_str=CL100K_PATTERN, mergeable_ranks=ranks, special_tokens={})
        known = Pieces(lambda text: len(encoding.encode_ordinary(text)))
        return remembering(lambda text: sum(map(known.__getitem__, PIECE.findall(text))))
    if MISSING is not None:
        raise Unreadable(
            f"Texts are counted by a tokenizer for which '{MISSING}' is missing: install magnet[local-embeddings]."
        )
    try:
        found = tokenizers.Tokenizer.from_buffer(data)
    except Exception:  # the library raises nothing more exact
        raise Unreadable("The model's tokenizer.json is none.") from None
    found.no_truncation()
    found.no_padding()
    return remembering(lambda text: len(found.encode(text, add_special_tokens=False).ids))


class Pieces(dict[str, int]):
    """How many tokens pieces have; what has not been seen is counted, and remembered where it is short."""

    def __init__(self, count: Count) -> None:
        super().__init__()
        self._count = count

    def __missing__(self, piece: str) -> int:
        found = self._count(piece)
        if len(piece) <= LONGEST_PIECE:
            if len(self) == MOST_PIECES:
                self.clear()
            self[piece] = found
        return found


def remembering(count: Count) -> Count:
    """Return what counts the same, but a text that is asked for again at once only the first time."""
    last: tuple[str, int] = ("", count(""))

    def counted(text: str) -> int:
        nonlocal last
        if text is not last[0]:
            last = text, count(text)
        return last[1]

    return counted
