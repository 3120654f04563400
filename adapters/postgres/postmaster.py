"""The PostgreSQL server process of a data directory: found, started and stopped."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import psutil

from adapters.postgres.system_user import SystemUser

START_LIMIT = 300.0
"""Seconds a start may take: after a crash the server first replays its write-ahead log."""

STOP_LIMIT = 60.0
"""Seconds an orderly stop may take before the server is stopped at once; nothing is lost then either."""

ORPHANS_LIMIT = 10.0
"""Seconds the processes of a killed server get to notice it."""

BECOMING_LIMIT = 1.0
"""Seconds in which a process may show no command line: it has none for the instant in which it becomes a program."""

LOOK_EVERY = 0.01
READY = "ready"
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}

# A shell's background job has init as its parent (nobody here must wait for it), and arguments given
# by position need no quoting.
LAUNCH = '"$@" </dev/null >/dev/null & echo $!'


class ServerFailed(RuntimeError):
    """PostgreSQL did not do what it was asked; the message has its own words."""


def initialise(*, programs: Path, data: Path, owner: str, user: SystemUser) -> None:
    """Fill an empty data directory (checksums, UTF-8, local connections only) or raise ServerFailed."""
    options = [
        f"--pgdata={data}", f"--username={owner}", "--auth-local=trust", "--auth-host=reject", "--encoding=UTF8",
        "--data-checksums", "--lc-messages=C",
    ]  # fmt: skip
    # Some systems have no C.UTF-8; texts then sort the same, and only know fewer letters.
    for locale in ("C.UTF-8", "C"):
        done = subprocess.run(  # noqa: S603  (our own program)
            [programs / "bin" / "initdb", *options, f"--locale={locale}"],
            cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
            **user.options(),
        )  # fmt: skip
        if done.returncode == 0:
            return
        if "invalid locale" not in done.stderr:
            break
    raise ServerFailed(f"PostgreSQL can't make its files in {data}: {_last_lines(done.stderr)}")


@dataclass(frozen=True, kw_only=True)
class Postmaster:
    """A running server."""

    pid: int
    data: Path

    @classmethod
    def of(cls, data: Path) -> "Postmaster | None":
        """Return the server that runs on a data directory, if one does."""
        lines = _status(data)
        if not lines or not lines[0].strip().isdigit():
            return None
        server = cls(pid=int(lines[0]), data=data)
        return server if server.runs() else None

    @classmethod
    def start(
        cls, *, programs: Path, data: Path, log_file: Path, user: SystemUser, settings: Mapping[str, str]
    ) -> "Postmaster":
        """Start the server in a session of its own and return it once it takes connections.

        No other may be starting or running. Raises ServerFailed with what the server's log says.
        """
        # Its process id may by now be another program's, which PostgreSQL would take for a server.
        (data / "postmaster.pid").unlink(missing_ok=True)
        command: list[str | Path] = [programs / "bin" / "postgres", "-D", data]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        give_up = time.monotonic() + ORPHANS_LIMIT
        while True:
            with log_file.open("ab") as output:
                begin = output.tell()
                pid = _launch(command, output.fileno(), user)
            server = cls(pid=pid, data=data)
            if _until(server.settled, START_LIMIT) and server.ready():
                return server
            if server.runs():
                server.stop()
                raise ServerFailed(f"PostgreSQL did not get ready within {START_LIMIT:.0f} s: see {log_file}.")
            said = log_file.read_bytes()[begin:].decode("utf-8", "replace")
            if "shared memory block" not in said or time.monotonic() > give_up:
                raise ServerFailed(f"PostgreSQL did not start: {_last_lines(said)} (in {log_file})")
            time.sleep(10 * LOOK_EVERY)

    def runs(self) -> bool:
        """Say whether this process is alive and is PostgreSQL on this data directory."""
        try:
            process = psutil.Process(self.pid)
            command = process.cmdline()
            give_up = time.monotonic() + BECOMING_LIMIT
            while not command and process.status() != psutil.STATUS_ZOMBIE and time.monotonic() < give_up:
                time.sleep(LOOK_EVERY)
                command = process.cmdline()
            return process.status() != psutil.STATUS_ZOMBIE and str(self.data) in command
        except psutil.Error:
            return False

    def ready(self) -> bool:
        """Say whether it takes connections."""
        lines = _status(self.data)
        return len(lines) >= 8 and lines[0].strip() == str(self.pid) and lines[7].strip() == READY and self.runs()

    def settled(self) -> bool:
        """Say whether a start has come to its end, good or bad."""
        return self.ready() or not self.runs()

    def stop(self) -> None:
        """End all sessions and stop the server; return when it is gone."""
        for how in (signal.SIGINT, signal.SIGQUIT, signal.SIGKILL):
            try:
                os.kill(self.pid, how)
            except ProcessLookupError:
                return
            if _until(lambda: not self.runs(), STOP_LIMIT):
                return
        raise ServerFailed(f"PostgreSQL (process {self.pid}) can't be stopped.")


def _launch(command: list[str | Path], output: int, user: SystemUser) -> int:
    done = subprocess.run(  # noqa: S603  (our own program)
        ["/bin/sh", "-c", LAUNCH, "sh", *command],
        cwd="/", env=ENVIRONMENT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=output, check=True,
        # Ctrl-C at the terminal must not reach it: it is stopped in order, when the last process leaves.
        start_new_session=True,
        **user.options(),
    )  # fmt: skip
    return int(done.stdout)


def _status(data: Path) -> list[str]:
    try:
        return (data / "postmaster.pid").read_text("utf-8", "replace").splitlines()
    except FileNotFoundError:
        return []


def _until(condition: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            return False
        time.sleep(LOOK_EVERY)
    return True


def _last_lines(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if "FATAL" in line or "error" in line or "HINT" in line] or lines
    return " ".join(telling[-3:]) or "it said nothing"
