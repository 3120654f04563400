"""Renders templates in limited child processes, which hold no secret and can open nothing."""

import asyncio
import re
import socket
import struct
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from adapters.child_processes import LENGTH, ROOT, end_group, kept_environment
from adapters.rendering import plain
from commands.ports import Template
from domain.rendering import (
    RENDERING_ERRORS,
    InvalidVariables,
    MissingVariable,
    RendererDown,
    RenderingError,
    RenderingFailed,
    RenderingLimit,
    TemplateTooLarge,
)

MAX_SOURCE = 1024 * 1024
MAX_SOURCES = 4 * 1024 * 1024
MAX_ANSWER = 16 * 1024 * 1024
"""Bytes of an answer: 1 MiB of text, in which JSON may write each character with six."""

PATIENCE = 10.0
"""Seconds after which the zygote itself, which ends what takes too long, is thought to hang."""

SPARES = 2
"""Children that wait for a request, so that an ordinary one need not wait for a fork."""

ORDER = struct.Struct("!cI")
FORK, START = b"F", b"S"
NOTHING = b'{"op":"check","templates":[],"includes":{}}'
"""A request that asks for nothing."""

SAFE_NAME = re.compile(r"[^\W\d][\w]{0,63}|[a-z0-9][a-z0-9_.@-]{0,130}")
PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from adapters.rendering.child import serve; serve(int(sys.argv[2]))"
)


class Zygote:
    """The process that forks one limited child for each request."""

    def __init__(self) -> None:
        self.control, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603 - our own program
                [sys.executable, "-I", "-X", "utf8", "-c", PROGRAM, str(ROOT), str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                env=kept_environment(),
                cwd="/",
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        self.count = 0
        self.spares: deque[tuple[int, socket.socket]] = deque()
        for _ in range(SPARES):
            self.spares.append(self.fork())

    def fork(self) -> tuple[int, socket.socket]:
        """Return the number and the socket of a new child, or raise OSError where the zygote has ended."""
        self.count = (self.count + 1) % 2**32
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                socket.send_fds(self.control, [ORDER.pack(FORK, self.count)], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return self.count, ours

    def take(self) -> socket.socket:
        """Return the socket of a child whose time begins now."""
        number, ours = self.spares.popleft() if self.spares else self.fork()
        try:
            self.control.sendall(ORDER.pack(START, number))
        except OSError:
            ours.close()
            raise
        return ours

    def refill(self) -> None:
        """Make up for a child that was used."""
        if len(self.spares) < SPARES:
            self.spares.append(self.fork())

    def gone(self) -> bool:
        """Whether it has ended; its side of the control socket is closed before its children end."""
        try:
            return not self.control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    async def answers(self) -> bool:
        """Whether it still makes children that work: as it ends, one that was just forked may hold its socket open."""
        try:
            with self.fork()[1] as ours:
                async with asyncio.timeout(PATIENCE):
                    return await exchanged(ours, LENGTH.pack(len(NOTHING)) + NOTHING) is not None
        except (OSError, TimeoutError):
            return False

    def end(self) -> None:
        """End it and all its children."""
        for _, ours in self.spares:
            ours.close()
        self.spares.clear()
        self.control.close()
        end_group(self.process)


class SandboxedRenderer:
    """Renders and checks templates; one event loop's, started at its first use, ended by `close`."""

    def __init__(self, *, concurrency: int = 16) -> None:
        self._slots = asyncio.Semaphore(concurrency)
        self._zygote: Zygote | None = None
        self._closed = False

    async def render(
        self,
        templates: Sequence[Template],
        variables: Mapping[str, Any],
        includes: Mapping[str, str],
    ) -> list[str]:
        """Return each template's text, or raise what domain.rendering names.

        `includes` holds the source of each prompt that `{% include "name@label" %}` may name; a
        name without a label is that of the label `live`.
        """
        must_fit(templates, includes)
        texts: list[str | None] = []
        room = plain.MAX_OUTPUT
        for template in templates:
            text = plain.rendered(template.name, template.source, variables, room)
            texts.append(text)
            if text is not None and text is not template.source:
                room -= len(text.encode())
        rest = [template for template, text in zip(templates, texts, strict=True) if text is None]
        made: Iterator[str] = iter(())
        if rest:
            made = iter((await self._ask("render", rest, variables, includes))["texts"])
        return [next(made) if text is None else text for text in texts]

    async def check(self, templates: Sequence[Template]) -> list[set[str]]:
        """Return the undeclared variables of each template, or raise what domain.rendering names."""
        return [variables for variables, _ in await self.needs(templates)]

    async def needs(self, templates: Sequence[Template]) -> list[tuple[set[str], set[str]]]:
        """Return (undeclared variables, included names as written) of each template, or raise likewise."""
        must_fit(templates, {})
        known = [plain.variables_of(template.source) for template in templates]
        if None not in known:
            return [(variables or set(), set()) for variables in known]
        answer = await self._ask("check", templates, {}, {})
        return [(set(each["variables"]), set(each["includes"])) for each in answer["checked"]]

    async def close(self) -> None:
        """End the processes; requests under way fail."""
        self._closed = True
        self._drop()

    async def _ask(
        self,
        op: str,
        templates: Sequence[Template],
        variables: Mapping[str, Any],
        includes: Mapping[str, str],
    ) -> dict[str, Any]:
        request = {
            "op": op,
            "templates": [[template.name, template.source] for template in templates],
            "variables": variables,
            "includes": includes,
        }
        try:
            body = orjson.dumps(request)
        except orjson.JSONEncodeError:
            raise InvalidVariables(pointer="/variables") from None
        async with self._slots:
            # A zygote that was ended from outside is replaced, once: rendering changes nothing.
            answer = await self._once(body) or await self._once(body)
        if answer is None:
            raise RendererDown
        if "error" in answer:
            raise error_of(answer["error"], {template.name for template in templates} | includes.keys())
        return answer

    async def _once(self, body: bytes) -> dict[str, Any] | None:
        """Return the answer of a child process, or None where the zygote has ended."""
        if self._closed:
            return None
        zygote = self._zygote
        if zygote is None or zygote.gone():
            self._drop()
            zygote = self._zygote = Zygote()
        answer = None
        try:
            with zygote.take() as ours:
                async with asyncio.timeout(PATIENCE):
                    answer = await exchanged(ours, LENGTH.pack(len(body)) + body)
            zygote.refill()
        except TimeoutError:
            if self._zygote is zygote:
                self._drop()
            raise RenderingLimit from None
        except OSError:
            answer = None
        if answer is not None:
            return answer
        if zygote.gone() or not await zygote.answers():
            if self._zygote is zygote:
                self._drop()
            return None
        return {"error": {"code": RenderingLimit.code}}

    def _drop(self) -> None:
        if self._zygote is not None:
            self._zygote.end()
            self._zygote = None


async def exchanged(end: socket.socket, frame: bytes) -> dict[str, Any] | None:
    """Send a frame and return the answer, or None where the other end was closed before."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(end, frame)
    got = bytearray()
    while piece := await loop.sock_recv(end, 256 * 1024):
        got += piece
        if len(got) > MAX_ANSWER:
            return None
        if len(got) >= LENGTH.size and len(got) == LENGTH.size + LENGTH.unpack_from(got)[0]:
            answer: dict[str, Any] = orjson.loads(memoryview(got)[LENGTH.size :])
            return answer
    return None


def must_fit(templates: Sequence[Template], includes: Mapping[str, str]) -> None:
    """Raise TemplateTooLarge, or RenderingFailed for a source that is no valid text."""
    total = 0
    sources = [(template.name, template.source) for template in templates]
    for name, source in [*sources, *includes.items()]:
        try:
            size = len(source.encode())
        except UnicodeEncodeError:
            raise RenderingFailed(template=name) from None
        total += size
        if size > MAX_SOURCE or total > MAX_SOURCES:
            raise TemplateTooLarge(template=name)


def error_of(told: Mapping[str, Any], names: set[str]) -> RenderingError:
    """Return the error that a child process tells of; what it says is not believed, but looked up."""
    kind = RENDERING_ERRORS.get(told["code"], RenderingFailed)
    template = told.get("template")
    template = template if template in names else ""
    line = told.get("line")
    line = line if isinstance(line, int) and template else None
    name = str(told.get("name") or "")
    named = f" '{name}'" if SAFE_NAME.fullmatch(name) else ""
    if kind is MissingVariable:
        path = [str(key) for key in told.get("path") or ()]
        if not all(SAFE_NAME.fullmatch(key) for key in path):
            path = []
        pointer = "/".join(["/variables", *path])
        dotted = ".".join(path)
        return kind(
            template=template, line=line, pointer=pointer,
            message=f"The variable '{dotted or name}' has no value: give it one." if dotted or named else "",
        )  # fmt: skip
    said = (kind.__doc__ or "").strip().splitlines()[0]
    if named:
        said = f"{said.rstrip('.')}:{named}."
    elif told.get("reason"):
        said = f"{said.rstrip('.')}: {told['reason']}."
    return kind(template=template, line=line, message=said)
