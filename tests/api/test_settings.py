"""Settings: what is read, what is refused, and that a refusal never shows a value."""

import logging
import os
from pathlib import Path

import pytest

from api.settings import Settings, SettingsError, load, unknown_variables

DSN = "postgresql://magnet_app:hush-hush@db.example.com:5433/magnet"


@pytest.fixture(autouse=True)
def _clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for field in Settings.model_fields.values():
        monkeypatch.delenv(str(field.alias), raising=False)
    for name in [name for name in os.environ if name.startswith("MAGNET_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def test_with_nothing_set_everything_has_a_default() -> None:
    settings = load()

    assert settings.home == Path(".magnet")
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.database_url is None
    assert settings.vector_db_type == "pgvector"
    assert (settings.log_level, settings.log_format) == ("INFO", "console")
    assert settings.cors == settings.proxies == []


def test_each_variable_is_read_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DSN)
    monkeypatch.setenv("MAGNET_PORT", "9090")
    monkeypatch.setenv("MAGNET_CORS_ORIGINS", "https://a.example.com, http://localhost:3000")
    monkeypatch.setenv("LOG_LEVEL", "debug")

    settings = load()

    assert settings.database_url is not None
    assert settings.database_url.get_secret_value() == DSN
    assert settings.port == 9090
    assert settings.cors == ["https://a.example.com", "http://localhost:3000"]
    assert settings.log_level == "DEBUG"


def test_a_dotenv_file_is_read_and_the_environment_comes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("MAGNET_PORT=9001\nMAGNET_HOST=::1\nPOSTGRES_PASSWORD=for-compose\n")
    monkeypatch.setenv("MAGNET_PORT", "9002")

    settings = load()

    assert (settings.host, settings.port) == ("::1", 9002)


def test_an_empty_variable_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("DATABASE_URL", "MAGNET_PORT", "OPENAI_BASE_URL", "LOG_LEVEL", "MAGNET_CORS_ORIGINS"):
        monkeypatch.setenv(name, "")

    assert load() == Settings()
    assert load().port == 8080


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "mysql://user:hush-hush@host/db"),
        ("DATABASE_URL", "postgresql://host/only"),
        ("DATABASE_URL", "hush-hush"),
        ("MIGRATION_DATABASE_URL", "postgresql://user:hush-hush@host/"),
        ("VECTOR_DB_TYPE", "Hush hush"),
        ("VECTOR_DB_CONFIG", "hush-hush"),
        ("VECTOR_DB_CONFIG", '["hush-hush"]'),
        ("VECTOR_DB_SECRETS", '{"api_key": ["hush-hush"]}'),
        ("KAFKA_BOOTSTRAP_SERVERS", "hush-hush"),
        ("KAFKA_BOOTSTRAP_SERVERS", "kafka:99999"),
        ("OPENAI_BASE_URL", "ftp://hush-hush"),
        ("OPENAI_BASE_URL", "http://hush:hush@models.example/v1"),
        ("MAGNET_HOST", "hush hush"),
        ("MAGNET_PORT", "hush-hush"),
        ("MAGNET_PORT", "65536"),
        ("MAGNET_PORT", "-1"),
        ("MAGNET_WORKERS", "0"),
        ("MAGNET_ROOT_PATH", "hush-hush"),
        ("MAGNET_ROOT_PATH", "/hush-hush/"),
        ("MAGNET_TRUSTED_PROXIES", "10.0.0.0/8, hush-hush"),
        ("MAGNET_CORS_ORIGINS", "https://hush-hush.example.com/path"),
        ("MAGNET_EGRESS_ALLOW", "hush-hush"),
        ("MAGNET_PLUGINS", "hush-hush.py"),
        ("MAGNET_URL", "hush-hush"),
        ("LOG_LEVEL", "hush-hush"),
        ("LOG_FORMAT", "hush-hush"),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "hush-hush"),
    ],
)
def test_a_wrong_value_is_refused_by_name_and_not_shown(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(SettingsError) as refused:
        load()

    assert str(refused.value).startswith(f"{name} is wrong: expected ")
    assert "hush" not in str(refused.value).lower()
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


def test_every_variable_says_what_is_expected_of_it() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_all_that_is_wrong_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MAGNET_PORT", "many")
    monkeypatch.setenv("LOG_FORMAT", "xml")

    with pytest.raises(SettingsError) as refused:
        load()

    assert str(refused.value).splitlines() == [
        "MAGNET_PORT is wrong: expected a port number from 0 to 65535.",
        "LOG_FORMAT is wrong: expected console or json.",
    ]


def test_what_is_secret_is_hidden_in_the_settings_text(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", DSN)
    for name in ("OPENAI_API_KEY", "SECRET_ENCRYPTION_KEY", "MAGNET_API_KEY"):
        monkeypatch.setenv(name, "hush-hush")

    assert "hush" not in repr(load())


def test_a_misspelt_variable_is_named_with_the_one_that_was_meant(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("MAGNET_PROT", "9090")
    monkeypatch.setenv("MAGNET_FAILPOINTS", "")
    monkeypatch.setenv("MAGNET_BENCH_KILLS", "50")
    Path(".env").write_text("MAGNET_CORS_ORIGIN=https://a.example.com\nOTHER=1\n")

    with caplog.at_level(logging.WARNING, "api.settings"):
        load()

    assert unknown_variables() == {"MAGNET_PROT": "MAGNET_PORT", "MAGNET_CORS_ORIGIN": "MAGNET_CORS_ORIGINS"}
    assert caplog.messages == [
        "nothing reads the variable MAGNET_PROT: is MAGNET_PORT meant?",
        "nothing reads the variable MAGNET_CORS_ORIGIN: is MAGNET_CORS_ORIGINS meant?",
    ]


def test_a_file_of_certificates_that_is_not_there_is_told_by_the_variable_that_names_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "gone.pem"))
    with pytest.raises(SettingsError, match="SSL_CERT_FILE"):
        load()
    (tmp_path / "gone.pem").touch()
    load()


def test_a_dotenv_file_that_is_no_text_is_refused() -> None:
    Path(".env").write_bytes(b"MAGNET_PORT=\xff\xfe\n")

    with pytest.raises(SettingsError, match=r"\.env is no UTF-8 text"):
        load()


def test_folders_are_read_below_where_the_process_runs_but_never_on_the_whole_machine(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    assert load().folder_roots == [tmp_path]
    monkeypatch.chdir("/")
    assert load().folder_roots == []
    monkeypatch.setenv("MAGNET_FOLDERS", "/srv/a, /srv/b")
    assert load().folder_roots == [Path("/srv/a"), Path("/srv/b")]
