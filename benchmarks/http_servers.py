"""The servers that HTTP is measured on, each a process: `python -m benchmarks.http_servers WHAT DSN HOME`."""

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import uvicorn
from fastapi import FastAPI, Request, Response
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel

from api.app import create_app
from api.bootstrap import open_container
from api.logging import configure
from api.process import calm_collector
from api.serve import server_config
from api.settings import Settings
from benchmarks.applications import stock
from domain.prompt import Prompt


class Body(BaseModel):
    """The body of a small command, the plain way."""

    name: str
    text: str


def plain(dsn: str) -> FastAPI:
    """The route as one writes it plainly: `def`, and the library's application as it comes."""
    application = stock(dsn)
    app = FastAPI()

    @app.post("/v1/prompts", status_code=201)
    def create(body: Body) -> dict[str, Any]:
        prompt = Prompt.create(name=body.name, definition={"text": body.text})
        recordings = application.save(prompt)
        return {"id": str(prompt.id), "version": prompt.version, "position": recordings[-1].notification.id}

    return app


async def bare(dsn: str) -> FastAPI:
    """Routes that do nothing but one INSERT, and one SELECT by key."""
    pool = AsyncConnectionPool(dsn, min_size=4, max_size=16, open=False, kwargs={"autocommit": True})
    await pool.open()
    async with pool.connection() as connection:
        await connection.execute("CREATE TABLE bare (id uuid PRIMARY KEY, body text NOT NULL)")
    app = FastAPI()

    @app.post("/v1/prompts", status_code=201)
    async def create(request: Request) -> Response:
        body, id = await request.body(), uuid4()
        async with pool.connection() as connection:
            await connection.execute("INSERT INTO bare VALUES (%s, %s)", (id, body.decode()))
        return Response(f'{{"id":"{id}"}}', 201, media_type="application/json")

    @app.get("/v1/prompts/{id}")
    async def get(id: UUID) -> Response:
        async with pool.connection() as connection:
            row = await (await connection.execute("SELECT body FROM bare WHERE id = %s", (id,))).fetchone()
        return Response(row[0] if row else "", 200 if row else 404, media_type="application/json")

    return app


async def main(what: str, dsn: str, home: str) -> None:
    """Serve on a free port, and say which."""
    configure("WARNING")
    settings = Settings(_env_file=None, MAGNET_HOME=Path(home), MAGNET_EGRESS_ALLOW="127.0.0.1/32")  # type: ignore[call-arg]
    container = None
    if what == "magnet":
        container = await open_container(settings, dsn=dsn)
        app = create_app(container)
    else:
        app = plain(dsn) if what == "plain" else await bare(dsn)
    calm_collector()  # as api.serve does, and for all three alike
    with socket.create_server(("127.0.0.1", 0)) as own:
        listening = socket.socket(fileno=own.detach(), proto=socket.IPPROTO_TCP)
        sys.stdout.write(f"{listening.getsockname()[1]}\n")
        sys.stdout.flush()
        await uvicorn.Server(server_config(app, settings)).serve(sockets=[listening])
    if container is not None:
        await container.close()


if __name__ == "__main__":
    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main(*sys.argv[1:]))
