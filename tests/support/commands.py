"""Commands of `magnet` as processes of their own, forked from one that has imported everything.

Importing takes longer than most commands do, so it is done once for all tests of a session. All else is as where a
command is started by `python -m api.cli`: environment, working directory, files, signals and exit status are its own.
"""

import array
import atexit
import contextlib
import fcntl
import gc
import os
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cache
from importlib import import_module, invalidate_caches
from pathlib import Path
from pkgutil import iter_modules
from tempfile import TemporaryDirectory, TemporaryFile
from typing import IO, Any

import orjson

from tests.support.homes import HOME

ROOT = Path(__file__).parents[2]
LARGEST = 1_000_000
"""Bytes of a request: arguments and environment."""
LIMIT = 120
"""Seconds after which a command hangs, and is ended."""
ONE_AT_A_TIME = threading.Lock()
SOCKET = "commands.socket"
IMPORTED = ("api.serve", "api.worker", "api.app", "adapters.openai.calls")


@dataclass
class Done:
    """What became of a command."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed."""
        return orjson.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """What it printed, line by line."""
        return [orjson.loads(line) for line in self.out.splitlines()]


@dataclass
class Command:
    """A command that was started; `stdout` where it was to be read."""

    pid: int
    stdout: IO[str] | None = None
    returncode: int | None = None

    def __post_init__(self) -> None:
        self._ending = os.pidfd_open(self.pid)  # its parent is not this process, but keeps it until it is asked

    def poll(self) -> int | None:
        """Return its exit status, None while it runs."""
        return self.wait(0) if self._ended(0) else None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit status, or the negative number of the signal that ended it; raise TimeoutExpired."""
        if self.returncode is None:
            if not self._ended(timeout):
                raise subprocess.TimeoutExpired(f"magnet, process {self.pid}", timeout or 0)
            self.returncode = int(_ask({"ended": self.pid}))
            os.close(self._ending)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, None]:
        """Read what it still says, until it ends: a full pipe that nobody reads would hold up its end."""
        said = self.stdout.read() if self.stdout is not None else ""
        self.wait(timeout)
        return said, None

    def send_signal(self, number: int) -> None:
        """Send it a signal; nothing happens where it has ended."""
        if self.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._ending, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it at once."""
        self.send_signal(signal.SIGKILL)

    def _ended(self, timeout: float | None) -> bool:
        if self.returncode is not None:
            return True
        return bool(select.select([self._ending], [], [], timeout)[0])


def start(
    *arguments: str,
    environment: Mapping[str, str],
    directory: Path,
    stdin: int | IO[str] = subprocess.DEVNULL,
    stdout: int | IO[str] | None = None,
    stderr: int | IO[str] | None = None,
) -> Command:
    """Start a command; with `stdout=subprocess.PIPE` what it says can be read, line by line."""
    with ExitStack() as opened:

        def number(given: int | IO[str] | None, own: int) -> int:
            if given == subprocess.DEVNULL:
                return opened.enter_context(Path(os.devnull).open("r+")).fileno()
            return own if given is None else given if isinstance(given, int) else given.fileno()

        reads, writes = os.pipe() if stdout == subprocess.PIPE else (None, None)
        if writes is not None:
            opened.callback(os.close, writes)
        files = [number(stdin, 0), number(stdout, 1) if writes is None else writes, number(stderr, 2)]
        asked = {"arguments": arguments, "environment": dict(environment), "directory": str(directory)}
        pid = int(_ask(asked, files))
    return Command(pid, None if reads is None else os.fdopen(reads))


def run(*arguments: str, environment: Mapping[str, str], directory: Path, given: str = "") -> Done:
    """Run a command to its end, at most for `LIMIT` seconds."""
    with TemporaryFile("w+") as typed, TemporaryFile("w+") as out, TemporaryFile("w+") as err:
        typed.write(given)
        typed.seek(0)
        command = start(*arguments, environment=environment, directory=directory, stdin=typed, stdout=out, stderr=err)
        try:
            status = command.wait(LIMIT)
        finally:
            command.kill()
        out.seek(0)
        err.seek(0)
        return Done(status=status, out=out.read(), err=err.read())


def _ask(asked: Mapping[str, object], files: list[int] | None = None) -> str:
    """Ask the process that has imported everything, and return its answer."""
    sent = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", files))] if files else []
    with ONE_AT_A_TIME:
        parent = _parent()
        parent.sendmsg([orjson.dumps(asked)], sent)
        return parent.recv(LARGEST).decode()


@cache
def _parent() -> socket.socket:
    """Return the way to the process that has imported everything: one for all workers of a session of tests."""
    with ExitStack() as stack:
        directory = Path(os.environ.get(HOME) or stack.enter_context(TemporaryDirectory()))
        stack.enter_context(_only_one(directory))
        try:
            return _way_to(directory)
        except (FileNotFoundError, ConnectionRefusedError):
            _begin(directory)
            return _way_to(directory)


@contextlib.contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Let nobody else come or begin meanwhile, and it not end."""
    with (directory / "commands.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _way_to(directory: Path) -> socket.socket:
    way = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        way.connect(str(directory / SOCKET))
    except OSError:
        way.close()
        raise
    way.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, LARGEST)
    atexit.register(way.close)
    return way


def _begin(directory: Path) -> None:
    """Start it; it is nobody's, and ends when all that asked it have."""
    (directory / SOCKET).unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as listening:
        listening.bind(str(directory / SOCKET))
        listening.listen(64)
        listening.set_inheritable(True)
        os.posix_spawn(
            sys.executable,
            [sys.executable, "-m", "tests.support.commands", str(listening.fileno()), str(directory)],
            {**os.environ, "PYTHONPATH": str(ROOT)},
            file_actions=[(os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)],
        )


def _serve(listening: socket.socket, directory: Path) -> None:
    """Fork a process for each command that is asked for, and say how those that ended did, until nobody asks."""
    commands = [
        f"api.cli.{each.name}" for each in iter_modules(import_module("api.cli").__path__) if each.name[0] != "_"
    ]
    for name in (*IMPORTED, *commands):
        import_module(name)
    import_module("api.app").operations()  # what it makes once for each process, such as schemas
    gc.freeze()
    asking = [listening.accept()[0]]
    while asking:
        for each in select.select([listening, *asking], [], [])[0]:
            if each is listening:
                asking.append(listening.accept()[0])
                continue
            said, files, _, _ = socket.recv_fds(each, LARGEST, 3)
            if not said:
                asking.remove(each)
                each.close()
            elif not _carried_out(each, orjson.loads(said), files, [listening, *asking]):
                return
        if not asking:
            asking += _latecomers(listening, directory)


def _carried_out(
    asking: socket.socket, asked: Mapping[str, Any], files: list[int], ways: Sequence[socket.socket]
) -> bool:
    """Do what is asked; False where this is now the command that was asked for, and has ended."""
    if "ended" in asked:
        _, status = os.waitpid(asked["ended"], 0)
        asking.send(str(os.waitstatus_to_exitcode(status)).encode())
        return True
    pid = os.fork()
    if pid == 0:
        for way in ways:
            way.close()
        _become(asked, files)
        return False
    for each in files:
        os.close(each)
    asking.send(str(pid).encode())
    return True


def _latecomers(listening: socket.socket, directory: Path) -> list[socket.socket]:
    """Return who has come just now; where it is nobody, nobody can come any more."""
    with contextlib.suppress(FileNotFoundError), _only_one(directory):  # no directory: nobody could come
        if select.select([listening], [], [], 0)[0]:
            return [listening.accept()[0]]
        (directory / SOCKET).unlink(missing_ok=True)
        listening.close()
    return []


def _become(asked: Mapping[str, object], files: list[int]) -> None:
    """Be the command that was asked for."""
    from adapters import failpoints
    from api.cli import main

    for number, given in enumerate(files):
        os.dup2(given, number)
        os.close(given)
    environment, arguments = asked["environment"], asked["arguments"]
    assert isinstance(environment, dict) and isinstance(arguments, list)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(str(asked["directory"]))
    sys.path[:0] = [each for each in environment.get("PYTHONPATH", "").split(os.pathsep) if each not in sys.path]
    invalidate_caches()
    failpoints.arm(environment.get(failpoints.VARIABLE, ""))
    sys.argv = ["magnet", *arguments]
    main()


if __name__ == "__main__":
    _serve(socket.socket(fileno=int(sys.argv[1])), Path(sys.argv[2]))
