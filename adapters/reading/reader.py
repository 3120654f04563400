"""Reads documents in a few child processes, started when the first document comes and replaced when they fail."""

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from adapters.child_processes import LENGTH, ROOT, end_group, kept_environment
from adapters.reading import wire
from adapters.reading.cutting import cut, is_short
from adapters.reading.kinds import VERSIONS, kind_of
from adapters.reading.plain import read_plain
from adapters.reading.together import Together
from commands.knowledge.languages import LanguageDetector
from commands.knowledge.reading import Chunk, ReaderDown, ReadingLimit, Text, Tokenizer

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from adapters.reading.lean import load_leanly
load_leanly()
from adapters.reading.child import serve
serve(int(sys.argv[2]))
"""
PROCESSES = 2
PATIENCE = 120.0
"""Seconds that a document may take."""

SLOW = 3.0
"""Seconds after which a document no longer holds up others: one more may be read beside it."""

WORTH = 2.0
"""Seconds that documents wait, all together, until a further process is started: two or three times what that takes."""

MOST_PARSED, MOST_REQUESTS = 1_000, 10_000
"""Documents, and requests, after which a process is replaced: what a parser has lost by then is given back.

Cutting loses nothing that is known; a start of a process takes as long as cutting some thousand texts.
"""

SHORT = 65_536
"""Bytes up to which text that needs no parser is read here: sending it elsewhere would take longer."""

NO_PROSE = frozenset({"code", "json", "csv"})
"""Kinds of documents whose language is not looked for."""

PLAIN = frozenset({"text", "markdown", "csv", "json", "code"})
MOST_ANSWER = 400_000_000


class Child:
    """One reading process and our end of its socket."""

    def __init__(self) -> None:
        self.end, theirs = socket.socketpair()
        self.end.setblocking(False)
        self.requests = self.parsed = 0
        self._tokenizers: set[str] = set()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-X", "utf8", "-c", PROGRAM, str(ROOT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=kept_environment() | {"OPENBLAS_NUM_THREADS": "1"},
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )

    async def ask(self, request: bytes, tokenizer: Tokenizer | None) -> tuple[bytes, bytes] | None:
        """Return both parts of the answer, or None where the process has ended; each tokenizer is sent once."""
        if tokenizer is not None and tokenizer.name not in self._tokenizers:
            told = await self._exchange(wire.request({"op": "count", "name": tokenizer.name}, tokenizer.data))
            if told is None or told[0] != b"{}":
                return told
            self._tokenizers.add(tokenizer.name)
        return await self._exchange(request)

    async def _exchange(self, request: bytes) -> tuple[bytes, bytes] | None:
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


class Reader:
    """Reads and cuts documents; one event loop's."""

    def __init__(
        self, *, processes: int = PROCESSES, patience: float = PATIENCE, languages: LanguageDetector | None = None
    ) -> None:
        """Take what finds out the language of documents that don't tell theirs; None: nobody does."""
        self._slots = asyncio.Semaphore(processes)
        self._beside = self._kept = processes
        self._idle: list[Child] = []
        self._busy = 0
        self._waited = 0.0
        self._freed = asyncio.Event()
        self._together = Together(self._ask_to_cut)
        self._patience = patience
        self._languages = languages
        self._closed = False

    def parser(self, media_type: str, name: str) -> str:
        """Return under which name and version texts made from such content are kept, or raise Unreadable."""
        kind = kind_of(media_type, name)
        return f"{kind}/{VERSIONS[kind]}"

    async def read(self, content: bytes, media_type: str, name: str) -> Text:
        """Return the text of a document, or raise Unreadable or ReaderDown."""
        kind = kind_of(media_type, name)
        if kind in PLAIN and len(content) <= SHORT:
            text = read_plain(content, kind)
        else:
            head, body = await self._ask({"op": "read", "kind": kind}, content)
            text = wire.text_of(head, body.decode())
        if text.language is None and self._languages is not None and kind not in NO_PROSE:
            return replace(text, language=await self._languages.detect(text.text))
        return text

    async def cut(self, text: Text, chunking: Mapping[str, Any], tokenizer: Tokenizer | None = None) -> Sequence[Chunk]:
        """Cut a text by a knowledge source's `chunking`; raises the same."""
        if tokenizer is None and is_short(text, chunking):
            return cut(text, chunking)
        head = {
            "text": wire.text_document(text),
            "chunking": dict(chunking),
            "tokenizer": None if tokenizer is None else tokenizer.name,
        }
        return wire.spans_of(await self._together.cut(head, text.text.encode(), tokenizer), text)

    async def close(self) -> None:
        """End the processes; requests under way fail."""
        self._closed = True
        while self._idle:
            self._idle.pop().finish()

    async def _ask_to_cut(self, head: Mapping[str, Any], body: bytes, tokenizer: Tokenizer | None) -> bytes:
        return (await self._ask(head, body, tokenizer))[1]

    async def _ask(
        self, head: Mapping[str, Any], body: bytes, tokenizer: Tokenizer | None = None
    ) -> tuple[Mapping[str, Any], bytes]:
        request = wire.request(head, body)
        async with self._slot():
            answer = await self._once(request, tokenizer, parses=head["op"] == "read", fresh=False)
        told: Mapping[str, Any] = orjson.loads(answer[0])
        if "error" in told:
            raise wire.error_of(told["error"])
        return told, answer[1]

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """Take a place among those that are read at once; who is slow leaves it to others, while there is room."""
        await self._slots.acquire()
        left = False

        def leave() -> None:
            nonlocal left
            if self._beside > 0:
                self._beside -= 1
                left = True
                self._slots.release()

        timer = asyncio.get_running_loop().call_later(SLOW, leave)
        try:
            yield
        finally:
            timer.cancel()
            if left:
                self._beside += 1
            else:
                self._slots.release()

    async def _once(
        self, request: bytes, tokenizer: Tokenizer | None, *, parses: bool, fresh: bool
    ) -> tuple[bytes, bytes]:
        """Return a child's answer; raise ReadingLimit for a document that ended it, or took too long."""
        if self._closed:
            raise ReaderDown("This process is about to end: another one reads the document.")
        try:
            child = Child() if fresh else await self._unused()
        except OSError as error:
            raise ReaderDown(f"No process that reads documents can be started: {error.strerror}.") from None
        used, answer = child.requests > 0, None
        child.requests += 1
        child.parsed += parses
        self._busy += 1
        try:
            async with asyncio.timeout(self._patience):
                answer = await child.ask(request, tokenizer)
        except TimeoutError:
            raise ReadingLimit(f"Reading the document took more than {self._patience:g} seconds.") from None
        finally:
            self._busy -= 1
            self._freed.set()
            spent = child.parsed >= MOST_PARSED or child.requests >= MOST_REQUESTS or len(self._idle) >= self._kept
            if answer is None or self._closed or spent:
                child.finish()
            else:
                self._idle.append(child)
        if answer is None and used:
            # An earlier document may have left little memory: this one is given a process of its own.
            return await self._once(request, tokenizer, parses=parses, fresh=True)
        if answer is None:
            raise ReadingLimit("Reading the document took too much memory, or ended the process that read it.")
        return answer

    async def _unused(self) -> Child:
        """Return a process that nobody uses.

        Most documents take less time than the start of a process: a further one is started only when so many
        have waited that it pays.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            async with asyncio.timeout(WORTH - self._waited):
                while self._busy and not self._idle:
                    self._freed.clear()
                    await self._freed.wait()
            self._waited += loop.time() - began
        except TimeoutError:
            self._waited = 0.0
        return self._idle.pop() if self._idle else Child()
