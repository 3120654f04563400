"""What the system tells of processes."""

import asyncio
import os
from pathlib import Path

from tests.support.patience import PATIENCE


def what_it_holds(pid: int) -> str:
    """The environment and the open files of a process; nothing where it has just ended."""
    process = Path("/proc") / str(pid)
    try:
        return str([(process / "environ").read_bytes(), *(str(each.readlink()) for each in (process / "fd").iterdir())])
    except (FileNotFoundError, ProcessLookupError):
        return ""


def parts(line: str) -> tuple[str, str]:
    return line[:26].strip(), line[26:].split(maxsplit=1)[0]


def processes_of(group: int) -> list[int]:
    """The processes of a group that have not ended."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, of = stat.read_text().rpartition(")")[2].split()[:3]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(of) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


async def emptied(group: int) -> None:
    """Return when no process of the group is left."""
    loop = asyncio.get_running_loop()
    for pid in processes_of(group):
        try:
            process = os.pidfd_open(pid)
        except ProcessLookupError:
            continue
        ended = asyncio.Event()
        loop.add_reader(process, ended.set)
        async with asyncio.timeout(PATIENCE):
            await ended.wait()
        loop.remove_reader(process)
        os.close(process)
    assert not processes_of(group)
