"""`magnet replay`: a second system from the log, checked against the first."""

from pathlib import Path

import psycopg
import pytest

from tests.api.cli.conftest import Magnet, on
from tests.support.postgres import fresh_database


@pytest.fixture
def second(postgres):
    """Another database, which the first system's key fits."""
    with fresh_database(postgres) as made:
        yield made


def configured(magnet: Magnet, tmp_path: Path) -> Magnet:
    """Give a system with a provider, prompts, an archived one, and documents."""
    directory = tmp_path / "config"
    directory.mkdir()
    (directory / "a.yaml").write_text(
        "kind: provider\nname: acme\ntype: openai\nbase_url: https://a.example/v1\napi_key: {env: ACME_KEY}\n---\n"
        "kind: prompt\nname: footer\ntext: Bye\n---\n"
        'kind: prompt\nname: hello\ntext: Hello {% include "footer" %}\ntags: [greeting]\n---\n'
        "kind: prompt\nname: old\ntext: x\n"
    )
    magnet.ok("apply", str(directory), "--yes", ACME_KEY="sk-0123456789abcd")
    (directory / "a.yaml").write_text((directory / "a.yaml").read_text().rpartition("---\n")[0])
    magnet.ok("apply", str(directory), "--yes", "--prune", ACME_KEY="sk-0123456789abcd")
    (tmp_path / "leave.txt").write_text("Holidays are thirty days a year.")
    magnet.ok("ingest", str(tmp_path / "leave.txt"), "--source", "handbook")
    return magnet


def beside(dsn: str) -> dict[str, list[tuple[object, ...]]]:
    """Return what follows from the events, as the database has it."""
    with psycopg.connect(dsn) as connection:
        return {
            table: connection.execute(f"SELECT * FROM magnet.{table} ORDER BY 1, 2".encode()).fetchall()
            for table in ("usages", "source_documents", "secrets")
        } | {"archived": connection.execute("SELECT * FROM magnet.archived").fetchall()}


def test_the_second_system_is_as_the_first_and_can_be_asked(magnet, database, second, tmp_path):
    configured(magnet, tmp_path)
    done = magnet.ok("replay", "--to", second.owner_dsn, "--app", second.app_dsn, "--json")
    assert set(done.json["same"].values()) == {True} and done.json["same"].keys() >= {"runs_v1", "passages_v1"}
    assert "events: " in done.err
    assert beside(second.owner_dsn) == beside(database.owner_dsn)
    again = magnet.ok("replay", "--to", second.owner_dsn, "--app", second.app_dsn, "--json").json
    assert again["copied"] == 0, "a second run goes on where the first one was"
    copy = on(second, magnet.home)
    assert copy.ok("events", "--json").out == magnet.ok("events", "--json").out
    verdicts = {check["name"]: check["verdict"] for check in copy.ok("doctor", "--full", "--json").json["checks"]}
    assert verdicts["log"] == "good" and verdicts["key"] == "good"
    found = copy.ok("ask", "How many holidays?")
    assert "thirty days" in found.out


def test_a_system_as_it_stood_knows_nothing_later(magnet, second, tmp_path):
    configured(magnet, tmp_path)
    events = magnet.ok("events", "--json").lines
    archived = next(event for event in events if event["type"] == "prompt.archived")
    done = magnet.ok(
        "replay", "--to", second.owner_dsn, "--app", second.app_dsn, "--until", str(archived["position"] - 1), "--json"
    ).json
    assert (done["head"], done["same"]) == (archived["position"] - 1, None)
    copy = on(second, magnet.home)
    assert copy.ok("events", "--json").lines[-1]["position"] == archived["position"] - 1
    copy.ok("export", str(tmp_path / "then"))
    assert (tmp_path / "then" / "prompts" / "old.yaml").exists()
    assert beside(second.owner_dsn)["archived"] == beside(second.owner_dsn)["source_documents"] == []
    on_time = magnet.ok(
        "replay", "--to", second.owner_dsn, "--app", second.app_dsn, "--until", archived["recorded_at"], "--json"
    ).json
    assert (on_time["head"], on_time["copied"]) == (archived["position"] - 1, 0)
    rest = magnet.ok("replay", "--to", second.owner_dsn, "--app", second.app_dsn, "--json").json
    assert set(rest["same"].values()) == {True}


def test_a_database_with_anything_else_in_it_is_refused(magnet, database, second, tmp_path):
    configured(magnet, tmp_path)
    other = on(second, tmp_path / "other")
    other.ok("demo", "--only", "prompts")
    for arguments, says in (
        (["--to", second.owner_dsn, "--app", second.app_dsn], "events of its own"),
        (["--to", database.owner_dsn, "--app", database.app_dsn], "same database"),
        (["--to", second.owner_dsn, "--app", second.app_dsn, "--until", "99999999"], "ends at position"),
        (["--to", second.owner_dsn, "--app", second.app_dsn, "--until", "soon"], "RFC 3339"),
    ):
        refused = magnet("replay", *arguments)
        assert (refused.status, says in refused.err, "Traceback" in refused.err) == (1, True, False), refused.err
    assert other.ok("events", "--json").lines[-1]["kind"] == "prompt"
