"""Conversations of a running server: begun, talked in and looked at, over HTTP."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.api.test_prompt_runs import events_in
from tests.support.handbook import write_handbook
from tests.support.library import Library, library
from tests.support.model_server import ModelServer
from tests.support.patience import PATIENCE
from tests.support.server import Running

Events = list[tuple[str, dict[str, Any]]]
ACTIONS = (
    {"type": "rag_tool", "tool": "ask", "function": "ask_handbook"},
    {"type": "retrieval_tool", "tool": "find", "function": "find_passages"},
    {"type": "prompt", "tool": "shout", "function": "shout"},
)


@dataclass
class Talks:
    """Holds conversations with an agent; `headers` go with every request."""

    magnet: Running
    books: Library
    headers: Mapping[str, str] = field(default_factory=dict)

    async def call(self, method: str, path: str, body: Any = None, **headers: str) -> httpx.Response:
        """Send a request."""
        return await self.magnet.call(method, path, body, **{**self.headers, **headers})

    async def begin(self, agent: str = "helper", **more: Any) -> str:
        """Begin a conversation, and return its path."""
        begun = await self.magnet.do("POST", "/v1/conversations", {"agent": agent, **more}, **self.headers)
        return f"/v1/conversations/{begun['id']}"

    async def post(self, path: str, content: str, **more: Any) -> httpx.Response:
        """Say something."""
        return await self.call("POST", f"{path}/messages", {"content": content, **more})

    async def say(self, path: str, content: str) -> Any:
        """Say something that is answered, and return the answer."""
        answer = await self.post(path, content)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def streamed(self, path: str, content: str) -> Events:
        """Say something, and return the events of its stream."""
        answer = await self.post(path, content, stream=True)
        assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
        return events_in(answer.text)

    async def start(self, path: str, content: str) -> str:
        """Say something in the background, and return the turn's path."""
        answer = await self.post(path, content, background=True)
        assert answer.status_code == 202, answer.text
        return f"{path}/turns/{answer.json()['turn']['id']}"

    async def follow(self, turn: str, after: int | None = None) -> Events:
        """Return the events of a turn's stream, to its end."""
        headers = {} if after is None else {"Last_Event_ID": str(after)}
        answer = await self.call("GET", f"{turn}/stream", **headers)
        events = events_in(answer.text)
        assert answer.status_code == (200 if events else 204), answer.text
        return events

    async def see(self, path: str, **query: Any) -> Any:
        """Return the conversation."""
        answer = await self.magnet.client.get(path, params=query, headers=self._sent())
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def until(self, path: str, condition: Callable[[Any], object]) -> Any:
        """Wait until a conversation is as a condition says, and return it."""
        async with asyncio.timeout(PATIENCE):
            while not condition(seen := await self.see(path)):
                await asyncio.sleep(0.01)
        return seen

    async def run(self, id: str) -> Any:
        """Return a run, once it is there to be read."""
        self.magnet.position = await self.magnet.container.log.head()
        answer = await self.call("GET", f"/v1/runs/{id}")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def _sent(self) -> dict[str, str]:
        return {name.replace("_", "-"): value for name, value in self.headers.items()}


@asynccontextmanager
async def talks(magnet: Running, server: ModelServer | None, **agent: Any) -> AsyncIterator[Talks]:
    """Give an agent `helper` over the handbook, with the models of a model server where there is one."""
    async with library(magnet) as books:
        if magnet.database.key is None:
            await write_handbook(books, server)
        body = {"name": "helper", "instructions": "You help.", "actions": list(ACTIONS), "welcome_message": "Hi!"}
        await magnet.do("POST", "/v1/agents", {**body, **agent})
        yield Talks(magnet=magnet, books=books)


def types(events: Events) -> list[str]:
    """Return the events' types."""
    return [type for type, _ in events]


def said(events: Events) -> str:
    """Return the text of a stream."""
    return "".join(data["text"] for type, data in events if type == "message.delta")
