"""Brokers for tests and benchmarks: Apache Kafka itself where Java and Maven are there, else Tansu.

As a command, `python -m tests.support.kafka` serves on 127.0.0.1:9092 until it is interrupted.
"""

from pathlib import Path

from tests.support.kafka.apache import ApacheKafka, is_possible
from tests.support.kafka.broker import Broker
from tests.support.kafka.tansu import Tansu


def some_broker(directory: Path, port: int = 0, *, brief: bool = False) -> Broker:
    """Return a broker that is not started yet: the real one if this machine can run it."""
    return (ApacheKafka if is_possible() else Tansu)(directory, port, brief=brief)


__all__ = ["ApacheKafka", "Broker", "Tansu", "some_broker"]
