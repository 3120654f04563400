"""Vectors that are made from texts alone: the same text always has the same one, of length 1."""

import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]
WORD = re.compile(r"\w+")


@lru_cache(maxsize=100_000)
def by_hash(text: str, dimensions: int) -> Vector:
    """Return a direction that has nothing to do with any other text's."""
    data = text.encode("utf-8", "surrogatepass")
    seed = crc32(data) | crc32(data[::-1]) << 32
    return _unit(np.random.Generator(np.random.SFC64(seed)).standard_normal(dimensions, dtype=np.float32))


def by_words(text: str, dimensions: int) -> Vector:
    """Return the direction of the text's words: texts that share words are near."""
    words = WORD.findall(text.lower())
    if not words:
        return by_hash(text, dimensions)
    return _unit(np.sum([by_hash(word, dimensions) for word in words], axis=0, dtype=np.float32))


MODES: Mapping[str, Callable[[str, int], Vector]] = {"hash": by_hash, "words": by_words}


def of_model(text: str, model: str) -> str:
    """Return a text of other words, which no other model has: its vectors can't be compared with theirs."""
    return WORD.sub(rf"{model.encode().hex()}\g<0>", text)


def _unit(vector: Vector) -> Vector:
    length = np.float32(np.linalg.norm(vector)) or np.float32(1)
    return (vector / length).astype("<f4")
