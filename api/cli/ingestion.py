"""Giving files to a knowledge source over HTTP: in bounded batches, each followed until it is indexed."""

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from api.cli.connection import Connection, NotThere, Refused
from api.cli.failure import CommandFailed
from api.cli.walking import File

if TYPE_CHECKING:
    from rich.progress import Progress

MOST_FILES = 100
MOST_BYTES = 8_000_000
"""Of one batch; a larger file goes alone."""

LOOK_AGAIN = 0.3
"""Seconds between two looks at what is being indexed."""

FORBIDDEN = 403
ABOUT_A_FILE = frozenset({400, 409, 413, 415, 422})
"""What a source answers where one of the files is the reason."""


@dataclass(kw_only=True)
class Ingestion:
    """Some files on their way: `documents` by the file's name, and `failures` with their reasons."""

    connection: Connection
    source: str
    quiet: bool
    documents: dict[str, dict[str, Any]] = field(default_factory=dict)
    failures: list[dict[str, str]] = field(default_factory=list)
    jobs: list[str] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Where documents are given."""
        return f"/v1/knowledge-sources/{self.source}/documents"

    async def give(self, files: Sequence[File]) -> None:
        """Upload files."""
        with progress(self.quiet) as shown:
            task = shown.add_task("given", total=len(files))
            for batch in batches(files):
                await self._give(batch)
                shown.advance(task, len(batch))

    async def _give(self, batch: Sequence[File]) -> None:
        content: list[tuple[str, bytes]] = []
        for each in batch:
            try:
                content.append((each.name, await asyncio.to_thread(each.path.read_bytes)))
            except OSError as error:
                self._failed(str(each.path), (error.strerror or type(error).__name__).lower())
        if not content:
            return
        try:
            receipt = await self.connection.upload(self.address, content)
        except Refused as error:
            if error.status not in ABOUT_A_FILE or error.code in ("archived", "busy"):
                raise
            if len(batch) == 1:
                self._failed(str(batch[0].path), str(error))
                return
            for each in batch:  # one of them is why: the others are taken
                await self._give([each])
            return
        self.jobs.append(receipt["job_id"])
        paths = {each.name: str(each.path) for each in batch}
        for document in receipt["documents"]:
            self.documents[document["external_id"]] = {"path": paths[document["external_id"]], **document}

    async def wait(self) -> None:
        """Wait until everything that was given can be found or has failed; learn why."""
        waiting = dict.fromkeys(self.jobs, 0)
        told = False
        reasons: dict[str, str] = {}
        with progress(self.quiet) as shown:
            task = shown.add_task("indexed", total=len(self.documents))
            while waiting:
                for id in list(waiting):
                    job = await self.connection.get(f"/v1/jobs/{id}")
                    shown.advance(task, job["done"] - waiting[id])
                    waiting[id] = job["done"]
                    if job["error"] and not told:
                        told = True
                        shown.console.print(f"It is tried again: {job['error']}", markup=False, highlight=False)
                    if job["state"] == "finished":
                        reasons |= {each["document_id"]: each["reason"] for each in job["errors"]}
                        del waiting[id]
                if waiting:
                    await asyncio.sleep(LOOK_AGAIN)
            await self.connection.can_be_found(self.source)
        for document in self.documents.values():
            document["status"] = "failed" if document["id"] in reasons else "indexed"
            if document["id"] in reasons:
                self._failed(document["path"], reasons[document["id"]])

    def _failed(self, path: str, reason: str) -> None:
        self.failures.append({"path": path, "reason": reason})


def batches(files: Sequence[File]) -> Iterator[list[File]]:
    """Yield files in batches that are neither too many nor too large."""
    batch: list[File] = []
    size = 0
    for each in files:
        if batch and (len(batch) == MOST_FILES or size + each.size > MOST_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(each)
        size += each.size
    if batch:
        yield batch


def progress(quiet: bool) -> "Progress":
    """Return a progress bar on stderr; where that is no terminal, or quiet is asked for, nothing is shown."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description:<8}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    return Progress(*columns, console=console, disable=quiet or not console.is_terminal)


async def ensure_source(connection: Connection, source: str) -> bool:
    """Make the knowledge source if it is absent; return whether it was."""
    try:
        found = await connection.get(f"/v1/knowledge-sources/{source}")
    except NotThere:
        await connection.command("POST", "/v1/knowledge-sources", {"name": source, "type": "files"})
        return True
    if found["archived"]:
        raise CommandFailed(f"The knowledge source '{source}' is archived: restore it first, or choose another.")
    return False


async def ensure_tool(connection: Connection, source: str, *, new: bool) -> str | None:
    """Make a RAG tool over a source that is new, or where there is none at all; return its name where it was made.

    Names that are taken stay as they are, and who may make no tools makes none.
    """
    if not new and (await connection.get("/v1/rag-tools", {"limit": 1, "archived": "true"}))["items"]:
        return None
    name: str = (await connection.get(f"/v1/knowledge-sources/{source}"))["name"]
    if await _there(connection, f"/v1/rag-tools/{name}"):
        return None
    tool = await _there(connection, f"/v1/retrieval-tools/{name}")
    if tool is not None and (tool["archived"] or name not in [each["name"] for each in tool["sources"]]):
        return None
    try:
        if tool is None:
            await connection.command("POST", "/v1/retrieval-tools", {"name": name, "sources": [name]})
        await connection.command("POST", "/v1/rag-tools", {"name": name, "retrieval_tool": name})
    except Refused as error:
        if error.status == FORBIDDEN:
            return None
        raise
    return name


async def _there(connection: Connection, path: str) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = await connection.get(path)
    except NotThere:
        return None
    return found
