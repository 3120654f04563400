"""What commands print: tables and lines for people, JSON for programs."""

import re
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WIDTH_WITHOUT_TERMINAL = 160
LONGEST_VALUE = 200
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]|\r(?!\n)")
"""What a terminal takes for a command; the ends of lines and tabs are none."""

UNSEEN = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""What begins another line, too, or has a line read otherwise than it is written."""


def shown(text: str) -> str:
    """Return text that does nothing to a terminal: its controls as JSON escapes them, so that JSON stays what it is."""
    return CONTROLS.sub(_escaped, text)


def on_one_line(text: str) -> str:
    """Return text that stays in its line, whoever wrote it: nobody forges a line of a list by what it tells."""
    return UNSEEN.sub(_escaped, text)


def _escaped(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def line(text: str = "") -> None:
    """Print a line to stdout; a closed pipe ends the program quietly."""
    typer.echo(shown(text))


def note(text: str) -> None:
    """Print a line that is no data, to stderr."""
    typer.echo(shown(text), err=True)


def show_json(data: Any, *, compact: bool = False) -> None:
    """Print a JSON value; compact: on one line."""
    import orjson

    line(orjson.dumps(data, option=0 if compact else orjson.OPT_INDENT_2).decode())


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their columns."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        drawn.add_row(*(Text("" if cell is None else on_one_line(str(cell))) for cell in row))
    console().print(drawn)


def console() -> "Console":
    """Return where colours go; without a terminal there are none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH_WITHOUT_TERMINAL, highlight=False, soft_wrap=False)


def short(value: Any, longest: int = LONGEST_VALUE) -> str:
    """Return a value as JSON text on one line, cut where it is long."""
    import orjson

    text = orjson.dumps(value).decode()
    return text if len(text) <= longest else text[: longest - 1] + "…"


def labelled(values: Mapping[str, Any]) -> None:
    """Print names and values, one a line."""
    width = max((len(name) for name in values), default=0)
    for name, value in values.items():
        line(f"{name:<{width}}  {on_one_line(str(value))}")
