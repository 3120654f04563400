"""How much memory PostgreSQL may take for what is quick only in memory, as a share of the machine's."""

from pathlib import Path

import psutil

LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""Where Linux says how much memory a container may have: control groups of version 2, and of version 1."""


def memory_here(limits: tuple[Path, ...] = LIMITS) -> int:
    """Return the bytes of memory of this machine, or of the container where that is less."""
    found = [int(psutil.virtual_memory().total)]
    for path in limits:
        try:
            told = path.read_text("ascii").strip()
        except OSError:
            continue  # no container, or not of this version: the machine's memory holds
        if told.isdecimal():  # else "max"
            found.append(int(told))
    return min(found)


def share_of_memory(parts: int, least: int, most: int) -> int:
    """Return one of so many equal parts of the memory here, within bounds; all in bytes."""
    return min(max(least, memory_here() // parts), most)
