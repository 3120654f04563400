"""Serving HTTP: one process or several, on loopback until a key exists, drained on SIGTERM."""

import asyncio
import contextlib
import math
import os
import signal
import socket
from collections.abc import Callable, Coroutine
from functools import partial
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import psycopg
import uvicorn
import uvloop

from adapters.child_processes import end_with_parent
from api.app import create_app
from api.bootstrap import open_container
from api.container import Container
from api.database import Dsns, database
from api.default_provider import ensure_default_provider
from api.process import calm_collector
from api.protocol import Protocol
from api.settings import Settings, SettingsError
from api.shared_counts import count_in, directory_of_counts

GOODBYE = 2
"""Seconds that connections have after that to be told how their turns ended."""


class Server(uvicorn.Server):
    """uvicorn, which ends the streams that have no end of their own before it waits for requests under way.

    `ready` is called once it takes requests, and signals too: whoever hears of it may end the server in order.
    """

    def __init__(self, config: uvicorn.Config, container: Container, ready: Callable[[], None] | None = None) -> None:
        super().__init__(config)
        self._container = container
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to serve, and say so."""
        await super().startup(sockets)
        if self._ready is not None:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Stop serving; turns have their time while connections are waited for."""
        self._container.subscriptions.close()
        draining = asyncio.create_task(self._container.turns.close(self._container.settings.drain_seconds))
        await super().shutdown(sockets)
        await draining


def server_config(app: Any, settings: Settings) -> uvicorn.Config:
    """Return how uvicorn serves the application."""
    return uvicorn.Config(
        app,
        http=Protocol,
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="off",
        root_path=settings.root_path,
        proxy_headers=bool(settings.proxies),
        forwarded_allow_ips=settings.proxies or None,
        timeout_keep_alive=30,
        timeout_graceful_shutdown=math.ceil(settings.drain_seconds) + GOODBYE,
        backlog=2048,
    )


def listen(settings: Settings) -> socket.socket:
    """Return a listening socket, or raise SettingsError where the address can't be had."""
    try:
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        # Told that it is TCP, asyncio sends small answers at once; else each waits 40 ms for the client's word.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((settings.host, settings.port))
        listening.listen(2048)
    except OSError as error:
        raise SettingsError(
            f"MAGNET_HOST and MAGNET_PORT can't be had ({error.strerror}): choose another port."
        ) from None
    return listening


def refuse_open_door(settings: Settings, dsn: str) -> None:
    """Raise SettingsError where others could reach a server that has no key yet."""
    with contextlib.suppress(ValueError):
        if settings.host == "localhost" or ip_address(settings.host).is_loopback:
            return
    with psycopg.connect(dsn, autocommit=True) as connection:
        if connection.execute("SELECT EXISTS (SELECT FROM magnet.credentials)").fetchone() == (True,):
            return
    raise SettingsError(
        "MAGNET_HOST is no loopback address and no API key exists, so anybody could do anything: make a key first "
        "with 'magnet keys create NAME --role admin'."
    )


async def run(
    settings: Settings, dsns: Dsns, listening: socket.socket, *, side: str, worker: bool, ready: Any = None
) -> None:
    """Serve until SIGINT or SIGTERM."""
    container = await open_container(settings, dsn=dsns.app, worker=worker)
    try:
        if side != "queries":
            await ensure_default_provider(container, settings)
        said = None if ready is None else partial(ready, listening.getsockname()[1])
        server = Server(server_config(create_app(container, side=side), settings), container, said)
        calm_collector()
        await server.serve(sockets=[listening])
    finally:
        await container.close()


def serve(settings: Settings, *, side: str = "all", worker: bool = True, ready: Any = None) -> int:
    """Serve in this process, or in MAGNET_WORKERS of them, until told to stop."""
    with database(settings) as dsns, listen(settings) as listening:
        refuse_open_door(settings, dsns.app)
        if settings.workers > 1:
            with directory_of_counts(settings.home) as counts:
                return _serve_in_many(settings, dsns, listening, counts, side=side, worker=worker, ready=ready)
        with contextlib.suppress(KeyboardInterrupt):
            _run(run(settings, dsns, listening, side=side, worker=worker, ready=ready))
    return 0


def _run(main: Coroutine[Any, Any, None]) -> None:
    """Run on uvloop: uvicorn's own choice of a loop counts only where uvicorn makes the loop."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main)


def _serve_in_many(
    settings: Settings, dsns: Dsns, listening: socket.socket, counts: Path, *, side: str, worker: bool, ready: Any
) -> int:
    """Fork processes that share the listening socket; one that dies ends all, so that it is noticed, and so does this one."""
    children: dict[int, int] = {}
    own = os.getpid()
    for number in range(settings.workers):
        pid = os.fork()
        if pid == 0:
            status = 0
            try:
                _end_with(own)
                count_in(counts)
                _run(run(settings, dsns, listening, side=side, worker=worker))
            except KeyboardInterrupt:
                pass
            except BaseException:
                status = 1
                raise
            finally:
                os._exit(status)
        children[pid] = number

    def stop(*_: object) -> None:
        for pid in children:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, stop)
    if ready is not None:
        ready(listening.getsockname()[1])
    failed = False
    while children:
        pid, status = os.wait()
        if pid in children:
            del children[pid]
            failed = failed or os.waitstatus_to_exitcode(status) not in (0, -signal.SIGTERM, -signal.SIGINT)
            if failed:
                stop()
    return int(failed)


def _end_with(parent: int) -> None:
    """Have this process told to end when its parent is gone, however that ended."""
    end_with_parent(signal.SIGTERM)
    if os.getppid() != parent:  # it was gone before that
        raise KeyboardInterrupt
