"""Where checkpoints are kept outside the database: a directory with a file of notes and one of hashes.

`checkpoints` has the signed notes, one after the other. `hashes` has the hash of every sealed event, 32
bytes each, in the order of positions: with it a changed event is found itself, not only the stretch that
it is in. Both are only ever appended to; put the directory where the database's owner can't write.
"""

import os
from pathlib import Path

from adapters.evidence.notes import notes_in

NOTES, HASHES = "checkpoints", "hashes"
TWO_NOTES = 8192
"""Bytes that two notes never reach, of some 300 each: the first that is read may be cut."""


class EvidenceDirectory:
    """The files of one installation."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def notes(self) -> list[str]:
        """Return the notes, the oldest first; none where there is no file yet."""
        file = self.path / NOTES
        return notes_in(file.read_text("utf-8")) if file.exists() else []

    def newest_note(self) -> str | None:
        """Return the last note, read from the end of the file, however long that has become."""
        file = self.path / NOTES
        if not file.exists():
            return None
        with file.open("rb") as opened:
            opened.seek(max(0, file.stat().st_size - TWO_NOTES))
            return next(reversed(notes_in(opened.read().decode("utf-8", "replace"))), None)

    def sealed(self) -> int:
        """Return of how many events the hashes are here."""
        file = self.path / HASHES
        return file.stat().st_size // 32 if file.exists() else 0

    def hashes(self, after: int, upto: int) -> bytes:
        """Return the hashes of the events after a position up to another, as far as they are here."""
        file = self.path / HASHES
        if not file.exists():
            return b""
        with file.open("rb") as opened:
            opened.seek(32 * after)
            return opened.read(32 * (upto - after))

    def add_hashes(self, joined: bytes) -> None:
        """Append the hashes of the events that follow, and have them on disk."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / HASHES).open("ab") as file:
            file.truncate(32 * self.sealed())  # a crash may have left half a hash behind
            file.write(joined)
            file.flush()
            os.fsync(file.fileno())

    def add_note(self, note: str) -> None:
        """Append a note, and have it on disk."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with (self.path / NOTES).open("a", encoding="utf-8") as file:
            file.write(f"{note}\n")
            file.flush()
            os.fsync(file.fileno())
