"""An API on loopback, each of whose operations takes its time, and its specification."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

ANSWER = b'{"found": "some"}'


@contextmanager
def slow_api(seconds: float) -> Iterator[int]:
    """Serve in a thread while the block lasts; give the port."""
    ready, port, loop = threading.Event(), [0], asyncio.new_event_loop()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            await asyncio.sleep(seconds)
            head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(ANSWER)}\r\n\r\n"
            writer.write(head.encode() + ANSWER)
        writer.close()

    async def run() -> None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port[0] = server.sockets[0].getsockname()[1]
            ready.set()
            await server.serve_forever()

    def work() -> None:
        task = loop.create_task(run())
        loop.call_soon(tasks.append, task)
        try:
            loop.run_until_complete(task)
        except asyncio.CancelledError:
            pass

    tasks: list[asyncio.Task[None]] = []
    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    ready.wait()
    try:
        yield port[0]
    finally:
        loop.call_soon_threadsafe(tasks[0].cancel)
        thread.join(5)


def specification(port: int, operations: int) -> dict[str, Any]:
    """Return the OpenAPI document of so many operations, each with one parameter."""
    parameter = {"name": "about", "in": "query", "required": True, "schema": {"type": "string"}}
    paths = {
        f"/find{number}": {
            "get": {
                "operationId": f"find{number}",
                "parameters": [parameter],
                "responses": {"200": {"description": "Found."}},
            }
        }
        for number in range(operations)
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Slow", "version": "1"},
        "servers": [{"url": f"http://127.0.0.1:{port}"}],
        "paths": paths,
    }
