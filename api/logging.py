"""Structured logs, with the request they belong to, and without secrets."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

SECRET_NAMES = re.compile(
    r"api[_-]?key|authorization|passw(or)?d|secret|token|credential|cookie|dsn|database_url", re.IGNORECASE
)
SECRET_VALUES = re.compile(
    r"\bmgn_[A-Za-z0-9_-]+"
    r"|\bsk-[A-Za-z0-9_-]{8,}"
    r"|(?<=\bbearer )[^\s\"',]+"
    r"|(?<=\bbasic )[A-Za-z0-9+/=]{8,}"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=\bpassword=)('(\\.|[^'\\])*'|[^\s&\"']+)"
    r"|(?<=\bapi_key=)[^\s&\"']+|(?<=\baccess_token=)[^\s&\"']+",
    re.IGNORECASE,
)
HIDDEN = "[hidden]"
NO_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
"""What would end a line, move the cursor, or can't be written."""

QUIET = (
    "uvicorn", "uvicorn.error", "uvicorn.access", "psycopg", "psycopg.pool", "aiokafka", "httpx2", "openai", "mcp"
)  # fmt: skip
"""Libraries that are heard from WARNING on."""


def configure(level: str = "INFO", format: str = "console") -> None:
    """Send all logs, the libraries' too, as lines to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderers: list[structlog.typing.Processor] = (
        [structlog.processors.JSONRenderer()]
        if format == "json"
        else [on_one_line, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    )
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *renderers],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in QUIET:
        logger = logging.getLogger(noisy)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, logging.getLevelName(level)))


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what is named like a secret, and what looks like one inside of texts."""
    for name, value in list(event.items()):
        if not name.startswith("_"):  # those are structlog's own
            event[name] = _shown(name, value)
    return event


def on_one_line(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Write signs that no terminal should get as escapes, so that no text can look like a line of its own."""
    for name, value in list(event.items()):
        if isinstance(value, str) and name not in ("exception", "stack"):
            event[name] = NO_TEXT.sub(_escaped, value)
    return event


def hidden(value: Any) -> Any:
    """Return the value with every text in it that looks like a secret hidden."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str):
        return SECRET_VALUES.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {key: _shown(str(key), item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [hidden(item) for item in value]
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return SECRET_VALUES.sub(HIDDEN, text)


def _shown(name: str, value: Any) -> Any:
    # A count of tokens is none: what is secret is text.
    secret = SECRET_NAMES.search(name) and value is not None and not isinstance(value, bool | int | float)
    return HIDDEN if secret else hidden(value)


def _escaped(sign: re.Match[str]) -> str:
    return sign[0].encode("unicode_escape").decode("ascii")
