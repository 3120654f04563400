"""Row 8: several processes write to one log, and start on it at once."""

import subprocess
import sys
from collections.abc import Iterator

from benchmarks.database import Databases
from benchmarks.measure import Scale, interleaved
from benchmarks.table import Row

TOGETHER = 4
ROUNDS = 20


def writing(databases: Databases, scale: Scale) -> Iterator[Row]:
    """The sum of what one, two and four processes append."""
    dsn = databases.magnet()
    one, two, four = interleaved(
        scale,
        lambda: rate_of(dsn, 1, scale.seconds),
        lambda: rate_of(dsn, 2, scale.seconds),
        lambda: rate_of(dsn, TOGETHER, scale.seconds),
    )
    for processes, rate in ((2, two), (TOGETHER, four)):
        yield Row(
            what=f"{processes} processes appending, sum", ours=rate, unit="/s",
            compared="one process", theirs=one, least=0.8,
        )  # fmt: skip


def starting(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Four processes at once on an empty database: each brings the schema up to date, and records one event."""
    rounds = max(2, scale.count(ROUNDS))
    ours = sum(failures(databases.empty(), "start") for _ in range(rounds))
    theirs = sum(failures(databases.empty(), "start-stock") for _ in range(rounds))
    yield Row(
        what=f"{TOGETHER} processes starting at once, {rounds} rounds", ours=ours, unit="failed starts",
        compared="stock application", theirs=theirs, most=1,
    )  # fmt: skip


def rate_of(dsn: str, processes: int, seconds: float) -> float:
    """Return the appends per second of that many processes together."""
    running = [started("append", dsn, str(seconds)) for _ in range(processes)]
    go(running)
    return sum(float(process.communicate()[0]) for process in running)


def failures(dsn: str, what: str) -> int:
    """Return how many of the processes that start at once fail."""
    running = [started(what, dsn) for _ in range(TOGETHER)]
    go(running)
    for process in running:
        process.communicate()
    return sum(process.returncode != 0 for process in running)


def started(*arguments: str) -> subprocess.Popen[str]:
    """Start a writer; it waits for its signal."""
    return subprocess.Popen(
        [sys.executable, "-m", "benchmarks.writer", *arguments],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip


def go(running: list[subprocess.Popen[str]]) -> None:
    """Wait until all are ready, and let them begin at once."""
    for process in running:
        assert process.stdout is not None
        process.stdout.readline()
    for process in running:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
