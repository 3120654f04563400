"""Answering without a model: the sentences of the best passages that share the most words with the question."""

import re
from collections.abc import Sequence

from domain.retrieval import Passage

SENTENCE = re.compile(r"[^.!?\n]+(?:[.!?]+(?=\s|\Z)|\n|\Z)")
WORD = re.compile(r"\w+")
MODEL = "extractive"
"""What stands in the place of a model's name."""

QUOTED = 3
"""Passages that are quoted at most."""

LONGEST = 600
"""Characters of a quotation."""


def quote(question: str, passages: Sequence[Passage], first: int = 1) -> str:
    """Return quotations of the best passages, each with its marker; numbers begin at `first`."""
    words = {word.lower() for word in WORD.findall(question) if len(word) > 2}
    quotations = [
        f'"{quotation(passage.text, words)}" [{number}]' for number, passage in enumerate(passages[:QUOTED], first)
    ]
    return "\n\n".join(quotations)


def quotation(text: str, words: set[str]) -> str:
    """Return the stretch of a text, of at most LONGEST characters, that begins where it fits the words best."""
    sentences = list(SENTENCE.finditer(text))
    if not sentences:
        return text[:LONGEST].strip()

    def shared(sentence: "re.Match[str]") -> int:
        return len(words & {word.lower() for word in WORD.findall(sentence[0])})

    best = max(sentences, key=shared)
    end = best.end()
    for sentence in sentences:
        if sentence.start() >= best.end() and sentence.end() - best.start() <= LONGEST // 2:
            end = sentence.end()
    return " ".join(text[best.start() : min(end, best.start() + LONGEST)].split())
