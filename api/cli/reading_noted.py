"""Commands that copy the log from the database itself are on record in the access log, as requests are."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode


def note_reading(dsn: str, command: str, asked: Mapping[str, Any] | None = None) -> None:
    """Write down that somebody has the log copied by a command, before it does; what is None was not asked for."""
    from adapters.postgres.access_log import note_command
    from api.cli.own_server import user

    given = {name: value for name, value in (asked or {}).items() if value is not None}
    note_command(dsn, name=user(), command=f"magnet {command}", asked=urlencode(given))
