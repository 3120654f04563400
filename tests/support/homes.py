"""Where the tests' servers keep their files."""

import shutil
from pathlib import Path

HOME = "MAGNET_TESTS_HOME"
"""Where the workers of a session find what they share. Not under pytest's own directory: each new session
takes that one's access rights back, and PostgreSQL runs as another user where the tests run as root."""

MEMORY = Path("/dev/shm")
ROOM = 4 << 30
"""Bytes that must be free: a session's databases and their write-ahead log stay below."""


def short_lived() -> str | None:
    """Return the directory for homes that end with their test, None for the system's own.

    In memory where there is room: each database made and dropped is a checkpoint, and a disk takes about
    ten times as long over it. A process that is killed, and PostgreSQL that is, lose no more there than
    on a disk.
    """
    try:
        return str(MEMORY) if shutil.disk_usage(MEMORY).free >= ROOM else None
    except OSError:
        return None
