"""A plain read model the library's way: its ProjectionRunner, one transaction for each event."""

from functools import singledispatchmethod
from typing import Any
from uuid import UUID

from eventsourcing.persistence import Tracking
from eventsourcing.postgres import PostgresDatastore, PostgresTrackingRecorder
from eventsourcing.projection import Projection, ProjectionRunner
from psycopg.sql import SQL

from benchmarks.applications import Magnet, environment
from domain.configuration_events import ConfigurationEvent

UPSERT = SQL(
    "INSERT INTO things (id, version) VALUES (%(id)s, %(version)s)"
    " ON CONFLICT (id) DO UPDATE SET version = excluded.version"
)


class Things(PostgresTrackingRecorder):
    """A row for each thing, with its newest version."""

    def __init__(self, datastore: PostgresDatastore, **settings: Any) -> None:
        super().__init__(datastore, **settings)
        self.sql_create_statements.append(
            SQL("CREATE TABLE IF NOT EXISTS things (id uuid PRIMARY KEY, version bigint NOT NULL)").format()
        )

    def put(self, id: UUID, version: int, tracking: Tracking) -> None:
        """Write the row and the position in one transaction."""
        with self.datastore.transaction(commit=True) as cursor:
            self._insert_tracking(cursor, tracking)
            cursor.execute(UPSERT, {"id": id, "version": version})


class StockThings(Projection[Things]):
    """Notes the newest version of each thing."""

    @singledispatchmethod
    def process_event(self, domain_event: Any, tracking: Tracking) -> None:
        """Pass over what is no thing's."""

    @process_event.register
    def _(self, domain_event: ConfigurationEvent, tracking: Tracking) -> None:
        self.view.put(domain_event.originator_id, domain_event.originator_version, tracking)


def runner(events_dsn: str, view_dsn: str) -> "ProjectionRunner[Magnet, Things]":
    """Start the library's runner over an application's events, with a view in a database of its own."""
    views = {f"{StockThings.name.upper()}_{name}": value for name, value in environment(view_dsn).items()}
    return ProjectionRunner(
        application_class=Magnet,
        projection_class=StockThings,
        view_class=Things,
        env=environment(events_dsn) | views,
    )
