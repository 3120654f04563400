"""The commands on an installation, as real processes."""

from pathlib import Path

import psycopg
import pytest

from tests.api.cli.conftest import Magnet

PROVIDER = "kind: provider\nname: acme\ntype: openai\nbase_url: https://a.example/v1\napi_key: {env: ACME_KEY}\n"
MODEL = "kind: model\nname: big\nprovider: acme\nmodel: big-1\nmodel_kind: chat\ndefault: true\n"
PROMPTS = """\
kind: prompt
name: footer
text: |
  Kind regards,
    the shop
---
kind: prompt
name: hello
title: Hello
model: big
temperature: 0.0
text: |
  Hello {{ name }}!

  {% include "footer" %}
variables:
  name: {schema: {type: string}}
variants:
  short: {weight: 2, text: "Hi"}
labels:
  live: {text: "Hello {{ name }}"}
  next: {}
"""
SECRET = "sk-0123456789abcd"


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    made = tmp_path / "config"
    made.mkdir()
    for name, text in (("a-prompts.yaml", PROMPTS), ("b.yml", MODEL), ("c.yaml", PROVIDER)):
        (made / name).write_text(text)
    return made


def texts(directory: Path) -> dict[str, str]:
    return {path.relative_to(directory).as_posix(): path.read_text() for path in sorted(directory.rglob("*.yaml"))}


def test_apply_changes_once_and_an_export_makes_the_same_elsewhere(magnet, embedded, directory, tmp_path):
    plan = magnet.ok("apply", str(directory), "--dry-run", ACME_KEY=SECRET)
    assert "+ create provider 'acme'" in plan.out and SECRET not in plan.out
    assert magnet.ok("events", "--json").out == ""
    done = magnet.ok("apply", str(directory), "--yes", "-m", "first", "--json", ACME_KEY=SECRET)
    assert done.json["changed"] == 4
    head = magnet.ok("events", "--json").lines[-1]
    assert head["reason"] == "first" and head["actor"]["type"] == "command_line"
    assert magnet.ok("apply", str(directory), "--yes", "--json").json["changed"] == 0
    assert magnet.ok("events", "--json").lines[-1]["position"] == head["position"]

    exported = tmp_path / "exported"
    magnet.ok("export", str(exported))
    found = texts(exported)
    assert sorted(found) == ["models/big.yaml", "prompts/footer.yaml", "prompts/hello.yaml", "providers/acme.yaml"]
    assert not any(SECRET in text for text in found.values())
    assert "text: |\n  Hello {{ name }}!\n" in found["prompts/hello.yaml"]
    assert magnet.ok("apply", str(exported), "--yes", "--json").json["changed"] == 0

    missing = embedded("apply", str(exported), "--yes")
    assert missing.status == 1 and "ACME_API_KEY" in missing.err and "providers/acme.yaml:" in missing.err
    embedded.ok("apply", str(exported), "--yes", ACME_API_KEY=SECRET)
    again = tmp_path / "again"
    embedded.ok("export", str(again))
    assert texts(again) == found
    assert embedded.ok("apply", str(exported), "--yes", "--json", ACME_API_KEY=SECRET).json["changed"] == 0


def test_a_past_state_is_exported_and_what_is_gone_is_pruned_when_asked(magnet, directory, tmp_path):
    magnet.ok("apply", str(directory), "--yes", ACME_KEY=SECRET)
    then = magnet.ok("events", "--json").lines[-1]["recorded_at"]
    (directory / "a-prompts.yaml").write_text("kind: prompt\nname: footer\ntext: Bye\n")
    kept = magnet.ok("apply", str(directory), "--yes", "--json").json
    assert kept["changed"] == 1
    pruned = magnet.ok("apply", str(directory), "--yes", "--prune", "-m", "nobody says it", "--json").json
    archived = magnet.ok("events", "--json").lines[-1]
    assert (archived["type"], archived["reason"]) == ("prompt.archived", "nobody says it")
    assert [step["name"] for step in pruned["steps"] if step["action"] == "archive"] == ["hello"]
    magnet.ok("export", str(tmp_path / "then"), "--as-of", then)
    magnet.ok("export", str(tmp_path / "now"), "--as-of", then)
    own = tmp_path / "now" / "prompts" / "own.yaml"
    own.write_text("# written by hand\nkind: prompt\nname: own\ntext: a\n")
    stale = magnet.ok("export", str(tmp_path / "now"))
    assert "--prune removes them" in stale.err and "prompts/hello.yaml" in stale.err
    assert magnet.ok("export", str(tmp_path / "now"), "--prune", "--json").json["removed"] == ["prompts/hello.yaml"]
    assert own.exists()
    assert "Kind regards" in texts(tmp_path / "then")["prompts/footer.yaml"]
    assert "prompts/hello.yaml" in texts(tmp_path / "then")
    assert "text: Bye" in texts(tmp_path / "now")["prompts/footer.yaml"]
    assert "prompts/hello.yaml" not in texts(tmp_path / "now")
    (directory / "a-prompts.yaml").write_text(PROMPTS)
    magnet.ok("apply", str(directory), "--yes", "-m", "missed")
    reasons = [each["reason"] for each in magnet.ok("events", "--json").lines if each["type"] == "prompt.restored"]
    assert reasons == ["missed"]


def test_apply_asks_first_and_checks_all_before_it_changes_anything(magnet, directory):
    refused = magnet("apply", str(directory), given="n\n", ACME_KEY=SECRET)
    assert refused.status == 1 and "Nothing was changed" in refused.err
    (directory / "a-prompts.yaml").write_text(PROMPTS + "---\nkind: prompt\nname: bad\ntext: x\nseed: {}\n")
    wrong = magnet("apply", str(directory), "--yes", ACME_KEY=SECRET)
    assert wrong.status == 1 and "a-prompts.yaml:27 (document 3) /seed" in wrong.err
    assert magnet.ok("events", "--json").out == ""


def test_a_key_is_shown_once_and_opens_the_server_until_it_is_revoked(magnet):
    made = magnet.ok(
        "keys", "create", "ops", "--role", "admin", "--group", "team", "--expires-in", "90d", "--rpm", "600"
    )
    key = made.out.strip()
    assert key.startswith("mgn_") and "once" in made.err and "needs a key" in made.err
    [listed] = magnet.ok("keys", "list", "--json").json["items"]
    assert (listed["roles"], listed["groups"], listed["requests_per_minute"]) == (["admin"], ["team"], 600)
    assert key not in magnet.ok("keys", "list").out
    with magnet.running("serve") as server:
        far = Magnet(home=magnet.home.parent / "elsewhere", more={"MAGNET_URL": server.url})
        assert far("keys", "list").status == 1
        assert far.ok("keys", "list", "--json", MAGNET_API_KEY=key).json["items"][0]["name"] == "ops"
        assert "last used" in far.ok("keys", "list", MAGNET_API_KEY=key).out
        assert not far.home.exists()
        magnet.ok("keys", "revoke", "ops")
        assert far("keys", "list", MAGNET_API_KEY=key).status == 1
    assert magnet.ok("keys", "list", "--revoked", "--json").json["items"][0]["name"] == "ops"


def test_a_first_key_that_may_not_administer_says_so_and_no_end_is_a_usage_error(magnet):
    for wrong in ("1x", "0d", "999999w"):
        done = magnet("keys", "create", "first", "--expires-in", wrong)
        assert done.status == 2 and "--expires-in" in done.err and "Traceback" not in done.err
    first = magnet.ok("keys", "create", "first")
    assert "needs a key" in first.err and "--role admin" in first.err
    assert "needs a key" not in magnet.ok("keys", "create", "second", "--role", "admin").err


def test_events_are_filtered_shown_and_followed(magnet):
    magnet.ok("demo", "--only", "prompts")
    published = magnet.ok("events", "--type", "prompt.published", "--json").lines
    assert [event["position"] for event in published] == [3, 5]
    assert magnet.ok("events", "show", "3", "--json").json == published[0]
    assert magnet.ok("events", "show", published[0]["id"], "--json").json == published[0]
    assert "/labels/live" in magnet.ok("events", "show", "3").out
    assert [magnet("events", "show", ref).status for ref in ("99", "nothing", published[0]["aggregate_id"])] == [
        1,
        1,
        1,
    ]
    assert len(magnet.ok("events", "--after", "4").out.splitlines()) == 2
    with magnet.running("events", "--follow", "--after", "5", "--json") as following:
        assert '"position":6,' in following.said
        magnet.ok("keys", "create", "x")
        assert '"position":7,' in following.line()


def test_a_thing_is_compared_between_two_events_and_between_two_versions(magnet, directory):
    magnet.ok("apply", str(directory), "--yes", ACME_KEY=SECRET)
    events = [e for e in magnet.ok("events", "--kind", "prompt", "--json").lines if e["name"] == "hello"]
    first, last = events[0], events[-1]
    between = magnet.ok("events", "diff", str(first["position"]), last["id"], "--json").json
    assert (between["from"], between["to"]) == (first["version"], last["version"])
    versions = (str(first["version"]), str(last["version"]))
    assert magnet.ok("events", "diff", *versions, "--of", "prompt/hello", "--json").json == between
    assert magnet.ok("events", "diff", "1", "1", "--of", "prompt/hello").out == "They are the same.\n"
    other = next(e for e in magnet.ok("events", "--json").lines if e["aggregate_id"] != first["aggregate_id"])
    refused = magnet("events", "diff", first["id"], other["id"])
    assert (refused.status, "different things" in refused.err) == (1, True)
    named = magnet.ok("events", "diff", "live", last["recorded_at"], "--of", "prompt/hello", "--json").json
    assert named == between
    assert magnet("events", "diff", "a", "b", "--of", "prompt/hello").status == 1
    assert magnet("events", "diff", "1", "2", "--of", "tag/x").status == 1


def test_who_read_the_log_is_told(magnet):
    magnet.ok("events", "--kind", "prompt", "--json")
    [before] = magnet.ok("audit", "accesses", "--json").json["items"]
    assert (before["actor"]["type"], before["outcome"], "kind=prompt" in before["query"]) == (
        "command_line",
        "allowed",
        True,
    )
    assert "kind=prompt" in magnet.ok("audit", "accesses", "--outcome", "allowed").out
    assert magnet.ok("audit", "accesses", "--until", before["at"], "--json").json["items"] == []
    assert magnet("audit", "accesses", "--outcome", "perhaps").status == 1


def test_projections_are_told_and_rebuilt_to_the_same_checksum(magnet):
    magnet.ok("demo", "--only", "prompts")
    found = magnet.ok("projections", "status", "--json").json["items"]
    [status] = [each for each in found if each["name"] == "configurations_v1"]
    assert status["lag"] == 0
    assert "checksum is the same" in magnet.ok("projections", "rebuild", "configurations_v1").out
    assert magnet("projections", "rebuild", "nothing_v1").status == 1
    dry = magnet.ok("projections", "rebuild", "configurations_v1", "--dry-run")
    assert "configurations_v1: no difference" in dry.out


def test_a_backup_is_restored_elsewhere_with_everything_in_it(magnet, embedded, tmp_path):
    magnet.ok("apply", str(_provider(tmp_path)), "--yes", ACME_KEY=SECRET)
    magnet.ok("demo", "--only", "prompts")
    file = tmp_path / "backup"
    told = magnet.ok("backup", str(file), "--json").json
    assert magnet("backup", str(file)).status == 1, "no file is replaced unasked"
    restored = embedded.ok("restore", str(file), "--json").json
    assert restored["last_hash"] == told["last_hash"] and restored["aside"] == []
    magnet.ok("export", str(tmp_path / "ours"))
    embedded.ok("export", str(tmp_path / "theirs"))  # the first to read: it waits for the read models
    assert texts(tmp_path / "theirs") == texts(tmp_path / "ours") != {}
    assert embedded.ok("events", "--json").out == magnet.ok("events", "--json").out
    theirs, ours = (each.ok("projections", "status", "--json").json["items"][0] for each in (magnet, embedded))
    assert (theirs["position"], theirs["checksum"]) == (ours["position"], ours["checksum"])
    assert embedded.ok("doctor", "--full").status == 0
    refused = embedded("restore", str(file))
    assert refused.status == 1 and "--replace" in refused.err
    assert "is kept" in embedded.ok("restore", str(file), "--replace").out
    (tmp_path / "cut").write_bytes(file.read_bytes()[:5000])
    cut = embedded("restore", str(tmp_path / "cut"), "--replace")
    assert cut.status == 1 and "damaged" in cut.err and "Traceback" not in cut.err
    assert embedded.ok("events", "--json").out == magnet.ok("events", "--json").out


def _provider(tmp_path: Path) -> Path:
    (tmp_path / "provider").mkdir()
    (tmp_path / "provider" / "a.yaml").write_text(PROVIDER)
    return tmp_path / "provider"


def test_the_doctor_finds_a_log_whose_guard_is_off_and_a_wrong_key(magnet, database):
    magnet.ok("demo", "--only", "prompts")
    good = magnet.ok("doctor", "--json").json
    assert good["ok"] and {check["verdict"] for check in good["checks"]} == {"good"}
    with psycopg.connect(database.owner_dsn) as connection:
        connection.execute("ALTER TABLE magnet.magnet_events DISABLE TRIGGER USER")
        connection.execute("UPDATE magnet.magnet_events SET actor_name = 'nobody' WHERE notification_id = 2")
    bad = magnet("doctor", "--json", SECRET_ENCRYPTION_KEY="ab" * 32)
    assert bad.status == 1
    found = {check["name"]: check for check in bad.json["checks"]}
    assert {name for name, check in found.items() if check["verdict"] == "bad"} == {"log rights", "key", "log"}
    assert "position 2" in found["log"]["found"] and found["log"]["advice"]


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nonsense"], 2, "No such command"),
        (["events", "--limit", "0"], 2, "--limit"),
        (["keys", "create"], 2, "Missing argument"),
        (["keys", "create", "Not A Name"], 1, "1 to 63 characters"),
        (["keys", "create", "x", "--expires-in", "soon"], 2, "90d"),
        (["keys", "create", "x", "--role", "king"], 1, "/roles/0"),
        (["keys", "revoke", "nobody"], 1, "no such api key"),
        (["apply", "nowhere"], 1, "no directory"),
        (["restore", "nowhere"], 2, "nowhere"),
        (["backup", ".", "--force"], 1, "is a directory"),
        (["events", "--since", "yesterday"], 1, "RFC 3339"),
        (["replay", "--to", "nonsense"], 1, "--to is the address of a PostgreSQL database"),
        (["audit", "verify", "--against", "nowhere"], 1, "No such file"),
    ],
)
def test_what_goes_wrong_is_a_sentence_and_a_status(magnet, arguments, status, says):
    done = magnet(*arguments)
    assert (done.status, "Traceback" in done.err) == (status, False)
    assert says in done.err + done.out


@pytest.mark.parametrize(
    ("variable", "value", "says"),
    [
        ("DATABASE_URL", "host=/nowhere user=a dbname=b", "database"),
        ("SECRET_ENCRYPTION_KEY", "short", "32 bytes"),
        ("MAGNET_PORT", "many", "MAGNET_PORT"),
        ("MAGNET_URL", "http://127.0.0.1:9", "does not answer"),
    ],
)
def test_a_wrong_setting_is_a_sentence(magnet, variable, value, says):
    done = magnet("events", **{variable: value})
    assert (done.status, "Traceback" in done.err) == (1, False)
    assert says in done.err


def test_a_key_file_that_holds_no_key_is_a_sentence(magnet, tmp_path):
    magnet.ok("keys", "list")
    key = magnet.home / "secret.key"
    key.write_text("schlüssel")
    done = magnet("backup", str(tmp_path / "backup"))
    assert (done.status, "defect" in done.err, "32 bytes" in done.err) == (1, False, True)


def test_the_doctor_makes_no_installation(embedded):
    assert embedded.ok("doctor").status == 0
    assert not embedded.home.exists()
