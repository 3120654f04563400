"""What is said of an error that ends a command: a clear sentence, never a traceback."""

import os
import traceback

import psycopg

from adapters.backup.dump import BackupRefused
from adapters.backup.file import BackupDamaged
from adapters.backup.load import RestoreRefused
from adapters.keyring import WrongKey
from adapters.postgres.embedded import EmbeddedPostgresFailed
from adapters.postgres.errors import translated
from adapters.postgres.installation import OtherKey
from adapters.postgres.migrations import MigrationRefused
from api.cli.failure import CommandFailed
from api.settings import SettingsError
from domain.errors import DomainError, Invalid

SPEAKING = (
    SettingsError, CommandFailed, DomainError, BackupDamaged, BackupRefused, RestoreRefused, EmbeddedPostgresFailed,
    MigrationRefused, OtherKey,
)  # fmt: skip


def sentence(error: Exception) -> str:
    """Return what to print; LOG_LEVEL=debug adds where a defect happened."""
    known = translated(error)
    if isinstance(known, Invalid):
        return "\n  ".join(
            [str(known), *(f"{e.pointer or '/'}: {e.message}" for e in known.errors if e.message != str(known))]
        )
    if isinstance(known, WrongKey):
        return str(known) or (WrongKey.__doc__ or "")
    if isinstance(error, psycopg.OperationalError):
        said = dict.fromkeys(each.strip() for each in str(error).strip().splitlines())
        return "\n  ".join(["The database can't be used:", *said])
    if isinstance(error, psycopg.Error) and error.diag.message_primary and not isinstance(known, DomainError):
        return f"The database refused: {error.diag.message_primary}."
    if isinstance(known, SPEAKING):
        return str(known)
    if isinstance(error, OSError) and error.strerror:
        return f"{error.filename or 'The system'}: {error.strerror}."
    where = ""
    if os.environ.get("LOG_LEVEL", "").lower() == "debug":
        where = "\n" + "".join(traceback.format_exception(error))
    return f"This is a defect ({type(error).__name__}): please report it, with what LOG_LEVEL=debug prints.{where}"
