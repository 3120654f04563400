"""Failpoints: places where a test may make the process die, or the database seem to fail.

Switched on by MAGNET_FAILPOINTS, a comma-separated list of `name=action[@count]`: `exit` ends the
process as a kill would, `disk_full` and `lost` raise what PostgreSQL would; the count says at which
pass (default the first). Without the variable a failpoint is one look at an empty dictionary.
"""

import os

import psycopg

VARIABLE = "MAGNET_FAILPOINTS"

_armed: dict[str, tuple[str, int]] = {}


def arm(setting: str) -> None:
    """Arm the failpoints of a setting; an empty one disarms all."""
    _armed.clear()
    for entry in filter(None, (part.strip() for part in setting.split(","))):
        name, _, action = entry.partition("=")
        action, _, count = action.partition("@")
        _armed[name] = (action, int(count or 1))


def failpoint(name: str) -> None:
    """Fail here if a test asked for it."""
    if not _armed or name not in _armed:
        return
    action, count = _armed[name]
    if count > 1:
        _armed[name] = (action, count - 1)
        return
    match action:
        case "exit":
            os._exit(137)
        case "disk_full":
            del _armed[name]
            raise psycopg.errors.DiskFull("could not extend file: No space left on device")
        case "lost":
            del _armed[name]
            raise psycopg.OperationalError("server closed the connection unexpectedly")
        case _:
            raise ValueError(f"{VARIABLE}: unknown action of {name}")


arm(os.environ.get(VARIABLE, ""))
