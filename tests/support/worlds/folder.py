"""A folder of text files."""

import shutil
from pathlib import Path
from typing import Any

from tests.support.worlds import World


class FolderWorld(World):
    type = "folder"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.elsewhere = path.with_name("elsewhere")
        path.mkdir()

    @property
    def config(self) -> dict[str, Any]:
        return {"path": str(self.path)}

    async def put(self, name: str, text: str) -> None:
        (self.path / f"{name}.txt").write_text(text)

    async def remove(self, name: str) -> None:
        (self.path / f"{name}.txt").unlink()

    async def leave(self, *, after: int = 0) -> None:
        shutil.move(self.path, self.elsewhere)

    async def come_back(self) -> None:
        shutil.move(self.elsewhere, self.path)

    def external_id(self, name: str) -> str:
        return f"{name}.txt"
