"""Writes the log of a released version, for the test that later versions read it the same: run it at each release.

`python -m tests.write_release` plays a story on this version, and writes `tests/released/VERSION.jsonl`: first the
version, the schema and the checksums of its read models, then every row of the tables that replaying needs. A file
that is there is never written again.
"""

import asyncio
import json
import tempfile
from importlib.metadata import version
from pathlib import Path

import psycopg
from psycopg.rows import tuple_row
from psycopg.sql import SQL, Identifier

from adapters.replay.copying import BESIDE
from tests.api.test_subjects import say_everything
from tests.support.homes import short_lived
from tests.support.model_server import ModelServer
from tests.support.patience import PATIENCE
from tests.support.postgres import Database, fresh_database, server
from tests.support.server import Running, serving
from tests.support.talks import ACTIONS, talks

RELEASED = Path(__file__).parent / "released"
TABLES = ("installation", "magnet_events", *BESIDE)
KEY = "11" * 32
"""The installation's key in these files: what is sealed there is made up."""


async def story(magnet: Running, models: ModelServer) -> None:
    """Let nearly everything happen that can."""
    do = magnet.do
    actions = [{**action, "requires_confirmation": action["function"] == "shout"} for action in ACTIONS]
    async with talks(magnet, models, actions=actions) as talk:
        await say_everything(talk, models, "person-1")
        await say_everything(talk, models, "person-2")
        await do("POST", "/v1/subjects/person-2/erase", {"message": "as asked"})
        await talk.books.add("c", "The canteen closes at three.", acl=["kitchen"], metadata={"floor": 2})
    await do(
        "POST", "/v1/prompts", {"name": "greet", "text": "Hello {{ name }}", "variables": {"name": {}}, "tags": ["a"]}
    )
    changed = await do("PATCH", "/v1/prompts/greet", {"text": "Hi {{ name }}", "title": "Greeting"})
    await do("POST", "/v1/prompts/greet/publish", {"version": changed["version"], "message": "shorter"})
    await do("POST", "/v1/prompts/greet/rollback", {"version": 1})
    await do("POST", "/v1/tags/a/rename", {"to": "b"})
    await do("POST", "/v1/prompts", {"name": "old", "text": "x"})
    await do("DELETE", "/v1/prompts/old")
    await do("POST", "/v1/prompts/old/restore")
    await do("DELETE", "/v1/prompts/old")
    await do("PATCH", "/v1/agents/helper", {"instructions": "You help at once.", "limits": {"iterations": 3}})
    await do("PATCH", "/v1/rag-tools/ask", {"no_answer": "Nobody knows."})
    await do("PATCH", "/v1/retrieval-tools/find", {"limit": 3})
    await do("PATCH", "/v1/knowledge-sources/handbook", {"title": "Handbook", "acl": ["everyone"]})


def write(database: Database, magnet_version: str, checksums: dict[str, str | None]) -> Path:
    """Write the file, and return its path."""
    path = RELEASED / f"{magnet_version}.jsonl"
    path.parent.mkdir(exist_ok=True)
    with path.open("x", encoding="utf-8") as file, psycopg.connect(database.owner_dsn, row_factory=tuple_row) as owner:
        row = owner.execute("SELECT max(number) FROM magnet.schema_migrations").fetchone()
        assert row is not None
        head = {"version": magnet_version, "schema": row[0], "key": KEY, "checksums": checksums}
        file.write(json.dumps(head) + "\n")
        for table in TABLES:
            query = SQL("SELECT to_jsonb(t)::text FROM magnet.{} AS t ORDER BY t::text").format(Identifier(table))
            for (text,) in owner.execute(query):
                file.write(f'{{"table": "{table}", "row": {text}}}\n')
    return path


async def play(database: Database, home: Path) -> dict[str, str | None]:
    """Play the story; return the checksums of the read models."""
    with ModelServer(vectors="words") as models:
        async with serving(database, home, SECRET_ENCRYPTION_KEY=KEY) as magnet:
            await story(magnet, models)
            head = await magnet.container.log.head()
            status = await magnet.container.administration.status(checksums=False)
            for each in status:
                assert await magnet.container.reached(each.name, head, PATIENCE)
            return {each.name: each.checksum for each in await magnet.container.administration.status()}


def main() -> None:
    """Write."""
    with (
        tempfile.TemporaryDirectory(dir=short_lived()) as home,
        tempfile.TemporaryDirectory() as files,
        server(Path(home)) as postgres,
        fresh_database(postgres) as database,
    ):
        checksums = asyncio.run(play(database, Path(files)))
        print(write(database, version("magnet"), checksums))  # noqa: T201


if __name__ == "__main__":
    main()
