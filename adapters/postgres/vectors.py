"""Vectors on their way to PostgreSQL: pgvector's binary form of a halfvec.

Source of the format: pgvector, src/halfvec.c, halfvec_recv: dimensions and an unused number as int16,
then the numbers as 16-bit floats, big-endian.
"""

import math
from struct import Struct, error, pack

from psycopg import adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format


class Halfvec:
    """An encoded vector; the statement says its type."""

    __slots__ = ("data",)

    def __init__(self, vector: bytes) -> None:
        """Take float32 numbers, little-endian; raise ValueError where PostgreSQL couldn't compare by them."""
        dimensions = len(vector) // 4
        numbers = Struct(f"<{dimensions}f").unpack(vector)
        if not any(numbers) or not all(map(math.isfinite, numbers)):
            raise ValueError("a vector of zeros, or with a number that is none")
        try:
            self.data = pack(f">hh{dimensions}e", dimensions, 0, *numbers)
        except (OverflowError, error):
            raise ValueError("a number is too large for 16 bits") from None


class HalfvecDumper(Dumper):
    """Hands an encoded vector to PostgreSQL as it is."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: Halfvec) -> bytes:
        """Return the vector's bytes."""
        return obj.data


adapters.register_dumper(Halfvec, HalfvecDumper)
