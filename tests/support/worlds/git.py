"""A repository that is served over HTTP, to those who bring the token."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.support.git_server import repository, served
from tests.support.site import Answer, Asked, Site
from tests.support.worlds import CANARY, World

EXPECTED = f"Basic {base64.b64encode(f'x-access-token:{CANARY}'.encode()).decode()}"


class GitWorld(World):
    type = "git"
    secrets: ClassVar[Mapping[str, str]] = {"token": CANARY}

    def __init__(self, site: Site, root: Path) -> None:
        self.site = site
        self.root = root
        self.repository = repository(root / "docs")
        self.left: int | None = None
        self.allow = site.place
        site.answers = self._answers

    @property
    def config(self) -> dict[str, Any]:
        return {"url": f"{self.site.url}/docs", "ref": "main"}

    def external_id(self, name: str) -> str:
        return f"notes/{name}.md"

    async def put(self, name: str, text: str) -> None:
        self.repository.write(self.external_id(name), text)
        self.repository.commit()

    async def remove(self, name: str) -> None:
        (self.repository.path / self.external_id(name)).unlink()
        self.repository.commit()

    async def leave(self, *, after: int = 0) -> None:
        self.left = min(after, 2)  # fetching is three requests: what there is, what it is called, and its objects

    async def come_back(self) -> None:
        self.left = None

    def _answers(self, asked: Asked) -> Answer:
        if self.left is not None:
            if self.left == 0:
                return Answer(status=503)
            self.left -= 1
        if asked.headers.get("authorization") != EXPECTED:
            return Answer(status=401, headers={"WWW-Authenticate": "Basic"})
        return served(self.root, asked)
