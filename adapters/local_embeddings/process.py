"""The other side of the process that embeds: started at its first use, one request at a time, short ones first."""

import asyncio
import contextlib
import heapq
import os
import socket
import subprocess
import sys
from itertools import count
from typing import Any

import orjson

from adapters.child_processes import ROOT, end_group, kept_environment
from adapters.local_embeddings.frames import ANSWER, REQUEST

PROGRAM = """
import sys, sysconfig
installed = sysconfig.get_path("purelib")
sys.path.insert(sys.path.index(installed) if installed in sys.path else len(sys.path), sys.argv[1])
from adapters.local_embeddings.child import serve
serve(int(sys.argv[2]))
"""
"""Our own modules go before those that are installed, and after Python's."""

THREAD_COUNTS = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "RAYON_NUM_THREADS")
MOST_THREADS = 4
PATIENCE = 300.0
"""Seconds after which a request is thought to have no end."""


class ProcessEnded(Exception):
    """The process ended, or did not answer."""


def threads() -> int:
    """Return how many threads multiply: half of the processors, so that the server keeps the others."""
    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(MOST_THREADS, available // 2))


class Turns:
    """Lets one at a time go on: the shortest first, and of equally short ones who came first."""

    def __init__(self) -> None:
        self._busy = False
        self._numbers = count()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []

    async def take(self, size: int) -> None:
        """Wait for one's turn."""
        if not self._busy:
            self._busy = True
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (size, next(self._numbers), turn))
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self.give()  # its turn had come just then
            raise

    def give(self) -> None:
        """Let the next one go on."""
        self._busy = False
        while self._waiting:
            _, _, turn = heapq.heappop(self._waiting)
            if not turn.done():
                self._busy = True
                turn.set_result(None)
                return


class EmbeddingProcess:
    """One process; begun anew where it has ended."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._process: subprocess.Popen[bytes] | None = None
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None
        self._exchange: asyncio.Task[tuple[dict[str, Any], bytes]] | None = None
        self._closed = False

    async def ask(self, request: bytes, size: int) -> tuple[dict[str, Any], bytes]:
        """Return the answer and the vectors, or raise ProcessEnded.

        `size` says how long it takes beside others. A caller that leaves does not end what has begun: the next
        request waits for it.
        """
        await self._turns.take(size)
        self._exchange = asyncio.create_task(self._ask(request))
        self._exchange.add_done_callback(self._done)
        return await asyncio.shield(self._exchange)

    async def close(self) -> None:
        """End the process; whoever waits is told so."""
        self._closed = True
        exchange, streams = self._exchange, self._streams
        self._end()
        if exchange is not None:
            await asyncio.wait({exchange})
        if streams is not None:
            with contextlib.suppress(OSError):
                await streams[1].wait_closed()

    def _done(self, exchange: "asyncio.Task[tuple[dict[str, Any], bytes]]") -> None:
        if not exchange.cancelled():
            exchange.exception()  # whoever asked may have left
        self._exchange = None
        self._turns.give()

    async def _ask(self, request: bytes) -> tuple[dict[str, Any], bytes]:
        if self._closed:
            raise ProcessEnded
        try:
            async with asyncio.timeout(PATIENCE):
                reader, writer = self._streams or await self._begin()
                writer.write(REQUEST.pack(len(request)) + request)
                await writer.drain()
                said, vectors = ANSWER.unpack(await reader.readexactly(ANSWER.size))
                told: dict[str, Any] = orjson.loads(await reader.readexactly(said))
                return told, await reader.readexactly(vectors)
        except (OSError, EOFError, TimeoutError):
            self._end()
            raise ProcessEnded from None
        except BaseException:
            self._end()
            raise

    async def _begin(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        self._streams = await asyncio.open_connection(sock=self._start())
        return self._streams

    def _start(self) -> socket.socket:
        bounded = dict.fromkeys(THREAD_COUNTS, str(threads()))
        ours, theirs = socket.socketpair()
        with theirs:
            self._process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-X", "utf8", "-c", PROGRAM, str(ROOT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=kept_environment() | bounded,
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        return ours

    def _end(self) -> None:
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
        if self._process is not None:
            end_group(self._process)
            self._process = None
