"""What leaves the log by the settings: to Kafka, and as traces. Each client is loaded only where it is asked for."""

from typing import Any
from uuid import UUID

from adapters.outflow import Outflow
from api.settings import Settings


def followers(settings: Settings) -> list[str]:
    """Return the names of what follows the log besides the read models."""
    kafka = [] if settings.kafka_bootstrap_servers is None else ["kafka_relay_v1"]
    return [*kafka, *([] if settings.otlp_endpoint is None else ["otlp_traces_v1"])]


def outflows(settings: Settings, installation: UUID, **parts: Any) -> list[Outflow[Any]]:
    """Return what follows the log and sends it elsewhere; `parts` are those of the log."""
    found: list[Outflow[Any]] = []
    if settings.kafka_bootstrap_servers is not None:
        from adapters.kafka.relaying import relay_of  # noqa: PLC0415

        relay = relay_of(
            servers=settings.kafka_bootstrap_servers,
            topic=settings.kafka_topic,
            partitions=settings.kafka_partitions,
            transactions=settings.kafka_transactions,
            installation=str(installation),
            **parts,
        )
        found.append(relay)
    if settings.otlp_endpoint is not None:
        from adapters.telemetry.exporting import trace_export  # noqa: PLC0415

        found.append(trace_export(settings.otlp_endpoint, installation, **parts))
    return found
