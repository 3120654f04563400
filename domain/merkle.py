"""Merkle trees over the log: roots, and proofs that one event is in it and that it only ever grew.

The method is that of RFC 9162 (Certificate Transparency 2.0), section 2.1. Leaf n (from 0) stands for the
event at position n + 1; what is hashed into a leaf is that event's own hash. Hashes are 32 bytes (SHA-256).
"""

from collections.abc import Iterable, Sequence
from hashlib import sha256

EMPTY = sha256(b"").digest()
"""The root of a tree without leaves."""

Range = tuple[int, int]
"""Leaves from the first (inclusive) to the second (exclusive)."""


def leaf(event_hash: bytes) -> bytes:
    """Return the leaf that stands for an event."""
    return sha256(b"\x00" + event_hash).digest()


def node(left: bytes, right: bytes) -> bytes:
    """Return the node above two others."""
    return sha256(b"\x01" + left + right).digest()


def root_of(hashes: Iterable[bytes]) -> bytes:
    """Return the root over nodes of one level, in their order; each but the last stands for a whole subtree."""
    level = list(hashes)
    if not level:
        return EMPTY
    while len(level) > 1:
        odd = [level[-1]] if len(level) % 2 else []
        level = [node(left, right) for left, right in zip(level[::2], level[1::2], strict=False)] + odd
    return level[0]


def split(size: int) -> int:
    """Return the largest power of two below a size of at least 2: the left subtree's leaves."""
    return 1 << (size - 1).bit_length() - 1


def peaks(start: int, end: int) -> list[Range]:
    """Return the largest whole subtrees that make up a range, from left to right; the range begins at one."""
    found: list[Range] = []
    while start < end:
        size = 1 << (end - start).bit_length() - 1
        found.append((start, start + size))
        start += size
    return found


def bagged(roots: Sequence[bytes]) -> bytes:
    """Return the root over the roots of a range's peaks."""
    if not roots:
        return EMPTY
    above = roots[-1]
    for each in reversed(roots[:-1]):
        above = node(each, above)
    return above


def inclusion_ranges(index: int, size: int) -> list[Range]:
    """Return the ranges whose roots prove that leaf `index` is in the tree of that size (RFC 9162, 2.1.3.1)."""
    found: list[Range] = []
    start, end = 0, size
    while end - start > 1:
        middle = start + split(end - start)
        if index < middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start = middle
    return found[::-1]


def consistency_ranges(first: int, second: int) -> list[Range]:
    """Return the ranges whose roots prove that the tree of size `first` begins that of `second` (2.1.4.1)."""
    found: list[Range] = []
    start, end, whole = 0, second, True
    while first != end:
        middle = start + split(end - start)
        if first <= middle:
            found.append((middle, end))
            end = middle
        else:
            found.append((start, middle))
            start, whole = middle, False
    if not whole:
        found.append((start, end))
    return found[::-1]


def includes(leaf_hash: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Return whether the proof leads from a leaf to the root (2.1.3.2)."""
    if not 0 <= index < size:
        return False
    place, last, value = index, size - 1, leaf_hash
    for each in proof:
        if last == 0:
            return False
        if place & 1 or place == last:
            value = node(each, value)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            value = node(value, each)
        place, last = place >> 1, last >> 1
    return last == 0 and value == root


def consistent(first: int, second: int, first_root: bytes, second_root: bytes, proof: Sequence[bytes]) -> bool:
    """Return whether the proof shows that the first tree begins the second (2.1.4.2)."""
    if not 0 < first <= second:
        return False
    if first == second:
        return not proof and first_root == second_root
    path = [first_root, *proof] if first & (first - 1) == 0 else list(proof)
    if not path:
        return False
    place, last = first - 1, second - 1
    while place & 1:
        place, last = place >> 1, last >> 1
    old = new = path[0]
    for each in path[1:]:
        if last == 0:
            return False
        if place & 1 or place == last:
            old, new = node(each, old), node(each, new)
            while not place & 1 and place:
                place, last = place >> 1, last >> 1
        else:
            new = node(new, each)
        place, last = place >> 1, last >> 1
    return last == 0 and old == first_root and new == second_root
