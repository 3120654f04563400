"""A child process that reads, and our end of its socket."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import Mapping
from types import MappingProxyType

from adapters.child_processes import LENGTH, ROOT, end_group, kept_environment
from adapters.reading import wire
from commands.knowledge.reading import Tokenizer

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from adapters.reading.lean import load_leanly
load_leanly()
from adapters.reading.child import serve
serve(int(sys.argv[2]))
"""
MOST_ANSWER = 400_000_000
"""Bytes of one part of an answer."""


class Child:
    """One reading process and our end of its socket."""

    def __init__(self, program: str = PROGRAM, told: Mapping[str, str] = MappingProxyType({})) -> None:
        """Start a program; `told` is what its environment has besides."""
        self.end, theirs = socket.socketpair()
        self.end.setblocking(False)
        self.requests = self.parsed = 0
        self._tokenizers: set[str] = set()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-X", "utf8", "-c", program, str(ROOT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env={**kept_environment(), "OPENBLAS_NUM_THREADS": "1", **told},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    async def ask(self, request: bytes, tokenizer: Tokenizer | None) -> tuple[bytes, bytes] | None:
        """Return both parts of the answer, or None where the process has ended; each tokenizer is sent once."""
        if tokenizer is not None and tokenizer.name not in self._tokenizers:
            told = await self.exchange(wire.request({"op": "count", "name": tokenizer.name}, tokenizer.data))
            if told is None or told[0] != b"{}":
                return told
            self._tokenizers.add(tokenizer.name)
        return await self.exchange(request)

    async def exchange(self, request: bytes) -> tuple[bytes, bytes] | None:
        """Return both parts of the answer to a request, or None where the process has ended."""
        loop = asyncio.get_running_loop()
        try:
            await loop.sock_sendall(self.end, request)
            head = await self._frame(loop)
            return None if head is None else (head, await self._frame(loop) or b"")
        except OSError:
            return None

    async def _frame(self, loop: asyncio.AbstractEventLoop) -> bytes | None:
        size = await self._exactly(loop, LENGTH.size)
        if size is None or LENGTH.unpack(size)[0] > MOST_ANSWER:
            return None
        return await self._exactly(loop, LENGTH.unpack(size)[0])

    async def _exactly(self, loop: asyncio.AbstractEventLoop, size: int) -> bytes | None:
        got = bytearray(size)
        view = memoryview(got)
        while view:
            count = await loop.sock_recv_into(self.end, view)
            if not count:
                return None
            view = view[count:]
        return bytes(got)

    def finish(self) -> None:
        """End it."""
        self.end.close()
        end_group(self.process)
