"""A knowledge source `docs` that is synced by a running server, for a test."""

import asyncio
from dataclasses import dataclass
from typing import Any

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
        async with asyncio.timeout(30):
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
