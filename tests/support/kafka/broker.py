"""A broker as a process of its own, on loopback."""

import contextlib
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import ClassVar, Self

PATIENCE = 180.0
"""Seconds: a busy machine takes long over Java."""


class Broker(ABC):
    """A broker with a directory and a port that stay the same when it is started again."""

    name: ClassVar[str]
    transactions: ClassVar[bool]
    """Whether it takes idempotent and transactional producers."""

    durable: ClassVar[bool]
    """Whether what it took is still there after it was killed."""

    def __init__(self, directory: Path, port: int = 0, *, brief: bool = False) -> None:
        """`brief`: it serves for some seconds, and its start is to take little."""
        self.directory = directory
        self.brief = brief
        self.port = port or free_port()
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def servers(self) -> str:
        """The address for clients."""
        return f"127.0.0.1:{self.port}"

    @abstractmethod
    def _command(self) -> list[str]:
        """Return the command that serves in the foreground; makes what it needs first."""

    def start(self) -> Self:
        """Start it, and wait until it takes connections."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = self._command()
        with (self.directory / "broker.log").open("ab") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output, cwd=self.directory)
        deadline = time.monotonic() + PATIENCE
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return self
            if self._process.poll() is not None or time.monotonic() > deadline:
                log = (self.directory / "broker.log").read_text(errors="replace")[-3000:]
                raise RuntimeError(f"{self.name} did not start:\n{log}")
            time.sleep(0.05)

    def kill(self) -> None:
        """Kill it at once."""
        self._end(signal.SIGKILL)

    def stop(self) -> None:
        """Have it end by itself."""
        self._end(signal.SIGTERM)

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            try:
                process.wait(PATIENCE / 2)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])
