"""A repository that is served over HTTP, to those who bring the token."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.support.git_server import repository, served
from tests.support.site import Answer, Asked, Site
from tests.support.worlds import CANARY, SiteWorld

EXPECTED = f"Basic {base64.b64encode(f'x-access-token:{CANARY}'.encode()).decode()}"
REQUESTS = 3
"""What fetching takes: what there is, what it is called, and its objects."""


class GitWorld(SiteWorld):
    type = "git"
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}
    breakable = False  # all files come at once, or none

    def __init__(self, site: Site, root: Path) -> None:
        super().__init__(site)
        self.root = root
        self.repository = repository(root / "docs")

    @property
    def config(self) -> dict[str, Any]:
        return {"url": f"{self.site.url}/docs", "ref": "main"}

    @property
    def refusal(self) -> Answer:
        return Answer(status=401, headers={"WWW-Authenticate": "Basic"})

    def external_id(self, name: str) -> str:
        return f"notes/{name}.md"

    async def put(self, name: str, text: str) -> None:
        self.repository.write(self.external_id(name), text)
        self.repository.commit()

    async def remove(self, name: str) -> None:
        (self.repository.path / self.external_id(name)).unlink()
        self.repository.commit()

    async def leave(self, *, after: int = 0) -> None:
        await super().leave(after=min(after, REQUESTS - 1))

    def expire(self, *, after: int) -> None:
        super().expire(after=min(after, REQUESTS - 1))

    def authorized(self, asked: Asked) -> bool:
        return asked.headers.get("authorization") == EXPECTED

    def asks_for(self, asked: Asked) -> str | None:
        return None

    def answer(self, asked: Asked) -> Answer:
        return served(self.root, asked)
