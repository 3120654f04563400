"""BERT's encoder in numpy, as MiniLM, BGE and their kind have it.

The tokens of many texts stand in one array, one text after the other: nothing is padded, so no text's vector
depends on its neighbours, and no time goes into what is thrown away.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from math import sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

ROWS = 256
"""Tokens whose inner activations are worked on at once: they stay in the processor's cache."""

ERF = (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
ERF_P = 0.3275911
"""Abramowitz and Stegun, 7.1.26: wrong by at most 1.5e-7."""


@dataclass(frozen=True, kw_only=True)
class Shape:
    """What a model's config.json says of it."""

    hidden: int
    heads: int
    layers: int
    positions: int
    vocabulary: int
    epsilon: float
    activation: str


def gelu(x: Floats) -> None:
    """Replace x by x times the normal distribution at x."""
    t = np.abs(x)
    t *= np.float32(sqrt(0.5))
    e = np.square(t)
    np.negative(e, out=e)
    np.exp(e, out=e)
    t *= np.float32(ERF_P)
    t += np.float32(1)
    np.reciprocal(t, out=t)
    p = t * np.float32(ERF[0])
    for coefficient in ERF[1:]:
        p += np.float32(coefficient)
        p *= t
    p *= e
    np.subtract(np.float32(1), p, out=p)  # erf of the absolute value
    np.copysign(p, x, out=p)
    p += np.float32(1)
    x *= p
    x *= np.float32(0.5)


def gelu_by_tanh(x: Floats) -> None:
    """Replace x by the approximation of `gelu` that some models were trained with."""
    inner = np.square(x)
    inner *= np.float32(0.044715)
    inner += np.float32(1)
    inner *= x
    inner *= np.float32(sqrt(2 / np.pi))
    np.tanh(inner, out=inner)
    inner += np.float32(1)
    x *= inner
    x *= np.float32(0.5)


def relu(x: Floats) -> None:
    """Replace what is negative by 0."""
    np.maximum(x, np.float32(0), out=x)


ACTIVATIONS: Mapping[str, Callable[[Floats], None]] = {
    "gelu": gelu,
    "gelu_new": gelu_by_tanh,
    "gelu_pytorch_tanh": gelu_by_tanh,
    "relu": relu,
}


class Linear:
    """A matrix and what is added."""

    def __init__(self, weight: Floats, bias: Floats) -> None:
        self.weight = np.ascontiguousarray(weight.T)
        self.bias = bias

    def __call__(self, x: Floats) -> Floats:
        """Return x times the matrix, and what is added."""
        found: Floats = x @ self.weight
        found += self.bias
        return found


class Norm:
    """Normalises each token's numbers."""

    def __init__(self, weight: Floats, bias: Floats, epsilon: float) -> None:
        self.weight = weight
        self.bias = bias
        self.epsilon = np.float32(epsilon)

    def __call__(self, x: Floats) -> Floats:
        """Return x normalised, in its place."""
        x -= x.mean(axis=1, keepdims=True)
        variance = np.einsum("ij,ij->i", x, x) / np.float32(x.shape[1])
        x *= (np.float32(1) / np.sqrt(variance + self.epsilon))[:, None]
        x *= self.weight
        x += self.bias
        return x


class Layer:
    """One layer: every token looks at the others of its text, then at itself."""

    def __init__(self, weights: Mapping[str, Floats], prefix: str, shape: Shape) -> None:
        def linear(name: str) -> Linear:
            return Linear(weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"])

        def norm(name: str) -> Norm:
            return Norm(weights[f"{prefix}.{name}.weight"], weights[f"{prefix}.{name}.bias"], shape.epsilon)

        scale = np.float32(1 / sqrt(shape.hidden // shape.heads))
        names = [f"{prefix}.attention.self.{name}" for name in ("query", "key", "value")]
        factors = (scale, np.float32(1), np.float32(1))
        self.attending = Linear(
            np.concatenate([weights[f"{name}.weight"] * factor for name, factor in zip(names, factors, strict=True)]),
            np.concatenate([weights[f"{name}.bias"] * factor for name, factor in zip(names, factors, strict=True)]),
        )
        self.attended = linear("attention.output.dense")
        self.attended_norm = norm("attention.output.LayerNorm")
        self.inner = linear("intermediate.dense")
        self.outer = linear("output.dense")
        self.outer_norm = norm("output.LayerNorm")
        self.heads = shape.heads
        self.activate = ACTIVATIONS[shape.activation]

    def __call__(self, x: Floats, lengths: Sequence[int]) -> Floats:
        """Return what becomes of x, whose rows are the tokens of texts of these lengths."""
        seen = self.attended(self._look(self.attending(x), lengths))
        seen += x
        x = self.attended_norm(seen)
        for start in range(0, len(x), ROWS):
            rows = x[start : start + ROWS]
            inner = self.inner(rows)
            self.activate(inner)
            rows += self.outer(inner)
        return self.outer_norm(x)

    def _look(self, attending: Floats, lengths: Sequence[int]) -> Floats:
        hidden = attending.shape[1] // 3
        found = np.empty((len(attending), hidden), np.float32)
        for start, count, length in runs(lengths):
            rows = slice(start, start + count * length)
            parts = attending[rows].reshape(count, length, 3, self.heads, hidden // self.heads)
            query, key, value = (parts[:, :, n].transpose(0, 2, 1, 3) for n in range(3))
            weights = query @ key.swapaxes(2, 3)
            weights -= weights.max(axis=-1, keepdims=True)
            np.exp(weights, out=weights)
            weights /= weights.sum(axis=-1, keepdims=True)
            found[rows] = (weights @ value).transpose(0, 2, 1, 3).reshape(count * length, hidden)
        return found


def runs(lengths: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Yield (first row, how many texts, their length) of neighbours that are equally long."""
    start = 0
    for length, group in groupby(lengths):
        count = sum(1 for _ in group)
        yield start, count, length
        start += count * length


class Bert:
    """The encoder. Raises KeyError for weights that are missing."""

    def __init__(self, weights: Mapping[str, Floats], shape: Shape) -> None:
        self.shape = shape
        self._words = weights["embeddings.word_embeddings.weight"]
        self._places = (
            weights["embeddings.position_embeddings.weight"] + weights["embeddings.token_type_embeddings.weight"][0]
        )
        self._norm = Norm(weights["embeddings.LayerNorm.weight"], weights["embeddings.LayerNorm.bias"], shape.epsilon)
        self._layers = [Layer(weights, f"encoder.layer.{n}", shape) for n in range(shape.layers)]

    def __call__(self, texts: Sequence[Sequence[int]]) -> list[Floats]:
        """Return for each text, given as its tokens' numbers, a row of numbers for each token."""
        lengths = [len(text) for text in texts]
        x = self._words[np.concatenate([np.asarray(text, np.int64) for text in texts])]
        x += np.concatenate([self._places[:length] for length in lengths])
        x = self._norm(x)
        for layer in self._layers:
            x = layer(x, lengths)
        return np.split(x, np.cumsum(lengths)[:-1])
