"""What commands print: tables and lines for people, JSON for programs."""

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rich.console import Console

AsJSON = Annotated[bool, typer.Option("--json", help="Print JSON.")]
WIDTH_WITHOUT_TERMINAL = 160
LONGEST_VALUE = 200


def line(text: str = "") -> None:
    """Print a line to stdout; a closed pipe ends the program quietly."""
    typer.echo(text)


def note(text: str) -> None:
    """Print a line that is no data, to stderr."""
    typer.echo(text, err=True)


def show_json(data: Any, *, compact: bool = False) -> None:
    """Print a JSON value; compact: on one line."""
    import orjson

    line(orjson.dumps(data, option=0 if compact else orjson.OPT_INDENT_2).decode())


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Print rows under their columns."""
    from rich.table import Table
    from rich.text import Text

    shown = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        shown.add_row(*(Text("" if cell is None else str(cell)) for cell in row))
    console().print(shown)


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
        line(f"{name:<{width}}  {value}")
