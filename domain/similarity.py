"""How similar two texts are: by their vectors, or by the words that both have."""

from collections import Counter
from collections.abc import Sequence
from math import sqrt
from struct import unpack

from domain.citations import MARKER
from domain.extractive import WORD


def without_markers(text: str) -> str:
    """Return a text as it is compared: markers of citations say nothing of it, nor do line breaks."""
    return " ".join(MARKER.sub(" ", text).split())


def token_f1(one: str, other: str) -> float:
    """Return the F1 of the words of two texts, each counted as often as it stands there, 0..1.

    It is the measure of SQuAD (Rajpurkar et al., 2016). Two texts without any word are the same.
    """
    words, others = (Counter(word.lower() for word in WORD.findall(text)) for text in (one, other))
    if not words or not others:
        return float(words == others)
    return 2 * (words & others).total() / (words.total() + others.total())


def cosine(one: Sequence[float], other: Sequence[float]) -> float:
    """Return the cosine of the angle between two vectors, -1..1; 0 where one has no direction."""
    lengths = sqrt(sum(x * x for x in one) * sum(x * x for x in other))
    return sum(x * y for x, y in zip(one, other, strict=True)) / lengths if lengths else 0.0


def numbers(vector: bytes) -> Sequence[float]:
    """Return the numbers of a vector: float32, little-endian."""
    return unpack(f"<{len(vector) // 4}f", vector)
