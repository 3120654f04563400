"""A corpus that is too large to be held as the smaller ones are: vectors of 16 bits, real text, one document of a group.

Its vectors are clustered as those of `corpus`. Its texts are pairs of stretches of documentation strings of the
standard library: words are as frequent as people write them, and no two texts are the same.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from api.cli.library_documents import library_documents
from benchmarks.corpus import LATENT, NOISE, TOPICS, Corpus, Vectors

STRETCH = 20
"""Words of each of the two stretches of a passage."""

ASKED = 6
"""Words of a question."""

AT_ONCE = 50_000
"""Vectors that are made, or compared, together."""

FEW, ALL = "ten", "staff"
"""Groups: of the first document, and of all others."""


class LargeCorpus(Corpus):
    """Ten passages to a document; the first document is of the group FEW, all others of the group ALL."""

    def acl(self, document: int) -> list[str]:
        """Return the groups that may find a document."""
        return [ALL if document else FEW]

    def nearest(self, limit: int) -> list[list[int]]:
        """Return, for each question, the numbers of the passages that are nearest to it, of those of the group ALL."""
        asked = self.question_vectors.astype(np.float16).astype(np.float32).T
        best: list[list[tuple[float, int]]] = [[] for _ in self.questions]
        for first in range(0, len(self.texts), AT_ONCE):
            some = self.vectors[first : first + AT_ONCE].astype(np.float32)
            likeness = (some @ asked) / np.linalg.norm(some, axis=1, keepdims=True)
            if first == 0:
                likeness[: self.per_document] = -2
            rows = np.argpartition(-likeness, min(limit, len(some) - 1), axis=0)[:limit]
            for question, found in enumerate(best):
                found += [(float(likeness[row, question]), first + int(row)) for row in rows[:, question]]
        return [[number for _, number in sorted(found, reverse=True)[:limit]] for found in best]


def large_corpus(passages: int, dimensions: int, questions: int = 200) -> LargeCorpus:
    """Make a corpus of some tens of passages or more; the same arguments give the same."""
    per_document = 10
    passages -= passages % per_document
    chance = np.random.default_rng(7)
    spread = chance.standard_normal((LATENT, dimensions), dtype=np.float32) / np.sqrt(LATENT)
    centres = chance.standard_normal((TOPICS, LATENT), dtype=np.float32)
    topics = np.minimum(chance.zipf(1.3, passages) - 1, TOPICS - 1)
    words = [word for each in library_documents() for word in each["text"].replace("\0", " ").split()]
    starts = chance.integers(0, len(words) - STRETCH, (passages, 2))
    asked: dict[str, int] = {}  # no two alike: a question's vector is found by its text
    while len(asked) < questions:
        number = int(chance.integers(0, passages))
        start = int(starts[number, 0])
        asked[" ".join(words[start : start + ASKED])] = number

    def vectors(of: NDArray[np.int64]) -> Vectors:
        latent = centres[of] + 0.7 * chance.standard_normal((len(of), LATENT), dtype=np.float32)
        made = latent @ spread + NOISE * chance.standard_normal((len(of), dimensions), dtype=np.float32)
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    made = np.empty((passages, dimensions), np.float16)
    for first in range(0, passages, AT_ONCE):
        made[first : first + AT_ONCE] = vectors(topics[first : first + AT_ONCE])
    return LargeCorpus(
        per_document=per_document,
        texts=[text(words, number, pair) for number, pair in enumerate(starts.tolist())],
        vectors=made,  # type: ignore[arg-type]  # what is read of them is the same at half the memory
        questions=list(asked),
        question_vectors=vectors(topics[list(asked.values())]),
    )


def text(words: Sequence[str], number: int, starts: Sequence[int]) -> str:
    """Return a passage's text; its number makes it another one than all others."""
    return " ".join(word for start in starts for word in words[start : start + STRETCH]) + f" {number}"
