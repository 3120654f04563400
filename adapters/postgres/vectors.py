"""Vectors on their way to PostgreSQL: pgvector's binary form of a halfvec.

Source of the format: pgvector, src/halfvec.c, halfvec_recv: dimensions and an unused number as int16,
then the numbers as 16-bit floats, big-endian.
"""

import math
from collections.abc import Sequence
from struct import Struct, error, pack, unpack
from typing import TYPE_CHECKING, Any

from psycopg import adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format

from adapters.postgres.arrays import Array, byte_strings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Unusable(ValueError):
    """A vector can't be compared with others."""


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

    @property
    def numbers(self) -> tuple[float, ...]:
        """Its numbers, as they are compared."""
        return unpack(f">{len(self.data) // 2 - 2}e", self.data[4:])


class HalfvecDumper(Dumper):
    """Hands an encoded vector to PostgreSQL as it is."""

    format = Format.BINARY
    oid = 0

    def dump(self, obj: Halfvec) -> bytes:
        """Return the vector's bytes."""
        return obj.data


adapters.register_dumper(Halfvec, HalfvecDumper)


def halfvecs(types: tuple[int, int], vectors: Sequence[bytes]) -> Array:
    """Return a halfvec[] of vectors of one length (float32, little-endian), or raise Unusable.

    `types` are the numbers of the types halfvec and halfvec[] in the database. All are converted at once,
    which takes a hundredth of the time of one after another.
    """
    import numpy as np  # noqa: PLC0415  # 0.1 s that a process which stores no vectors need not pay

    return byte_strings(encoded(np.frombuffer(b"".join(vectors), "<f4").reshape(len(vectors), -1)), types)


def encoded(numbers: "NDArray[np.floating[Any]]") -> list[bytes]:
    """Return the rows of a matrix as PostgreSQL receives halfvecs, or raise Unusable."""
    import numpy as np  # noqa: PLC0415  # as above

    with np.errstate(over="ignore"):
        halves = numbers.astype(">f2")
    if not np.isfinite(halves).all() or not halves.any(axis=1).all():
        raise Unusable("a vector of zeros, or with a number that is none or too large")
    head = pack(">hh", numbers.shape[1], 0)
    return [head + row.tobytes() for row in halves]
