"""A running server for tests of the HTTP side."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.postgres import Database
from tests.support.server import Running, serving


@pytest.fixture
async def magnet(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """Magnet on a fresh database, over a real socket, without any key yet."""
    async with serving(database, tmp_path) as running:
        yield running
