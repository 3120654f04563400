"""A model provider and Magnet as processes of their own, and prompts that are run at it."""

import http.client
import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.database import Databases
from benchmarks.http import served
from benchmarks.http_load import request

PROMPT = "echo"
PRICES = [{"input": "0.15", "output": "0.6"}]


@dataclass(frozen=True, kw_only=True)
class Provider:
    """The model server: its port."""

    port: int

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    def request(self, text: str, *, stream: bool) -> bytes:
        """Return the bytes of the request that Magnet's own stands for."""
        body: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": text}], "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        return request("POST", "/v1/chat/completions", json.dumps(body).encode())


@dataclass(frozen=True, kw_only=True)
class Magnet:
    """A server of ours: its port and process."""

    port: int
    pid: int
    dsn: str

    def request(self, text: str, *, stream: bool) -> bytes:
        """Return the bytes of a request to run the prompt."""
        body = {"variables": {"text": text}, "stream": stream}
        return request("POST", f"/v1/prompts/{PROMPT}/run", json.dumps(body).encode())

    def do(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> Any:
        """Send a request that must succeed, and return what it is answered."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request(method, path, json.dumps(body) if body else None, {"Content-Type": "application/json"})
        answer = connection.getresponse()
        told = json.loads(answer.read())
        connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"{method} {path}: {told}")
        return told


@contextmanager
def provider(*, between: float = 0.0, dimensions: int = 64, together: bool = False) -> Iterator[Provider]:
    """Run a model server while the block lasts; `together`: it asks for all tools at once."""
    settings = ["--between", str(between), "--dimensions", str(dimensions), *(["--together"] if together else [])]
    command = [sys.executable, "-m", "tests.support.model_server", *settings]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        try:
            port = urlsplit(process.stdout.readline()).port
            assert port is not None
            yield Provider(port=port)
        finally:
            process.stdin.close()


@contextmanager
def magnet(databases: Databases, at: Provider) -> Iterator[Magnet]:
    """Run a server while the block lasts, whose prompt is said to the provider's model."""
    with (
        tempfile.TemporaryDirectory(prefix="magnet-bench-models-") as home,
        served("magnet", dsn := databases.magnet(), Path(home)) as (port, pid),
    ):
        made = Magnet(port=port, pid=pid, dsn=dsn)
        made.do("POST", "/v1/providers", {"name": "house", "type": "openai_compatible", "base_url": at.url})
        model = {"name": "m", "provider": "house", "model": "m", "kind": "chat", "default": True, "prices": PRICES}
        made.do("POST", "/v1/models", model)
        made.do("POST", "/v1/prompts", {"name": PROMPT, "text": "{{ text }}"})
        yield made
