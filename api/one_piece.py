"""A transport that sends in one piece what is written at once: an answer's head and its body are two writes otherwise."""

from asyncio import AbstractEventLoop, Transport
from typing import Any


class OnePiece:
    """Stands before a transport, which has all else that is asked of it.

    The first piece is kept until the second or the end of this turn of the event loop, whichever comes first.
    """

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self._kept = b""

    def write(self, data: bytes) -> None:
        """Send this, with what was kept; or keep it."""
        if self._kept:
            kept, self._kept = self._kept, b""
            self._transport.write(kept + data)
        else:
            self._kept = data
            self._loop.call_soon(self._send)

    def write_eof(self) -> None:
        """Send what was kept, and then nothing more."""
        self._send()
        self._transport.write_eof()

    def close(self) -> None:
        """Send what was kept, and close."""
        self._send()
        self._transport.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def _send(self) -> None:
        kept, self._kept = self._kept, b""
        if kept and not self._transport.is_closing():  # whoever was to have it may have gone since
            self._transport.write(kept)
