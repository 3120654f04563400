"""Runs of a prompt over a model server that answers at once: what they take beyond calling it directly."""

import itertools
import socket
import statistics
import time
from collections.abc import Callable, Iterator

import psutil

from benchmarks.database import Databases
from benchmarks.measure import Scale
from benchmarks.models import magnet, provider
from benchmarks.table import Row

RUNS = 300
PIECES = 2000
TEXT = "How much is it"
FIRST_OF_THEIRS = b'"content":"e'
FIRST_OF_OURS = b"event: message.delta"
ENDS = (b"data: [DONE]", b"event: run.completed")


class Client:
    """One connection, kept alive; it reads no more of an answer than it has to."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=60)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self) -> None:
        self._socket.close()

    def plain(self, sent: bytes) -> float:
        """Return the seconds until the whole answer is there."""
        began = time.perf_counter()
        self._socket.sendall(sent)
        head, _, body = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        must_be_well(head)
        lower = head.lower()
        at = lower.index(b"content-length:") + len(b"content-length:")
        left = int(lower[at:].partition(b"\r\n")[0]) - len(body)
        while left > 0:
            left -= len(self._socket.recv(65536))
        return time.perf_counter() - began

    def first(self, sent: bytes, marker: bytes) -> float:
        """Return the seconds until the first text of a stream is there; then read it to its end."""
        began = time.perf_counter()
        self._socket.sendall(sent)
        came = self._until(marker)
        seconds = time.perf_counter() - began
        must_be_well(came)
        while not came.endswith(b"0\r\n\r\n"):
            came = came[-100:] + self._socket.recv(65536)
        return seconds

    def pieces(self, sent: bytes, marker: bytes) -> int:
        """Read a stream to its end, and return how many pieces it had."""
        self._socket.sendall(sent)
        came = self._until(b"0\r\n\r\n")
        must_be_well(came)
        return came.count(marker)

    def _until(self, marker: bytes) -> bytes:
        came = b""
        while marker not in came[-len(marker) - 70_000 :]:
            chunk = self._socket.recv(65536)
            if not chunk:
                raise RuntimeError(f"the connection ended: {came[-300:]!r}")
            came += chunk
        return came


def must_be_well(answer: bytes) -> None:
    """Raise where an answer is no success."""
    if answer[9:12] != b"200":
        raise RuntimeError(f"an answer was no success: {answer[:500]!r}")


def prompt_runs(databases: Databases, scale: Scale) -> Iterator[Row]:
    """One after the other: a run and a direct call in turn."""
    count = scale.count(RUNS)
    with provider() as theirs, magnet(databases, theirs) as ours:
        through, directly = Client(ours.port), Client(theirs.port)
        plain = in_turn(
            count,
            lambda: through.plain(ours.request(TEXT, stream=False)),
            lambda: directly.plain(theirs.request(TEXT, stream=False)),
        )
        first = in_turn(
            count,
            lambda: through.first(ours.request(TEXT, stream=True), FIRST_OF_OURS),
            lambda: directly.first(theirs.request(TEXT, stream=True), FIRST_OF_THEIRS),
        )
        at_once = cpu_per_piece(through, ours.pid, ours.request, scale)
    with provider(between=0.001) as slowly, magnet(databases, slowly) as ours:
        one_by_one = cpu_per_piece(Client(ours.port), ours.pid, ours.request, scale)
    yield Row(
        what="run of a prompt, recorded, beyond the call itself, p50", ours=(plain[0] - plain[1]) * 1000, unit="ms",
        compared="the call itself, ms", theirs=plain[1] * 1000, most=5,
    )  # fmt: skip
    yield Row(
        what="first text of a streamed run, beyond the call's, p50", ours=(first[0] - first[1]) * 1000, unit="ms",
        compared="the call's own, ms", theirs=first[1] * 1000, most=4,
    )  # fmt: skip
    yield Row(what="CPU for a streamed piece, pieces 1 ms apart", ours=one_by_one * 1000, unit="ms", most=0.1)
    yield Row(what="CPU for a streamed piece, pieces as they come", ours=at_once * 1000, unit="ms", most=0.1)


def in_turn(count: int, *ways: Callable[[], float]) -> list[float]:
    """Return the median of each way, taken in turn."""
    for way, _ in itertools.product(ways, range(max(5, count // 10))):
        way()
    taken = [[way() for way in ways] for _ in range(count)]
    return [statistics.median(figures) for figures in zip(*taken, strict=True)]


def cpu_per_piece(client: Client, pid: int, make: Callable[..., bytes], scale: Scale) -> float:
    """Return the seconds of CPU that one more piece of a stream takes: a long stream against a short one."""
    process = psutil.Process(pid)

    def cpu(text: str, pieces: int) -> float:
        sent = make(text, stream=True)
        before = process.cpu_times()
        # `echo:` is the first of them.
        assert client.pieces(sent, FIRST_OF_OURS) == pieces + 1
        after = process.cpu_times()
        return after.user + after.system - before.user - before.system

    count = max(500, scale.count(PIECES))
    figures = [cpu("w " * (count - 1) + "w", count) - cpu("w", 1) for _ in range(max(3, scale.rounds))]
    return statistics.median(figures) / (count - 1)
