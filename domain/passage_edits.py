"""What people change of single passages, and how it is found again when the text is cut anew.

An edit names the passage by the text that was cut there (its SHA-256) and the range where it stood. It belongs to
no version and no index: it goes with the text. Where a cutting no longer has that text, the edit is orphaned: kept,
and told as such.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from domain.references import identify


@dataclass(frozen=True, kw_only=True)
class PassageName:
    """Which passage is meant: `sha256` of the text as it was cut; empty, for the only one of a written passage."""

    start: int
    end: int
    sha256: str

    @property
    def key(self) -> str:
        """Under which a document keeps the edit."""
        return f"{self.start}-{self.end}-{self.sha256}"

    def id(self, document: UUID) -> UUID:
        """Return the id by which the edit is read where no passage has it."""
        return identify("passage_edit", f"{document}:{self.key}")


THE_ONLY_ONE = PassageName(start=0, end=0, sha256="")


@dataclass(frozen=True, kw_only=True)
class Edit:
    """What was changed of a passage: `text` is the SHA-256 of what is said instead, None: as it was cut."""

    name: PassageName
    text: str | None
    disabled: bool


@dataclass(frozen=True, kw_only=True)
class CutPassage:
    """A passage as it was cut: its ordinal, where it begins, and the SHA-256 of its text."""

    ordinal: int
    start: int
    sha256: str


def edits_of(kept: Mapping[str, Mapping[str, Any]]) -> list[Edit]:
    """Return a document's edits, from what its aggregate keeps."""
    return [
        Edit(
            name=PassageName(start=each["start"], end=each["end"], sha256=each["sha256"]),
            text=each["text"],
            disabled=each["disabled"],
        )
        for each in kept.values()
    ]


def matched(edits: Iterable[Edit], passages: Sequence[CutPassage]) -> dict[int, Edit]:
    """Return ordinal -> edit; edits that are not among them are orphaned.

    A passage is found by its text; of several with the same text, the one nearest to where it stood.
    """
    found: dict[int, Edit] = {}
    for edit in sorted(edits, key=lambda each: (each.name.start, each.name.end, each.name.sha256)):
        alike = [each for each in passages if each.ordinal not in found and edit.name.sha256 in ("", each.sha256)]
        if alike:
            nearest = min(alike, key=lambda each: (abs(each.start - edit.name.start), each.ordinal))
            found[nearest.ordinal] = edit
    return found
