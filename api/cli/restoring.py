"""Where a backup is restored into: the installation that the settings name."""

from collections.abc import Iterator
from contextlib import contextmanager

from adapters.backup.load import Target
from adapters.postgres.embedded import EmbeddedPostgres
from adapters.postgres.migrations import role_of
from api.database import APP_ROLE
from api.read_models import READ_MODELS
from api.settings import Settings


@contextmanager
def target(settings: Settings) -> Iterator[Target]:
    """Give the installation; nothing is made in it beforehand but an empty database."""
    key = settings.secret_encryption_key.get_secret_value() if settings.secret_encryption_key else None
    read_models = [model.name for model in READ_MODELS]
    if settings.database_url is not None:
        app_dsn = settings.database_url.get_secret_value()
        owner = settings.migration_database_url
        yield Target(
            owner_dsn=owner.get_secret_value() if owner else app_dsn,
            app_dsn=app_dsn,
            app_role=role_of(app_dsn),
            create_role=False,
            home=settings.home,
            configured_key=key,
            read_models=read_models,
        )
        return
    with EmbeddedPostgres(settings.home) as embedded:
        yield Target(
            owner_dsn=embedded.dsn(),
            app_dsn=embedded.dsn(user=APP_ROLE),
            app_role=APP_ROLE,
            create_role=True,
            home=settings.home,
            configured_key=key,
            read_models=read_models,
        )
