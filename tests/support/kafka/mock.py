"""librdkafka's mock cluster: in this process, with idempotent producers, without groups of several members."""

from pathlib import Path

from confluent_kafka import Producer

from tests.support.kafka.broker import Broker


class MockCluster(Broker):
    """For what needs an idempotent producer on machines without Java."""

    name = "librdkafka's mock cluster"
    transactions = True
    durable = False

    def __init__(self, directory: Path, port: int = 0) -> None:
        super().__init__(directory, port or 1)
        self._cluster: Producer | None = None

    def start(self) -> "MockCluster":
        """Start it."""
        self._cluster = Producer({"bootstrap.servers": "", "test.mock.num.brokers": 1})
        [broker] = self._cluster.list_topics(timeout=10).brokers.values()
        self.port = broker.port
        return self

    def stop(self) -> None:
        """Drop it."""
        self._cluster = None

    kill = stop

    def _command(self) -> list[str]:
        raise AssertionError("it is no process of its own")
