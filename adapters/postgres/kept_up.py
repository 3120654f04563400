"""The embedded PostgreSQL comes back when it crashes while it is needed, as where the system had no memory left."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresFailed

LOOK_EVERY = 1.0
"""Seconds between looks: what is asked meanwhile is answered by a 503."""

log = structlog.get_logger(__name__)


@contextmanager
def kept_up(postgres: EmbeddedPostgres) -> Iterator[None]:
    """See that the server runs while the block lasts, in a thread: whoever waits for it may be held up by its absence."""
    over = threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_EVERY):
            try:
                if postgres.bring_back():
                    log.warning("embedded_postgres_brought_back", data=str(postgres.data))
            except EmbeddedPostgresFailed as error:
                log.error("embedded_postgres_is_down", error=str(error))
            except Exception as error:  # as where it died again while it started: else nobody would look any more
                log.exception("embedded_postgres_is_down", error=type(error).__name__)

    thread = threading.Thread(target=watch, name="embedded PostgreSQL", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
