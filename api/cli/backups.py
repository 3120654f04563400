"""`magnet backup` and `magnet restore`: database and key in one checked file."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, note, show_json

if TYPE_CHECKING:
    from api.settings import Settings

TargetFile = Annotated[Path, typer.Argument(help="The file to write.")]
SourceFile = Annotated[Path, typer.Argument(help="A file that 'magnet backup' wrote.", exists=True, dir_okay=False)]


def backup(
    file: TargetFile,
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace the file where there is one.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Write the database and its key into one file, while writing goes on; the file holds secrets."""
    from adapters.backup.dump import back_up
    from api.cli.reading_noted import note_reading
    from api.database import database

    settings = local_settings("Backups are made where the database is")
    if file.is_dir():
        raise CommandFailed(f"{file} is a directory: name a file in it.")
    if file.exists() and not force:
        raise CommandFailed(f"{file} is there already: take another name, or --force.")
    if not file.absolute().parent.is_dir():
        raise CommandFailed(f"{file.absolute().parent} is no directory.")
    with database(settings) as dsns:
        note_reading(dsns.app, "backup")
        manifest = back_up(dsns.app, key_text(settings), file.absolute())
    if as_json:
        show_json(
            {
                "file": str(file),
                "bytes": file.stat().st_size,
                "head": manifest.head,
                "last_hash": manifest.last_hash,
                "schema_version": manifest.schema_version,
                "created_at": manifest.created_at,
            }
        )
        return
    line(f"{file}: {manifest.head} events, {file.stat().st_size:,} bytes, checked.")
    note("It holds the key that opens all secrets: keep it as you keep a password.")


def restore(
    file: SourceFile,
    *,
    replace: Annotated[
        bool, typer.Option("--replace", help="Take the place of what is here, which is kept beside.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Restore a backup into an empty installation; checks every event before it counts."""
    from adapters.backup.load import restore as load
    from api.cli.restoring import target

    settings = local_settings("Backups are made where the database is")
    with target(settings) as into, file.open("rb") as opened:
        restored = load(opened, into, replace=replace)
    if as_json:
        show_json(
            {
                "head": restored.manifest.head,
                "last_hash": restored.manifest.last_hash,
                "created_at": restored.manifest.created_at,
                "aside": list(restored.aside),
            }
        )
        return
    line(f"{restored.manifest.head} events of {restored.manifest.created_at} are restored, each with its hash.")
    line("Its read models are built from them as soon as 'magnet serve' or a worker runs.")
    for place in restored.aside:
        line(f"What was here is kept: {place}")


def key_text(settings: "Settings") -> str:
    """Return the installation's key as text, from the environment or its file."""
    from adapters.keyring import FILE

    if settings.secret_encryption_key is not None:
        return settings.secret_encryption_key.get_secret_value()
    path = settings.home / FILE
    if not path.exists():
        raise CommandFailed(f"{path} is missing: set SECRET_ENCRYPTION_KEY, or MAGNET_HOME to where the key is.")
    return path.read_text("utf-8", "replace")


def local_settings(why: str) -> "Settings":
    """Return the settings of the database at hand, or say why it must be at hand."""
    from api.logging import configure
    from api.settings import load

    settings = load()
    if settings.url:
        raise CommandFailed(f"{why}: unset MAGNET_URL and set DATABASE_URL or MAGNET_HOME.")
    configure("WARNING", settings.log_format)
    return settings
