"""Cutting texts into chunks with LlamaIndex's sentence splitter, each with the place where it stands.

The splitter is given our own functions: its defaults load a corpus and a tokenizer from elsewhere, and
the sentence function of that corpus is slower by far. A chunk is always a part of the text as it is.
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache, partial
from itertools import accumulate
from typing import Any

from commands.knowledge.reading import Chunk, Text
from domain.unspaced import WIDE_STOPS

STOPS = r".!?\u2026"
SENTENCE_END = re.compile(
    rf"[{STOPS}{WIDE_STOPS}\n](?:"
    rf"(?<=[{STOPS}])(?<![{STOPS}][{STOPS}])[{STOPS}]*+[\"'\u201d\u2019)\]]*+\s++"
    rf"|(?<=[{WIDE_STOPS}])(?<![{WIDE_STOPS}][{WIDE_STOPS}])[{WIDE_STOPS}]*+[\u201d\u2019\u300d\u300f\uff09]*+\s*+"
    r"|(?<=\n)[^\S\n]*+\n\s*+)"
)
"""Begins only where a run of marks begins and never goes back, so that no text takes longer than others.

Its first character is one of a few, which is what the search looks for: most of a text is passed over at once.
"""

MARKS = rf",.;:{WIDE_STOPS}\uff0c\uff1b\u3001"
PHRASES = f"[^{MARKS}]{{0,2000}}[{MARKS}]+|[^{MARKS}]{{1,2000}}"
UNBROKEN = r"\S{%d}|\s{%d}|"
"""Parts of what has neither words nor gaps: as many characters as a chunk has tokens, which always fit."""

LINE = re.compile(r"[^\n]*\n|[^\n]+")
NONBLANK = re.compile(r"\S")
NO_PARAGRAPHS = "\x00"
"""No text holds it: texts have no NUL."""

PARENTED = "parent_child"
BY_HEADINGS = frozenset({"markdown", "html_headings"})


MOST_TOKENS = 4
"""Tokens of one character: vocabularies of bytes have one for each at most, others fewer."""

BEGINNING = 12
"""Characters of a long text for each token of a chunk: these are counted, and mostly tell that it does not fit."""

Count = Callable[[str], int]


def tokens(text: str) -> int:
    """Return how many tokens a text has, about: a quarter of its bytes in UTF-8, which fits English and most others.

    It stands in where the model's own tokenizer is not known.
    """
    size = len(text) if text.isascii() else len(text.encode("utf-8", "replace"))
    return (size + 3) // 4


def cut(text: Text, chunking: Mapping[str, Any], count: Count = tokens) -> list[Chunk]:
    """Cut a text; the chunks are in its order and cover all of it but blanks. `count` counts their tokens.

    Where they stand is given as `spans` where a plugin says it.
    """
    strategy, size, overlap = chunking["strategy"], chunking["size"], chunking["overlap"]
    if (spans := chunking.get("spans")) is not None:
        return [_chunk(text, start, end, count) for start, end in spans]
    if strategy == PARENTED:
        return _parented(text, size, overlap, chunking["parent_size"], count)
    sections = _sections(text) if strategy in BY_HEADINGS else [(0, len(text.text))]
    chunks: list[Chunk] = []
    for start, end in sections:
        for first, last in _spans(text.text[start:end], strategy, size, overlap, count):
            chunks.append(_chunk(text, start + first, start + last, count))
    return chunks


def _parented(text: Text, size: int, overlap: int, parent_size: int, count: Count) -> list[Chunk]:
    """Return the chunks that are given, and after them their parts, which are found; what is short is both."""
    given: list[Chunk] = []
    parts: list[Chunk] = []
    for start, end in _spans(text.text, "recursive", parent_size, 0, count):
        chunk = _chunk(text, start, end, count)
        spans = list(_spans(chunk.text, "recursive", size, overlap, count))
        if len(spans) > 1:
            chunk = replace(chunk, searched="")
            parts += [
                replace(_chunk(text, start + first, start + last, count), parent=len(given)) for first, last in spans
            ]
        given.append(chunk)
    return given + parts


def is_short(text: Text, chunking: Mapping[str, Any]) -> bool:
    """Return whether a text is one chunk as it is, so that nothing need be loaded to cut it."""
    alone = chunking["strategy"] not in BY_HEADINGS or not text.headings
    return chunking["strategy"] == "none" or (alone and tokens(text.text) <= chunking["size"])


def _sections(text: Text) -> list[tuple[int, int]]:
    starts = sorted({0, *(heading.at for heading in text.headings)})
    return list(zip(starts, [*starts[1:], len(text.text)], strict=True))


def _spans(text: str, strategy: str, size: int, overlap: int, count: Count) -> Iterator[tuple[int, int]]:
    """Yield where the chunks of a text begin and end."""
    found = NONBLANK.search(text)
    if found is None:
        return
    if strategy == "none" or about(text, size, count) <= size:
        yield found.start(), len(text.rstrip())
        return
    splitter = _splitter(strategy, size, overlap, count)
    splits = splitter._split(text, size)
    places = list(accumulate((len(each.text) for each in splits), initial=0))
    # What the splitter merges are the numbers of its splits: of texts that repeat themselves, a chunk's own
    # text would not tell where it stands.
    for number, each in enumerate(splits):
        each.text = f"{number} "
    covered = 0
    for merged in splitter._merge(splits, size):
        numbers = merged.split()
        start, end = places[int(numbers[0])], places[int(numbers[-1]) + 1]
        said = text[start:end].strip()
        start += len(text[start:end]) - len(text[start:end].lstrip())
        if said and start + len(said) > covered:
            covered = start + len(said)
            yield start, covered


@lru_cache(maxsize=32)
def _splitter(strategy: str, size: int, overlap: int, count: Count) -> Any:
    from llama_index.core.callbacks.base import CallbackManager  # noqa: PLC0415  # slow to load
    from llama_index.core.node_parser.text.sentence import SentenceSplitter  # noqa: PLC0415

    class Splitter(SentenceSplitter):
        # The inherited one looks its tokenizer up each time, which takes longest of all.
        _token_size = staticmethod(tokens if count is tokens else partial(about, size=size, count=count))

    unbroken = size if count is tokens else size // MOST_TOKENS
    return Splitter(
        chunk_size=size,
        chunk_overlap=overlap,
        tokenizer=lambda text: range(count(text)),
        paragraph_separator=NO_PARAGRAPHS if strategy == "sentence" else "\n\n",
        chunking_tokenizer_fn=lines if strategy == "code" else sentences,
        secondary_chunking_regex=UNBROKEN % (unbroken, unbroken) + PHRASES,
        # One that was not set up: nothing of what we call ever calls back, and its set-up loads the whole library.
        callback_manager=CallbackManager.__new__(CallbackManager),
    )


def about(text: str, size: int, count: Count) -> int:
    """Return how many tokens a text has; of one that has far more than `size`, only that it has more."""
    first = BEGINNING * size
    if len(text) > first:
        found = count(text[:first])
        if found > 2 * size:  # whatever follows, it can't make half of these go away
            return found
    return count(text)


def load_splitter() -> None:
    """Load the splitter, and have it work once: what it loads late is loaded then."""
    for strategy in ("recursive", "sentence", "code"):
        cut(Text(text="One. " * 40), {"strategy": strategy, "size": 16, "overlap": 4})


def sentences(text: str) -> list[str]:
    """Return the sentences of a text, with the blanks after each: together they are the text."""
    ends = [found.end() for found in SENTENCE_END.finditer(text)]
    return [text[start:end] for start, end in zip([0, *ends], [*ends, len(text)], strict=True) if start < end]


def lines(text: str) -> list[str]:
    """Return the lines of a text, with their ends."""
    return LINE.findall(text)


def _chunk(text: Text, start: int, end: int, count: Count) -> Chunk:
    return Chunk(
        start=start,
        end=end,
        text=text.text[start:end],
        page=bisect_right(text.pages, start) if text.pages else None,
        heading=_heading(text, start),
        tokens=count(text.text[start:end]),
    )


def _heading(text: Text, at: int) -> str | None:
    number = bisect_right(text.headings, at, key=lambda each: each.at)
    return text.headings[number - 1].text if number else None
