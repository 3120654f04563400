"""ZIP archives that documents are packed in: looked at before anything in them is unpacked."""

from io import BytesIO
from zipfile import ZipFile

from commands.reading import PasswordProtected, TooLarge, Unreadable

MOST_ENTRIES = 10_000
MOST_BYTES = 300_000_000
"""Declared bytes of all that is packed; pictures count too."""

STEEPEST = 200
"""Times that an entry of more than a megabyte may be larger than its packed form."""

HAS = {"docx": "[Content_Types].xml"}
"""Which entry each kind has."""


def must_be_sound(content: bytes, kind: str) -> None:
    """Raise TooLarge, PasswordProtected or Unreadable for an archive that is a trap, or not of this kind."""
    called = kind.upper()
    with ZipFile(BytesIO(content)) as archive:
        entries = archive.infolist()
    if len(entries) > MOST_ENTRIES:
        raise TooLarge(f"The {called} has {len(entries)} parts: {MOST_ENTRIES} are read.")
    if sum(entry.file_size for entry in entries) > MOST_BYTES:
        raise TooLarge(f"The {called} declares more than {MOST_BYTES:,} bytes.")
    end = 0
    for entry in sorted(entries, key=lambda each: each.header_offset):
        if entry.flag_bits & 1:
            raise PasswordProtected(f"The {called} is encrypted: take its password away, then give it again.")
        if entry.file_size > 1_000_000 and entry.file_size > STEEPEST * max(1, entry.compress_size):
            raise TooLarge(f"A part of the {called} is packed more than text can be.")
        if entry.header_offset < end:
            raise Unreadable(f"Parts of the {called} overlap: it was made to do harm.")
        end = entry.header_offset + entry.compress_size
    if not any(entry.filename == HAS[kind] for entry in entries):
        raise Unreadable(f"This is a ZIP archive, but no {called}.")
