"""The other end of a webhook: keeps what it is sent, and answers as it is told to."""

import asyncio
import base64
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import orjson

from commands.webhook import PREFIX
from tests.support.patience import PATIENCE


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """One request."""

    headers: dict[str, str]
    body: bytes
    path: str

    @property
    def event(self) -> Any:
        return orjson.loads(self.body)

    def is_signed_with(self, secret: str) -> bool:
        """Check the signature as a stranger would, from the words of the standard."""
        content = b".".join(
            [self.headers["webhook-id"].encode(), self.headers["webhook-timestamp"].encode(), self.body]
        )
        mac = hmac.new(base64.b64decode(secret.removeprefix(PREFIX)), content, hashlib.sha256).digest()
        return self.headers["webhook-signature"] == f"v1,{base64.b64encode(mac).decode()}"


@dataclass
class Receiver:
    """Answers 204, or with what stands next in `answers`; `silent` keeps it from answering at all."""

    port: int = 0
    deliveries: list[Delivery] = field(default_factory=list)
    answers: list[str] = field(default_factory=list)
    silent: bool = False
    _came: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    @property
    def positions(self) -> list[int]:
        return [each.event["position"] for each in self.deliveries]

    async def got(self, count: int) -> list[Delivery]:
        """Wait for so many deliveries, and return them."""
        async with asyncio.timeout(PATIENCE), self._came:
            await self._came.wait_for(lambda: len(self.deliveries) >= count)
        return self.deliveries

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                headers = {k.lower(): v for k, v in (line.split(": ", 1) for line in head[1:] if line)}
                body = await reader.readexactly(int(headers["content-length"]))
                async with self._came:
                    self.deliveries.append(Delivery(headers=headers, body=body, path=head[0].split()[1]))
                    self._came.notify_all()
                if self.silent:
                    await reader.read()
                    break
                answer = self.answers.pop(0) if self.answers else "204 No Content\r\n"
                writer.write(f"HTTP/1.1 {answer}\r\n".encode())
        writer.close()


@contextlib.asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """Receive on a loopback port while the block lasts."""
    receiver = Receiver()
    server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
    receiver.port = server.sockets[0].getsockname()[1]
    try:
        yield receiver
    finally:
        server.close()
        await server.wait_closed()
