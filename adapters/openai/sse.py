"""Server-sent events out of bytes as they come, cut anywhere."""

from collections.abc import Iterator

from adapters.openai import failures

LONGEST_EVENT = 4_000_000
"""Bytes."""


class EventReader:
    """Gives the data of each event; what is no data (comments, names, ids) is passed over."""

    def __init__(self) -> None:
        self._rest: list[bytes] = []
        self._length = 0
        self._data: list[bytes] = []

    def feed(self, chunk: bytes) -> Iterator[bytes]:
        """Yield the data of the events that these bytes complete; raise Failure where one is too long."""
        lines = chunk.split(b"\n")
        if len(lines) > 1:
            lines[0] = b"".join([*self._rest, lines[0]])
            self._rest.clear()
            self._length = sum(map(len, self._data))
        self._rest.append(lines.pop())
        self._length += len(self._rest[-1])
        self._refuse_longer()
        for line in lines:
            if line.startswith(b"data:"):
                self._data.append(line[5:].strip())
                self._length += len(self._data[-1])
                self._refuse_longer()
            elif self._data and line in (b"", b"\r"):
                data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                self._data.clear()
                self._length = len(self._rest[-1])
                yield data

    def rest(self) -> bytes:
        """Return the data of an event that no empty line has ended."""
        last = b"".join(self._rest).strip()
        if last.startswith(b"data:"):
            self._data.append(last[5:].strip())
        return b"\n".join(self._data)

    def _refuse_longer(self) -> None:
        if self._length > LONGEST_EVENT:
            raise failures.invalid("sent an event that is too long")
