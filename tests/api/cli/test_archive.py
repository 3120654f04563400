"""`magnet events archive`: events copied out of the log, which can be read back without it, and not be changed unseen."""

import base64
from pathlib import Path

import orjson
import pytest

from adapters.archive import files


def lines(directory: Path) -> list[bytes]:
    return (directory / "events-0001.jsonl").read_bytes().splitlines(keepends=True)


def rewritten(directory: Path, written: list[bytes]) -> None:
    (directory / "events-0001.jsonl").write_bytes(b"".join(written))


def test_an_archive_is_read_back_without_a_database_and_says_what_the_log_says(magnet, tmp_path):
    magnet.ok("demo", "--only", "prompts")
    there = magnet.ok("events", "--json").lines
    told = magnet.ok("events", "archive", str(tmp_path / "all"), "--json").json
    assert told["events"] == len(there)
    nowhere = {"DATABASE_URL": "host=/nowhere user=a dbname=b"}
    back = magnet.ok("events", "archived", str(tmp_path / "all"), "--json", **nowhere).lines
    assert back == [{name: value for name, value in event.items() if name != "changes"} for event in there]
    assert magnet.ok("events", "--json").lines == there, "the log keeps them"
    third = there[2]
    for number, (arguments, wanted) in enumerate(
        [
            (["--kind", "tag"], []),
            (["--kind", "prompt", "--after", "4"], [5, 6]),
            (["--aggregate", third["aggregate_id"]], [1, 2, 3, 4, 5, 6]),
            (["--until", third["recorded_at"]], [1, 2]),
        ]
    ):
        place = str(tmp_path / f"some{number}")
        magnet.ok("events", "archive", place, *arguments)
        assert [e["position"] for e in magnet.ok("events", "archived", place, "--json").lines] == wanted


def test_who_takes_the_log_along_is_on_record(magnet, tmp_path):
    magnet.ok("events")
    assert magnet("events", "archive", str(tmp_path / "wrong"), "--kind", "prompts").status == 1
    magnet.ok("events", "archive", str(tmp_path / "all"), "--kind", "prompt")
    magnet.ok("backup", str(tmp_path / "backup"))
    told = [(each["path"], each["query"]) for each in magnet.ok("audit", "accesses", "--json").json["items"]]
    assert told[:2] == [("magnet backup", ""), ("magnet events archive", "kind=prompt")]


def test_whatever_is_changed_in_an_archive_is_found_and_named(magnet, tmp_path):
    magnet.ok("demo", "--only", "prompts")
    place = tmp_path / "all"
    magnet.ok("events", "archive", str(place))
    good = lines(place)
    second = orjson.loads(good[1])
    record = bytearray(base64.b64decode(second["record"]))
    record[-2] ^= 1
    forged = orjson.dumps(second | {"record": base64.b64encode(record).decode()}) + b"\n"
    renamed = orjson.dumps(second | {"type": "prompt.archived"}) + b"\n"
    for changed, says in (
        ([good[0], forged, *good[2:]], "events-0001.jsonl:2"),
        ([good[0], renamed, *good[2:]], "events-0001.jsonl:2"),
        ([good[0], b"{}\n", *good[2:]], "events-0001.jsonl:2"),
        (good[:-1], "lines are missing"),
        ([*good, good[0]], "lines are missing or were changed"),
        ([good[1], good[0], *good[2:]], "lines are missing or were changed"),
    ):
        rewritten(place, changed)
        found = magnet("events", "archived", str(place))
        assert (found.status, says in found.err, "Traceback" in found.err) == (1, True, False), found.err
    rewritten(place, good)
    magnet.ok("events", "archived", str(place))
    (place / "manifest.json").unlink()
    assert "was not finished" in magnet("events", "archived", str(place)).err


def test_a_directory_with_something_in_it_is_refused(magnet, tmp_path):
    (tmp_path / "kept").write_text("mine")
    refused = magnet("events", "archive", str(tmp_path))
    assert refused.status == 1 and "not empty" in refused.err
    for arguments, says in ((["--aggregate", "x"], "id of a thing"), (["--until", "soon"], "RFC 3339")):
        refused = magnet("events", "archive", str(tmp_path / "new"), *arguments)
        assert refused.status == 1 and says in refused.err


def test_many_events_are_many_files(magnet, database, tmp_path, monkeypatch: pytest.MonkeyPatch):
    magnet.ok("demo", "--only", "prompts")
    monkeypatch.setattr(files, "LONGEST", 2)
    monkeypatch.setattr(files, "AT_ONCE", 2)
    choice = {"kind": None, "aggregate": None, "until": None, "after": 0}
    manifest = files.write(database.app_dsn, tmp_path / "many", **choice)
    assert [(piece.first, piece.last) for piece in manifest.pieces] == [(1, 2), (3, 4), (5, 6)]
    assert [record.position for record in files.read(tmp_path / "many")] == [1, 2, 3, 4, 5, 6]
