"""A query waits for what its caller has written, and says so where that takes too long."""

from pathlib import Path

import pytest

from api import call
from projections.configurations import ConfigurationsProjection
from tests.support.postgres import Database
from tests.support.server import serving


async def test_a_query_whose_read_model_stays_behind_is_a_503_with_the_lag_and_a_time_to_come_back(
    database: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(call, "READ_PATIENCE", 0.05)
    async with serving(database, tmp_path, worker=False) as magnet:  # nobody brings read models on
        for name in ("one", "two"):
            await magnet.do("POST", "/v1/prompts", {"name": name, "text": "x"})
        for path in ("/v1/prompts", "/v1/prompts/two"):
            behind = await magnet.call("GET", path, Magnet_Min_Position="2")
            assert (behind.status_code, behind.headers["retry-after"]) == (503, "1")
            assert behind.headers["content-type"] == "application/problem+json"
            told = behind.json()
            assert (told["code"], told["projection"], told["lag"]) == (
                "read_model_behind",
                ConfigurationsProjection.name,
                2,
            )
        assert (await magnet.get("/v1/prompts", Magnet_Min_Position="0"))["items"] == []
        monkeypatch.undo()
        async with serving(database, tmp_path):
            assert (await magnet.get("/v1/prompts/two", Magnet_Min_Position="2"))["name"] == "two"
