"""Usage: what runs took, by time and by all that a run is told apart by, as JSON and as CSV."""

import csv
import io
from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from api.queries import runs as queries
from tests.support.model_server import ModelServer, server_error
from tests.support.postgres import Database
from tests.support.server import Running, serving

PRICES = {"dear": {"input": "10", "output": "20"}, "cheap": {"input": "1", "output": "2", "currency": "EUR"}}


@pytest.fixture
async def magnet(database: Database, tmp_path: Path) -> AsyncIterator[Running]:
    """Magnet with a prompt for each of two models, asked for by two teams, one of which meets an error."""
    with ModelServer() as server:
        async with serving(database, tmp_path) as running:
            provider = {"name": "house", "type": "openai_compatible", "base_url": server.url}
            await running.do("POST", "/v1/providers", provider)
            for name, price in PRICES.items():
                model = {"name": name, "provider": "house", "model": name, "kind": "chat", "prices": [price]}
                await running.do("POST", "/v1/models", {**model, "routing": {"retries": 0}})
                await running.do("POST", "/v1/prompts", {"name": name, "text": "Say {{ word }}", "model": name})
            await ask(running, "dear", "ada", Magnet_Attribute_Team="sales", Magnet_Attribute_Case="7")
            await ask(running, "dear", "ada", Magnet_Attribute_Team="sales")
            await ask(running, "cheap", "bob", Magnet_Attribute_Team="it, EMEA")
            server.script(server_error())
            assert (await ask(running, "cheap", "eve")).status_code == 502
            running.position = await running.container.log.head()
            yield running


async def ask(magnet: Running, prompt: str, subject: str, **headers: str) -> Any:
    body = {"variables": {"word": "hello"}, "subject": subject}
    return await magnet.call("POST", f"/v1/prompts/{prompt}/run", body, **headers)


async def counts(magnet: Running, query: str, *names: str) -> dict[Any, tuple[int, int, int]]:
    """Return runs, errors and subjects of each row, by what it is grouped by."""
    rows = (await magnet.get(f"/v1/usage?{query}"))["items"]
    return {tuple(row[name] for name in names): (row["count"], row["errors"], row["subjects"]) for row in rows}


async def test_usage_is_told_by_all_that_runs_are_told_apart_by(magnet: Running):
    assert await counts(magnet, "") == {(): (4, 1, 3)}
    assert await counts(magnet, "by=target", "target") == {("dear",): (2, 0, 1), ("cheap",): (2, 1, 2)}
    assert await counts(magnet, "by=model&outcome=ok", "model") == {("dear",): (2, 0, 1), ("cheap",): (1, 0, 1)}
    whole = (await magnet.get("/v1/usage?by=kind,version,variant,principal,channel"))["items"]
    [place] = [{name: row[name] for name in ("kind", "version", "variant", "principal", "channel")} for row in whole]
    assert place == {"kind": "prompt", "version": "1", "variant": "default", "principal": "local", "channel": "api"}
    by_subject = await counts(magnet, "by=subject&provider=house", "subject")
    assert by_subject == {("ada",): (2, 0, 1), ("bob",): (1, 0, 1), ("eve",): (1, 1, 1)}
    for bucket in ("hour", "day", "week", "month"):
        [row] = (await magnet.get(f"/v1/usage?bucket={bucket}"))["items"]
        assert (row["count"], row["bucket"][-6:]) == (4, ":00:00")
    assert await counts(magnet, "since=2100-01-01T00:00:00Z") == {}
    latency = (await magnet.get("/v1/usage"))["items"][0]["latency_ms"]
    assert 0 < latency["p50"] <= latency["p95"] <= latency["p99"]


@pytest.mark.parametrize("form", ["json", "csv"])
async def test_usage_of_more_rows_than_one_answer_holds_is_refused_and_not_cut(
    magnet: Running, monkeypatch: pytest.MonkeyPatch, form: str
):
    monkeypatch.setattr(queries, "MOST_ROWS", 3)
    whole = await magnet.call("GET", f"/v1/usage?by=subject&format={form}")
    assert whole.status_code == 200
    monkeypatch.setattr(queries, "MOST_ROWS", 2)
    refused = await magnet.call("GET", f"/v1/usage?by=subject&format={form}")
    assert (refused.status_code, refused.json()["code"]) == (422, "too_many_rows")
    assert refused.json()["errors"][0]["pointer"] == "/by"
    narrowed = await magnet.call("GET", f"/v1/usage?by=subject&target=cheap&format={form}")
    assert narrowed.status_code == 200


async def test_usage_is_told_by_what_headers_say_of_calls(magnet: Running):
    by_team = await counts(magnet, "by=attribute.team", "attribute.team")
    assert by_team == {("sales",): (2, 0, 1), ("it, EMEA",): (1, 0, 1), (None,): (1, 1, 1)}
    both = await counts(magnet, "by=attribute.team,attribute.case,model", "attribute.team", "attribute.case", "model")
    assert both[("sales", "7", "dear")] == both[("sales", None, "dear")] == (1, 0, 1)
    assert await counts(magnet, "attribute=team:sales") == {(): (2, 0, 1)}
    assert await counts(magnet, "attribute=Team:it, EMEA&by=target", "target") == {("cheap",): (1, 0, 1)}
    assert await counts(magnet, "attribute=team:nobody") == {}
    runs = (await magnet.get("/v1/runs?attribute=case:7"))["items"]
    assert [run["attributes"] for run in runs] == [{"case": "7", "team": "sales"}]
    for query in ("attribute=team", "attribute=:x", "by=attribute.", "by=attribute", f"by=attribute.{'x' * 70}"):
        assert (await magnet.call("GET", f"/v1/usage?{query}")).status_code == 422, query


async def test_costs_in_two_currencies_are_not_told_as_one(magnet: Running):
    [row] = (await magnet.get("/v1/usage"))["items"]
    runs = [await magnet.get(f"/v1/runs/{run['id']}") for run in (await magnet.get("/v1/runs"))["items"]]
    sums = {
        currency: sum(Decimal(run["cost"]["amount"]) for run in runs if run["cost"]["currency"] == currency)
        for currency in ("EUR", "USD")
    }
    assert {name: Decimal(amount) for name, amount in row["costs"].items()} == sums
    assert row["cost"]["unknown"] is True
    dear, cheap = [(await magnet.get(f"/v1/usage?target={target}"))["items"][0]["cost"] for target in ("dear", "cheap")]
    assert (dear["currency"], dear["unknown"], cheap["currency"], cheap["unknown"]) == ("USD", False, "EUR", False)


async def test_usage_as_csv_says_the_same(magnet: Running):
    answer = await magnet.call("GET", "/v1/usage?by=attribute.team,subject&format=csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    told = {row["subject"]: row for row in csv.DictReader(io.StringIO(answer.text))}
    for row in (await magnet.get("/v1/usage?by=attribute.team,subject"))["items"]:
        same = told[row["subject"]]
        assert same["attribute.team"] == (row["attribute.team"] or "")
        assert (int(same["count"]), int(same["errors"]), int(same["total"])) == (
            row["count"],
            row["errors"],
            row["usage"]["total"],
        )
        assert (Decimal(same["amount"]), same["currency"]) == (
            Decimal(row["cost"]["amount"]),
            row["cost"]["currency"] or "",
        )
    [whole] = csv.DictReader(io.StringIO((await magnet.call("GET", "/v1/usage?format=csv")).text))
    [row] = (await magnet.get("/v1/usage"))["items"]
    assert whole["costs"] == f"EUR {row['costs']['EUR']}, USD {row['costs']['USD']}"
    assert whole["unknown"] == "True"


async def test_what_a_spreadsheet_would_take_for_a_formula_is_none(magnet: Running):
    await ask(magnet, "cheap", "=1+1", Magnet_Attribute_Team="@x")
    magnet.position = await magnet.container.log.head()
    answer = await magnet.call("GET", "/v1/usage?by=subject,attribute.team&format=csv&subject=%3D1%2B1")
    assert answer.text.splitlines()[1].startswith("'=1+1,'@x,")


@pytest.mark.parametrize(
    "headers",
    [
        {"Magnet-Attribute-Team": "x" * 201},
        {"Magnet-Attribute-Team": ""},
        {"Magnet-Attribute-Team": "\x85"},
        {f"Magnet-Attribute-{'x' * 70}": "x"},
        {f"Magnet-Attribute-{number}": "x" for number in range(50)},
    ],
)
async def test_what_headers_may_not_say_is_refused_before_anything_is_recorded(magnet: Running, headers: Any):
    sent = {name.encode(): value.encode("latin-1") for name, value in headers.items()}
    body = {"variables": {"word": "hello"}}
    answer = await magnet.client.post("/v1/prompts/dear/run", json=body, headers=sent)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_attribute")
    assert await magnet.container.log.head() == magnet.position
