"""The library's PostgreSQL recorder over our log: its `save()` and ours write through one function."""

from collections.abc import Sequence
from threading import Event
from time import monotonic
from typing import Any

from eventsourcing.persistence import (
    IntegrityError,
    InterfaceError,
    OperationalError,
    ProgrammingError,
    StoredEvent,
)
from eventsourcing.postgres import (
    PostgresApplicationRecorder,
    PostgresDatastore,
    PostgresSubscription,
)
from eventsourcing.utils import retry
from psycopg.sql import SQL

from adapters.event_store.prepared import PreparedAppend
from adapters.event_store.requests import Metadata, Outcome, Request
from adapters.event_store.threaded_appender import ThreadedAppender
from adapters.failpoints import failpoint

CHANNEL = "magnet_log"
SAFETY_POLL = 1.0
"""Seconds after which a subscription looks without having been notified."""


class MagnetApplicationRecorder(PostgresApplicationRecorder):
    """Records through `magnet.append`, in groups; `save(**kwargs)` may give `metadata=Metadata(...)`.

    The tables are made by the migrations: use it with POSTGRES_SCHEMA=magnet and CREATE_TABLE=n.
    """

    def __init__(self, datastore: PostgresDatastore, *, events_table_name: str = "magnet_events") -> None:
        if datastore.enable_db_functions:
            raise ProgrammingError("POSTGRES_ENABLE_DB_FUNCTIONS loses events for followers: leave it off.")
        if datastore.schema != "magnet" or events_table_name != "magnet_events":
            raise ProgrammingError(
                "The log is magnet.magnet_events: set POSTGRES_SCHEMA=magnet, name the application Magnet."
            )
        super().__init__(datastore, events_table_name=events_table_name)
        self.channel_name = CHANNEL
        self.select_events_statement = SQL(
            "SELECT originator_id, originator_version, topic, state FROM magnet.magnet_events WHERE originator_id = %s"
        ).format()
        self._append = PreparedAppend()
        self._appender = ThreadedAppender(self._commit)

    def create_table(self) -> None:
        """Refuse: the schema is made by the migrations, once, under a lock."""
        raise ProgrammingError("The log's tables are made by the migrations: set CREATE_TABLE=n.")

    def insert_events(self, stored_events: Sequence[StoredEvent], **kwargs: Any) -> Sequence[int] | None:
        """Record the events together; return their positions, or raise IntegrityError."""
        if not stored_events:
            return None
        metadata = kwargs.get("metadata") or Metadata()
        outcome = self._appender.append(Request(events=stored_events, metadata=metadata))
        if outcome.first_position is None:
            raise IntegrityError("Another event has this place in its stream.")
        return list(range(outcome.first_position, outcome.first_position + len(stored_events)))

    @retry((InterfaceError, OperationalError), max_attempts=10, wait=0.2)
    def _commit(self, group: Sequence[Request]) -> list[Outcome]:
        """Write the group; sent again after a lost reply it is recorded once, by its command ids."""
        with self.datastore.get_connection() as connection:
            failpoint("save.before")
            answered = self._append(connection, group)
            failpoint("save.after")
            return answered

    def subscribe(self, gt: int | None = None, topics: Sequence[str] = ()) -> "MagnetSubscription":
        """Return an iterator over the log from after a position, without end."""
        return MagnetSubscription(recorder=self, gt=gt, topics=topics)


class MagnetSubscription(PostgresSubscription):
    """The library's subscription, which looks again once it listens, and then every second.

    The library's own misses what is committed between its first look and its LISTEN.
    """

    _has_been_notified: Event

    def _listen(self) -> None:
        while not self._has_been_stopped and not self._thread_error:
            try:
                self._listen_on_one_connection()
            except (InterfaceError, OperationalError):
                continue  # lost: listen again, then look
            except BaseException as error:
                self._thread_error = self._thread_error or error
                self.stop()

    def _listen_on_one_connection(self) -> None:
        with self._recorder.datastore.get_connection() as connection:
            connection.execute(SQL("LISTEN magnet_log"))
            self._has_been_notified.set()
            looked = monotonic()
            while not self._has_been_stopped and not self._thread_error:
                for _ in connection.notifies(timeout=0.1, stop_after=1):
                    self._has_been_notified.set()
                if monotonic() - looked > SAFETY_POLL:
                    self._has_been_notified.set()
                    looked = monotonic()
