"""Counting tokens in a reading process, by the tokenizer that was sent there: no file is opened for it."""

from base64 import b64decode

import tiktoken

from adapters.reading.words import Count, Words
from commands.knowledge.reading import Unreadable

try:
    import tokenizers
except ImportError as error:
    MISSING: str | None = error.name
else:
    MISSING = None

CL100K_PATTERN = (
    r"""'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]"""
    r"""|\s+(?!\S)|\s"""
)
"""How cl100k_base separates words, as tiktoken has it."""


def count_of(name: str, data: bytes) -> Count:
    """Return what counts the tokens of a text, without those that a model puts around it; or raise Unreadable."""
    if name == "cl100k_base":
        pairs = (line.split() for line in data.splitlines() if line)
        ranks = {b64decode(token): int(rank) for token, rank in pairs}
        encoding = tiktoken.Encoding(name, pat_str=CL100K_PATTERN, mergeable_ranks=ranks, special_tokens={})
        spaced = bytearray(max(ranks.values()) + 1)
        for token, rank in ranks.items():
            spaced[rank] = token.startswith(b" ")
        return Words(encoding.encode_ordinary, bytes(spaced))
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


def remembering(count: Count) -> Count:
    """Return what counts the same, but a text that is asked for again at once only the first time."""
    last: tuple[str, int] = ("", count(""))

    def counted(text: str) -> int:
        nonlocal last
        if text is not last[0]:
            last = text, count(text)
        return last[1]

    return counted
