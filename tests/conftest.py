"""Fixtures that every test may use: the session's PostgreSQL, and a fresh database."""

import fcntl
import gc
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path

import certifi
import pytest
from hypothesis import settings

from adapters import failpoints
from adapters.postgres.embedded import EmbeddedPostgres
from api.process import look_less_often
from tests.support.browser import found
from tests.support.homes import HOME, short_lived
from tests.support.postgres import Database, fresh_database, server


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the flags for the longer forms of tests, and for what needs packages that are not installed for them."""
    parser.addoption("--long", action="store_true", help="run the longer form of tests that have one")
    parser.addoption("--chroma", action="store_true", help="test Chroma as a vector store, too (magnet[chroma])")


def pytest_configure(config: pytest.Config) -> None:
    """Make the session's home, once; its workers inherit the variable."""
    settings.register_profile("long", max_examples=1000)
    if config.getoption("long"):  # for tests that don't say how many examples they try; else they try 100
        settings.load_profile("long")
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # begun in the background: children would be deaf to Ctrl-C
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if HOME not in os.environ:
        os.environ[HOME] = tempfile.mkdtemp(prefix="magnet-tests-", dir=short_lived())
        config.add_cleanup(_clear_away)
        os.environ["SSL_CERT_FILE"] = str(_one_authority(Path(os.environ[HOME])))


@pytest.hookimpl(wrapper=True)
def pytest_collection(session: pytest.Session) -> Generator[None, object, object]:
    """Look for no garbage meanwhile, and set aside for good what was made: a fifth of the time was spent on it."""
    gc.disable()
    try:
        with _compiled_once():
            return (yield)
    finally:
        look_less_often()
        gc.enable()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with what takes longest, lest the end waits for it; leave out what needs a browser where there is none."""
    items.sort(key=lambda item: not item.nodeid.startswith("tests/e2e/"))
    if found() is None:
        without = [item for item in items if item.get_closest_marker("browser")]
        config.hook.pytest_deselected(items=without)
        items[:] = [item for item in items if item not in without]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so."""
    if found() is None:
        terminalreporter.write_line(
            "There is no browser here: the tests of the chat in one were left out (apt-get install chromium)."
        )


@contextmanager
def _compiled_once() -> Iterator[None]:
    """Let one worker alone compile the tests where they are not yet compiled, and the others wait to read that.

    pytest rewrites each assertion for it, which takes as long as all else that collecting does.
    """
    tests = Path(__file__).parent
    written, compiled = tests.rglob("test_*.py"), tests.rglob("__pycache__/test_*-pytest-*.pyc")
    if sys.dont_write_bytecode or len(list(compiled)) >= len(list(written)):
        yield
        return
    with (Path(os.environ[HOME]) / "compiling.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            fcntl.flock(lock, fcntl.LOCK_SH)
        yield


def _one_authority(home: Path) -> Path:
    """Write one certificate to a file, which is then all that is believed: no test reaches the world outside.

    Each client reads what is believed, and reading a whole world's takes 40 ms.
    """
    first, end, _ = certifi.contents().partition("-----END CERTIFICATE-----\n")
    file = home / "authority.pem"
    file.write_text(first + end)
    return file


def _clear_away() -> None:
    home = Path(os.environ.pop(HOME))
    EmbeddedPostgres(home).stop()  # a worker that was killed has left it running
    shutil.rmtree(home, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres() -> Iterator[EmbeddedPostgres]:
    """The session's server, shared by all workers of the session."""
    with server(Path(os.environ[HOME])) as running:
        yield running


@pytest.fixture
def database(postgres: EmbeddedPostgres) -> Iterator[Database]:
    """A migrated, empty database of the test's own."""
    with fresh_database(postgres) as made:
        yield made


@pytest.fixture(autouse=True)
def _failpoints_are_disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


__all__ = ["Database"]
