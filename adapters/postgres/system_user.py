"""Which system user PostgreSQL runs as: it refuses to run as root."""

import os
import pwd
import stat
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from adapters.postgres.reach import open_way

NAME = "magnet-postgres"
"""Made when the program runs as root and there is no such user yet."""


class NoSystemUser(RuntimeError):
    """The system user that PostgreSQL needs can't be made."""


class NotOurs(RuntimeError):
    """A directory that PostgreSQL needs for itself belongs to another user."""


@dataclass(frozen=True, kw_only=True)
class SystemUser:
    """A system user and how to start programs as it."""

    uid: int
    gid: int
    foreign: bool
    """It is another user than this process's own."""

    def options(self) -> dict[str, Any]:
        """Return what `subprocess` needs to start a program as this user."""
        return {"user": self.uid, "group": self.gid, "extra_groups": []} if self.foreign else {}

    def own(self, directory: Path) -> None:
        """Make the directory if need be and keep it for this user alone.

        Raises NotOurs where somebody else has it: in a place like /tmp everybody may make one.
        """
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        status = directory.lstat()
        if not stat.S_ISDIR(status.st_mode) or status.st_uid not in (self.uid, os.geteuid()):
            raise NotOurs(f"{directory} belongs to another user: remove it, or choose another MAGNET_HOME.")
        directory.chmod(0o700)
        if self.foreign:
            os.chown(directory, self.uid, self.gid)

    def open_way(self, place: Path) -> None:
        """See that this user can get to the place."""
        if self.foreign:
            open_way(place, self.uid, self.gid)

    def may_read(self, tree: Path) -> None:
        """See that this user can read the files of a tree; one of its programs stands for all."""
        self.open_way(tree)
        if not self.foreign or (tree / "bin" / "postgres").stat().st_mode & stat.S_IXOTH:
            return
        for path in (tree, *tree.rglob("*")):
            mode = path.stat().st_mode
            path.chmod(mode | 0o044 | (0o011 if mode & stat.S_IXUSR else 0))


def system_user(data: Path) -> SystemUser:
    """Return this process's own user, or as root the one whose data it is, or who is to have it.

    Raises NoSystemUser where that one can't be made.
    """
    if os.geteuid() != 0:
        return SystemUser(uid=os.geteuid(), gid=os.getegid(), foreign=False)
    if data.exists() and (status := data.stat()).st_uid != 0:
        return SystemUser(uid=status.st_uid, gid=status.st_gid, foreign=True)
    try:
        entry = pwd.getpwnam(NAME)
    except KeyError:
        entry = _make()
    return SystemUser(uid=entry.pw_uid, gid=entry.pw_gid, foreign=True)


def _make() -> pwd.struct_passwd:
    command = ["useradd", "--system", "--user-group", "--no-create-home", "--shell", "/bin/false", NAME]
    try:
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  (a constant)
    except (OSError, subprocess.CalledProcessError):
        # Another process may just have made it.
        try:
            return pwd.getpwnam(NAME)
        except KeyError:
            raise NoSystemUser(
                f"PostgreSQL does not run as root, and the system user {NAME} can't be made: make it "
                f"(useradd --system {NAME}), start Magnet as another user, or set DATABASE_URL."
            ) from None
    return pwd.getpwnam(NAME)
