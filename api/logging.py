"""Structured logs, with the request they belong to, and without secrets."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"(api[_-]?key|authorization|password|passwd|secret|token|credential|cookie)", re.IGNORECASE)
SECRET_VALUES = re.compile(
    r"mgn_[0-9a-f]{32}_[A-Za-z0-9_-]+"
    r"|\bsk-[A-Za-z0-9_-]{8,}"
    r"|(?<=[Bb]earer )[^\s\"']+"
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"
    r"|(?<=password=)[^\s]+"
)
HIDDEN = "[hidden]"


def configure(level: str = "INFO", format: str = "console") -> None:
    """Send all logs, the libraries' too, as lines to standard error."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        hide_secrets,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if format == "json"
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("uvicorn", "uvicorn.error", "uvicorn.access", "psycopg", "psycopg.pool"):
        logger = logging.getLogger(noisy)
        logger.handlers = []
        logger.propagate = True
        logger.setLevel(max(logging.WARNING, logging.getLevelName(level)))


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Hide what is named like a secret, and what looks like one inside of texts."""
    for name in list(event):
        event[name] = HIDDEN if SECRET_NAMES.search(name) else hidden(event[name])
    return event


def hidden(value: Any) -> Any:
    """Return the value with every text in it that looks like a secret hidden."""
    if isinstance(value, str):
        return SECRET_VALUES.sub(HIDDEN, value)
    if isinstance(value, Mapping):
        return {k: HIDDEN if SECRET_NAMES.search(str(k)) else hidden(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [hidden(item) for item in value]
    return value
