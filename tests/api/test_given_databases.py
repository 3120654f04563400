"""A database that is given by its address: what is said of its connections besides what the address says."""

from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import SecretStr

from api.database import database as opened
from api.settings import Settings
from tests.support.postgres import Database


def test_connections_notice_within_20_s_that_their_server_is_out_of_reach_unless_the_address_says_otherwise(
    database: Database, tmp_path: Path
):
    settings = Settings(
        _env_file=None,
        MAGNET_HOME=tmp_path,
        DATABASE_URL=SecretStr(f"{database.app_dsn} tcp_user_timeout=5000"),
        MIGRATION_DATABASE_URL=SecretStr(database.owner_dsn),
    )  # type: ignore[call-arg]
    with opened(settings) as dsns:
        for dsn in (dsns.app, dsns.owner):
            said = {name: int(value) for name, value in conninfo_to_dict(dsn).items() if name.startswith("keepalives_")}
            silent = said["keepalives_idle"] + said["keepalives_interval"] * said["keepalives_count"]
            assert 0 < silent <= 20
        assert [conninfo_to_dict(dsn)["tcp_user_timeout"] for dsn in (dsns.app, dsns.owner)] == ["5000", "20000"]
        with psycopg.connect(dsns.app) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
