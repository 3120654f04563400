"""What tests of adapters share."""

from collections.abc import AsyncIterator, Iterator

import pytest
import pytest_asyncio

from adapters.reading.reader import Reader
from tests.support.kafka import Broker, some_broker


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """A broker of Kafka, on which each test has topics of its own."""
    with some_broker(tmp_path_factory.mktemp("kafka"), brief=True) as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def reader() -> AsyncIterator[Reader]:
    """A reader with one process: its start takes as long as fifty documents. Tests that use it run in its loop."""
    made = Reader(processes=1)
    yield made
    await made.close()
