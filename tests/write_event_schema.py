"""Writes the event lock and the catalogue anew, and an example payload for every event version that has none yet.

Run as `python -m tests.write_event_schema` after adding an event; what is there already is never changed.
"""

import json
from pathlib import Path
from typing import Any

from projections.event_catalogue import markdown
from tests.support.event_schema import event_schema

HERE = Path(__file__).parent
CATALOGUE = HERE.parent / "docs" / "events.md"
EXAMPLES: dict[str, Any] = {"str": "text", "int": 1, "bool": True, "list": [], "dict": {}, "None": None}


def example(kind: str) -> Any:
    """Return some value of a field's type."""
    return next((value for name, value in EXAMPLES.items() if kind.replace("<class '", "").startswith(name)), None)


def main() -> None:
    """Write."""
    schema = event_schema()
    (HERE / "event_schema.lock.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")
    for topic, event in schema["events"].items():
        path = HERE / "payloads" / f"{topic}@{event['version']}.json"
        if not path.exists():
            fields = {name: example(kind) for name, kind in event["fields"].items()}
            if "originator_topic" in fields:
                fields["originator_topic"] = topic.partition(".")[0]
            if event["version"] > 1:
                fields["class_version"] = event["version"]
            payload = {"timestamp": "2026-11-23T12:00:00+00:00", **fields}
            path.write_text(json.dumps(payload) + "\n")
    CATALOGUE.write_text(markdown(), "utf-8")


if __name__ == "__main__":
    main()
