"""The table of results: what was measured, what it is compared with, and whether that is enough."""

import os
import platform
import timeit
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Row:
    """One line of the table.

    `least` is the ratio ours / theirs that is wanted, `above` one that is to be exceeded; without either, `most` or
    `floor` bounds our own figure, and theirs stands for information.
    """

    what: str
    ours: float
    unit: str
    compared: str = ""
    theirs: float | None = None
    least: float | None = None
    above: float | None = None
    most: float | None = None
    floor: float | None = None

    @property
    def ratio(self) -> float | None:
        """Return ours / theirs."""
        return self.ours / self.theirs if self.theirs else None

    @property
    def met(self) -> bool:
        """Say whether every bound holds."""
        return (
            (self.least is None or (self.ratio is not None and self.ratio >= self.least))
            and (self.above is None or (self.ratio is not None and self.ratio > self.above))
            and (self.most is None or self.ours < self.most)
            and (self.floor is None or self.ours >= self.floor)
        )

    def cells(self) -> list[str]:
        """Return the line's cells as text."""
        bounds = []
        if self.least is not None:
            bounds.append(f">= {self.least:g} x")
        if self.above is not None:
            bounds.append(f"> {self.above:g} x")
        if self.most is not None:
            bounds.append(f"< {self.most:g} {self.unit}")
        if self.floor is not None:
            bounds.append(f">= {self.floor:,.0f} {self.unit}")
        return [
            self.what,
            f"{number(self.ours)} {self.unit}",
            f"{self.compared}: {number(self.theirs)}" if self.theirs is not None else self.compared,
            f"{self.ratio:.2f} x" if self.ratio is not None else "",
            ", ".join(bounds),
            ("yes" if self.met else "NO") if bounds else "",
        ]


HEADER = ["what", "ours", "compared with", "ratio", "target", "met"]


def number(value: float) -> str:
    """Return a figure with three digits or more that count."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def markdown(rows: Sequence[Row], header: Sequence[str] = HEADER) -> str:
    """Return the table as Markdown that also reads well as plain text."""
    lines = [list(header), *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    lines.insert(1, ["-" * width for width in widths])
    return "\n".join(
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)) + " |" for line in lines
    )


def processor_time() -> tuple[int, int]:
    """Return this machine's processor time since its start, and how much of it its host gave to others, in ticks.

    Both are 0 where the system tells neither. Source: proc(5), /proc/stat, field "steal".
    """
    try:
        ticks = [int(field) for field in Path("/proc/stat").read_text("ascii").split(maxsplit=9)[1:9]]
    except OSError:
        return 0, 0
    return sum(ticks), ticks[7]


def processor_pace() -> float:
    """Return the milliseconds that a million additions in Python take now, at best: a shared host is not always as fast."""
    return 1000 * min(timeit.repeat("total += 1", "total = 0", number=1_000_000, repeat=5))


def circumstances(postgresql: str, since: tuple[int, int]) -> str:
    """Return when, where and with what versions the figures were made, how fast the machine is, and what its host took."""
    total, stolen = (now - then for now, then in zip(processor_time(), since, strict=True))
    libraries = ", ".join(f"{name} {version(name)}" for name in ("eventsourcing", "psycopg", "fastapi", "uvicorn"))
    return (
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {os.cpu_count()} cores, "
        f"Python {platform.python_version()}, PostgreSQL {postgresql}, {libraries}"
        f"; a million additions in Python take {processor_pace():.0f} ms"
        + (f"; {stolen / total:.1%} of the processor went to other machines" if stolen else "")
    )
