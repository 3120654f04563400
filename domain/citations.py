"""Citations: markers such as [2] or [1, 3] in a text, checked against the passages that were given."""

import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from domain.code_spans import CodeSpans, parts_of
from domain.retrieval import Passage, Twin

MARKER = re.compile(r"\[(\d{1,4}(?:\s*,\s*\d{1,4})*)\]")
BEGINNING = re.compile(r"\[[\[\d,\s]{0,200}\Z")
"""What may become a marker with the text to come."""


UNSHOWN = re.compile(rf"(?<![ \t])[ \t]*+{MARKER.pattern}")
UNSHOWN_BEGINNING = re.compile(rf"(?<![ \t])(?:[ \t]*+{BEGINNING.pattern}|[ \t]++\Z)")
"""The same where markers are left out: with what stands before them."""


@dataclass(frozen=True, kw_only=True)
class Marker:
    """A marker of a text, `text[start:end]` of it, and the passages that it names."""

    start: int
    end: int
    numbers: Sequence[int]


class CitationFilter:
    """Lets a text through as it comes, without the markers that point at nothing, or (not `shown`) without any.

    `citable` holds the numbers of the passages that whoever writes was given, at that moment;
    `invented` counts what was removed. Code is left as it is: `argv[1]` cites nothing. Where nothing can be cited
    (`cites` is not set), all is.
    """

    def __init__(self, citable: Container[int], *, shown: bool = True) -> None:
        self._citable = citable
        self._shown = shown
        self._marker, self._beginning = (MARKER, BEGINNING) if shown else (UNSHOWN, UNSHOWN_BEGINNING)
        self._spans = CodeSpans()
        self._held = ""
        self.cites = True
        self.cited: list[int] = []
        self.invented = 0

    def feed(self, text: str) -> str:
        """Return what can be said for certain; what may be half a marker is kept back."""
        return self._passed(self._spans.feed(text)) if self.cites else text

    def rest(self) -> str:
        """Return what was kept back, at the end."""
        return self._passed(self._spans.rest()) + self._released()

    def _passed(self, parts: Sequence[tuple[str, bool]]) -> str:
        return "".join(self._released() + text if code else self._prose(text) for text, code in parts)

    def _prose(self, text: str) -> str:
        text = self._without(self._held + text)
        beginning = self._beginning.search(text)
        self._held = text[beginning.start() :] if beginning else ""
        return text[: beginning.start()] if beginning else text

    def _released(self) -> str:
        held, self._held = self._held, ""
        return self._without(held)

    def _without(self, text: str) -> str:
        """Return a text without what points at nothing; what is left around a marker may be one in its turn."""
        before = None
        while text != before:
            before, text = text, self._marker.sub(self._checked, text)
        return text

    def _checked(self, found: "re.Match[str]") -> str:
        numbers = numbers_of(found)
        if not numbers:
            return found[0]
        kept = []
        for number in numbers:
            if number in self._citable:
                kept.append(number)
                if number not in self.cited:
                    self.cited.append(number)
            else:
                self.invented += 1
        return f"[{', '.join(map(str, kept))}]" if kept and self._shown else ""


def numbers_of(found: "re.Match[str]") -> list[int]:
    """Return the passages that what looks like a marker names; none where it is a list or range such as [0, 1]."""
    numbers = [int(part) for part in found[1].split(",")]
    return [] if len(numbers) > 1 and 0 in numbers else numbers


def markers(text: str) -> Iterator[Marker]:
    """Yield the markers of a text that was checked, in their order; in code there are none."""
    at = 0
    for part, code in parts_of(text):
        for found in () if code else MARKER.finditer(part):
            if numbers := numbers_of(found):
                yield Marker(start=at + found.start(), end=at + found.end(), numbers=numbers)
        at += len(part)


def renumbered(text: str, numbers: Mapping[int, int]) -> str:
    """Return a text with other numbers in its markers; those that have none are left out."""
    said, at = [], 0
    for marker in markers(text):
        new = dict.fromkeys(numbers[number] for number in marker.numbers if number in numbers)
        said += [text[at : marker.start], f"[{', '.join(map(str, new))}]" if new else ""]
        at = marker.end
    return "".join([*said, text[at:]])


def numbers_in(citations: Sequence[Mapping[str, Any]]) -> list[int]:
    """Return the numbers of citations in their public form."""
    return [int(each["marker"].strip("[]")) for each in citations]


def citations_of(cited: Sequence[int], passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Return the public form of each citation; numbers count the passages from 1."""
    return [
        {
            "marker": f"[{number}]",
            "passage_id": str(passage.id),
            "document_id": str(passage.document_id),
            "document_version": passage.document_version,
            "start": passage.start,
            "end": passage.end,
            "page": passage.page,
            "title": passage.title,
            "url": passage.url,
            "external_id": passage.external_id,
        }
        for number, passage in ((number, passages[number - 1]) for number in cited)
    ]


def passage_document(passage: Passage) -> dict[str, Any]:
    """Return the public form of a passage."""
    return {
        "id": str(passage.id),
        "text": passage.text,
        "score": passage.score,
        "scores": {name: passage.scores.get(name) for name in ("vector", "lexical", "fused", "weighed", "rerank")},
        "document": document_of(passage),
        "start": passage.start,
        "end": passage.end,
        "page": passage.page,
        "heading": passage.heading,
        "language": passage.language,
        "metadata": dict(passage.metadata),
        "also_in": [
            {
                "id": str(twin.id),
                "document": document_of(twin),
                "source_id": str(twin.source_id),
                "start": twin.start,
                "end": twin.end,
            }
            for twin in passage.also_in
        ],
        "highlights": None if passage.highlights is None else [list(each) for each in passage.highlights],
    }


def document_of(passage: Passage | Twin) -> dict[str, Any]:
    """Return the public form of the document that a passage is of."""
    return {
        "id": str(passage.document_id),
        "version": passage.document_version,
        "external_id": passage.external_id,
        "title": passage.title,
        "url": passage.url,
    }
