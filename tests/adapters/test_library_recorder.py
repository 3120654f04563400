"""The library's own test cases, passing against our recorder; and what it refuses."""

from uuid import UUID, uuid4

import psycopg
import pytest
from eventsourcing.application import Application
from eventsourcing.persistence import IntegrityError, ProgrammingError
from eventsourcing.postgres import PostgresDatastore
from eventsourcing.tests.persistence import (
    ApplicationRecorderTestCase,
    NonInterleavingNotificationIDsBaseCase,
)

from adapters import failpoints
from adapters.event_store.recorder import MagnetApplicationRecorder
from domain.prompt import Prompt
from tests.conftest import Database
from tests.support.dying import killed_at


def connection_settings(dsn: str) -> dict[str, str]:
    """Return host, port, user and database of a DSN as the library wants them."""
    info = psycopg.conninfo.conninfo_to_dict(dsn)
    return {
        "dbname": str(info["dbname"]),
        "host": str(info.get("host", "")),
        "port": str(info.get("port", "5432")),
        "user": str(info["user"]),
        "password": str(info.get("password", "")),
    }


class OnAFreshDatabase:
    """Gives the library's test cases a recorder on a database of their own."""

    INITIAL_VERSION = 1

    @pytest.fixture(autouse=True)
    def _database(self, database: Database):
        self.datastore = PostgresDatastore(
            **connection_settings(database.app_dsn), schema="magnet", pool_size=4, max_overflow=16
        )
        yield
        self.datastore.close()

    def new_originator_id(self) -> UUID:
        return uuid4()

    def create_recorder(self) -> MagnetApplicationRecorder:
        return MagnetApplicationRecorder(self.datastore)


class TestAsApplicationRecorder(OnAFreshDatabase, ApplicationRecorderTestCase[MagnetApplicationRecorder]):
    def test_insert_subscribe(self) -> None:
        self.optional_test_insert_subscribe()


class TestPositionsDoNotInterleave(OnAFreshDatabase, NonInterleavingNotificationIDsBaseCase):
    pass


def environment(database: Database) -> dict[str, str]:
    settings = connection_settings(database.app_dsn)
    return {
        "PERSISTENCE_MODULE": "eventsourcing.postgres",
        "APPLICATION_RECORDER_TOPIC": "adapters.event_store.recorder:MagnetApplicationRecorder",
        "POSTGRES_SCHEMA": "magnet",
        "CREATE_TABLE": "n",
        **{f"POSTGRES_{name.upper()}": value for name, value in settings.items()},
    }


class Magnet(Application[UUID]):
    """The library's application on our log."""


def test_the_librarys_application_saves_and_loads_through_our_log(database: Database):
    with Magnet(env=environment(database)) as application:
        prompt = Prompt.create(name="p", definition={"text": "a"})
        [recording] = application.save(prompt)
        assert recording.notification.id == 1
        loaded = application.repository.get(prompt.id)
        assert vars(loaded) == vars(prompt)
        with pytest.raises(IntegrityError):
            application.save(Prompt.create(name="p", definition={"text": "b"}))


def recorded(application: Magnet) -> int:
    return len(application.notification_log.select(start=1, limit=10))


@pytest.mark.parametrize("place", ["save.before", "save.after"])
def test_an_application_that_dies_as_it_saves_has_saved_all_or_nothing(database: Database, place: str):
    prompt = Prompt.create(name="p", definition={"text": "a"})
    prompt.change(prompt.definition | {"text": "b"})
    events = prompt.collect_events()
    with Magnet(env=environment(database)) as application, killed_at(place):
        application.events.put(events)
    with Magnet(env=environment(database)) as successor:
        assert recorded(successor) == (0 if place == "save.before" else 2)
        if place == "save.before":
            successor.events.put(events)
        with pytest.raises(IntegrityError):
            successor.events.put(events)
        assert (recorded(successor), successor.repository.get(prompt.id).version) == (2, 2)


@pytest.mark.parametrize("place", ["save.before", "save.after"])
def test_a_lost_connection_at_a_save_is_settled_by_the_commands_id(database: Database, place: str):
    failpoints.arm(f"{place}=lost")
    with Magnet(env=environment(database)) as application:
        [recording] = application.save(Prompt.create(name="p", definition={"text": "a"}))
        assert recording.notification.id == recorded(application) == 1


def test_what_loses_events_for_followers_is_refused(database: Database):
    with pytest.raises(ProgrammingError, match="ENABLE_DB_FUNCTIONS"):
        Magnet(env=environment(database) | {"POSTGRES_ENABLE_DB_FUNCTIONS": "y"})


def test_another_table_in_the_schema_and_creating_tables_are_refused(database: Database):
    with pytest.raises(ProgrammingError, match="magnet_events"):
        Magnet(env=environment(database) | {"POSTGRES_SCHEMA": "public"})
    with pytest.raises(ProgrammingError, match="CREATE_TABLE"):
        Magnet(env=environment(database) | {"CREATE_TABLE": "y"})
