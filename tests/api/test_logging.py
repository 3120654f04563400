"""Logs: one line each, the request's id on it, and no secret whichever way it came in."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
import structlog

from api.logging import HIDDEN, configure, hidden
from tests.support.logs import logging_of_its_own

SECRET = "hush-hush-0123456789"


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    with logging_of_its_own():
        yield


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    captured = capsys.readouterr()
    assert captured.out == ""
    return [json.loads(line) for line in captured.err.splitlines()]


def test_a_line_is_json_with_level_time_and_the_request_it_belongs_to(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "json")
    structlog.contextvars.bind_contextvars(request_id="r-1")

    structlog.get_logger("test").info("a prompt was made", name="greeting", id=UUID(int=1))

    (line,) = lines(capsys)
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "event": "a prompt was made",
        "level": "info",
        "name": "greeting",
        "id": "00000000-0000-0000-0000-000000000001",
        "request_id": "r-1",
    }


@pytest.mark.parametrize("name", ["uvicorn.error", "psycopg.pool", "some.library"])
def test_what_libraries_log_goes_the_same_way(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure("INFO", "json")

    logging.getLogger(name).warning("connection %s lost, Bearer %s", 7, SECRET)

    (line,) = lines(capsys)
    assert line["event"] == f"connection 7 lost, Bearer {HIDDEN}"
    assert line["level"] == "warning"


def test_less_than_the_level_is_not_written(capsys: pytest.CaptureFixture[str]) -> None:
    configure("WARNING", "json")

    structlog.get_logger("test").info("little")
    logging.getLogger("uvicorn.error").info("little")

    assert lines(capsys) == []


@pytest.mark.parametrize(
    "name", ["api_key", "apiKey", "X-API-Key", "Authorization", "password", "token", "client_secret", "Cookie", "dsn"]
)
def test_a_value_named_like_a_secret_is_hidden_at_any_depth(capsys: pytest.CaptureFixture[str], name: str) -> None:
    configure("INFO", "json")

    structlog.get_logger("test").info("asked", **{name: SECRET}, deep=[{"headers": {name: [SECRET]}}])

    (line,) = lines(capsys)
    assert line[name] == HIDDEN
    assert line["deep"] == [{"headers": {name: HIDDEN}}]


def test_counts_of_tokens_are_no_secrets() -> None:
    assert hidden({"total_tokens": 12, "token": None, "key_set": True}) == {
        "total_tokens": 12,
        "token": None,
        "key_set": True,
    }


@pytest.mark.parametrize(
    "text",
    [
        f"mgn_{SECRET}",
        f"a key sk-{SECRET} in a text",
        f"Authorization: Bearer {SECRET}",
        f"authorization: bearer {SECRET}",
        "Basic aHVzaC1odXNoOmh1c2g=",
        f"postgresql://magnet:{SECRET}@db/magnet",
        f"postgresql://:{SECRET}@db/magnet",
        f"host=db password={SECRET} user=magnet",
        f"host=db password='{SECRET} and it\\'s {SECRET}' user=magnet",
        f"GET /v1/prompts?api_key={SECRET}&limit=5",
    ],
)
def test_a_secret_inside_of_a_text_is_hidden(text: str) -> None:
    for value in (text, text.encode(), [text], {"x": (text,)}, ValueError(text)):
        shown = repr(hidden(value))
        assert HIDDEN in shown
        assert "hush" not in shown
        assert "aHVzaC1" not in shown


def test_what_stands_around_a_secret_stays() -> None:
    assert hidden(f"postgresql://u:{SECRET}@db:5432/magnet?sslmode=require") == (
        f"postgresql://{HIDDEN}@db:5432/magnet?sslmode=require"
    )
    assert hidden("see https://example.com:8080/a@b and risk-free-but-long") == (
        "see https://example.com:8080/a@b and risk-free-but-long"
    )


@pytest.mark.parametrize("format", ["json", "console"])
def test_a_traceback_is_written_without_the_secret_in_it(capsys: pytest.CaptureFixture[str], format: str) -> None:
    configure("INFO", format)

    try:
        raise ValueError(f"postgresql://magnet:{SECRET}@db/magnet is away")
    except ValueError:
        structlog.get_logger("test").exception("failed")
        logging.getLogger("library").exception("failed too")

    written = capsys.readouterr().err
    assert written.count("Traceback (most recent call last)") == 2
    assert SECRET not in written


def test_no_text_can_look_like_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    configure("INFO", "console")
    forged = "x\r\n2026-01-01 [info] all is well\x1b[2J\u2028"

    structlog.get_logger("test").info("asked", name=forged)
    logging.getLogger("library").warning("asked for %s", forged)

    written = capsys.readouterr().err
    assert len(written.splitlines()) == 2
    assert "\x1b" not in written


@pytest.mark.parametrize("format", ["json", "console"])
def test_text_that_is_no_text_is_written_all_the_same(capsys: pytest.CaptureFixture[str], format: str) -> None:
    configure("INFO", format)

    structlog.get_logger("test").info("asked \ud800", name="\udfff\x00")

    written = capsys.readouterr().err
    assert "asked" in written
    assert "Logging error" not in written
