"""Lets one system user, and nobody else, walk through the directories that lead to a place."""

import os
import struct
from pathlib import Path

import structlog

ACCESS_LIST = "system.posix_acl_access"
VERSION = 2
OWNER, USER, GROUP, MASK, OTHER = 0x01, 0x02, 0x04, 0x10, 0x20
NOBODY = 0xFFFFFFFF
SEARCH = 0o1

Entry = tuple[int, int, int]
"""Tag, permissions, and the user or group it is for."""

log = structlog.get_logger(__name__)


def open_way(place: Path, uid: int, gid: int) -> None:
    """Give the user the right to pass (not to list) each directory above the place.

    Where the file system keeps no access lists, passing is allowed to everybody instead. Raises
    OSError where the directories can't be changed.
    """
    for directory in place.parents:
        if _may_pass(directory, uid, gid):
            continue
        try:
            _allow(directory, uid)
        except OSError:
            directory.chmod(directory.stat().st_mode | 0o001)
            log.warning("a directory was opened for passing to every user", directory=str(directory))


def _may_pass(directory: Path, uid: int, gid: int) -> bool:
    status = directory.stat()
    if status.st_uid == uid:
        return bool(status.st_mode & 0o100)
    entries = _entries(directory, status.st_mode)
    mask = next((bits for tag, bits, _ in entries if tag == MASK), 0o7)
    named = [bits & mask for tag, bits, who in entries if tag == USER and who == uid]
    if named:
        return bool(named[0] & SEARCH)
    if status.st_gid == gid:
        return any(bits & mask & SEARCH for tag, bits, _ in entries if tag == GROUP)
    return bool(status.st_mode & 0o001)


def _allow(directory: Path, uid: int) -> None:
    present = _entries(directory, directory.stat().st_mode)
    limit = next((bits for tag, bits, _ in present if tag == MASK), 0o7)
    # The new mask must let the new right through, so what the old one held back is taken away first.
    kept = [
        (tag, bits if tag in (OWNER, OTHER) else bits & limit, who)
        for tag, bits, who in present
        if tag != MASK and (tag, who) != (USER, uid)
    ]
    mask = SEARCH
    for tag, bits, _ in kept:
        mask |= 0 if tag in (OWNER, OTHER) else bits
    entries = sorted([*kept, (USER, SEARCH, uid), (MASK, mask, NOBODY)], key=lambda entry: (entry[0], entry[2]))
    packed = b"".join(struct.pack("<HHI", *entry) for entry in entries)
    os.setxattr(directory, ACCESS_LIST, struct.pack("<I", VERSION) + packed)


def _entries(directory: Path, mode: int) -> list[Entry]:
    try:
        stored = os.getxattr(directory, ACCESS_LIST)
    except OSError:
        bits = [(mode >> shift) & 0o7 for shift in (6, 3, 0)]
        return [(tag, bit, NOBODY) for tag, bit in zip((OWNER, GROUP, OTHER), bits, strict=True)]
    return list(struct.iter_unpack("<HHI", stored[4:]))
