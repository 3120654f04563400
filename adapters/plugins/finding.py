"""What the `check` of a guardrail plugin gives."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that was found in a text: what it is in a word, and where; no `end`: to the end of the text."""

    label: str
    start: int = 0
    end: int | None = None
