"""Settings: every environment variable, checked before anything starts."""

import logging
import os
import re
from collections.abc import Callable
from difflib import get_close_matches
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import AfterValidator, BeforeValidator, Field, Json, SecretStr, TypeAdapter, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from domain.provider import web_origin

ENV_FILE = ".env"
OTHERS = ("MAGNET_FAILPOINTS", "MAGNET_BENCH_", "MAGNET_TESTS_")
"""How variables of tests and benchmarks begin."""

HTTP_URL = r"^https?://[^\s/?#]+[^\s?#]*$"
HOST_AND_PORT = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")
ORIGIN = re.compile(r"\*|https?://(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+)(:[0-9]{1,5})?")
MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")

TEXTS = TypeAdapter(dict[str, str])

log = logging.getLogger(__name__)


class SettingsError(RuntimeError):
    """A setting is wrong; the message names the variable and what was expected, never its value."""


def _upper(value: Any) -> Any:
    return value.upper() if isinstance(value, str) else value


def _is_a_database(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        try:
            parts = conninfo_to_dict(value.get_secret_value())
        except ProgrammingError as error:
            raise ValueError("no connection string") from error
        if not parts.get("user") or not parts.get("dbname"):
            raise ValueError("no user or no database")
    return value


def _has_an_origin(value: str | None) -> str | None:
    if value is not None:
        web_origin(value)
    return value


def _is_a_mapping_of_texts(value: SecretStr | None) -> SecretStr | None:
    if value is not None:
        TEXTS.validate_json(value.get_secret_value())
    return value


def _is_network(text: str) -> bool:
    try:
        ip_network(text)
    except ValueError:
        return False
    return True


def _is_host_and_port(text: str) -> bool:
    match = HOST_AND_PORT.fullmatch(text)
    return match is not None and 0 < int(match[2]) <= 65535


def _each(fits: Callable[[str], object]) -> AfterValidator:
    """Check each part of a text whose parts are separated by commas."""

    def check(value: str | None) -> str | None:
        if value is not None and not all(fits(part) for part in _listed(value)):
            raise ValueError("a part is wrong")
        return value

    return AfterValidator(check)


Database = Annotated[SecretStr | None, AfterValidator(_is_a_database)]
DATABASE = "the address of a PostgreSQL database with its user, such as postgresql://user:password@host/database"
WEB = "an address that begins with http:// or https://"


class Settings(BaseSettings):
    """Every variable of the environment (or of a `.env` file) that Magnet reads.

    A field's description says what is expected of its variable. An empty variable counts as not set.
    """

    model_config = SettingsConfigDict(
        env_file=ENV_FILE, env_file_encoding="utf-8", env_ignore_empty=True, extra="ignore", populate_by_name=True,
        case_sensitive=True, hide_input_in_errors=True,
    )  # fmt: skip

    home: Path = Field(Path(".magnet"), alias="MAGNET_HOME", description="a directory")
    database_url: Database = Field(None, alias="DATABASE_URL", description=DATABASE)
    migration_database_url: Database = Field(None, alias="MIGRATION_DATABASE_URL", description=DATABASE)
    openai_api_key: SecretStr | None = Field(None, alias="OPENAI_API_KEY", description="a key")
    openai_base_url: Annotated[str | None, AfterValidator(_has_an_origin)] = Field(
        None, alias="OPENAI_BASE_URL", pattern=HTTP_URL, description=f"{WEB}, without user and password"
    )
    vector_db_type: str = Field(
        "pgvector", alias="VECTOR_DB_TYPE", pattern=r"^[a-z0-9][a-z0-9_.-]{0,62}$",
        description="pgvector, qdrant, chroma, or the name of a plugin of the group magnet.vector_stores",
    )  # fmt: skip
    vector_db_config: Json[dict[str, Any]] = Field(
        {}, alias="VECTOR_DB_CONFIG", validate_default=False,
        description="a JSON object, the `Config` of that store",
    )  # fmt: skip
    vector_db_secrets: Annotated[SecretStr | None, AfterValidator(_is_a_mapping_of_texts)] = Field(
        None, alias="VECTOR_DB_SECRETS", description="a JSON object of texts, the secrets of that store"
    )
    kafka_bootstrap_servers: Annotated[str | None, _each(_is_host_and_port)] = Field(
        None, alias="KAFKA_BOOTSTRAP_SERVERS", description="host:port, more of them separated by commas"
    )
    kafka_topic: str = Field(
        "magnet.events", alias="MAGNET_KAFKA_TOPIC", pattern=r"^[A-Za-z0-9._-]{1,249}$", description="a topic's name"
    )
    kafka_partitions: int = Field(
        6, alias="MAGNET_KAFKA_PARTITIONS", ge=0, le=10_000,
        description="with how many partitions a missing topic is made; 0: it is never made",
    )  # fmt: skip
    kafka_transactions: bool = Field(True, alias="MAGNET_KAFKA_TRANSACTIONS", description="true or false")
    secret_encryption_key: SecretStr | None = Field(
        None, alias="SECRET_ENCRYPTION_KEY", description="32 bytes as base64 or as 64 hexadecimal digits"
    )
    host: str = Field(
        "127.0.0.1", alias="MAGNET_HOST", pattern=r"^[A-Za-z0-9_.:-]+$", description="an address or a host's name"
    )
    port: int = Field(8080, alias="MAGNET_PORT", ge=0, le=65535, description="a port number from 0 to 65535")
    workers: int = Field(1, alias="MAGNET_WORKERS", ge=1, le=64, description="a whole number from 1 to 64")
    drain_seconds: float = Field(
        20.0, alias="MAGNET_DRAIN_SECONDS", ge=0, le=3600, description="seconds, from 0 to 3600"
    )
    run_texts_days: int | None = Field(
        None, alias="MAGNET_RUN_TEXTS_DAYS", ge=7, le=36500, description="days, 7 or more; none: they are kept"
    )
    attachment_tokens: int = Field(
        5000, alias="MAGNET_ATTACHMENT_TOKENS", ge=0, le=1_000_000,
        description="up to how many tokens the files of a conversation are told to its model whole; 0: none is",
    )  # fmt: skip
    ocr_pages: int = Field(
        200, alias="MAGNET_OCR_PAGES", ge=0, le=20_000, description="pages, from 0 (no OCR at all) to 20000"
    )
    root_path: str = Field(
        "", alias="MAGNET_ROOT_PATH", pattern=r"^(/[^\s?#]*[^/\s?#])?$",
        description="a path such as /magnet, with no slash at its end",
    )  # fmt: skip
    trusted_proxies: Annotated[str, _each(_is_network)] = Field(
        "", alias="MAGNET_TRUSTED_PROXIES", description="addresses or networks, separated by commas"
    )
    cors_origins: Annotated[str, _each(ORIGIN.fullmatch)] = Field(
        "", alias="MAGNET_CORS_ORIGINS",
        description="origins such as https://app.example.com, with no path, separated by commas; or *",
    )  # fmt: skip
    evidence_dir: Path | None = Field(
        None, alias="MAGNET_EVIDENCE_DIR", description="a directory, best where the database's owner can't write"
    )
    egress_allow: Annotated[str, _each(lambda part: _is_network(part) or _is_host_and_port(part))] = Field(
        "", alias="MAGNET_EGRESS_ALLOW", description="networks or host:port, separated by commas"
    )
    plugins: Annotated[str, _each(MODULE.fullmatch)] = Field(
        "", alias="MAGNET_PLUGINS", description="names of Python modules, separated by commas"
    )
    folders: str = Field(
        "", alias="MAGNET_FOLDERS",
        description="directories, separated by commas, under which sources of type folder may lie",
    )  # fmt: skip
    url: str | None = Field(None, alias="MAGNET_URL", pattern=HTTP_URL, description=WEB)
    api_key: SecretStr | None = Field(None, alias="MAGNET_API_KEY", description="an API key")
    log_level: Annotated[
        Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"], BeforeValidator(_upper)
    ] = Field("INFO", alias="LOG_LEVEL", description="DEBUG, INFO, WARNING, ERROR or CRITICAL")  # fmt: skip
    log_format: Literal["console", "json"] = Field("console", alias="LOG_FORMAT", description="console or json")
    otlp_endpoint: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT", pattern=HTTP_URL, description=WEB)

    @property
    def vector_store_secrets(self) -> dict[str, str]:
        """The secrets of the vector store."""
        return TEXTS.validate_json(self.vector_db_secrets.get_secret_value()) if self.vector_db_secrets else {}

    @property
    def attachment_characters(self) -> int:
        """Characters of a conversation's files up to which its model is told them whole: about four to a token."""
        return 4 * self.attachment_tokens

    @property
    def evidence(self) -> Path:
        """The directory of checkpoints, outside the database."""
        return self.evidence_dir or self.home / "evidence"

    @property
    def plugin_modules(self) -> list[str]:
        """Modules that name plugins beside those of installed packages."""
        return _listed(self.plugins)

    @property
    def folder_roots(self) -> list[Path]:
        """Directories under which folders may be synced.

        Where none is set, the one that the process runs in; but never a whole machine, as services run in `/`.
        """
        here = Path.cwd()
        return [Path(part) for part in _listed(self.folders)] or ([here] if here != here.parent else [])

    @property
    def cors(self) -> list[str]:
        """Origins that a browser may call from."""
        return _listed(self.cors_origins)

    @property
    def egress(self) -> list[str]:
        """Networks and places that requests to user-set addresses may reach although private."""
        return _listed(self.egress_allow)

    @property
    def model_egress(self) -> list[str]:
        """What models' providers may reach although private: where OPENAI_BASE_URL leads too, which no user has set."""
        own = [] if self.openai_base_url is None else [web_origin(self.openai_base_url).partition("://")[2]]
        return [*self.egress, *own]

    @property
    def proxies(self) -> list[str]:
        """Addresses of proxies whose forwarded headers are believed."""
        return _listed(self.trusted_proxies)


def load(**overrides: Any) -> Settings:
    """Read the settings, or raise SettingsError that names all that are wrong; warn of unknown variables."""
    try:
        settings = Settings(**overrides)
    except ValidationError as error:
        names = dict.fromkeys(str(found["loc"][0]) for found in error.errors(include_url=False, include_input=False))
        raise SettingsError("\n".join(map(_expected, names))) from None
    except UnicodeDecodeError:
        raise SettingsError(f"The file {ENV_FILE} is no UTF-8 text: save it as that.") from None
    except PermissionError:
        raise SettingsError(f"The file {ENV_FILE} can't be read: change its owner or mode.") from None
    certificates = os.environ.get("SSL_CERT_FILE")
    if certificates and not os.access(certificates, os.R_OK):  # what reads it later says only that some file is missing
        raise SettingsError("SSL_CERT_FILE is wrong: expected a file of certificates that can be read.")
    for name, meant in unknown_variables().items():
        log.warning("nothing reads the variable %s%s", name, f": is {meant} meant?" if meant else "")
    return settings


def unknown_variables() -> dict[str, str | None]:
    """Return the MAGNET_ variables that nothing reads, each with the name that was probably meant."""
    known = {str(field.alias) for field in Settings.model_fields.values()}
    present = dict.fromkeys([*os.environ, *dotenv_values(ENV_FILE, interpolate=False)])
    strangers = (name for name in present if name.startswith("MAGNET_") and name not in known)
    return {
        name: next(iter(get_close_matches(name, known, 1)), None) for name in strangers if not name.startswith(OTHERS)
    }


def _expected(name: str) -> str:
    field = next((f for key, f in Settings.model_fields.items() if name in (key, f.alias)), None)
    return f"{name} is wrong: expected {field.description}." if field else f"{name} is no setting."


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
