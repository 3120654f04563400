"""Real processes of the command line, each on an installation of its own."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.support.commands import LIMIT, Command, Done, run, start
from tests.support.homes import short_lived
from tests.support.postgres import Database

ROOT = Path(__file__).parents[3]


@dataclass
class Running:
    """A command that goes on, and the first line it said."""

    process: Command
    said: str

    @property
    def url(self) -> str:
        return next(word for word in self.said.split() if word.startswith("http"))

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def end(self, number: int = signal.SIGTERM) -> int:
        """Send it the signal and read what it still says: a full pipe that nobody reads would hold up its end."""
        self.process.send_signal(number)
        self.process.communicate(timeout=LIMIT)
        return self.process.returncode


@dataclass
class Magnet:
    """The command line with an environment of its own."""

    home: Path
    more: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "SSL_CERT_FILE") if name in os.environ}
        return {**kept, "PYTHONPATH": str(ROOT), "MAGNET_HOME": str(self.home), "MAGNET_PORT": "0", **self.more}

    def __call__(self, *arguments: str, given: str = "", **more: str) -> Done:
        return run(*arguments, environment={**self.environment, **more}, directory=self.home.parent, given=given)

    def ok(self, *arguments: str, **more: str) -> Done:
        done = self(*arguments, **more)
        assert done.status == 0, (arguments, done.err, done.out)
        return done

    @contextmanager
    def running(self, *arguments: str, **more: str) -> Iterator[Running]:
        with (self.home.parent / "err").open("a") as errors:
            process = start(
                *arguments, environment={**self.environment, **more}, directory=self.home.parent,
                stdout=subprocess.PIPE, stderr=errors,
            )  # fmt: skip
        assert process.stdout is not None
        try:
            said = process.stdout.readline()
            assert said, (arguments, (self.home.parent / "err").read_text())
            yield Running(process=process, said=said)
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()
            process.stdout.close()


@pytest.fixture
def embedded() -> Iterator[Magnet]:
    """An installation with its own embedded PostgreSQL; not under pytest's directory, whose rights change."""
    with TemporaryDirectory(prefix="magnet-cli-", dir=short_lived()) as directory:
        yield Magnet(home=Path(directory) / "home")


@pytest.fixture
def magnet(tmp_path: Path, database: Database) -> Magnet:
    """An installation on a database of the session's server."""
    return on(database, tmp_path / "home")


def on(database: Database, home: Path) -> Magnet:
    return Magnet(home=home, more={"DATABASE_URL": database.app_dsn, "MIGRATION_DATABASE_URL": database.owner_dsn})
