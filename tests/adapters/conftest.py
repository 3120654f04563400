"""What tests of adapters share."""

from collections.abc import AsyncIterator

import pytest_asyncio

from adapters.reading.reader import Reader


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[Reader]:
    """A reader with one process: its start takes as long as fifty documents. Tests that use it run in its loop."""
    made = Reader(processes=1)
    yield made
    await made.close()
