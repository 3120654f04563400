"""Telling that memory was too short for a parser of XML from damage: it says so only by a number, or not at all."""

from collections.abc import Iterable

from lxml.etree import ErrorTypes, LxmlError, _LogEntry


def raise_if_memory_was_short(found: LxmlError | Iterable[_LogEntry]) -> None:
    """Raise MemoryError where this is why a parser failed, or left out the rest of what it read."""
    codes = [getattr(found, "code", None)] if isinstance(found, LxmlError) else [entry.type for entry in found]
    if ErrorTypes.ERR_NO_MEMORY in codes:
        raise MemoryError
