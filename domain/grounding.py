"""Grounding: which sentences of an answer are supported by which passages that were given."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from domain.citations import MARKER
from domain.extractive import FUNCTION_WORDS, SENTENCE, WORD
from domain.retrieval import Passage
from domain.unspaced import words_in

Method = Literal["model", "similarity", "overlap"]
LEADING = re.compile(rf"\s*(?:{MARKER.pattern}\s*)+")
"""Markers at the beginning of a sentence: they are those of the one before."""

MOST_PARTS = 40
"""Parts of a passage that a sentence is compared with."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A sentence of an answer, `text[start:end]` of it; `passages` are the numbers, from 0, of those that support it.

    `score` is that of the best passage, 0..1 and -1..1 by similarity; None where a model says yes or no.
    """

    start: int
    end: int
    text: str
    passages: Sequence[int] = ()
    score: float | None = None


def sentences_of(answer: str) -> list[Sentence]:
    """Return the sentences of an answer, without blanks and markers; markers that follow one belong to it."""
    found: list[Sentence] = []
    for match in SENTENCE.finditer(answer):
        begin, leading = match.start(), LEADING.match(match[0])
        if found and leading:
            begin += leading.end()
            found[-1] = replace(found[-1], end=match.start() + len(leading[0].rstrip()))
        said = answer[begin : match.end()]
        text = " ".join(MARKER.sub(" ", said).split())
        if WORD.search(text):
            start = begin + len(said) - len(said.lstrip())
            found.append(Sentence(start=start, end=begin + len(said.rstrip()), text=text))
    return found


def parts_of(passage: Passage) -> list[str]:
    """Return the sentences of a passage, several together where there are too many; a passage without any is one part."""
    sentences = [text for match in SENTENCE.finditer(passage.text) if (text := match[0].strip())]
    together = -(-len(sentences) // MOST_PARTS)
    return [" ".join(sentences[first : first + together]) for first in range(0, len(sentences), max(1, together))] or [
        passage.text
    ]


def by_overlap(sentences: Sequence[Sentence], passages: Sequence[Passage], threshold: float) -> list[Sentence]:
    """Return the sentences with the passages that have at least this part of their words."""
    there = [_words(f"{passage.title} {passage.text}") for passage in passages]
    return by_scores(sentences, [[_part(_words(each.text), words) for words in there] for each in sentences], threshold)


def by_scores(sentences: Sequence[Sentence], scores: Sequence[Sequence[float]], threshold: float) -> list[Sentence]:
    """Return the sentences with the passages whose scores reach the threshold, the best first."""
    judged = []
    for sentence, of_passages in zip(sentences, scores, strict=True):
        order = sorted(range(len(of_passages)), key=lambda number: -of_passages[number])
        supporting = [number for number in order if of_passages[number] >= threshold]
        judged.append(replace(sentence, passages=supporting, score=max(of_passages, default=None)))
    return judged


def share(sentences: Sequence[Sentence]) -> float:
    """Return the part of the sentences that are supported; 1 where there are none."""
    return sum(bool(each.passages) for each in sentences) / len(sentences) if sentences else 1.0


def document(sentences: Sequence[Sentence], passages: Sequence[Passage]) -> list[dict[str, Any]]:
    """Return the public form of sentences."""
    return [
        {
            "start": each.start,
            "end": each.end,
            "supported": bool(each.passages),
            "passages": [str(passages[number].id) for number in each.passages],
            "score": each.score,
        }
        for each in sentences
    ]


def _words(text: str) -> set[str]:
    words = set(words_in(text.lower()))
    return words - FUNCTION_WORDS or words


def _part(words: set[str], there: set[str]) -> float:
    return len(words & there) / len(words)
