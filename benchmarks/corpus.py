"""Passages to be searched: words by Zipf's law and by topic, and vectors that have a few numbers' worth of meaning.

Embeddings of texts fill a small part of the space that their length spans. Here each is made from LATENT
numbers around its topic's, spread over all dimensions, with a little noise: what an index finds among
them is neither as easy as among separate heaps nor as hard as among vectors that mean nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

LATENT, TOPICS, NOISE = 32, 500, 0.1
WORDS, TOPIC_WORDS, LENGTH = 50_000, 200, 40
SYLLABLES = [f"{first}{second}" for first in "bdfgklmnprstvz" for second in "aeiou"]
PER_DOCUMENT = 4
"""Passages of one document."""

SHARES = {"tenth": 10, "hundredth": 100, "thousandth": 1000}
"""Metadata field of each document -> how many values it has, all equally often."""

Vectors = NDArray[np.float32]


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Passages, equally many of each document, and questions about them; vectors have length 1."""

    per_document: int
    texts: Sequence[str]
    vectors: Vectors
    questions: Sequence[str]
    question_vectors: Vectors

    @property
    def documents(self) -> int:
        """How many documents there are."""
        return len(self.texts) // self.per_document

    def acl(self, document: int) -> list[str] | None:
        """Return the groups that may find a document; None: everyone."""
        return None

    @cached_property
    def stored(self) -> Vectors:
        """The vectors as they are stored: numbers of 16 bits."""
        return self.vectors.astype(np.float16).astype(np.float32)

    def exact(self, question: int, limit: int, field: str | None = None, value: int = 0) -> list[int]:
        """Return the numbers of the passages that are nearest to a question, of those with a field's value."""
        likeness = self.stored @ self.question_vectors[question].astype(np.float16).astype(np.float32)
        likeness /= np.linalg.norm(self.stored, axis=1)
        if field is not None:
            documents = np.arange(len(self.texts)) // self.per_document
            likeness[documents % SHARES[field] != value] = -2
        return [int(number) for number in np.argsort(-likeness, kind="stable")[:limit]]


def corpus(passages: int, dimensions: int, questions: int = 200) -> Corpus:
    """Make a corpus; the same arguments give the same."""
    chance = np.random.default_rng(7)
    passages -= passages % PER_DOCUMENT
    spread = chance.standard_normal((LATENT, dimensions), dtype=np.float32) / np.sqrt(LATENT)
    centres = chance.standard_normal((TOPICS, LATENT), dtype=np.float32)
    # Zipf's law over topics too: some are much written about.
    topics = np.minimum(chance.zipf(1.3, passages) - 1, TOPICS - 1)
    asked = chance.integers(0, passages, questions)
    words = _words(chance)
    own = chance.integers(0, WORDS, (TOPICS, TOPIC_WORDS))

    def vectors(of: NDArray[np.int64]) -> Vectors:
        latent = centres[of] + 0.7 * chance.standard_normal((len(of), LATENT), dtype=np.float32)
        made = latent @ spread + NOISE * chance.standard_normal((len(of), dimensions), dtype=np.float32)
        return (made / np.linalg.norm(made, axis=1, keepdims=True)).astype(np.float32)

    def texts(of: NDArray[np.int64], length: int) -> list[str]:
        common = np.minimum(chance.zipf(1.2, (len(of), length)) - 1, WORDS - 1)
        topical = own[of[:, None], chance.integers(0, TOPIC_WORDS, (len(of), length))]
        chosen = np.where(chance.random((len(of), length)) < 0.4, topical, common)
        return [" ".join(words[number] for number in line) for line in chosen]

    return Corpus(
        per_document=PER_DOCUMENT,
        texts=texts(topics, LENGTH),
        vectors=vectors(topics),
        questions=texts(topics[asked], 6),
        question_vectors=vectors(topics[asked]),
    )


def _words(chance: np.random.Generator) -> list[str]:
    """Return different words."""
    found: dict[str, None] = {}
    while len(found) < WORDS:
        for line in chance.integers(0, len(SYLLABLES), (WORDS, 4)):
            found["".join(SYLLABLES[number] for number in line[: 2 + line[0] % 3])] = None
    return list(found)[:WORDS]
