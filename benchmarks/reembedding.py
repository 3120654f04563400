"""A source that is embedded anew by another model while it is searched: no search fails, and none waits long."""

import http.client
import itertools
import json
import threading
import time
from collections.abc import Iterator
from typing import Any

import psycopg

from benchmarks.database import Databases
from benchmarks.ingest import AT_ONCE, CHUNK, written
from benchmarks.knowledge import at_rest, query
from benchmarks.measure import Scale, percentile
from benchmarks.models import Magnet, magnet, provider
from benchmarks.settling import settled
from benchmarks.table import Row

DOCUMENTS, DIMENSIONS = 4000, 384
BETWEEN = 0.01
"""Seconds between two searches of the person who goes on meanwhile."""

LOOK_EVERY = 0.2
SOURCE, TOOL = "texts", "find"


class Person(threading.Thread):
    """Searches again and again; keeps how long each took, and what was wrong with it.

    An answer says by which version of the index it was found: never by one before that of an earlier answer.
    """

    def __init__(self, port: int, questions: list[str]) -> None:
        super().__init__(daemon=True)
        self._port, self._questions = port, questions
        self._over = threading.Event()
        self._version = 0
        self.seconds: list[float] = []
        self.wrong = 0

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        for question in itertools.cycle(self._questions):
            if self._over.wait(BETWEEN):
                break
            began = time.perf_counter()
            body = json.dumps({"query": question})
            connection.request("POST", f"/v1/retrieval-tools/{TOOL}/search", body, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            told = json.loads(answer.read())
            self.seconds.append(time.perf_counter() - began)
            self.wrong += not (answer.status == 200 and self._is_right(told))
        connection.close()

    def _is_right(self, told: dict[str, Any]) -> bool:
        before, [self._version] = self._version, told["index_version"].values()
        return bool(told["passages"]) and told["retrieval"] == "hybrid" and self._version >= before

    def end(self) -> list[float]:
        """Stop, and return the seconds of all searches."""
        self._over.set()
        self.join()
        if not self.seconds:
            raise RuntimeError("Nothing was found.")
        return self.seconds


def reembedding(databases: Databases, scale: Scale) -> Iterator[Row]:
    """Search; then change the embedding model, and search until the new index answers."""
    texts = written(scale.count(DOCUMENTS))
    questions = [" ".join(text.split()[:8]) for text in texts[:200]]
    with (
        provider(dimensions=DIMENSIONS) as first,
        provider(dimensions=DIMENSIONS) as second,
        magnet(databases, first) as made,
    ):
        made.do("POST", "/v1/providers", {"name": "other", "type": "openai_compatible", "base_url": second.url})
        for name, house in (("first", "house"), ("second", "other")):
            model = {"name": name, "provider": house, "model": name, "kind": "embedding"}
            made.do("POST", "/v1/models", model)
        passages = ingested(made, texts)
        wait_for_upkeep(databases, made, passages)
        before = Person(made.port, questions)
        before.start()
        time.sleep(max(2.0, 10 * scale.size))
        calm = before.end()
        meanwhile = Person(made.port, questions)
        meanwhile.start()
        seconds = embedded_anew(made)
        busy = meanwhile.end()
    what = f"{passages:,} passages embedded anew by another model"
    yield Row(what=f"{what}, until their index answers", ours=seconds, unit="s")
    yield Row(
        what=f"{what}: searches meanwhile that fail, or go back to the old one", ours=before.wrong + meanwhile.wrong,
        unit="searches", compared="searches", theirs=len(busy), most=1,
    )  # fmt: skip
    yield Row(
        what=f"{what}: search meanwhile, p95", ours=1000 * percentile(busy, 0.95), unit="ms",
        compared="before, ms", theirs=1000 * percentile(calm, 0.95), most=2000 * percentile(calm, 0.95),
    )  # fmt: skip


def ingested(made: Magnet, texts: list[str]) -> int:
    """Give the texts and wait until all are indexed; return how many passages they have."""
    chunking = {"strategy": "sentence", "size": CHUNK, "overlap": 0}
    source = {"name": SOURCE, "type": "files", "chunking": chunking, "embedding_model": "first"}
    made.do("POST", "/v1/knowledge-sources", source)
    made.do("POST", "/v1/retrieval-tools", {"name": TOOL, "sources": [SOURCE]})
    jobs = []
    for begin in range(0, len(texts), AT_ONCE):
        given = [
            {"external_id": f"{number}", "text": text}
            for number, text in enumerate(texts[begin : begin + AT_ONCE], begin)
        ]
        jobs.append(made.do("POST", f"/v1/knowledge-sources/{SOURCE}/documents", {"documents": given})["job_id"])
    for job in jobs:
        while made.do("GET", f"/v1/jobs/{job}")["state"] != "finished":
            time.sleep(LOOK_EVERY)
    settled(made.port)
    return passages_of(made)


def wait_for_upkeep(databases: Databases, made: Magnet, passages: int) -> None:
    """Wait until the vectors are where searches find them fast: what comes before is no calm."""
    space = made.do("GET", f"/v1/knowledge-sources/{SOURCE}")["indexes"]["1"]["space"]
    with psycopg.connect(databases.owner_of(made.dsn), autocommit=True) as connection:
        while True:
            state = connection.execute(query("state", space)).fetchone()
            assert state is not None
            if at_rest(state, passages):
                return
            time.sleep(LOOK_EVERY)


def passages_of(made: Magnet) -> int:
    """Return how many passages can be found."""
    path = f"/v1/knowledge-sources/{SOURCE}/passages?limit=500"
    page = made.do("GET", path)
    count = len(page["items"])
    while page["next_cursor"] is not None:
        page = made.do("GET", f"{path}&cursor={page['next_cursor']}")
        count += len(page["items"])
    return count


def embedded_anew(made: Magnet) -> float:
    """Change the model; return the seconds until the new index answers."""
    began = time.perf_counter()
    made.do("PATCH", f"/v1/knowledge-sources/{SOURCE}", {"embedding_model": "second"})
    while made.do("GET", f"/v1/knowledge-sources/{SOURCE}")["index"] == 1:
        time.sleep(LOOK_EVERY)
    return time.perf_counter() - began
