"""Settings: every environment variable, checked before anything starts."""

import os
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Literal

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict


class SettingsError(RuntimeError):
    """A setting is wrong; the message names the variable and what was expected, never its value."""


class Settings(BaseSettings):
    """Every variable of the environment (or of a `.env` file) that Magnet reads."""

    model_config = SettingsConfigDict(
        env_file=".env", env_file_encoding="utf-8", extra="ignore", populate_by_name=True, case_sensitive=True
    )

    home: Path = Field(Path(".magnet"), alias="MAGNET_HOME")
    database_url: SecretStr | None = Field(None, alias="DATABASE_URL")
    migration_database_url: SecretStr | None = Field(None, alias="MIGRATION_DATABASE_URL")
    openai_api_key: SecretStr | None = Field(None, alias="OPENAI_API_KEY")
    openai_base_url: str | None = Field(None, alias="OPENAI_BASE_URL")
    vector_db_type: Literal["pgvector"] = Field("pgvector", alias="VECTOR_DB_TYPE")
    kafka_bootstrap_servers: str | None = Field(None, alias="KAFKA_BOOTSTRAP_SERVERS")
    secret_encryption_key: SecretStr | None = Field(None, alias="SECRET_ENCRYPTION_KEY")
    host: str = Field("127.0.0.1", alias="MAGNET_HOST", min_length=1)
    port: int = Field(8080, alias="MAGNET_PORT", ge=0, le=65535)
    workers: int = Field(1, alias="MAGNET_WORKERS", ge=1, le=64)
    root_path: str = Field("", alias="MAGNET_ROOT_PATH", pattern=r"^(/[^\s?#]*[^/\s?#])?$")
    trusted_proxies: str = Field("", alias="MAGNET_TRUSTED_PROXIES")
    cors_origins: str = Field("", alias="MAGNET_CORS_ORIGINS")
    egress_allow: str = Field("", alias="MAGNET_EGRESS_ALLOW")
    plugins: str = Field("", alias="MAGNET_PLUGINS")
    url: str | None = Field(None, alias="MAGNET_URL", pattern=r"^https?://")
    api_key: SecretStr | None = Field(None, alias="MAGNET_API_KEY")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = Field("INFO", alias="LOG_LEVEL")
    log_format: Literal["console", "json"] = Field("console", alias="LOG_FORMAT")
    otlp_endpoint: str | None = Field(None, alias="OTEL_EXPORTER_OTLP_ENDPOINT", pattern=r"^https?://")

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_unset(cls, value: Any, info: Any) -> Any:
        if value == "":
            field = cls.model_fields[info.field_name]
            return field.get_default(call_default_factory=True)
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _level_in_any_case(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    @field_validator("database_url", "migration_database_url")
    @classmethod
    def _is_a_database(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                parts = conninfo_to_dict(value.get_secret_value())
            except ProgrammingError:
                parts = {}
            if not parts.get("user") or not parts.get("dbname"):
                raise ValueError("a PostgreSQL address is expected, such as postgresql://user:password@host/database")
        return value

    @property
    def cors(self) -> list[str]:
        """Origins that a browser may call from."""
        return _listed(self.cors_origins)

    @property
    def proxies(self) -> list[str]:
        """Addresses of proxies whose forwarded headers are believed."""
        return _listed(self.trusted_proxies)


def load(**overrides: Any) -> Settings:
    """Read the settings, or raise SettingsError for the first that is wrong."""
    try:
        return Settings(**overrides)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False)[0]
        name = str(found["loc"][0])
        message = found["msg"].removeprefix("Value error, ")
        raise SettingsError(f"{name} is wrong: {message[:1].lower()}{message[1:]}.") from None
    except UnicodeDecodeError:
        raise SettingsError("The file .env is no UTF-8 text.") from None


def unknown_variables() -> dict[str, str | None]:
    """Return the MAGNET_ variables that nothing reads, each with the name that was probably meant."""
    known = {str(field.alias) for field in Settings.model_fields.values()}
    strangers = (name for name in os.environ if name.startswith("MAGNET_") and name not in known | OTHERS)
    return {name: next(iter(get_close_matches(name, known, 1)), None) for name in strangers}


OTHERS = {"MAGNET_FAILPOINTS", "MAGNET_BENCH_MODEL"}
"""Variables of tests and benchmarks."""


def _listed(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]
