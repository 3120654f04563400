"""The model server: a thread with a loop of its own, its script, and what it has seen."""

import asyncio
import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

import uvloop

from tests.support.model_server import answers
from tests.support.model_server.connection import Connection
from tests.support.model_server.records import Received
from tests.support.model_server.steps import Hang, Raw, Reply, Reset, Step, refused
from tests.support.patience import PATIENCE


class ModelServer:
    """Serves chat completions, embeddings, reranking and the list of models, also at Azure's paths.

    `vectors` is `hash` (no text is near another) or `words` (texts that share words are near). Scripted steps
    answer the next requests for chat, embeddings and scores in their order, whoever asks; those of `script_for` only
    the requests for one model, and go before. `default` answers the rest: an echo, real vectors. Requests to
    embed a text that holds `refuses` are answered 400, those to embed by one of the models that it `lacks` 404;
    where they are `apart`, each model has vectors of its own. What vectors of `odd` texts are multiplied by is told there. `keys`, where set, are the only credentials that are let
    in. One that does not remember keeps no requests: it can serve for long.
    """

    def __init__(
        self,
        *,
        dimensions: int = 64,
        vectors: str = "hash",
        models: Sequence[str] = ("chat-model", "embedding-model"),
        keys: Sequence[str] | None = None,
        default: Callable[[Received], Reply | Raw | Hang | Reset] = answers.echo,
        port: int = 0,
        remembers: bool = True,
    ) -> None:
        self.dimensions = dimensions
        self.vectors = vectors
        self.models = list(models)
        self.keys = keys
        self.default = default
        self.refuses = ""
        self.odd: dict[str, float] = {}
        self.lacks: set[str] = set()
        self.apart = False
        self.requests: list[Received] = []
        self.connections: set[Connection] = set()
        self.port = port
        self._remembers = remembers
        self._numbers = 0
        self._script: deque[Step] = deque()
        self._by_model: dict[str, deque[Step]] = {}
        self._changed = threading.Condition()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="model-server", daemon=True)

    # For tests ---------------------------------------------------------------

    @property
    def origin(self) -> str:
        """Where it is: the base URL of an Azure provider."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def url(self) -> str:
        """The base URL of an OpenAI provider."""
        return f"{self.origin}/v1"

    def script(self, *steps: Step) -> None:
        """Answer the next requests so, one each."""
        with self._changed:
            self._script.extend(steps)

    def script_for(self, model: str, *steps: Step) -> None:
        """Answer the next requests for this model so, one each."""
        with self._changed:
            self._by_model.setdefault(model, deque()).extend(steps)

    @property
    def last(self) -> Received:
        """The newest request."""
        return self.requests[-1]

    @property
    def left(self) -> int:
        """How many steps of the script nobody has asked for yet."""
        return len(self._script) + sum(map(len, self._by_model.values()))

    @property
    def open_connections(self) -> int:
        """How many connections are open."""
        return len(self.connections)

    async def until(self, condition: Callable[[], object]) -> None:
        """Wait until something is so, such as that a request was left or no connection is open."""
        await asyncio.to_thread(self.wait, condition)

    def wait(self, condition: Callable[[], object]) -> None:
        """Wait, in a thread of one's own."""
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), "the model server has waited in vain"

    # Life --------------------------------------------------------------------

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End every connection, and the server."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        server = await self._loop.create_server(self._connection, "127.0.0.1", self.port, backlog=1024)
        self.port = server.sockets[0].getsockname()[1]
        self._ready.set()
        await self._stop.wait()
        server.close()
        for connection in list(self.connections):
            connection.transport.abort()
        while self.connections:
            await asyncio.sleep(0)

    def _connection(self) -> Connection:
        self._numbers += 1
        return Connection(self, self._numbers)

    # For connections ---------------------------------------------------------

    def connected(self, connection: Connection) -> None:
        """Note a new connection."""
        with self._changed:
            self.connections.add(connection)
            self._changed.notify_all()

    def disconnected(self, connection: Connection) -> None:
        """Note the end of a connection."""
        with self._changed:
            self.connections.discard(connection)
            self._changed.notify_all()

    def received(self, request: Received) -> None:
        """Note a request."""
        with self._changed:
            if self._remembers:
                self.requests.append(request)
            self._changed.notify_all()

    def sent(self, request: Received, pieces: int) -> None:
        """Note how many pieces of a stream have been sent."""
        with self._changed:
            request.pieces = pieces
            self._changed.notify_all()

    def ended(self, request: Received, how: str) -> None:
        """Note how a request ended."""
        with self._changed:
            request.ended = how
            self._changed.notify_all()

    def step_for(self, request: Received) -> Reply | Raw | Hang | Reset:
        """Return what answers a request."""
        if self.keys is not None and request.credential not in self.keys:
            return refused(401, "invalid_api_key", f"Incorrect API key provided: {request.credential}.")
        if request.path.endswith("/models") and request.method == "GET":
            step = self._scripted(request, chat=False)
            return step or Raw(body=answers.models(self.models))
        if request.path.endswith("/chat/completions"):
            return self._scripted(request, chat=True) or self.default(request)
        if request.path.endswith("/embeddings"):
            step = self._scripted(request, chat=True)
            if self.refuses and any(self.refuses in text for text in request.body["input"]):
                return refused(400, "invalid_input", "This text is not allowed.")
            if request.model in self.lacks:
                return refused(404, "model_not_found", "There is no such model.")
            return step or Raw(
                body=answers.embeddings(request, self.vectors, self.dimensions, apart=self.apart, odd=self.odd)
            )
        if request.path.endswith("/moderations"):
            return self._scripted(request, chat=True) or refused(404, "not_found", "This has no moderation.")
        if request.path.endswith("/rerank"):
            return self._scripted(request, chat=True) or Raw(body=answers.rerank(request))
        return refused(404, "not_found", "There is nothing at this address.")

    def _scripted(self, request: Received, *, chat: bool) -> Reply | Raw | Hang | Reset | None:
        """Take a step; the list of models takes only what is scripted for `models`."""
        with self._changed:
            own = self._by_model.get((request.model or "") if chat else "models")
            step = own.popleft() if own else self._script.popleft() if self._script and chat else None
        return step(request) if callable(step) else step
