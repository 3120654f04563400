"""Texts that are to be cut at the same time go to a reading process as one request: asking takes longer than cutting."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from adapters.reading import wire
from commands.knowledge.reading import ReadingLimit, Tokenizer

MOST, MOST_BYTES = 32, 256_000
"""Texts of one request: so few that several processes have their share of a few hundred. A longer one goes alone."""

Ask = Callable[[Mapping[str, Any], bytes, Tokenizer | None], Awaitable[bytes]]
"""Asks a process, and returns the second part of its answer; raises as reading does."""


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """A text that is to be cut, and who waits for where its chunks stand."""

    head: Mapping[str, Any]
    body: bytes
    places: "asyncio.Future[Any]"


class Together:
    """Gathers what is asked for in one turn of the event loop, by tokenizer."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._waiting: dict[str | None, list[Waiting]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def cut(self, head: Mapping[str, Any], body: bytes, tokenizer: Tokenizer | None) -> Any:
        """Return the places of a text's chunks, or raise what is wrong with this text."""
        name = None if tokenizer is None else tokenizer.name
        places: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(name, [])
        waiting.append(Waiting(head=head, body=body, places=places))
        if len(waiting) == 1:
            task = asyncio.create_task(self._send(name, tokenizer))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        return await places

    async def _send(self, name: str | None, tokenizer: Tokenizer | None) -> None:
        waiting = [each for each in self._waiting.pop(name) if not each.places.done()]
        await asyncio.gather(*(self._settle(part, tokenizer) for part in parts(waiting)))

    async def _settle(self, part: Sequence[Waiting], tokenizer: Tokenizer | None) -> None:
        """Tell those who wait; where a text ended the process, each is asked for alone, so that it harms no other."""
        try:
            found = await self._found(part, tokenizer)
        except ReadingLimit as error:
            if len(part) > 1:
                await asyncio.gather(*(self._settle([each], tokenizer) for each in part))
                return
            found = [error]
        except Exception as error:  # whatever it is, somebody waits to be told
            found = [error] * len(part)
        for each, places in zip(part, found, strict=True):
            if each.places.done():
                continue
            if isinstance(places, BaseException):
                each.places.set_exception(places)
            else:
                each.places.set_result(places)

    async def _found(self, part: Sequence[Waiting], tokenizer: Tokenizer | None) -> list[Any]:
        """Return for each text the places of its chunks, or its error."""
        texts = [{**each.head, "size": len(each.body)} for each in part]
        data = await self._ask({"op": "cut", "texts": texts}, b"".join([each.body for each in part]), tokenizer)
        answers = orjson.loads(data)
        return [wire.error_of(each["error"]) if isinstance(each, dict) else each for each in answers]


def parts(waiting: Sequence[Waiting]) -> Iterator[list[Waiting]]:
    """Yield what goes together, in the order in which it was asked for."""
    part: list[Waiting] = []
    size = 0
    for each in waiting:
        if part and (len(part) == MOST or size + len(each.body) > MOST_BYTES):
            yield part
            part, size = [], 0
        part.append(each)
        size += len(each.body)
    if part:
        yield part
