"""Reading a streamed answer off an exchange."""

import asyncio

from adapters.openai import failures
from adapters.openai.chat_answer import ChatReading
from adapters.openai.failures import Failure
from adapters.openai.patience import Due, Patience
from adapters.openai.sse import EventReader
from adapters.openai.wire import Exchange

DONE = b"[DONE]"
LONGEST_BODY = 32_000_000
"""Bytes of an answer that does not stream."""

AFTER_DONE = 0.1
"""Seconds that the end of a stream may take after its last event: a connection that ended can be used again."""


class ChatStream:
    """Gives the texts as they come. A server that answers plainly where a stream was asked for does as well."""

    def __init__(self, exchange: Exchange, reading: ChatReading, patience: Patience) -> None:
        self._exchange = exchange
        self._reading = reading
        self._patience = patience
        self._events = EventReader()
        self._ended = False
        must_be_data(exchange, "application/json", "text/event-stream")

    async def next(self) -> list[str] | None:
        """Return the texts of what came next, often one and perhaps none; None at the end."""
        if self._ended:
            return None
        if self._exchange.content_type == "application/json":
            self._ended = True
            self._reading.whole(await self._exchange.read_all(LONGEST_BODY))
            return [self._reading.text] if self._reading.text else []
        due = self._patience.next() if self._reading.begun else self._patience.first
        try:
            chunk = await self._exchange.read(due)
        except Failure:
            if self._reading.finish_reason is None:
                raise
            chunk = None  # the answer has come to its end: all that may be missing is what it took
        texts: list[str] = []
        if chunk is None:
            return self._end(texts, done=self._events.rest() == DONE)
        for data in self._events.feed(chunk):
            if data == DONE:
                await self._let_it_end()
                return self._end(texts, done=True)
            if text := self._reading.event(data):
                texts.append(text)
        return texts

    def _end(self, texts: list[str], *, done: bool) -> list[str]:
        self._ended = True
        if not self._reading.begun:
            raise (
                failures.invalid("sent an answer without choices")
                if done
                else failures.broken("ended its answer before it began", status=self._exchange.status)
            )
        if not done and self._reading.finish_reason is None:
            raise failures.broken("ended its answer in the middle", status=self._exchange.status)
        if rest := self._reading.finish():
            texts.append(rest)
        return texts

    async def _let_it_end(self) -> None:
        due = Due(asyncio.get_running_loop().time() + AFTER_DONE, "idle", AFTER_DONE)
        try:
            while await self._exchange.read(due) is not None:
                pass
        except Failure:
            return  # the answer is complete; its connection is just not used again


def must_be_data(exchange: Exchange, *expected: str) -> None:
    """Raise Failure where the answer is a page or a picture; servers are often wrong in smaller ways."""
    kind = exchange.content_type
    if kind not in expected and kind.partition("/")[0] in ("text", "image", "audio", "video") and kind != "text/plain":
        raise failures.invalid("answered with a page and not with data: is the base URL right?")
