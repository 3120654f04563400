"""The catalogue of events as a page of Markdown: every type with its version, fields, meaning and an example."""

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

import orjson

from projections.event_types import event_types

HEAD = """# Events

Made by `python -m tests.write_event_schema` from the events that are registered; `GET /v1/event-types` shows the same.

Every event has the same frame, whether it is read from `GET /v1/events`, the stream, a webhook or Kafka: `position`,
`id`, `type`, `kind`, `aggregate_id`, `name`, `version`, `recorded_at`, `actor`, `reason`, `correlation_id`,
`causation_id`, `summary`, `data` and `hash`. Below are the fields of `data`, by type. What persons said never stands
there: such a field is `[personal]`. Types and fields are public: they are added to, never renamed.
"""


def markdown() -> str:
    """Return the page."""
    kinds = [(kind, list(types)) for kind, types in groupby(event_types(), key=lambda each: str(each["kind"]))]
    contents = [f"* [{kind}](#{kind}): " + ", ".join(f"`{each['type']}`" for each in types) for kind, types in kinds]
    parts = [HEAD, "\n".join(contents)]
    for kind, types in kinds:
        parts.append(f"## {kind}")
        parts += ["\n".join(section(each)).rstrip() for each in types]
    return "\n\n".join(part.strip() for part in parts) + "\n"


def section(event: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of one type."""
    yield f"### {event['type']} (version {event['version']})"
    yield ""
    yield event["description"]
    yield ""
    if event["fields"]:
        yield "| field | type | meaning |"
        yield "|---|---|---|"
        for name, type_ in event["fields"].items():
            meaning = event["meanings"].get(name, "")
            personal = " Personal." if name in event["personal"] else ""
            shown = type_.replace("|", "or")
            yield f"| `{name}` | {shown} | {(meaning + personal).strip()} |"
        yield ""
    yield "```json"
    yield orjson.dumps(event["example"], option=orjson.OPT_INDENT_2).decode()
    yield "```"
