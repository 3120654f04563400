"""Vectors out of an embeddings answer, each checked: nothing else is ever stored or searched with."""

import binascii
import sys
from array import array
from collections.abc import Sequence
from math import isfinite
from typing import Any

from adapters.openai import failures
from adapters.openai.text import NotJson, read_json
from adapters.openai.usage import usage_from
from domain.pricing import Usage

MOST_DIMENSIONS = 16_000
WIDTH = 4
"""Bytes of a float32."""

LARGE = (b"\x7f", b"\xff")
"""The last byte of a number that is none, or larger than 1e38: only where there is one, the numbers are looked at."""


def vectors_from(data: bytes, count: int, dimensions: int | None) -> tuple[list[bytes], Usage | None]:
    """Return the vectors in the order of their texts, as little-endian float32, and what they took.

    Raises Failure unless there are `count` of them, finite, and `dimensions` long (None: equally long).
    """
    try:
        answer, _ = read_json(data)
    except NotJson:
        raise failures.invalid("sent something that is no JSON") from None
    if not isinstance(answer, dict):
        raise failures.invalid("sent JSON that is no object")
    if answer.get("error"):
        raise failures.reported(answer["error"])
    items = answer.get("data")
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise failures.invalid("sent an answer without vectors")
    if len(items) != count:
        raise failures.invalid(f"sent {len(items)} vectors for {count} texts")
    vectors = vectors_of([item.get("embedding") for item in _in_order(items)], dimensions)
    return vectors, usage_from(answer.get("usage"))


def vectors_of(values: Sequence[Any], dimensions: int | None) -> list[bytes]:
    """Return base64 or lists of numbers as vectors, finite and equally long, or raise Failure."""
    vectors = [_vector(value) for value in values]
    expected = (dimensions or len(vectors[0]) // WIDTH) if vectors else 0
    for vector in vectors:
        if len(vector) != expected * WIDTH:
            raise failures.invalid(f"sent a vector of length {len(vector) // WIDTH} where {expected} is expected")
    return vectors


def _in_order(items: Sequence[dict[str, Any]]) -> Sequence[dict[str, Any]]:
    """Return the items in the order of their texts; without numbers they are taken to be in it."""
    numbers = [item.get("index") for item in items]
    if all(number is None for number in numbers):
        return items
    if sorted(n for n in numbers if type(n) is int) != list(range(len(items))):
        raise failures.invalid("sent vectors with wrong numbers")
    return sorted(items, key=lambda item: int(item["index"]))


def _vector(value: Any) -> bytes:
    if isinstance(value, str):
        try:
            packed = binascii.a2b_base64(value.encode("ascii"), strict_mode=True)
        except (ValueError, UnicodeEncodeError):
            raise failures.invalid("sent a vector that is no base64") from None
        if len(packed) % WIDTH:
            raise failures.invalid("sent a vector of half a number")
        numbers = array("f")
        numbers.frombytes(packed)
        if sys.byteorder == "big":
            numbers.byteswap()
    elif isinstance(value, list):
        try:
            numbers = array("f", value)
        except (TypeError, OverflowError):
            raise failures.invalid("sent a vector that is no list of numbers") from None
        packed = numbers.tobytes()
    else:
        raise failures.invalid("sent an answer without vectors")
    if not 0 < len(numbers) <= MOST_DIMENSIONS:
        raise failures.invalid(f"sent a vector of length {len(numbers)}")
    last_bytes = packed[WIDTH - 1 :: WIDTH]
    if any(byte in last_bytes for byte in LARGE) and not isfinite(sum(numbers)):
        raise failures.invalid("sent a vector with an infinite or undefined number")
    return packed
