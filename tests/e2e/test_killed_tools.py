"""A server is killed while a tool changes something: it is on record that it was begun, and it is not done twice."""

import httpx
import pytest

from tests.e2e.test_crashes import installation, ready
from tests.e2e.test_killed_runs import configure, leases_run_out
from tests.e2e.test_killed_turns import begin, until
from tests.support.model_server import ModelServer, Received, Reply, ToolCalled
from tests.support.shop import shop
from tests.support.site import Answer, Asked

ORDER = ToolCalled(name="order", arguments={"body": {"item": "pen"}})


def ordering(request: Received) -> Reply:
    """Order whatever a person says."""
    if request.body["messages"][-1]["role"] == "user":
        return Reply(tool_calls=[ORDER])
    return Reply(text="So be it.")


async def test_what_a_killed_process_has_begun_is_not_done_again_unless_a_person_agrees(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("MAGNET_EGRESS_ALLOW", "127.0.0.0/8")
    with ModelServer(default=ordering) as server, installation() as made:
        async with shop() as store:
            url = f"http://127.0.0.1:{made.port}"
            process = made.start("serve")
            await ready(url)
            await configure(url, server)
            shop_answers = store.site.answers

            def deadly(asked: Asked) -> Answer:
                made.kill(process)  # the order has arrived, and its answer never will
                return shop_answers(asked)

            store.site.answers = deadly
            action = {"type": "api_tool", "tool": "shop", "operation": "order"}
            agent = {"name": "helper", "instructions": "You order.", "actions": [action]}
            async with httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as client:
                for path, body in (("tool-servers", store.settings()), ("agents", agent)):
                    assert (await client.post(f"/v1/{path}", json=body)).status_code == 201
                talk = await begin(client)
                await client.post(f"{talk}/messages", json={"content": "A pen, please.", "background": True})
                await store.until_asked(1)
            if not request.config.getoption("--long"):  # else it is waited for
                leases_run_out(made)
            store.site.answers = shop_answers
            made.start("serve")
            await ready(url)
            async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
                seen = await until(client, talk, lambda it: it["state"] != "running")
                [turn] = seen["turns"]
                [begun] = turn["actions"]
                assert (turn["state"], begun["function"], begun["outcome"]) == ("interrupted", "order", "started")
                retried = (await client.post(f"{talk}/turns/{turn['id']}/retry")).json()
                assert retried["turn"]["state"] == "awaiting_confirmation"
                assert "not known whether this was done" in str(server.last.body["messages"])
                [asked] = retried["confirmations"]
                decided = {"id": asked["id"], "approved": False}
                done = (await client.post(f"{talk}/confirmations", json=decided)).json()
                assert done["message"]["content"] == "So be it."
            assert store.orders == [{"item": "pen"}]
