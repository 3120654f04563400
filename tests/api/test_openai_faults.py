"""Every fault of a provider, met by chat completions in OpenAI's form: one end told in its words, one on record."""

import json
from collections.abc import Mapping
from typing import Any

from tests.api.test_fault_matrix import STATUS, Case, Told, called, through_the_matrix
from tests.support.model_server import ModelServer
from tests.support.server import Running

__all__ = ["called"]


async def complete(magnet: Running, body: Mapping[str, Any], *, stream: bool) -> Told:
    """Send a request, and check that its end is told once, in OpenAI's form."""
    messages = [{"role": "user", "content": "Hello Ada"}]
    path = "/openai/v1/chat/completions"
    answer = await magnet.client.post(path, json={"messages": messages, **body, "stream": stream})
    if not stream:
        told = answer.json()
        if answer.is_success:
            assert told["object"] == "chat.completion"
            return Told(code=None, text=told["choices"][0]["message"]["content"], run=told["run_id"])
        assert answer.status_code == STATUS.get(told["code"], 502), told
        assert told["error"]["code"] == told["code"]
        assert "provider" in told and "upstream_status" in told
        hopeless = answer.status_code != 429
        assert answer.headers.get("x-should-retry") == ("false" if hopeless else None)
        return Told(code=told["code"], text="", run=None)
    assert answer.status_code == 200, answer.text
    events = [block.removeprefix("data: ") for block in answer.text.split("\n\n") if block.startswith("data: ")]
    done, error = events.count("[DONE]"), [json.loads(each) for each in events if each.startswith('{"type"')]
    assert done + len(error) == 1
    assert events[-1] == "[DONE]" or json.loads(events[-1]) in error
    chunks = [json.loads(each) for each in events[:-1]]
    [id] = {chunk["id"] for chunk in chunks}
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    code = error[0]["error"]["code"] if error else None
    assert [chunk["choices"][0]["finish_reason"] for chunk in chunks].count("stop") == (1 if code is None else 0)
    return Told(code=code, text=text, run=id.removeprefix("chatcmpl-"))


async def test_completions_of_models_meet_every_fault(called: tuple[Running, ModelServer]):
    async def prepare(magnet: Running, case: Case) -> None:
        """Prepare nothing: each case has its model."""

    async def meet(magnet: Running, case: Case) -> Told:
        return await complete(magnet, {"model": case.name}, stream=case.stream)

    await through_the_matrix(called, prepare, meet, lambda case: f"target={case.name}", question=7)


async def test_completions_of_agents_meet_every_fault(called: tuple[Running, ModelServer]):
    async def prepare(magnet: Running, case: Case) -> None:
        await magnet.do("POST", "/v1/agents", {"name": case.name, "instructions": "Help", "model": case.name})

    async def meet(magnet: Running, case: Case) -> Told:
        return await complete(magnet, {"model": f"agent:{case.name}"}, stream=case.stream)

    await through_the_matrix(called, prepare, meet, lambda case: f"target={case.name}", question=12)
