"""The checks of `magnet doctor`: each looks at one thing and gives a verdict and advice."""

import os
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import psycopg

from adapters.keyring import FILE, Keyring, WrongKey, parsed
from adapters.postgres.embedded import EmbeddedPostgres, EmbeddedPostgresFailed
from adapters.postgres.inspection import Inspection
from adapters.postgres.log_check import check_log
from adapters.postgres.migrations import MigrationRefused, SchemaOutdated, require_current
from adapters.postgres.passages.standing import StoresStanding
from api.database import APP_ROLE
from api.logging import configure
from api.settings import Settings, SettingsError, load, unknown_variables

SAMPLE = 5000
"""Events at the log's end whose hashes are checked without --full."""

LITTLE_SPACE, NO_SPACE = 2_000_000_000, 200_000_000
CLOCK_APART = 2.0
"""Seconds that the clocks of this machine and the database may differ."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """What was found; `bad` means that something must be done."""

    name: str
    verdict: Literal["good", "warning", "bad"]
    found: str
    advice: str = ""


def examine(*, full: bool) -> Iterator[Check]:
    """Yield a verdict for each thing looked at; what can't be looked at ends it."""
    yield _python()
    try:
        settings = load()
    except SettingsError as error:
        yield Check(name="settings", verdict="bad", found=str(error), advice="Put the variable right, or unset it.")
        return
    configure("WARNING", settings.log_format)
    yield _settings()
    if settings.url:
        yield from _remote(settings)
        return
    yield _home(settings.home)
    yield _disk(settings.home)
    if settings.database_url is None and not (settings.home / "postgres" / "data").exists():
        yield Check(
            name="database",
            verdict="good",
            found=f"there is no installation in {settings.home} yet",
            advice="'magnet serve' makes one.",
        )
        return
    try:
        with _database(settings) as dsn, psycopg.connect(dsn, autocommit=True, connect_timeout=10) as connection:
            yield from _of_database(settings, connection, full=full)
    except (psycopg.Error, EmbeddedPostgresFailed) as error:
        said = str(error).strip().splitlines()
        yield Check(
            name="database",
            verdict="bad",
            found=said[-1] if said else type(error).__name__,
            advice="See that the server runs and DATABASE_URL names it rightly."
            if settings.database_url
            else f"See {settings.home / 'postgres' / 'postgres.log'}.",
        )


def _python() -> Check:
    return Check(name="python", verdict="good", found=".".join(map(str, sys.version_info[:3])))


def _settings() -> Check:
    strangers = unknown_variables()
    if not strangers:
        return Check(name="settings", verdict="good", found="all have values that can be used")
    told = ", ".join(f"{name} ({meant}?)" if meant else name for name, meant in sorted(strangers.items()))
    return Check(name="settings", verdict="warning", found=f"nothing reads {told}", advice="Correct or unset them.")


def _remote(settings: Settings) -> Iterator[Check]:
    import httpx2
    import orjson

    key = settings.api_key.get_secret_value() if settings.api_key else None
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    try:
        answer = httpx2.get(f"{str(settings.url).rstrip('/')}/health/ready", headers=headers, timeout=10)
    except httpx2.HTTPError as error:
        yield Check(
            name="server", verdict="bad", found=f"no answer ({type(error).__name__})", advice="Is MAGNET_URL right?"
        )
        return
    state = "ready" if answer.status_code == 200 else f"not ready: it answered {answer.status_code}"
    try:
        told = orjson.dumps(orjson.loads(answer.content)).decode()[:500]
    except orjson.JSONDecodeError:
        told = "no JSON"
    good = answer.status_code == 200
    yield Check(
        name="server",
        verdict="good" if good else "bad",
        found=f"{state} {told}",
        advice="" if good else "Run 'magnet doctor' where that server runs.",
    )


def _home(home: Path) -> Check:
    place = home if home.exists() else home.absolute().parent
    if not os.access(place, os.W_OK | os.X_OK):
        return Check(
            name="home",
            verdict="bad",
            found=f"{place.absolute()} can't be written",
            advice="Make it writable, or set MAGNET_HOME to a directory of your own.",
        )
    return Check(name="home", verdict="good", found=str(home.absolute()))


def _disk(home: Path) -> Check:
    free = shutil.disk_usage(home if home.exists() else home.absolute().parent).free
    found = f"{free / 1e9:.1f} GB free"
    if free < NO_SPACE:
        return Check(name="disk", verdict="bad", found=found, advice="Make room: the log can't grow.")
    if free < LITTLE_SPACE:
        return Check(name="disk", verdict="warning", found=found, advice="Make room soon.")
    return Check(name="disk", verdict="good", found=found)


@contextmanager
def _database(settings: Settings) -> Iterator[str]:
    """Give the application's connection string; an embedded server is started, and stopped by the last one."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    with EmbeddedPostgres(settings.home) as embedded:
        yield embedded.dsn(user=APP_ROLE)


def _of_database(settings: Settings, connection: psycopg.Connection[Any], *, full: bool) -> Iterator[Check]:
    look = Inspection(connection)
    server = look.server()
    kind = "at DATABASE_URL" if settings.database_url else "embedded"
    yield Check(name="database", verdict="good", found=f"PostgreSQL {server.version}, {kind}")
    yield _verdict("pgvector", server.has_pgvector, "there", "not there", "Install pgvector on the server.")
    durable = server.fsync and server.full_page_writes and server.synchronous_commit
    yield _verdict(
        "durability",
        durable,
        "fsync, full_page_writes and synchronous_commit are on",
        "what is acknowledged can be lost in a crash",
        "Set fsync, full_page_writes and synchronous_commit to on.",
    )
    apart = abs(server.clock - time.time())
    yield _verdict(
        "clock",
        apart < CLOCK_APART,
        f"{apart:.3f} s from the database's",
        f"{apart:.1f} s from the database's",
        "Synchronise the clocks: keys expire by this machine's, events carry the database's.",
    )
    if not look.is_installed():
        yield Check(
            name="schema", verdict="good", found="there is no installation yet", advice="'magnet serve' makes one."
        )
        return
    try:
        require_current(connection)
    except MigrationRefused as error:
        advice = "'magnet serve' brings it up to date." if isinstance(error, SchemaOutdated) else "See the message."
        yield Check(name="schema", verdict="bad", found=str(error), advice=advice)
        return
    yield Check(name="schema", verdict="good", found="current")
    yield _rights(look)
    yield _key(settings, look)
    yield from _projections(look)
    if settings.vector_db_type != "pgvector":
        yield _vectors(settings.vector_db_type, connection)
    yield _log(look, connection, full=full)


def _rights(look: Inspection) -> Check:
    if not look.is_guarded():
        return Check(
            name="log rights",
            verdict="bad",
            found="the trigger that refuses changes of the log is missing or switched off",
            advice="Restore it: ALTER TABLE magnet.magnet_events ENABLE TRIGGER USER; then run this with --full.",
        )
    rights = look.log_rights()
    if rights:
        return Check(
            name="log rights",
            verdict="warning",
            found=f"the application's role may {', '.join(rights)} (the trigger refuses changes)",
            advice="Let another role own the tables: give it in MIGRATION_DATABASE_URL.",
        )
    return Check(name="log rights", verdict="good", found="the application may only read and append")


def _key(settings: Settings, look: Inspection) -> Check:
    stored = look.fingerprint()
    path = settings.home / FILE
    try:
        if settings.secret_encryption_key is not None:
            text, where = settings.secret_encryption_key.get_secret_value(), "SECRET_ENCRYPTION_KEY"
        else:
            text, where = path.read_text("utf-8", "replace"), str(path)
        present = Keyring(parsed(text)).fingerprint
    except (OSError, WrongKey):
        return Check(
            name="key",
            verdict="bad" if stored else "warning",
            found="there is no usable key",
            advice=f"Put {path} back from a backup, or set SECRET_ENCRYPTION_KEY.",
        )
    if stored not in (None, present):
        return Check(
            name="key",
            verdict="bad",
            found=f"{where} is {present}, and the installation's is {stored}",
            advice="Use the key that made this installation: secrets can't be opened with another.",
        )
    if settings.secret_encryption_key is None and path.stat().st_mode & 0o077:
        return Check(name="key", verdict="warning", found=f"others may read {path}", advice=f"chmod 600 {path}")
    return Check(name="key", verdict="good", found=f"{present}, from {where}")


def _projections(look: Inspection) -> Iterator[Check]:
    from api.read_models import READ_MODELS

    head, standing = look.head(), {each.name: each for each in look.projections()}
    for name in [model.name for model in READ_MODELS if head and model.name not in standing]:
        advice = "It is built as soon as 'magnet serve' or a worker runs."
        yield Check(name="projection", verdict="warning", found=f"{name} is not there yet", advice=advice)
    for each in [standing[model.name] for model in READ_MODELS if model.name in standing]:
        lag = max(0, head - each.position)
        name, found = "projection", f"{each.name} at {each.position}, {lag} behind"
        if each.quarantined:
            yield Check(
                name=name,
                verdict="bad",
                found=f"{found}, {each.quarantined} streams set aside",
                advice="See GET /v1/dead-letters; requeue them, or 'magnet projections rebuild'.",
            )
        elif lag > SAMPLE:
            yield Check(name=name, verdict="warning", found=found, advice="Is 'magnet serve' or a worker running?")
        else:
            yield Check(name=name, verdict="good", found=found)


def _vectors(kind: str, connection: psycopg.Connection[Any]) -> Check:
    spaces = StoresStanding(connection, kind).spaces()
    waiting, gone = sum(each.waiting for each in spaces), sum(each.to_remove for each in spaces)
    found = f"{kind}: {sum(each.stored for each in spaces)} vectors stored, {waiting} wait, {gone} places to be removed"
    alone = sum(each.asked != each.store for each in spaces)
    if waiting > SAMPLE or gone > SAMPLE or alone:
        told = f"; PostgreSQL answers by itself in {alone} of {len(spaces)} spaces" if alone else ""
        advice = "Is 'magnet serve' or a worker running, and the store within its reach? Its log says why it waits."
        return Check(name="vectors", verdict="warning", found=found + told, advice=advice)
    return Check(name="vectors", verdict="good", found=found)


def _log(look: Inspection, connection: psycopg.Connection[Any], *, full: bool) -> Check:
    head = look.head()
    checked = check_log(connection, after=0 if full else max(0, head - SAMPLE))
    if not checked.ok:
        return Check(
            name="log",
            verdict="bad",
            found=f"position {checked.first_bad}: {checked.reason}",
            advice="Somebody changed the log past Magnet: restore a backup, and find out who.",
        )
    if checked.checked_to < checked.checked_from:
        return Check(name="log", verdict="good", found="there is no event yet")
    rest = "" if full or checked.checked_from == 1 else " (--full checks all)"
    return Check(
        name="log",
        verdict="good",
        found=f"events {checked.checked_from} to {checked.checked_to} are what was recorded{rest}",
    )


def _verdict(name: str, good: bool, if_good: str, if_bad: str, advice: str) -> Check:
    if good:
        return Check(name=name, verdict="good", found=if_good)
    return Check(name=name, verdict="bad", found=if_bad, advice=advice)
