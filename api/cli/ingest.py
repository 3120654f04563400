"""`magnet ingest`: files and folders into a knowledge source; done when they can be found, or it is told why not."""

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, note, show_json

if TYPE_CHECKING:
    from api.cli.connection import Connection
    from api.cli.ingestion import Ingestion
    from api.cli.walking import LeftOut

SOURCE = "documents"
MOST_TOLD = 20
"""Files of one reason that are named; all of them are with --json."""


def ingest(
    paths: Annotated[list[Path], typer.Argument(help="Files and folders.", metavar="PATH...")],
    *,
    source: Annotated[str, typer.Option("--source", help="The knowledge source; it is made if absent.")] = SOURCE,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Until all can be found.")] = True,
    as_json: AsJSON = False,
) -> None:
    """Give files to a knowledge source, and wait until they can be found. The same file twice is one document."""
    from api.cli.connection import run
    from api.cli.ingestion import Ingestion, ensure_source, ensure_tool
    from api.cli.walking import File, walk

    found = list(walk(paths))
    files = [each for each in found if isinstance(each, File)]
    left_out: list[LeftOut] = [each for each in found if not isinstance(each, File)]
    tell = (lambda _: None) if as_json else note

    async def work(connection: "Connection") -> None:
        if not files:  # nothing is made for what is not there
            _report(
                Ingestion(connection=connection, source=source, quiet=as_json), left_out, as_json=as_json, waited=wait
            )
            raise CommandFailed("There is nothing that could be taken.")
        made = await ensure_source(connection, source)
        if made:
            tell(f"The knowledge source '{source}' was made.")
        ingestion = Ingestion(connection=connection, source=source, quiet=as_json)
        await ingestion.give(files)
        if wait:
            await ingestion.wait()
        if tool := await ensure_tool(connection, source, new=made):
            tell(f"The RAG tool '{tool}' was made: magnet ask --rag-tool {tool} QUESTION answers from it.")
        _report(ingestion, left_out, as_json=as_json, waited=wait)
        if ingestion.failures or any(each.wrong for each in left_out):
            raise CommandFailed("Not everything was taken: see above.")

    run(work)


def _report(ingestion: "Ingestion", left_out: "list[LeftOut]", *, as_json: bool, waited: bool) -> None:
    counts = Counter(each["status"] for each in ingestion.documents.values())
    failed = len(ingestion.failures) + sum(each.wrong for each in left_out)
    if as_json:
        show_json(
            {
                "source": ingestion.source,
                "documents": list(ingestion.documents.values()),
                "failures": ingestion.failures,
                "skipped": [
                    {"path": _shown(each.path), "reason": each.reason, "failed": each.wrong} for each in left_out
                ],
                "counts": {
                    "indexed": counts["indexed"],
                    "pending": counts["pending"],
                    "failed": failed,
                    "skipped": sum(not each.wrong for each in left_out),
                },
            }
        )
        return
    for reason, number in Counter(each.reason for each in left_out).items():
        same = [each for each in left_out if each.reason == reason]
        for each in same[:MOST_TOLD]:
            note(f"{'failed' if each.wrong else 'skipped'}: {_shown(each.path)}: {reason}")
        if number > MOST_TOLD:
            note(f"... and {number - MOST_TOLD} more ({reason}): --json names all")
    for failure in ingestion.failures:
        note(f"failed: {failure['path']}: {failure['reason']}")
    rest = "" if waited else f", {counts['pending']} waiting to be indexed"
    skipped = sum(not each.wrong for each in left_out)
    line(f"{counts['indexed']} indexed{rest}, {failed} failed, {skipped} skipped, in '{ingestion.source}'")


def _shown(path: Path) -> str:
    """Return a path as text that any output can hold."""
    return str(path).encode("utf-8", "backslashreplace").decode()
