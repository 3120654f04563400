"""`magnet events archive` and `archived`: events copied out of the log, and read back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.events import print_event
from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, show_json

Directory = Annotated[Path, typer.Argument(help="The directory of the archive.", file_okay=False)]


def archive(
    directory: Directory,
    *,
    kind: Annotated[str | None, typer.Option("--kind", help="Only of this kind, such as run.")] = None,
    aggregate: Annotated[str | None, typer.Option("--aggregate", help="Only of this thing, by its id.")] = None,
    until: Annotated[str | None, typer.Option("--until", help="Only before this time, RFC 3339.")] = None,
    after: Annotated[int, typer.Option("--after", min=0, help="Only after this position.")] = 0,
    as_json: AsJSON = False,
) -> None:
    """Copy events into files of JSON lines, each with what proves it; the log keeps them."""
    from dataclasses import asdict
    from uuid import UUID

    from adapters.archive.files import ArchiveRefused, write
    from api.cli.backups import local_settings
    from api.cli.reading_noted import note_reading
    from api.database import database
    from domain.event_types import must_be_kind
    from domain.references import UUID_FORM
    from domain.values import moment

    if aggregate is not None and not UUID_FORM.match(aggregate):
        raise CommandFailed("--aggregate is the id of a thing.")
    if kind is not None:
        must_be_kind(kind, "/kind")
    try:
        before = None if until is None else moment(until)
    except ValueError as error:
        raise CommandFailed(f"--until is an RFC 3339 time: {error}.") from None
    asked = {"kind": kind, "aggregate": aggregate, "until": until, "after": after or None}
    with database(local_settings("An archive is made where the database is")) as dsns:
        note_reading(dsns.app, "events archive", asked)
        try:
            manifest = write(
                dsns.app,
                directory,
                kind=kind,
                aggregate=None if aggregate is None else UUID(aggregate),
                until=before,
                after=after,
            )
        except ArchiveRefused as refusal:
            raise CommandFailed(str(refusal)) from None
    if as_json:
        show_json(asdict(manifest))
    else:
        line(f"{manifest.events:,} events in {len(manifest.pieces)} files in {directory}; the log keeps them too.")


def archived(directory: Directory, *, as_json: AsJSON = False) -> None:
    """Print the events of an archive, each checked against its hash; needs no database."""
    from adapters.archive.files import ArchiveDamaged

    try:
        for event in public(directory):
            print_event(event, as_json)
    except ArchiveDamaged as damage:
        raise CommandFailed(str(damage)) from None


def public(directory: Path) -> Iterator[dict[str, Any]]:
    """Yield the public form of an archive's events; a thing has its name where the archive has its beginning."""
    from eventsourcing.persistence import StoredEvent

    from adapters.archive.files import read
    from adapters.event_store.mapper import EventMapper
    from domain import AGGREGATES
    from projections.events import public_event
    from projections.recorded import LogEntry

    mapper, names = EventMapper(AGGREGATES), dict[Any, str | None]()
    for record in read(directory):
        stored = StoredEvent(
            originator_id=record.stream, originator_version=record.version, topic=record.topic, state=record.state
        )
        event = mapper.to_domain_event(stored)
        if record.version == 1:
            names[record.stream] = getattr(event, "name", None)
        entry = LogEntry(
            position=record.position,
            stream=record.stream,
            version=record.version,
            recorded_at=record.recorded_at,
            topic=record.topic,
            event=event,
            actor_type=record.actor_type,
            actor_id=record.actor_id,
            actor_name=record.actor_name,
            correlation_id=record.correlation_id,
            causation_id=record.causation_id,
            reason=record.reason,
            hash=record.hash,
            size=len(record.state),
        )
        yield public_event(entry, names.get(record.stream))
