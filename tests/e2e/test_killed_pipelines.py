"""A worker is killed in the middle of a pipeline: another goes on, and nothing is done twice that changes something."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from json import dumps
from uuid import UUID

import psycopg
import pytest

from commands.pipelines.pipeline_run import RunPipeline
from commands.ports import Actor, Context
from domain.model import Model
from domain.pipeline import Pipeline
from domain.pipeline_run import PipelineRun
from domain.prompt import Prompt
from domain.provider import Provider
from domain.run import Run
from domain.run_steps import step_of
from domain.tool_server import ToolServer
from tests.e2e.test_crashes import Installation, installation
from tests.e2e.test_killed_indexing import asking, make
from tests.support.model_server import Hang, ModelServer, Received, Reply
from tests.support.patience import PATIENCE
from tests.support.shop import SPEC

ADMIN = Context(actor=Actor(type="local", id="local", name="local", roles=frozenset({"admin"})))
PRICES = [{"input": "2", "output": "8"}]


@asynccontextmanager
async def silence() -> AsyncIterator[tuple[str, list[str]]]:
    """A server that takes requests and never answers: its address, and the first line of each request."""
    asked: list[str] = []

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        await reader.read()
        writer.close()

    server = await asyncio.start_server(take, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", asked


def leases_run_out(made: Installation) -> None:
    """Let the time pass that a job's lease lasts."""
    with psycopg.connect(made.postgres.dsn(), autocommit=True) as owner:
        owner.execute("UPDATE magnet.jobs SET leased_until = now() - interval '1 minute', run_at = now()")


async def test_a_pipeline_that_was_killed_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch):
    said = Counter[str]()

    def answering(request: Received) -> Hang | Reply:
        said[request.question] += 1
        return Hang() if request.question == "slow" and said["slow"] == 1 else Reply(text=request.question.upper())

    monkeypatch.setenv("MAGNET_EGRESS_ALLOW", "127.0.0.0/8")
    with ModelServer(default=answering) as server, installation() as site:
        async with asking(site) as container, silence() as (shop, orders):
            await make(container, Provider, "house", type="openai_compatible", base_url=server.url)
            await make(container, Model, "m", provider="house", model="m", kind="chat", default=True, prices=PRICES)
            await make(container, Prompt, "say", text="{{ words }}", variables={"words": {}})
            await make(container, ToolServer, "shop", type="openapi", spec=dumps(SPEC), base_url=shop, timeout=600)
            says = {"type": "prompt", "tool": "say"}
            order = {"type": "api_tool", "tool": "shop", "operation": "order", "on_error": "continue"}
            steps = [
                ("one", [{**says, "name": "quick", "inputs": {"words": {"value": "quick"}}}]),
                (
                    "two",
                    [
                        {**says, "name": "slow", "inputs": {"words": {"value": "slow"}}},
                        {**order, "name": "order", "inputs": {"body": {"value": {"item": "pen"}}}},
                    ],
                ),
                ("three", [{**says, "name": "last", "inputs": {"words": {"path": "steps.one.quick.text"}}}]),
            ]
            named = [{"name": name, "parallel": items} for name, items in steps]
            pipeline = await make(container, Pipeline, "line", steps=named, output="steps.three.last.text")
            begun = await container.pipeline_runs.begin(RunPipeline(pipeline=pipeline, inputs={}), ADMIN)
            doomed = site.start("worker")
            await server.until(lambda: said["slow"] == 1)
            async with asyncio.timeout(PATIENCE):
                while not orders:
                    await asyncio.sleep(0.01)
            site.kill(doomed)
            leases_run_out(site)
            site.start("worker")
            async with asyncio.timeout(PATIENCE):
                while not (going := await container.store.newest(PipelineRun, begun.id)).is_over:
                    await asyncio.sleep(0.05)
            assert (going.state, going.output) == ("completed", "QUICK")
            assert said == {"quick": 1, "slow": 2, "QUICK": 1}, "what had ended is not done again"
            assert len(orders) == 1, "what changes something is not done twice"
            ended = going.items["two", "order"]
            assert (ended["outcome"], ended["error"]["code"]) == ("unknown", "outcome_unknown")
            [entry] = await container.log.stream(UUID(going.run), limit=1)
            finished = entry.event
            assert isinstance(finished, Run.Finished) and finished.outcome == "completed"
            steps_of_run = [step_of(each) for each in finished.steps]
            assert sum((each.cost.amount for each in steps_of_run), Decimal(0)) == Decimal(finished.cost["amount"]) > 0
            assert sum(each.usage.total for each in steps_of_run) == finished.usage["total"]
            cut_off = [each for each in steps_of_run if each.outcome == "interrupted"]
            assert [each.name for each in cut_off] == ["slow"]
            assert cut_off[0].cost.unknown and finished.cost["unknown"], "what it took is not known, and never zero"
