"""Cutting texts into chunks with LlamaIndex's sentence splitter, each with the place where it stands.

The splitter is given our own functions: its defaults load a corpus and a tokenizer from elsewhere, and
the sentence function of that corpus is slower by far. A chunk is always a part of the text as it is.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from adapters.reading.words import Count, Within, Words, about
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
    counted = within(text.text, count)
    if (spans := chunking.get("spans")) is not None:
        return [_chunk(text, start, end, counted) for start, end in spans]
    if strategy == PARENTED:
        whole = Way(strategy="recursive", size=chunking["parent_size"], overlap=0, estimated=count is tokens)
        return _parented(text, whole, replace(whole, size=size, overlap=overlap), counted)
    way = Way(strategy=strategy, size=size, overlap=overlap, estimated=count is tokens)
    sections = _sections(text) if strategy in BY_HEADINGS else [(0, len(text.text))]
    return [
        _chunk(text, first, last, counted)
        for start, end in sections
        for first, last in _spans(text.text, start, end, way, counted)
    ]


def within(text: str, count: Count) -> Within:
    """Return what counts the tokens of parts of a text."""
    if isinstance(count, Words):
        return count.within(text)
    if count is tokens:
        return lambda start, end, _: tokens(text[start:end])
    return lambda start, end, most: count(text[start:end]) if most is None else about(text[start:end], most, count)


def _parented(text: Text, whole: "Way", part: "Way", counted: Within) -> list[Chunk]:
    """Return the chunks that are given, and after them their parts, which are found; what is short is both."""
    given: list[Chunk] = []
    parts: list[Chunk] = []
    for start, end in _spans(text.text, 0, len(text.text), whole, counted):
        chunk = _chunk(text, start, end, counted)
        spans = list(_spans(text.text, start, end, part, counted))
        if len(spans) > 1:
            chunk = replace(chunk, searched="")
            parts += [replace(_chunk(text, first, last, counted), parent=len(given)) for first, last in spans]
        given.append(chunk)
    return given + parts


def is_short(text: Text, chunking: Mapping[str, Any]) -> bool:
    """Return whether a text is one chunk as it is, so that nothing need be loaded to cut it."""
    alone = chunking["strategy"] not in BY_HEADINGS or not text.headings
    return chunking["strategy"] == "none" or (alone and tokens(text.text) <= chunking["size"])


def _sections(text: Text) -> list[tuple[int, int]]:
    starts = sorted({0, *(heading.at for heading in text.headings)})
    return list(zip(starts, [*starts[1:], len(text.text)], strict=True))


def _spans(text: str, start: int, end: int, way: "Way", counted: Within) -> Iterator[tuple[int, int]]:
    """Yield where the chunks of a part of a text begin and end."""
    found = NONBLANK.search(text, start, end)
    if found is None:
        return
    if way.strategy == "none" or counted(start, end, way.size) <= way.size:
        yield found.start(), start + len(text[start:end].rstrip())
        return
    splitter = _splitter(way)
    splits: list[_Split] = []
    places = [start]
    _split(text, start, end, splitter, counted, splits, places)
    covered = 0
    for merged in splitter._merge(splits, way.size):
        numbers = merged.split()
        first, last = places[int(numbers[0])], places[int(numbers[-1]) + 1]
        said = text[first:last]
        bare = said.lstrip()
        first += len(said) - len(bare)
        last = first + len(bare.rstrip())
        if first < last and last > covered:
            covered = last
            yield first, last


def _split(
    text: str, start: int, end: int, splitter: Any, counted: Within, splits: list["_Split"], places: list[int]
) -> None:
    """Do what the splitter's own way of splitting does, by places: add the splits of what is too long, and their ends.

    What the splitter merges are the numbers of its splits: of texts that repeat themselves, a chunk's own text would
    not tell where it stands.
    """
    size = splitter.chunk_size
    parts, whole = splitter._get_splits_by_fns(text[start:end])
    for part in parts:
        end = start + len(part)
        number = counted(start, end, size)
        if number <= size or len(parts) == 1:
            splits.append(_Split(f"{len(splits)} ", whole, number))
            places.append(end)
        else:
            _split(text, start, end, splitter, counted, splits, places)
        start = end


@dataclass(slots=True)
class _Split:
    """What the splitter merges."""

    text: str
    is_sentence: bool
    token_size: int


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a text is cut: by which strategy, into how many tokens, how many of them twice; whether these are estimated."""

    strategy: str
    size: int
    overlap: int
    estimated: bool


@lru_cache(maxsize=32)
def _splitter(way: Way) -> Any:
    from llama_index.core.callbacks.base import CallbackManager  # noqa: PLC0415  # slow to load
    from llama_index.core.node_parser.text.sentence import SentenceSplitter  # noqa: PLC0415

    unbroken = way.size if way.estimated else way.size // MOST_TOKENS
    return SentenceSplitter(
        chunk_size=way.size,
        chunk_overlap=way.overlap,
        tokenizer=list,  # it is not asked to count
        paragraph_separator=NO_PARAGRAPHS if way.strategy == "sentence" else "\n\n",
        chunking_tokenizer_fn=lines if way.strategy == "code" else sentences,
        secondary_chunking_regex=UNBROKEN % (unbroken, unbroken) + PHRASES,
        # One that was not set up: nothing of what we call ever calls back, and its set-up loads the whole library.
        callback_manager=CallbackManager.__new__(CallbackManager),
    )


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


def _chunk(text: Text, start: int, end: int, counted: Within) -> Chunk:
    return Chunk(
        start=start,
        end=end,
        text=text.text[start:end],
        page=bisect_right(text.pages, start) if text.pages else None,
        heading=_heading(text, start),
        tokens=counted(start, end, None),
    )


def _heading(text: Text, at: int) -> str | None:
    number = bisect_right(text.headings, at, key=lambda each: each.at)
    return text.headings[number - 1].text if number else None
