"""Evidence over HTTP: verification, checkpoints, and proofs that a stand-alone script checks."""

import base64
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.evidence.notes import read
from commands.checkpoint import TellCheckpoints
from domain.errors import Unavailable
from tests.support.postgres import Database
from tests.support.server import Running, serving

SCRIPT = Path(__file__).parents[2] / "docs" / "verify_proof.py"


@pytest.fixture
async def magnet(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    async with serving(database, tmp_path) as running:
        running.container.evidence.sealing.tell = None  # the last test has it: here each event is counted
        for number in range(5):
            await running.do("POST", "/v1/prompts", {"name": f"p{number}", "text": "Hello"})
        await running.container.evidence.sealing.seal()
        await running.do("PATCH", "/v1/prompts/p1", {"text": "Hi"})
        await running.container.evidence.sealing.seal()
        yield running


def checked(proof: Any, key: str, directory: Path) -> bool:
    """Return whether the stand-alone script takes a proof, in an interpreter that can't import this program."""
    file = directory / "proof.json"
    file.write_text(json.dumps(proof))
    done = subprocess.run(
        [sys.executable, "-I", str(SCRIPT), str(file), key], capture_output=True, text=True, cwd=directory, check=False
    )
    assert done.returncode == int("DOES NOT" in done.stdout) or "InvalidSignature" in done.stderr, done.stderr
    return done.returncode == 0


async def test_a_whole_log_is_verified_against_what_was_sealed(magnet: Running):
    verdict = await magnet.get("/v1/audit/verify")
    assert (verdict["ok"], verdict["checked_to"], verdict["checkpoints"]) == (True, 6, 2)
    found = await magnet.get("/v1/audit/checkpoints")
    assert [each["size"] for each in found["items"]] == [6, 5]
    notes = [each["note"] for each in found["items"]]
    assert (await magnet.do("POST", "/v1/audit/verify", {"checkpoints": notes[:1]}))["checkpoints"] == 1
    page = await magnet.get("/v1/audit/checkpoints?limit=1&cursor=6")
    assert [each["size"] for each in page["items"]] == [5]
    oldest = await magnet.get("/v1/audit/checkpoints?limit=1&order=asc")
    rest = await magnet.get(f"/v1/audit/checkpoints?limit=2&order=asc&cursor={oldest['next_cursor']}")
    assert [each["size"] for each in oldest["items"] + rest["items"]] == [5, 6]
    assert rest["next_cursor"] is None


async def test_what_the_owner_of_the_database_changed_is_named(magnet: Running):
    import psycopg

    with psycopg.connect(magnet.database.owner_dsn, autocommit=True) as owner:
        owner.execute("SET session_replication_role = replica")
        owner.execute("UPDATE magnet.magnet_events SET reason = 'forged' WHERE notification_id = 3")
    verdict = await magnet.get("/v1/audit/verify")
    assert (verdict["ok"], verdict["first_bad"]) == (False, 3)


async def test_proofs_are_checked_by_a_script_that_knows_nothing_of_this_program(magnet: Running, tmp_path: Path):
    key = (await magnet.get("/v1/audit/checkpoints"))["key"]["public_key"]
    for position in range(1, 7):
        proof = await magnet.get(f"/v1/audit/proofs/inclusion?position={position}")
        assert checked(proof, key, tmp_path)
    growth = await magnet.get("/v1/audit/proofs/consistency?first=5&second=6")
    assert checked(growth, key, tmp_path)
    record = bytearray(base64.b64decode(proof["record"]))
    record[-1] ^= 1
    assert not checked({**proof, "record": base64.b64encode(record).decode()}, key, tmp_path)
    assert not checked({**growth, "proof": growth["proof"][:-1]}, key, tmp_path)
    assert not checked(proof, base64.b64encode(bytes(32)).decode(), tmp_path)


def test_the_script_says_what_it_wants():
    done = subprocess.run([sys.executable, SCRIPT, "proof.json"], capture_output=True, text=True, check=False)
    assert (done.returncode, "PROOF.json KEY" in done.stderr, "Traceback" in done.stderr) == (1, True, False)


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/audit/proofs/inclusion", None, 422),
        ("GET", "/v1/audit/proofs/inclusion?position=7", None, 404),
        ("GET", "/v1/audit/proofs/inclusion?position=0", None, 422),
        ("GET", "/v1/audit/proofs/consistency?first=6&second=5", None, 422),
        ("GET", "/v1/audit/proofs/consistency?first=4&second=5", None, 404),
        ("POST", "/v1/audit/verify", {"checkpoints": [1]}, 422),
        ("POST", "/v1/audit/verify", {"checkpoints": [], "more": 1}, 422),
        ("POST", "/v1/audit/verify", {}, 422),
    ],
)
async def test_what_is_asked_wrongly_is_refused(magnet: Running, method: str, path: str, body: Any, status: int):
    assert (await magnet.call(method, path, body)).status_code == status


async def test_a_note_that_is_none_is_told(magnet: Running):
    verdict = await magnet.do("POST", "/v1/audit/verify", {"checkpoints": ["nonsense\x00"[:8]]})
    assert (verdict["ok"], verdict["first_bad"]) == (False, None)


async def test_a_checkpoint_is_told_in_the_log_and_is_by_itself_no_reason_for_another(magnet: Running):
    await magnet.do("POST", "/v1/prompts", {"name": "one", "text": "Hello"})
    sealing = magnet.container.evidence.sealing
    sealing.tell = TellCheckpoints(bus=magnet.container.bus)
    checkpoint = await sealing.seal()
    assert checkpoint is not None
    magnet.position = await magnet.container.log.head()
    signed = (await magnet.get("/v1/events?type=checkpoint.signed"))["items"]
    [told] = [each for each in signed if each["data"]["size"] == checkpoint.size]
    assert told["position"] == checkpoint.size + 1
    key = (await magnet.get("/v1/audit/checkpoints"))["key"]
    noted = read(told["data"]["note"], key["name"], base64.b64decode(key["public_key"]))
    assert (noted.size, noted.root) == (checkpoint.size, checkpoint.root)
    assert await sealing.seal() is None
    await magnet.do("POST", "/v1/prompts", {"name": "two", "text": "Hello"})
    following = await sealing.seal()
    assert following is not None
    assert following.size == told["position"] + 1


async def test_a_checkpoint_that_could_not_be_told_is_told_in_the_next_round_once(magnet: Running):
    sealing = magnet.container.evidence.sealing

    async def away(*_: Any) -> None:
        raise Unavailable

    await magnet.do("POST", "/v1/prompts", {"name": "one", "text": "Hello"})
    head = await magnet.container.log.head()
    sealing.tell = TellCheckpoints(bus=magnet.container.bus)
    await sealing.seal()  # the one of the preparations is told too
    await magnet.do("POST", "/v1/prompts", {"name": "two", "text": "Hello"})
    sealing.tell = away
    with pytest.raises(Unavailable):
        await sealing.seal()
    sealing.tell = TellCheckpoints(bus=magnet.container.bus)
    for _ in range(2):
        assert await sealing.seal() is None
    magnet.position = await magnet.container.log.head()
    signed = (await magnet.get("/v1/events?type=checkpoint.signed"))["items"]
    assert sorted(each["data"]["size"] for each in signed) == [head - 1, head + 1, head + 3]
