"""Server-sent events out of bytes as they come, cut anywhere."""

from collections.abc import Iterator

from adapters.openai import failures

LONGEST_EVENT = 4_000_000
"""Bytes."""


class EventReader:
    """Gives the data of each event; what is no data (comments, names, ids) is passed over."""

    def __init__(self) -> None:
        self._rest = b""
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of the events that these bytes complete; raise Failure where one is too long."""
        lines = (self._rest + chunk).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > LONGEST_EVENT:
            raise failures.invalid("sent a line that is too long")
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
            elif self._data and line in (b"", b"\r"):
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data.clear()
                if len(data) > LONGEST_EVENT:
                    raise failures.invalid("sent an event that is too long")
                yield data

    def rest(self) -> bytes:
        """Return the data of an event that no empty line has ended."""
        last = self._rest.strip()
        if last.startswith(b"data:"):
            self._data.append(last[5:].strip())
        return b"\n".join(self._data)
