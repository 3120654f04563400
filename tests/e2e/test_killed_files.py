"""A server is killed while it indexes a file that was given with a message: the next one goes on, and retry works."""

import httpx
import psycopg

from tests.api.test_attachments import a_long_text
from tests.e2e.test_crashes import Installation, installation, ready
from tests.e2e.test_killed_runs import configure, leases_run_out
from tests.e2e.test_killed_turns import an_agent, begin, until
from tests.support.model_server import Hang, ModelServer, Reply


def jobs_are_due(made: Installation) -> None:
    """Have the jobs of who was killed taken by others, without the wait for the end of their leases."""
    with psycopg.connect(made.postgres.dsn(), autocommit=True) as owner:
        owner.execute("UPDATE magnet.jobs SET leased_until = now(), run_at = now() WHERE leased_until IS NOT NULL")


async def test_a_file_whose_indexing_was_killed_is_indexed_by_the_next_process_and_its_turn_tried_again():
    with ModelServer(vectors="words") as server, installation() as made:
        url = f"http://127.0.0.1:{made.port}"
        process = made.start("serve")
        await ready(url)
        await configure(url, server)
        await an_agent(url)
        server.script_for("embedding-model", Hang())
        file = {"name": "long.txt", "text": a_long_text()}
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            model = {"name": "e", "provider": "house", "model": "embedding-model", "kind": "embedding", "default": True}
            assert (await client.post("/v1/models", json=model)).status_code == 201
            path = await begin(client)
            body = {"content": "Where is the archive?", "attachments": [file], "background": True}
            assert (await client.post(f"{path}/messages", json=body)).status_code == 202
            await server.until(lambda: any(each.path.endswith("/embeddings") for each in server.requests))
            made.kill(process)
        leases_run_out(made)
        jobs_are_due(made)
        made.start("serve")
        await ready(url)
        async with httpx.AsyncClient(base_url=url, timeout=60, trust_env=False) as client:
            seen = await until(client, path, lambda it: it["messages"][0]["attachments"][0]["status"] == "indexed")
            seen = await until(client, path, lambda it: it["state"] != "running")
            [turn] = seen["turns"]
            assert turn["state"] == "interrupted"
            server.script_for("m", Reply(text="In the cellar [1]."))
            retried = (await client.post(f"{path}/turns/{turn['id']}/retry")).json()
            [citation] = retried["message"]["citations"]
            assert "cellar" in file["text"][citation["start"] : citation["end"]]
