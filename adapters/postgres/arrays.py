"""PostgreSQL arrays in their binary form, made at once from whole columns.

psycopg dumps a list item by item in Python; for an append's columns, many of which hold one value
over and over, this is several times faster.
Source of the format: PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv.
"""

from collections.abc import Callable, Sequence
from itertools import chain, repeat
from struct import Struct, pack
from typing import Any
from uuid import UUID

from psycopg import adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format

BYTEA, INT8, INT4, TEXT, UUID_OID, JSONB = 17, 20, 23, 25, 2950, 3802
ARRAY_OF = {BYTEA: 1001, INT8: 1016, INT4: 1007, TEXT: 1009, UUID_OID: 2951, JSONB: 3807}
NULL = b"\xff\xff\xff\xff"
LENGTH = Struct(">i").pack


class Array:
    """An encoded array; `oid` is the array type's, to be given where it is none of PostgreSQL's own.

    `encoded` gives the bytes of items, each after its length.
    """

    __slots__ = ("data", "oid")

    def __init__(
        self, item_oid: int, items: Sequence[Any], encoded: Callable[[Sequence[Any]], bytes], oid: int | None = None
    ) -> None:
        count = len(items)
        self.oid = ARRAY_OF[item_oid] if oid is None else oid
        if not count:
            self.data = pack(">iiI", 0, 0, item_oid)
            return
        # The last one tells most columns of many values apart, without comparing all of them.
        alike = items[0] == items[-1] and items.count(items[0]) == count
        body = encoded(items[:1]) * count if alike else encoded(items)
        self.data = pack(">iiIii", 1, 1, item_oid, count, 1) + body


class ArrayDumper(Dumper):
    """Hands an encoded array to PostgreSQL as it is."""

    format = Format.BINARY

    def dump(self, obj: Array) -> bytes:
        """Return the array's bytes."""
        return obj.data

    def get_key(self, obj: Array, format: Any) -> Any:
        """Return a key of its own for each array type."""
        return (self.cls, obj.oid)

    def upgrade(self, obj: Array, format: Any) -> "ArrayDumper":
        """Return a dumper for the type of this array."""
        dumper = ArrayDumper(self.cls)
        dumper.oid = obj.oid
        return dumper


adapters.register_dumper(Array, ArrayDumper)


def binary(value: Array | int | bool | None) -> bytes | None:
    """Return an array's, integer's or boolean's bytes as PostgreSQL receives them; null stays null."""
    if isinstance(value, bool):
        return bytes([value])
    if isinstance(value, int):
        return LENGTH(value)
    return None if value is None else value.data


def texts(items: Sequence[str | None]) -> Array:
    """Return a text[]."""
    return Array(TEXT, items, _texts)


def uuids(items: Sequence[UUID]) -> Array:
    """Return a uuid[]."""
    return Array(UUID_OID, items, _uuids)


def byte_strings(items: Sequence[bytes | None], types: tuple[int, int] | None = None) -> Array:
    """Return a bytea[], or an array of what is encoded already: of the item's type and the array's, by their numbers."""
    return Array(BYTEA, items, _bytes) if types is None else Array(types[0], items, _bytes, types[1])


def bigints(items: Sequence[int]) -> Array:
    """Return a bigint[]."""
    return Array(INT8, items, _int8s)


def integers(items: Sequence[int]) -> Array:
    """Return an integer[]."""
    return Array(INT4, items, _int4s)


def jsonbs(items: Sequence[bytes | None]) -> Array:
    """Return a jsonb[] of JSON texts."""
    return Array(JSONB, items, _jsonbs)


# A function for each item would take most of the time.


def _bytes(items: Sequence[bytes | None]) -> bytes:
    return b"".join([NULL if item is None else LENGTH(len(item)) + item for item in items])


def _texts(items: Sequence[str | None]) -> bytes:
    return _bytes([None if item is None else item.encode() for item in items])


def _jsonbs(items: Sequence[bytes | None]) -> bytes:
    return _bytes([None if item is None else b"\x01" + item for item in items])


def _uuids(items: Sequence[UUID]) -> bytes:
    return b"".join([b"\x00\x00\x00\x10" + item.int.to_bytes(16) for item in items])


def _int8s(items: Sequence[int]) -> bytes:
    return pack(">" + "iq" * len(items), *chain.from_iterable(zip(repeat(8), items)))


def _int4s(items: Sequence[int]) -> bytes:
    return pack(f">{2 * len(items)}i", *chain.from_iterable(zip(repeat(4), items)))
