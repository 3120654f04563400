"""The database of the settings: a given one, or the embedded one for as long as it is needed."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.keepalives import probed
from adapters.postgres.kept_up import kept_up
from adapters.postgres.migrations import migrate, role_of
from api.settings import Settings

APP_ROLE = "magnet_app"


@dataclass(frozen=True, kw_only=True)
class Dsns:
    """Connection strings: of the application's role, and of the owner of the tables."""

    app: str
    owner: str


@contextmanager
def database(settings: Settings) -> Iterator[Dsns]:
    """Give a migrated database: the one of DATABASE_URL, or the embedded one for as long as the block lasts."""
    if settings.database_url is not None:
        app = settings.database_url.get_secret_value()
        owner = (settings.migration_database_url or settings.database_url).get_secret_value()
        migrate(owner, role_of(app))
        yield Dsns(app=probed(app), owner=probed(owner))
        return
    settings.home.mkdir(parents=True, exist_ok=True)
    with EmbeddedPostgres(settings.home) as postgres, kept_up(postgres):
        migrate(postgres.dsn(), APP_ROLE, create_role=True)
        yield Dsns(app=postgres.dsn(user=APP_ROLE), owner=postgres.dsn())
