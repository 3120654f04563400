"""The log for people: what each event changed, and all of it as JSON lines and CSV."""

import csv
import io
from typing import Any

import orjson
import pytest

from api.queries import log, log_export
from tests.api.test_access import key_of
from tests.support.event_streams import write_prompts
from tests.support.server import Running


async def some_events(magnet: Running) -> None:
    await magnet.do("POST", "/v1/providers", {"name": "oa", "type": "openai", "base_url": "https://a.example.com"})
    await magnet.do("POST", "/v1/models", {"name": "m", "provider": "oa", "model": "gpt", "kind": "chat"})
    await magnet.do("POST", "/v1/prompts", {"name": "p", "text": "=1+1", "model": "m"})
    await magnet.do("PATCH", "/v1/prompts/p", {"text": "b", "message": "=cmd|' /C calc'!A0"})
    await magnet.do("POST", "/v1/prompts/p/publish", {"version": 2, "message": 'with "quotes",\tand commas'})
    await magnet.do("DELETE", "/v1/prompts/p")


async def test_an_event_tells_what_it_changed_before_and_after(magnet: Running):
    await some_events(magnet)
    events = (await magnet.get("/v1/events?kind=prompt"))["items"]
    changed = {event["type"]: event["changes"] for event in events}
    assert changed["prompt.text_changed"] == [{"path": "/text", "op": "replace", "before": "=1+1", "after": "b"}]
    assert changed["prompt.archived"] == [{"path": "/archived", "op": "replace", "before": False, "after": True}]
    created = {change["path"]: change for change in changed["prompt.created"]}
    assert created["/model"]["after"]["name"] == "m"
    history = (await magnet.get("/v1/prompts/p/history"))["items"]
    assert [item["changes"] for item in reversed(history)] == [event["changes"] for event in events]
    plain = (await magnet.get("/v1/events?kind=prompt&changes=false"))["items"]
    assert plain == [{k: v for k, v in event.items() if k != "changes"} for event in events]


@pytest.mark.parametrize("asked", ["format", "Accept"])
async def test_all_of_the_log_leaves_as_json_lines(magnet: Running, asked: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(log_export, "SECTION", 2)
    await some_events(magnet)
    more: dict[str, Any] = {"Accept": "application/x-ndjson"} if asked == "Accept" else {}
    answer = await magnet.call("GET", "/v1/events" + ("?format=ndjson" if asked == "format" else ""), **more)
    assert answer.headers["content-type"] == "application/x-ndjson"
    assert answer.headers["content-disposition"] == 'attachment; filename="events.ndjson"'
    events = [orjson.loads(line) for line in answer.content.splitlines()]
    assert events == (await magnet.get("/v1/events"))["items"]
    assert answer.headers["magnet-position"] == str(events[-1]["position"])
    some = await magnet.call("GET", "/v1/events?format=ndjson&kind=prompt&after=3&limit=2")
    assert [orjson.loads(line)["position"] for line in some.content.splitlines()] == [4, 5]
    none = await magnet.call("GET", "/v1/events?format=ndjson&kind=tag")
    assert (none.status_code, none.content) == (200, b"")


async def test_all_of_the_log_leaves_as_csv_that_no_spreadsheet_calculates(magnet: Running):
    await some_events(magnet)
    answer = await magnet.call("GET", "/v1/events", Accept="text/csv")
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    events = (await magnet.get("/v1/events"))["items"]
    assert [int(row["position"]) for row in rows] == [event["position"] for event in events]
    assert [row["actor_name"] for row in rows] == ["local"] * len(events)
    assert [orjson.loads(row["data"]) for row in rows] == [event["data"] for event in events]
    assert [orjson.loads(row["changes"]) for row in rows] == [event["changes"] for event in events]
    assert rows[3]["reason"] == "'=cmd|' /C calc'!A0"
    assert rows[4]["reason"] == 'with "quotes",\tand commas'
    assert not any(value.startswith(log_export.FORMULA) for row in rows for value in row.values())


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@a", "\t=1", "\r=1", "=", "'=1", "a=1", "", "\u00e4"])
def test_a_cell_never_begins_as_a_formula_and_loses_nothing(text: str):
    shown = log_export.harmless(text)
    assert not shown.startswith(log_export.FORMULA)
    assert shown in (text, f"'{text}")


async def test_a_page_ends_where_its_events_become_heavy_and_the_next_goes_on(
    magnet: Running, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(log, "HEAVIEST", 3000)
    await write_prompts(magnet.database.app_dsn, 10, text="x" * 1000)
    seen: list[int] = []
    cursor = 0
    while True:
        page = await magnet.get(f"/v1/events?cursor={cursor}&limit=500")
        assert len(page["items"]) <= 3
        seen += [event["position"] for event in page["items"]]
        if page["next_cursor"] is None:
            break
        cursor = page["next_cursor"]
    assert seen == list(range(1, 11))


async def test_only_who_may_read_the_log_gets_it(magnet: Running):
    admin = await key_of(magnet, "admin", "admin")
    editor = await key_of(magnet, "editor", "editor", admin=admin)
    auditor = await key_of(magnet, "auditor", "auditor", admin=admin)
    for path in ("/v1/events", "/v1/events?format=csv", "/v1/events?format=ndjson"):
        assert (await magnet.call("GET", path, X_API_Key=editor)).status_code == 403
        assert (await magnet.call("GET", path, X_API_Key=auditor)).status_code == 200
        assert (await magnet.call("GET", path)).status_code == 401
    for wrong in ("format=xml", "changes=yes", "format=csv&limit=0"):
        assert (await magnet.call("GET", f"/v1/events?{wrong}", X_API_Key=auditor)).status_code == 422
