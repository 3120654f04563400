"""PostgreSQL arrays in their binary form, made at once from whole columns.

psycopg dumps a list item by item in Python; for an append's columns, many of which hold one value
over and over, this is several times faster.
Source of the format: PostgreSQL, src/backend/utils/adt/arrayfuncs.c, array_recv.
"""

from collections.abc import Callable, Sequence
from struct import pack
from typing import Any
from uuid import UUID

from psycopg import adapters
from psycopg.adapt import Dumper
from psycopg.pq import Format

BYTEA, INT8, INT4, TEXT, UUID_OID, JSONB = 17, 20, 23, 25, 2950, 3802
ARRAY_OF = {BYTEA: 1001, INT8: 1016, INT4: 1007, TEXT: 1009, UUID_OID: 2951, JSONB: 3807}
NULL = b"\xff\xff\xff\xff"


class Array:
    """An encoded array; `oid` is the array type's, to be given where it is none of PostgreSQL's own."""

    __slots__ = ("data", "oid")

    def __init__(
        self, item_oid: int, items: Sequence[Any], encode: Callable[[Any], bytes], oid: int | None = None
    ) -> None:
        count = len(items)
        self.oid = ARRAY_OF[item_oid] if oid is None else oid
        if not count:
            self.data = pack(">iiI", 0, 0, item_oid)
            return
        if items.count(items[0]) == count:
            body = _item(items[0], encode) * count
        else:
            body = b"".join([_item(item, encode) for item in items])
        self.data = pack(">iiIii", 1, 1, item_oid, count, 1) + body


def _item(item: Any, encode: Callable[[Any], bytes]) -> bytes:
    if item is None:
        return NULL
    encoded = encode(item)
    return pack(">i", len(encoded)) + encoded


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
        return _int4(value)
    return None if value is None else value.data


def texts(items: Sequence[str | None]) -> Array:
    """Return a text[]."""
    return Array(TEXT, items, str.encode)


def uuids(items: Sequence[UUID]) -> Array:
    """Return a uuid[]."""
    return Array(UUID_OID, items, _uuid)


def byte_strings(items: Sequence[bytes | None]) -> Array:
    """Return a bytea[]."""
    return Array(BYTEA, items, bytes)


def bigints(items: Sequence[int]) -> Array:
    """Return a bigint[]."""
    return Array(INT8, items, _int8)


def integers(items: Sequence[int]) -> Array:
    """Return an integer[]."""
    return Array(INT4, items, _int4)


def jsonbs(items: Sequence[bytes | None]) -> Array:
    """Return a jsonb[] of JSON texts."""
    return Array(JSONB, items, _jsonb)


def _uuid(item: UUID) -> bytes:
    return item.bytes


def _int8(item: int) -> bytes:
    return pack(">q", item)


def _int4(item: int) -> bytes:
    return pack(">i", item)


def _jsonb(item: bytes) -> bytes:
    return b"\x01" + item
