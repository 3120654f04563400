"""Reads documents in a few child processes, started when the first document comes and replaced when they fail."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import orjson

from adapters.reading import wire
from adapters.reading.cutting import cut, is_short
from adapters.reading.kinds import VERSIONS, is_picture, kind_of
from adapters.reading.plain import read_plain
from adapters.reading.process import Child
from adapters.reading.scanned import VERSION, complete, must_be_installed, text_of_picture
from adapters.reading.scans import Scans
from adapters.reading.together import Together
from commands.knowledge.languages import LanguageDetector
from commands.knowledge.reading import Chunk, ReaderDown, ReadingLimit, Text, Tokenizer
from domain.knowledge_source import Ocr

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


class Reader:
    """Reads and cuts documents; one event loop's."""

    def __init__(
        self,
        *,
        processes: int = PROCESSES,
        patience: float = PATIENCE,
        languages: LanguageDetector | None = None,
        scans: Scans | None = None,
    ) -> None:
        """Take what finds out the language of documents that don't tell theirs, and what reads pictures; None: nobody does."""
        self._slots = asyncio.Semaphore(processes)
        self._beside = self._kept = processes
        self._idle: list[Child] = []
        self._busy = 0
        self._waited = 0.0
        self._freed = asyncio.Event()
        self._together = Together(self._ask_to_cut)
        self._patience = patience
        self._languages = languages
        self._scans = scans
        self._closed = False

    def parser(self, media_type: str, name: str, ocr: Ocr = "auto") -> str:
        """Return under which name and version texts made from such content are kept, or raise Unreadable."""
        if ocr != "off" and is_picture(media_type, name):
            must_be_installed(self._scans)
            return f"picture/{VERSION}"
        kind = kind_of(media_type, name)
        parser = f"{kind}/{VERSIONS[kind]}"
        if kind == "pdf" and self._scans is not None and ocr != "off":
            return f"{parser}+ocr{'' if ocr == 'auto' else '-' + ocr}/{VERSION}"
        return parser

    async def read(
        self, content: bytes, media_type: str, name: str, ocr: Ocr = "auto", *, most_scanned: int | None = None
    ) -> Text:
        """Return the text of a document, or raise Unreadable or ReaderDown."""
        kind = "picture" if ocr != "off" and is_picture(media_type, name) else kind_of(media_type, name)
        if kind == "picture":
            text = await text_of_picture(content, self._scans, most_scanned)
        elif kind in PLAIN and len(content) <= SHORT:
            text = read_plain(content, kind)
        else:
            head, body = await self._ask({"op": "read", "kind": kind}, content)
            text = wire.text_of(head, body.decode())
        if kind == "pdf":
            text = await complete(text, content, self._scans, ocr, most_scanned)
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
        if self._scans is not None:
            await self._scans.close()
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
