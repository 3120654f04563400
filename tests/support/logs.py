"""Logging that a test configures, and that is afterwards as it was before."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog


@contextmanager
def logging_of_its_own() -> Iterator[None]:
    """Put logging back at the end as it was."""
    root = logging.getLogger()
    handlers, level, config = root.handlers, root.level, structlog.get_config()
    try:
        yield
    finally:
        root.handlers, root.level = handlers, level
        structlog.configure(**config)
        structlog.contextvars.clear_contextvars()
