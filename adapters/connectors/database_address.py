"""Addresses of databases: which driver, which host, and nothing that would lead elsewhere."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote, urlsplit

from adapters.egress import Egress, EgressRefused
from commands.knowledge.connectors import SourceUnavailable
from domain.errors import Invalid

POSTGRES = "postgresql"
SQLITE = "sqlite"
PORTS = {
    POSTGRES: 5432,
    "mysql+pymysql": 3306,
    "mariadb+pymysql": 3306,
    "mssql+pymssql": 1433,
    "oracle+oracledb": 1521,
}
PARAMETERS = {POSTGRES: {"sslmode": ("disable", "prefer", "require", "verify-full")}}
"""What the query of an address may say: all else could name another host, or a file of this machine."""

HOST = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
NAME = re.compile(r"[^\x00-\x1f\x7f;={}/\\?#]{1,128}")
MOST_ADDRESSES = 4


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """Where a database is: on a host, or in a file."""

    driver: str
    host: str = ""
    port: int = 0
    user: str | None = None
    database: str = ""
    parameters: tuple[tuple[str, str], ...] = ()
    file: str | None = None

    @property
    def shown(self) -> str:
        """How it is called in errors."""
        return self.file or f"{self.host}:{self.port}/{self.database}"


def database_address(url: str) -> DatabaseAddress:
    """Return the parts of an address, or raise Invalid."""
    if any(character <= " " or character in "\\\x7f" for character in url):
        raise wrong("it has no white space, control character or backslash")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise wrong("it is no URL") from None
    driver = POSTGRES if parts.scheme in ("postgres", "postgresql+psycopg") else parts.scheme
    if parts.fragment or "#" in url:
        raise wrong("it has no part after #")
    if driver == SQLITE:
        return in_a_file(parts.netloc, parts.path, parts.query)
    if driver not in PORTS:
        raise wrong(f"it begins with one of {', '.join(f'{each}://' for each in (*PORTS, SQLITE))}")
    user, _, host = parts.netloc.rpartition("@")
    if ":" in user:
        raise wrong("it holds no password: that is the secret `password`")
    if not parts.hostname or not HOST.fullmatch(parts.hostname) or "," in host:
        raise wrong("it names one host")
    database = unquote(parts.path.removeprefix("/"))
    if not NAME.fullmatch(database):
        raise wrong("it names a database, such as postgresql://host/database")
    return DatabaseAddress(
        driver=driver,
        host=parts.hostname,
        port=port or PORTS[driver],
        user=unquote(user) or None,
        database=database,
        parameters=parameters(driver, parts.query),
    )


def in_a_file(netloc: str, path: str, query: str) -> DatabaseAddress:
    """Return the address of a database in a file."""
    file = unquote(path.removeprefix("/"))
    if netloc or query or not file.startswith("/") or "\x00" in file:
        raise wrong("that of SQLite is sqlite:////absolute/path, with nothing after it")
    return DatabaseAddress(driver=SQLITE, file=file)


def parameters(driver: str, query: str) -> tuple[tuple[str, str], ...]:
    """Return what the query of an address says, or raise Invalid."""
    known = PARAMETERS.get(driver, {})
    said = parse_qsl(query, keep_blank_values=True)
    for name, value in said:
        if name not in known or value not in known[name]:
            may = "; ".join(f"{each}={'|'.join(values)}" for each, values in known.items()) or "nothing"
            raise wrong(f"after ? it says {may}")
    if len({name for name, _ in said}) < len(said):
        raise wrong("after ? it says a thing once")
    return tuple(said)


def wrong(what: str) -> Invalid:
    """Return what is raised for an address that can't be used."""
    return Invalid(f"This is no address of a database: {what}.", code="invalid_url", pointer="/config/url")


async def checked(egress: Egress, address: DatabaseAddress) -> Sequence[str]:
    """Return the addresses that a host stands for and that may be connected to, or raise SourceUnavailable."""
    try:
        return (await egress.addresses(address.host, address.port))[:MOST_ADDRESSES]
    except EgressRefused as error:
        raise SourceUnavailable(f"{address.shown}: {error}", code="address_refused") from None
    except OSError as error:
        raise SourceUnavailable(
            f"{address.shown}: the name of the host is not known: {error.strerror or error}."
        ) from None
