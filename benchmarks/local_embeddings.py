"""Embedding on this machine: passages a second, and how long a question waits while documents are being embedded."""

import asyncio
import inspect
import os
import pydoc
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

from adapters.local_embeddings.models import LocalEmbeddings
from adapters.local_embeddings.process import threads
from adapters.model_catalogue import CalledModel, CalledProvider
from benchmarks.database import Databases
from benchmarks.measure import Scale
from benchmarks.table import Row
from domain.model import ModelDefinition
from domain.provider import ProviderDefinition

PASSAGES = 1024
CHARACTERS = 600
QUESTION = "How are keyword arguments turned into a mapping?"


def local_embeddings(_: Databases, scale: Scale) -> Iterator[Row]:
    """Measure the model of the directory that MAGNET_BENCH_MODEL names."""
    given = os.environ.get("MAGNET_BENCH_MODEL")
    if given is None:
        sys.stderr.write("  not run: MAGNET_BENCH_MODEL names no directory of a model\n")
        return
    passages = texts(scale.count(PASSAGES))
    rate, alone, meanwhile = asyncio.run(measured(Path(given).resolve(), passages, scale.rounds))
    what = f"{len(passages)} passages of {CHARACTERS} characters embedded here, {threads()} thread(s)"
    yield Row(what=what, ours=rate, unit="/s")
    yield Row(what="a question embedded meanwhile, p50", ours=meanwhile, unit="ms", compared="alone", theirs=alone)


async def measured(directory: Path, passages: list[str], rounds: int) -> tuple[float, float, float]:
    """Return passages a second, and the milliseconds of a question alone and meanwhile."""
    local = LocalEmbeddings()
    try:
        model = await called(local, directory)
        await local.embed(model, [QUESTION])
        alone = [await question(local, model) for _ in range(20)]
        rates, meanwhile = [], []
        for _ in range(rounds):
            began = time.perf_counter()
            await local.embed(model, passages)
            rates.append(len(passages) / (time.perf_counter() - began))
            embedding = asyncio.create_task(local.embed(model, passages))
            while not embedding.done():
                meanwhile.append(await question(local, model))
            await embedding
        return statistics.median(rates), statistics.median(alone), statistics.median(meanwhile)
    finally:
        await local.close()


async def question(local: LocalEmbeddings, model: CalledModel) -> float:
    """Return the milliseconds that a question takes."""
    began = time.perf_counter()
    await local.embed(model, [QUESTION])
    return (time.perf_counter() - began) * 1000


async def called(local: LocalEmbeddings, directory: Path) -> CalledModel:
    """Return the directory's model as it is called."""
    definition = ProviderDefinition.model_validate({"type": "local", "base_url": directory.as_uri()})
    provider = CalledProvider(
        id=uuid4(), name="here", version=1, definition=definition, archived=False, api_key=None, secret_headers={}
    )
    [name] = await local.names(provider)
    settings = {"provider": str(provider.id), "model": name, "kind": "embedding"}
    return CalledModel(
        id=uuid4(),
        name="local",
        version=1,
        definition=ModelDefinition.model_validate(settings),
        archived=False,
        provider=provider,
    )


def texts(count: int) -> list[str]:
    """Return passages of the running Python's own documentation."""
    found = "\n\n".join(
        filter(None, (inspect.getdoc(each) for each in (pydoc, inspect, asyncio, statistics, time, str, dict)))
    )
    found += "\n\n".join(filter(None, (inspect.getdoc(each) for _, each in inspect.getmembers(inspect))))
    step = max(1, (len(found) - CHARACTERS) // count)
    return [found[at : at + CHARACTERS] for at in range(0, step * count, step)][:count]
