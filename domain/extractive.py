"""Answering without a model: the sentences of the best passages that share the most words with the question."""

import re
from collections import Counter
from collections.abc import Sequence

from domain.citations import MARKER
from domain.retrieval import Passage

SENTENCE = re.compile(r"(?:[^.!?\n]|[.!?](?=\S))+(?:[.!?](?=\s|\Z)|\n|\Z)")
WORD = re.compile(r"\w+")
MODEL = "extractive"
"""What stands in the place of a model's name."""

QUOTED = 3
"""Passages that are quoted at most."""

FUNCTION_WORDS = frozenset(
    [
        "about",
        "and",
        "any",
        "are",
        "but",
        "can",
        "could",
        "did",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "into",
        "its",
        "may",
        "might",
        "must",
        "not",
        "our",
        "shall",
        "should",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
"""Words of English questions that say nothing of what is asked for."""

ENOUGH = 0.5
"""Part of the best passage's fit that another one needs to be quoted too."""

LONGEST = 600
"""Characters of a quotation."""


def quote(question: str, passages: Sequence[Passage], first: int = 1) -> str:
    """Return quotations of the best passages that are about the question, each with its marker.

    Numbers begin at `first`. A word of the question counts the more, the fewer of the passages have it; titles count.
    """
    words = {word for word in _words(question) if len(word) > 2}
    words = words - FUNCTION_WORDS or words
    shared = [words & _words(f"{passage.title} {passage.text}") for passage in passages]
    having = Counter(word for each in shared for word in each)
    fits = [sum(1 / having[word] for word in each) for each in shared]
    enough = max(fits, default=0.0) * ENOUGH
    chosen = [number for number, fit in enumerate(fits) if fit >= enough][: QUOTED if enough else 1]
    quotations = [(quotation(passages[number].text, words), first + number) for number in chosen]
    # What looks like a marker in a text that is quoted is none of ours.
    return "\n\n".join(f'"{MARKER.sub(unmarked, text)}" [{number}]' for text, number in quotations)


def unmarked(found: "re.Match[str]") -> str:
    """Return what stands for [1] in a quotation."""
    return f"({found[1]})"


def quotation(text: str, words: set[str]) -> str:
    """Return the stretch of a text, of at most LONGEST characters, that begins where it fits the words best."""
    sentences = list(SENTENCE.finditer(text))
    if not sentences:
        return text[:LONGEST].strip()

    def shared(sentence: "re.Match[str]") -> int:
        return len(words & _words(sentence[0]))

    best = max(sentences, key=shared)
    end = best.end()
    for sentence in sentences:
        if sentence.start() >= best.end() and sentence.end() - best.start() <= LONGEST // 2:
            end = sentence.end()
    return " ".join(text[best.start() : min(end, best.start() + LONGEST)].split())


def words_of(text: str) -> list[str]:
    """Return the words of a text that say something, in their order."""
    return [word for word in map(str.lower, WORD.findall(text)) if len(word) > 2 and word not in FUNCTION_WORDS]


def _words(text: str) -> set[str]:
    return {word.lower() for word in WORD.findall(text)}
