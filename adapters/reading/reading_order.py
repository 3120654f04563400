"""The order in which lines on a page are read: columns of prose one after another, all else row by row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

COLUMN_GAP = 0.8
"""Between columns there is at least so much, in heights of a line."""

LINES_OF_A_COLUMN = 3
PROSE = 8.0
"""So often longer than high are the lines of columns, and not the fields of a table, which is read row by row."""

SAME_ROW = 0.5
"""Lines stand in one row whose middles are no further apart, in heights of a line."""

PARAGRAPH = 1.9
"""A paragraph begins where the middles of two rows are further apart, in heights of a line."""


@dataclass(frozen=True, kw_only=True)
class Line:
    """Words beside one another: where they stand in pixels (`y` is the middle), and what they say."""

    left: float
    right: float
    y: float
    height: float
    text: str


def in_order(lines: Sequence[Line]) -> str:
    """Return what lines say, in the order in which they are read."""
    return "\n\n".join(block_text(block) for block in blocks(list(lines)))


def blocks(lines: list[Line]) -> Iterator[list[Line]]:
    """Yield parts of a page that are read one after another."""
    if not lines:
        return
    if columns := side_by_side(lines):
        for column in columns:
            yield from blocks(column)
    elif parts := one_below_another(lines):
        for part in parts:
            yield from blocks(part)
    else:
        yield lines


def side_by_side(lines: Sequence[Line]) -> list[list[Line]]:
    """Return columns of prose with a gap between them all the way down; none where there are no two."""
    height = median(each.height for each in lines)
    columns: list[list[Line]] = []
    reach = float("-inf")
    for each in sorted(lines, key=lambda line: line.left):
        if each.left > reach + COLUMN_GAP * height:
            columns.append([])
        columns[-1].append(each)
        reach = max(reach, each.right)
    return columns if len(columns) > 1 and all(map(is_prose, columns)) else []


def is_prose(column: Sequence[Line]) -> bool:
    """Return whether these are the lines of a text."""
    long = median((each.right - each.left) / each.height for each in column) >= PROSE
    return long and len(column) >= LINES_OF_A_COLUMN


def one_below_another(lines: Sequence[Line]) -> list[list[Line]]:
    """Return what stands above and below the first row that leaves columns on one of its sides; none where none does."""
    rows = rows_of(lines)
    for place in range(1, len(rows)):
        above = [line for row in rows[:place] for line in row]
        below = [line for row in rows[place:] for line in row]
        if side_by_side(below) or side_by_side(above):
            return [above, below]
    return []


def rows_of(lines: Sequence[Line]) -> list[list[Line]]:
    """Return rows from top to bottom, each from left to right."""
    rows: list[list[Line]] = []
    for each in sorted(lines, key=lambda line: line.y):
        if rows and each.y - rows[-1][-1].y <= SAME_ROW * min(each.height, rows[-1][-1].height):
            rows[-1].append(each)
        else:
            rows.append([each])
    return [sorted(row, key=lambda line: line.left) for row in rows]


def block_text(lines: Sequence[Line]) -> str:
    """Return rows as lines of text, with an empty one between paragraphs."""
    said: list[str] = []
    before: list[Line] = []
    for row in rows_of(lines):
        if before:
            apart = row[0].y - before[0].y
            said.append("\n\n" if apart > PARAGRAPH * max(row[0].height, before[0].height) else "\n")
        said.append(" ".join(line.text for line in row))
        before = row
    return "".join(said)
