"""A knowledge source `docs` that is synced by a running server, for a test."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel

from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.knowledge.sync_items import PostgresSyncItems
from adapters.secrets import KeyringSecretBox
from api.container import Container
from commands.jobs import Job
from commands.knowledge.connectors import Connector, Connectors, GivenDocument, Listed, Place
from commands.knowledge.sync import SYNC
from commands.knowledge.syncing import SyncSources
from tests.support.patience import PATIENCE
from tests.support.server import Running

SOURCE = "/v1/knowledge-sources/docs"


@dataclass
class SyncedSource:
    """The source, and what became of its syncs."""

    magnet: Running

    async def begin(self, **body: Any) -> str:
        answer = await self.magnet.call("POST", f"{SOURCE}/sync", body)
        assert answer.status_code == 202, answer.text
        assert answer.headers["Location"].endswith(f"/syncs/{answer.json()['id']}")
        return str(answer.json()["id"])

    async def ended(self, id: str) -> Any:
        """Return a sync once it has ended and its documents are indexed."""
        async with asyncio.timeout(PATIENCE):
            while await self.magnet.container.jobs.depth():  # asking over HTTP all the while would take half the time
                await asyncio.sleep(0.02)
            while (found := await self.magnet.get(f"{SOURCE}/syncs/{id}"))["ended_at"] is None:
                await asyncio.sleep(0.02)
            while await self.magnet.container.jobs.depth():
                await asyncio.sleep(0.02)
        self.magnet.position = await self.magnet.container.log.head()
        return await self.magnet.get(f"{SOURCE}/syncs/{found['id']}")

    async def sync(self, **body: Any) -> Any:
        return await self.ended(await self.begin(**body))

    async def documents(self) -> dict[str, int]:
        """Return the version of each document."""
        items = (await self.magnet.get(f"{SOURCE}/documents?limit=500"))["items"]
        return {each["external_id"]: each["version"] for each in items}

    async def last_synced(self) -> Any:
        return (await self.magnet.get(f"{SOURCE}/syncs"))["last_synced"]


def counts(**more: int) -> dict[str, int]:
    return {"added": 0, "changed": 0, "unchanged": 0, "failed": 0, "removed": 0, "left_out": 0} | more


class Counting:
    """A connector that counts what it fetches, and may fail or hang."""

    def __init__(self, inner: Connector) -> None:
        self.inner = inner
        self.fetched: list[str] = []
        self.failing: dict[str, Exception] = {}
        self.hang_after: int | None = None
        self.hanging = asyncio.Event()

    @property
    def config(self) -> type[BaseModel]:
        return self.inner.config

    @property
    def secrets(self) -> Mapping[str, str]:
        return self.inner.secrets

    def check(self, config: Mapping[str, Any]) -> None:
        self.inner.check(config)

    def list(self, place: Place) -> AsyncIterator[Listed | None]:
        return self.inner.list(place)

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        if self.hang_after is not None and len(self.fetched) >= self.hang_after:
            self.hanging.set()
            await asyncio.Event().wait()
        self.fetched.append(external_id)
        if external_id in self.failing:
            raise self.failing[external_id]
        return await self.inner.fetch(place, external_id)

    def end(self, place: Place) -> None:
        self.inner.end(place)


def carrying_out(container: Container, id: str, connectors: Connectors) -> Callable[[], Awaitable[None]]:
    """Return what carries a sync out here, without the worker."""
    work = SyncSources(
        bus=container.bus,
        things=container.store,
        documents=container.documents,
        items=PostgresSyncItems(container.pool),
        connectors=connectors,
        secrets=SealedSourceSecrets(container.store, KeyringSecretBox(container.keyring)),
    )

    async def carry_out() -> None:
        await work.carry_out([Job(id=container.runs.owner, kind=SYNC, key=id)])

    return carry_out
