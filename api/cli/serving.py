"""`magnet serve` and `magnet worker`."""

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.output import line

if TYPE_CHECKING:
    from api.settings import Settings


class Side(StrEnum):
    """Which routes are served."""

    ALL = "all"
    COMMANDS = "commands"
    QUERIES = "queries"


class Source(StrEnum):
    """Where a worker has its events from."""

    LOG = "log"
    KAFKA = "kafka"


def serve(
    *,
    side: Annotated[Side, typer.Option("--side", help="Serve commands or queries alone.")] = Side.ALL,
    host: Annotated[str | None, typer.Option("--host", help="Address to listen at (MAGNET_HOST).")] = None,
    port: Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port; 0: any (MAGNET_PORT).")] = None,
    worker: Annotated[bool, typer.Option("--worker/--no-worker", help="Run projections and jobs here too.")] = True,
) -> None:
    """Serve the HTTP API, with projections and jobs in the same process."""
    settings = _settings(host=host, port=port)
    from api.serve import serve as run

    def ready(at: int) -> None:
        address = f"[{settings.host}]" if ":" in settings.host else settings.host
        url = f"http://{address}:{at}{settings.root_path}"
        line(f"Magnet serves {url} (try {url}/docs); data are in {_place(settings)}.")
        sys.stdout.flush()

    try:
        status = run(settings, side=side.value, worker=worker, ready=ready)
    except KeyboardInterrupt:
        status = 0  # stopped while it was starting
    raise typer.Exit(status)


def worker(
    *,
    source: Annotated[Source, typer.Option("--from", help="Where events come from.")] = Source.LOG,
    group: Annotated[str, typer.Option("--group", help="With --from kafka: the consumer group.")] = "readers",
    projections: Annotated[
        str, typer.Option("--projections", help="With --from kafka: their names, separated by commas; none: all.")
    ] = "",
) -> None:
    """Run projections and jobs, without serving HTTP; or, fed from Kafka, a share of read models of a group."""
    settings = _settings()
    from api.worker import work, work_from_kafka

    def ready() -> None:
        line(f"Magnet works on {_place(settings)}.")
        sys.stdout.flush()

    if source is Source.KAFKA:
        names = [name for name in projections.split(",") if name]
        work_from_kafka(settings, group=group, projections=names, ready=ready)
    else:
        work(settings, ready=ready)


def _settings(**given: Any) -> "Settings":
    from api.logging import configure
    from api.settings import load

    settings = load(**{name: value for name, value in given.items() if value is not None})
    configure(settings.log_level, settings.log_format)
    return settings


def _place(settings: "Settings") -> str:
    return "the database of DATABASE_URL" if settings.database_url else str(settings.home.absolute())
