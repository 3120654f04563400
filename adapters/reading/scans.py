"""Reading pages that are pictures: by OCR in a limited process of its own, one page at a time, where it is installed.

A page that ends the process, or takes too long, is told as unread; the next one is read by another process.
"""

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Literal

import structlog

from adapters.child_processes import end_group
from adapters.reading import wire
from adapters.reading.process import Child
from commands.knowledge.reading import ReaderDown, Unreadable

PROGRAM = """
import sys
sys.path.insert(0, sys.argv[1])
from adapters.reading.lean import load_leanly
load_leanly()
from adapters.reading.ocr_child import serve
serve(int(sys.argv[2]))
"""
TOLD = {"ORT_DISABLE_TELEMETRY": "1"}
"""Without it ONNX Runtime tells its maker that it is used, from a thread and a file of its own."""

PACKAGES = ("onnxruntime", "pypdfium2", "rapidocr")
NOT_TRIED = "It was not tried: pages before it ended the process that read them, or took too long."
MOST_PAGES = 200
"""Pages of a document that are read, where nothing else is said."""

PATIENCE = 300.0
"""Seconds that a page may take, on a busy machine too; what it may take of a processor is less."""

STARTS = 120.0
"""Seconds that the start of a process may take."""

KEPT = 30.0
"""Seconds that a process without work is kept: its start takes as long as reading half a page, and it holds its models."""

MOST_ENDED = 3
"""Pages of a document that end a process or take too long, after which no more are tried."""

TOLD_EVERY = 10
"""Pages after which it is told how far a document is."""

log = structlog.get_logger(__name__)
Kind = Literal["pdf", "picture"]


def is_installed() -> bool:
    """Return whether the packages of the extra `ocr` are there."""
    return all(find_spec(name) is not None for name in PACKAGES)


@dataclass(kw_only=True)
class Found:
    """What was read on pages (from 1), why others were not, and how many pages the document has."""

    texts: dict[int, str]
    unread: dict[int, str]
    replaced: int = 0
    pages: int = 0


class Scans:
    """Reads pages that are pictures; one event loop's. One document is read at a time."""

    def __init__(self, *, most_pages: int = MOST_PAGES, patience: float = PATIENCE, kept: float = KEPT) -> None:
        self.most_pages = most_pages
        self._patience = patience
        self._kept = kept
        self._turn = asyncio.Lock()
        self._child: Child | None = None
        self._leave: asyncio.TimerHandle | None = None
        self._closed = False

    async def read(self, content: bytes, kind: Kind, pages: Sequence[int] | None, most: int | None = None) -> Found:
        """Read pages of a document (None: all); raise Unreadable where it can't be opened, ReaderDown at the end."""
        most = self.most_pages if most is None else min(most, self.most_pages)
        async with self._turn:
            if self._leave is not None:
                self._leave.cancel()
            try:
                found = await self._read(content, kind, pages, most)
            except Unreadable:
                self._keep_a_while()
                raise
            except BaseException:
                self._finish()  # what it was asked last is not answered yet
                raise
            self._keep_a_while()
            return found

    async def close(self) -> None:
        """End the process; what it reads fails."""
        self._closed = True
        if self._turn.locked() and self._child is not None:
            end_group(self._child.process)  # who waits for its answer is told by the end of its socket
        else:
            self._finish()

    async def _read(self, content: bytes, kind: Kind, pages: Sequence[int] | None, most: int) -> Found:
        told = await self._open(content, kind)
        found = Found(texts={}, unread={}, pages=int(told["pages"]))
        wanted = range(1, found.pages + 1) if pages is None else pages
        ended = 0
        for place, page in enumerate(wanted):
            if place >= most:
                found.unread[page] = f"It was not tried: {most} pages of a document are read by OCR."
                continue
            if ended >= MOST_ENDED:
                found.unread[page] = NOT_TRIED
                continue
            if place and place % TOLD_EVERY == 0:
                log.info("ocr_progress", pages=place, of=min(len(wanted), most))
            try:
                if self._child is None:
                    await self._open(content, kind)
                head, body = await self._ask({"op": "read", "page": page}, b"")
            except ProcessEnded as error:
                ended += 1
                found.unread[page] = str(error)
            except Unreadable as error:
                found.unread[page] = str(error)
            else:
                found.texts[page] = body.decode()
                found.replaced += int(head["replaced"])
        return found

    async def _open(self, content: bytes, kind: Kind) -> Mapping[str, Any]:
        return (await self._ask({"op": "open", "kind": kind}, content))[0]

    async def _ask(self, head: Mapping[str, Any], body: bytes) -> tuple[Mapping[str, Any], bytes]:
        """Return what the process answers; raise what it tells, ProcessEnded or ReaderDown."""
        child = await self._begun()
        answer = None
        try:
            async with asyncio.timeout(self._patience):
                answer = await child.exchange(wire.request(head, body))
        except TimeoutError:
            self._finish()
            raise ProcessEnded(f"Reading it took more than {self._patience:g} seconds.") from None
        if answer is None:
            self._finish()
            self._must_be_open()
            raise ProcessEnded("Reading it took too much memory, or ended the process that read it.")
        told: Mapping[str, Any] = json.loads(answer[0])
        if "error" in told:
            raise wire.error_of(told["error"])
        return told, answer[1]

    async def _begun(self) -> Child:
        """Return the process that reads; a new one once its models are loaded."""
        self._must_be_open()
        if self._child is None:
            try:
                self._child = child = Child(PROGRAM, TOLD)
                async with asyncio.timeout(STARTS):
                    begun = await child.exchange(wire.request({"op": "begin"}, b""))
            except OSError as error:  # a TimeoutError too
                self._finish()
                raise ReaderDown(
                    f"No process that reads pictures can be started: {error.strerror or 'late'}."
                ) from None
            if begun is None:
                self._finish()
                self._must_be_open()
                raise ReaderDown("What reads pictures can't be loaded: install it anew (pip install 'magnet[ocr]').")
        return self._child

    def _must_be_open(self) -> None:
        if self._closed:
            raise ReaderDown("This process is about to end: another one reads the document.")

    def _keep_a_while(self) -> None:
        if self._child is not None:
            self._leave = asyncio.get_running_loop().call_later(self._kept, self._finish)

    def _finish(self) -> None:
        if self._leave is not None:
            self._leave.cancel()
            self._leave = None
        if self._child is not None:
            self._child.finish()
            self._child = None


class ProcessEnded(Unreadable):
    """Reading a page ended the process, or took too long."""

    code = "reading_limit"
