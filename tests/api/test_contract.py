"""What a client can rely on: receipts, versions, idempotency, reading one's own writes, errors."""

import asyncio
from typing import Any
from urllib.parse import quote
from uuid import uuid4

import psycopg
import pytest

from tests.support.patience import PATIENCE
from tests.support.server import Running

PROMPT = {"name": "greeting", "text": "Hello {{ name }}"}


async def a_prompt(magnet: Running, **more: Any) -> Any:
    return await magnet.do("POST", "/v1/prompts", PROMPT | more)


async def test_a_create_answers_201_with_receipt_location_and_etag(magnet: Running):
    answer = await magnet.call("POST", "/v1/prompts", PROMPT)
    receipt = answer.json()
    assert answer.status_code == 201
    assert set(receipt) == {"id", "version", "position"}
    assert (receipt["version"], receipt["position"]) == (1, 1)
    assert answer.headers["location"] == f"/v1/prompts/{receipt['id']}"
    assert answer.headers["etag"] == '"1"'
    assert answer.headers["magnet-position"] == "1"
    assert (await magnet.get(answer.headers["location"]))["name"] == "greeting"


async def test_a_prompt_is_created_changed_published_compared_and_rolled_back(magnet: Running):
    await a_prompt(magnet)
    draft = await magnet.do("PATCH", "/v1/prompts/greeting", {"text": "Hi {{ name }}", "message": "shorter"})
    shown = await magnet.get("/v1/prompts/greeting")
    assert (shown["text"], shown["draft"], shown["live_version"]) == ("Hi {{ name }}", True, 1)
    assert (await magnet.get("/v1/prompts/greeting?label=live"))["text"] == "Hello {{ name }}"
    await magnet.do("POST", "/v1/prompts/greeting/publish", {"version": draft["version"]})
    assert (await magnet.get("/v1/prompts/greeting?label=live"))["text"] == "Hi {{ name }}"
    difference = await magnet.get("/v1/prompts/greeting/diff?from=1&to=2")
    assert [(c["path"], c["before"], c["after"]) for c in difference["changes"]] == [
        ("/text", "Hello {{ name }}", "Hi {{ name }}")
    ]
    back = await magnet.do("POST", "/v1/prompts/greeting/rollback", {"version": 1})
    shown = await magnet.get("/v1/prompts/greeting?label=live")
    assert (shown["text"], shown["version"]) == ("Hello {{ name }}", back["version"])
    history = await magnet.get("/v1/prompts/greeting/history")
    assert [item["type"] for item in history["items"]] == [
        "prompt.rolled_back",
        "prompt.published",
        "prompt.text_changed",
        "prompt.created",
    ]
    assert history["items"][2]["reason"] == "shorter"


async def test_publishing_with_a_change_of_the_title_alone_points_live_at_the_receipts_version(magnet: Running):
    await a_prompt(magnet)
    receipt = await magnet.do("PATCH", "/v1/prompts/greeting?publish=true", {"title": "Greeting"})
    for read in ("/v1/prompts/greeting", "/v1/prompts/greeting?label=live"):
        shown = await magnet.get(read)
        assert (shown["title"], shown["version"], shown["live_version"]) == ("Greeting", *[receipt["version"]] * 2)
    assert await magnet.do("PATCH", "/v1/prompts/greeting?publish=true", {"title": "Greeting"}) == receipt


async def test_the_past_is_read_by_version_and_by_time(magnet: Running):
    await a_prompt(magnet)
    before = (await magnet.get("/v1/prompts/greeting"))["updated_at"]
    await magnet.do("PATCH", "/v1/prompts/greeting", {"text": "Hi"})
    assert (await magnet.get("/v1/prompts/greeting?version=1"))["text"] == "Hello {{ name }}"
    assert (await magnet.get(f"/v1/prompts/greeting?as_of={before}"))["version"] == 1
    assert (await magnet.call("GET", "/v1/prompts/greeting?as_of=2001-01-01T00:00:00Z")).status_code == 404
    assert (await magnet.call("GET", "/v1/prompts/greeting?version=9")).status_code == 404


async def test_a_diff_is_between_versions_labels_and_times(magnet: Running):
    await a_prompt(magnet)
    await magnet.do("PATCH", "/v1/prompts/greeting", {"text": "b"})
    then = (await magnet.get("/v1/prompts/greeting/history"))["items"][0]["recorded_at"]
    assert (await magnet.get("/v1/prompts/greeting/history?order=asc"))["items"][1]["recorded_at"] == then
    difference = await magnet.get("/v1/prompts/greeting/diff?from=1&to=2")
    for points in (f"from=live&to={then}", "from=live&to=2", f"from=1&to={then.replace('Z', '%2B00:00')}"):
        assert await magnet.get(f"/v1/prompts/greeting/diff?{points}") == difference
    await magnet.do("POST", "/v1/providers", {"name": "oa", "type": "openai", "base_url": "https://a.example.com"})
    for path, status, says in (
        ("/v1/prompts/greeting/diff?from=live&to=beta", 404, "no such label"),
        ("/v1/prompts/greeting/diff?from=live", 422, "'to' is needed"),
        (
            "/v1/prompts/greeting/diff?from=yesterday%3F&to=1",
            422,
            "'from' is the number of a version, a label, or a time",
        ),
        ("/v1/providers/oa/diff?from=live&to=1", 422, "'from' is the number of a version, or a time"),
        ("/v1/providers/oa/diff?from=2020-01-01T00:00:00Z&to=1", 404, "at that time"),
    ):
        answer = await magnet.call("GET", path)
        assert (answer.status_code, says in answer.json()["detail"]) == (status, True), answer.text


async def test_a_change_that_changes_nothing_answers_the_present_version(magnet: Running):
    first = await a_prompt(magnet)
    again = await magnet.do("PATCH", "/v1/prompts/greeting", {"text": PROMPT["text"]})
    assert again == first
    assert (await magnet.get("/v1/events"))["items"][-1]["position"] == first["position"]


async def test_of_fifty_writers_with_one_if_match_exactly_one_wins(magnet: Running):
    await a_prompt(magnet)
    answers = await asyncio.gather(
        *(magnet.call("PATCH", "/v1/prompts/greeting", {"text": str(n)}, If_Match='"1"') for n in range(50))
    )
    assert sorted(answer.status_code for answer in answers) == [200] + [412] * 49
    refusal = next(answer for answer in answers if answer.status_code == 412).json()
    assert (refusal["code"], refusal["current_version"], refusal["changed_by"]) == ("stale_version", 2, "local")
    assert refusal["changed_at"].endswith("Z")


async def test_without_if_match_all_fifty_writers_succeed(magnet: Running):
    await a_prompt(magnet)
    answers = await asyncio.gather(*(magnet.call("PATCH", "/v1/prompts/greeting", {"text": str(n)}) for n in range(50)))
    assert sorted(answer.json()["version"] for answer in answers) == list(range(2, 52))


async def test_one_idempotency_key_fifty_times_at_once_is_one_effect_and_equal_answers(magnet: Running):
    answers = await asyncio.gather(
        *(magnet.call("POST", "/v1/prompts", PROMPT, Idempotency_Key="once") for _ in range(50))
    )
    assert {answer.content for answer in answers} == {answers[0].content}
    assert {answer.status_code for answer in answers} == {201}
    assert [answer.headers.get("idempotent-replay") for answer in answers].count("true") == 49
    assert len((await magnet.get("/v1/events"))["items"]) == 1


async def test_a_key_used_with_another_body_is_refused(magnet: Running):
    await magnet.do("POST", "/v1/prompts", PROMPT, Idempotency_Key="k")
    answer = await magnet.call("POST", "/v1/prompts", PROMPT | {"text": "else"}, Idempotency_Key="k")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_secret_shown_once_is_null_in_a_replay(magnet: Running):
    first = await magnet.call("POST", "/v1/api-keys", {"name": "k", "roles": ["admin"]}, Idempotency_Key="k")
    key = first.json()["key"]
    # The key that was made ends the keyless mode, so the repetition comes from another principal: a new scope.
    answer = await magnet.call(
        "POST", "/v1/api-keys", {"name": "j"}, Authorization=f"Bearer {key}", Idempotency_Key="j"
    )
    again = await magnet.call("POST", "/v1/api-keys", {"name": "j"}, Authorization=f"Bearer {key}", Idempotency_Key="j")
    assert answer.json()["key"].startswith("mgn_")
    assert again.json() == answer.json() | {"key": None}
    assert again.headers["idempotent-replay"] == "true"


async def test_what_is_in_use_can_not_be_archived_and_says_by_whom(magnet: Running):
    await magnet.do("POST", "/v1/providers", {"name": "oa", "type": "openai", "base_url": "https://a.example.com"})
    model = await magnet.do("POST", "/v1/models", {"name": "m", "provider": "oa", "model": "gpt", "kind": "chat"})
    answer = await magnet.call("DELETE", "/v1/providers/oa")
    assert (answer.status_code, answer.json()["code"]) == (409, "in_use")
    assert answer.json()["users"] == [{"kind": "model", "id": model["id"], "name": "m"}]
    assert (await magnet.get("/v1/providers/oa/usages"))["items"][0]["name"] == "m"
    await magnet.do("DELETE", "/v1/models/m")
    await magnet.do("DELETE", "/v1/providers/oa")
    assert (await magnet.get("/v1/providers"))["items"] == []
    assert [item["name"] for item in (await magnet.get("/v1/providers?archived=true"))["items"]] == ["oa"]
    answer = await magnet.call("POST", "/v1/models/m/restore")
    assert (answer.status_code, answer.json()["code"]) == (409, "archived")


async def test_a_reference_is_read_back_as_id_and_name_and_may_be_sent_so(magnet: Running):
    await magnet.do("POST", "/v1/providers", {"name": "oa", "type": "openai", "base_url": "https://a.example.com"})
    await magnet.do("POST", "/v1/models", {"name": "m", "provider": "oa", "model": "gpt", "kind": "chat"})
    reference = (await magnet.get("/v1/models/m"))["provider"]
    assert reference["name"] == "oa"
    await magnet.do("POST", "/v1/models", {"name": "n", "provider": reference, "model": "gpt", "kind": "chat"})
    answer = await magnet.call(
        "POST", "/v1/models", {"name": "o", "provider": "nothing", "model": "gpt", "kind": "chat"}
    )
    assert answer.status_code == 422
    assert answer.json()["errors"][0] | {"message": ""} == {
        "pointer": "/provider",
        "message": "",
        "code": "unknown_reference",
    }


async def test_a_key_is_write_only_and_bound_to_the_origin(magnet: Running):
    body = {"name": "oa", "type": "openai", "base_url": "https://a.example.com/v1", "api_key": "sk-canary-0123456789"}
    created = await magnet.call("POST", "/v1/providers", body)
    shown = await magnet.get("/v1/providers/oa")
    assert (shown["key_set"], shown["key_hint"]) == (True, "6789")
    await magnet.do("PATCH", "/v1/providers/oa", {"api_key": "", "base_url": "https://a.example.com/v2"})
    assert (await magnet.get("/v1/providers/oa"))["key_set"]
    await magnet.do("PATCH", "/v1/providers/oa", {"base_url": "https://b.example.com"})
    assert not (await magnet.get("/v1/providers/oa"))["key_set"]
    events = (await magnet.call("GET", "/v1/events")).text
    assert "canary" not in events + created.text


async def test_merge_patch_replaces_lists_and_null_resets_to_the_default(magnet: Running):
    await a_prompt(magnet, tags=["a", "b"], temperature=0.5, stop=["x"])
    await magnet.do("PATCH", "/v1/prompts/greeting", {"tags": ["c"], "temperature": None, "stop": None})
    shown = await magnet.get("/v1/prompts/greeting")
    assert (shown["tags"], shown["temperature"], shown["stop"]) == (["c"], None, [])


REFUSALS: list[tuple[str, str, Any, int, str]] = [
    ("GET", "/v1/prompts/none", None, 404, "not_found"),
    ("GET", "/v1/nothing", None, 404, "not_found"),
    ("GET", "/v1/evaluations", None, 404, "not_found"),
    ("PUT", "/v1/prompts", {}, 405, "method_not_allowed"),
    ("GET", "/v1/prompts?limit=0", None, 422, "invalid"),
    ("GET", "/v1/prompts?limit=1000000000", None, 422, "invalid"),
    ("GET", "/v1/prompts?surprise=1", None, 422, "invalid"),
    ("GET", "/v1/prompts?cursor=x", None, 422, "invalid_cursor"),
    ("POST", "/v1/prompts", {"text": "a"}, 422, "invalid"),
    ("POST", "/v1/prompts", {"name": "A", "text": "a"}, 422, "invalid_name"),
    ("POST", "/v1/prompts", {"name": "a", "text": "{{"}, 422, "template_syntax"),
    ("POST", "/v1/prompts", {"name": "a", "text": "a", "message": 5}, 422, "invalid_message"),
    ("DELETE", "/v1/prompts/none", None, 404, "not_found"),
    ("POST", "/v1/projections/none/rebuild", None, 404, "not_found"),
    ("POST", "/v1/dead-letters/none/requeue", None, 404, "not_found"),
    ("POST", "/v1/tags/none/rename", {"to": "x"}, 404, "not_found"),
]


async def test_every_refusal_is_a_problem_document(subtests: pytest.Subtests, magnet: Running):
    for method, path, body, status, code in REFUSALS:
        with subtests.test(str((method, path, body, status, code))[:80]):
            answer = await magnet.call(method, path, body)
            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (status, code)
            assert answer.headers["content-type"] == "application/problem+json"
            assert problem["request_id"] == answer.headers["request-id"]
            assert {"type", "title", "status", "detail", "instance"} <= set(problem)


@pytest.mark.parametrize(
    ("body", "pointer", "code"),
    [
        ({"text": "{% include 'nope' %}"}, "/text", "unknown_reference"),
        (
            {"messages": [{"role": "user", "content": "{% include 'nope' %}"}]},
            "/messages/0/content",
            "unknown_reference",
        ),
        ({"text": "a", "variants": {"b": {"text": "{% include 'nope' %}"}}}, "/variants/b/text", "unknown_reference"),
        ({"text": '{% include ("greeting") %}'}, "/text", "template_forbidden"),
        ({"text": "{% include'greeting' %}"}, "/text", "template_forbidden"),
        ({"text": "{% include 'Greeting' ignore missing %}"}, "/text", "template_forbidden"),
        ({"text": "{% include 'closing' %}"}, "/text", "self_reference"),
    ],
)
async def test_a_wrong_include_is_refused_where_it_stands(
    magnet: Running, body: dict[str, Any], pointer: str, code: str
):
    await a_prompt(magnet)
    refused = await magnet.call("POST", "/v1/prompts", {"name": "closing", **body})
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["pointer"], error["code"]) == (422, pointer, code)


async def test_prompts_that_would_include_each_other_are_refused_when_they_are_saved(magnet: Running):
    await a_prompt(magnet)
    for name, included in (("body", "greeting"), ("letter", "body@live")):
        await magnet.do("POST", "/v1/prompts", {"name": name, "text": f"{{% include '{included}' %}}"})
    refused = await magnet.call("PATCH", "/v1/prompts/greeting", {"text": "{% include 'letter' %}"})
    [error] = refused.json()["errors"]
    assert (refused.status_code, error["pointer"], error["code"]) == (422, "/text", "recursive_include")
    await magnet.do("PATCH", "/v1/prompts/letter", {"text": "{% include 'body' %}{% include 'greeting' %}"})


async def test_what_is_archived_or_taken_away_says_why_and_takes_no_other_field(magnet: Running):
    await a_prompt(magnet)
    await magnet.do("POST", "/v1/prompts/greeting/publish", {"version": 1, "label": "beta"})
    for path in ("/v1/prompts/greeting/labels/beta", "/v1/prompts/greeting"):
        refused = await magnet.call("DELETE", path, {"mesage": "why"})
        assert (refused.status_code, refused.json()["errors"][0]["pointer"]) == (422, "/mesage")
        await magnet.do("DELETE", path, {"message": "nobody says it"})
    archived, removed, *_ = (await magnet.get("/v1/prompts/greeting/history"))["items"]
    assert [each["type"] for each in (archived, removed)] == ["prompt.archived", "prompt.label_removed"]
    assert archived["reason"] == removed["reason"] == "nobody says it"


async def test_a_name_is_never_given_twice(magnet: Running):
    await a_prompt(magnet)
    await magnet.do("DELETE", "/v1/prompts/greeting")
    answer = await magnet.call("POST", "/v1/prompts", PROMPT)
    assert (answer.status_code, answer.json()["code"]) == (409, "name_taken")


async def test_tags_are_counted_and_renamed_everywhere_at_once(magnet: Running):
    await a_prompt(magnet, tags=["old"])
    await magnet.do("POST", "/v1/prompts", {"name": "b", "text": "b", "tags": ["old", "new"]})
    assert (await magnet.do("POST", "/v1/tags/old/rename", {"to": "new"}))["things"] == 2
    assert (await magnet.get("/v1/tags"))["items"] == [{"tag": "new", "count": 2}]
    assert len((await magnet.get("/v1/prompts?tag=new"))["items"]) == 2


async def test_a_tag_is_renamed_at_the_version_that_is_asked_for_and_to_a_name_that_can_be_one(magnet: Running):
    await a_prompt(magnet, tags=["old"])
    same = await magnet.do("POST", "/v1/tags/old/rename", {"to": "old"})
    assert (same["things"], same["version"]) == (1, 1)
    types = [each["type"] for each in (await magnet.get("/v1/events"))["items"]]
    assert types == ["prompt.created"], "one renamed to itself changes nothing"
    made = await magnet.do("POST", "/v1/tags/old/rename", {"to": "new"}, If_Match='"1"')
    await magnet.do("PATCH", "/v1/prompts/greeting", {"tags": ["old"]})
    stale = await magnet.call("POST", "/v1/tags/old/rename", {"to": "newer"}, If_Match='"1"')
    assert (stale.status_code, stale.json()["current_version"]) == (412, made["version"])
    assert (await magnet.get("/v1/tags"))["items"] == [{"tag": "old", "count": 1}]
    for body in ({}, {"to": ""}, {"to": 5}, {"to": "a\nb"}, {"to": "x" * 65}):
        wrong = await magnet.call("POST", "/v1/tags/old/rename", body)
        assert (wrong.status_code, [each["pointer"] for each in wrong.json()["errors"]]) == (422, ["/to"])
    await magnet.do("POST", "/v1/tags/old/rename", {"to": "newer"}, If_Match=f'"{made["version"]}"')


async def test_a_tag_is_not_renamed_on_things_that_one_may_not_change(magnet: Running):
    await a_prompt(magnet, tags=["shared", "mine"])
    made = await magnet.do("POST", "/v1/api-keys", {"name": "root", "roles": ["admin"], "tags": ["shared"]})
    root = {"X_API_Key": made["key"]}
    key = (await magnet.do("POST", "/v1/api-keys", {"name": "ed", "roles": ["editor"]}, **root))["key"]
    hook = {"name": "hook", "url": "https://example.com/hook", "tags": ["shared"]}
    await magnet.do("POST", "/v1/webhooks", hook, **root)
    head = await magnet.container.log.head()
    refused = await magnet.call("POST", "/v1/tags/shared/rename", {"to": "x"}, X_API_Key=key)
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")
    assert "api_key: keys:manage, webhook: webhooks:manage" in refused.json()["detail"]
    assert await magnet.container.log.head() == head
    await magnet.do("POST", "/v1/tags/mine/rename", {"to": "ours"}, X_API_Key=key)
    assert (await magnet.do("POST", "/v1/tags/shared/rename", {"to": "x"}, **root))["things"] == 3


async def test_tags_are_counted_on_what_one_may_read(magnet: Running):
    root = {"X_API_Key": (await magnet.do("POST", "/v1/api-keys", {"name": "root", "roles": ["admin"]}))["key"]}
    await magnet.do("POST", "/v1/prompts", {**PROMPT, "tags": ["shared"]}, **root)
    hook = {"name": "hook", "url": "https://example.com/hook", "tags": ["shared", "alarms"]}
    await magnet.do("POST", "/v1/webhooks", hook, **root)
    of_keys = {"roles": ["user"], "tags": ["shared", "board"]}
    key = (await magnet.do("POST", "/v1/api-keys", {"name": "member", **of_keys}, **root))["key"]
    last = str(await magnet.container.log.head())
    for headers, counts in (({"X_API_Key": key}, {"shared": 1}), (root, {"alarms": 1, "board": 1, "shared": 3})):
        shown = await magnet.get("/v1/tags", Magnet_Min_Position=last, **headers)
        assert {each["tag"]: each["count"] for each in shown["items"]} == counts


@pytest.mark.parametrize("tag", ["team/billing", "a/", "/b", "a//b?c#d%2Fe", "ü /é"])
async def test_a_tag_with_slashes_is_renamed_by_its_encoded_name(magnet: Running, tag: str):
    await a_prompt(magnet, tags=[tag])
    await magnet.do("POST", f"/v1/tags/{quote(tag, safe='')}/rename", {"to": "new"})
    assert (await magnet.get("/v1/tags"))["items"] == [{"tag": "new", "count": 1}]
    answer = await magnet.call("POST", f"/v1/tags/{quote(tag)}/rename", {"to": "newer"})
    assert answer.status_code == 404


async def test_what_takes_a_tag_while_it_is_renamed_is_renamed_too(magnet: Running, monkeypatch: pytest.MonkeyPatch):
    await a_prompt(magnet, tags=["old"])
    users_of, met = magnet.container.store.users_of, []

    async def and_then_another_takes_it(target: Any) -> Any:
        found = await users_of(target)
        if not met:
            met.append(await magnet.do("POST", "/v1/prompts", {"name": "late", "text": "b", "tags": ["old"]}))
        return found

    monkeypatch.setattr(magnet.container.store, "users_of", and_then_another_takes_it)
    assert (await magnet.do("POST", "/v1/tags/old/rename", {"to": "new"}))["things"] == 2
    assert (await magnet.get("/v1/tags"))["items"] == [{"tag": "new", "count": 2}]


async def pages(magnet: Running, path: str, limit: int) -> list[Any]:
    """Return the items of a list, taken page by page."""
    found: list[Any] = []
    cursor = ""
    while True:
        page = await magnet.get(f"{path}?limit={limit}{cursor}")
        assert len(page["items"]) <= limit
        found += page["items"]
        if page["next_cursor"] is None:
            return found
        cursor = f"&cursor={page['next_cursor']}"


async def test_tags_users_and_dead_letters_come_in_pages(magnet: Running):
    await magnet.do("POST", "/v1/providers", {"name": "oa", "type": "openai", "base_url": "https://a.example.com"})
    for name in ("a", "B", "c-d", "c"):
        model = {"name": f"m{name.lower()}", "provider": "oa", "model": "x", "kind": "chat", "tags": [name, "Ä all"]}
        last = await magnet.do("POST", "/v1/models", model)
    await magnet.get("/v1/tags", Magnet_Min_Position=str(last["position"]))
    with psycopg.connect(magnet.database.owner_dsn, autocommit=True) as connection:
        for number in range(3):
            connection.execute(
                "INSERT INTO magnet_read.quarantine (projection, stream, first_position, error) VALUES ('p_v1', %s, 1, 'x')",
                [uuid4()],
            )
            connection.execute(
                "INSERT INTO magnet.webhook_dead_letters (webhook, position, stream, error, attempts) VALUES (%s, %s, %s, '', 1)",
                [uuid4(), number + 1, uuid4()],
            )
    for path, count in (("/v1/tags", 5), ("/v1/providers/oa/usages", 4), ("/v1/dead-letters", 6)):
        whole = (await magnet.get(path))["items"]
        assert len(whole) == count
        for limit in (1, 2, count):
            assert await pages(magnet, path, limit) == whole
        for wrong in ("cursor=x", "cursor=WzFd", "limit=0", "limit=501"):
            assert (await magnet.call("GET", f"{path}?{wrong}")).status_code == 422


async def test_a_rebuild_is_asked_for_once_for_each_key(magnet: Running):
    await a_prompt(magnet)
    path, key = "/v1/projections/configurations_v1/rebuild", {"Idempotency_Key": "k"}
    answers = [await magnet.call("POST", path, **key)]
    answers += await asyncio.gather(*(magnet.call("POST", path, **key) for _ in range(10)))
    assert {(answer.status_code, answer.content) for answer in answers} == {(202, answers[0].content)}
    assert [answer.headers.get("idempotent-replay") for answer in answers] == [None, *["true"] * 10]
    again = await magnet.call("POST", path, {}, **key)
    assert (again.status_code, again.json()["code"]) == (422, "idempotency_key_reused")
    assert (await magnet.call("POST", path, {"message": "why"})).status_code == 422
    assert (await magnet.call("POST", path, Idempotency_Key="other")).headers.get("idempotent-replay") is None


async def test_a_repeated_requeue_is_answered_as_the_first_also_when_the_letter_is_gone(magnet: Running):
    async with await psycopg.AsyncConnection.connect(magnet.database.owner_dsn, autocommit=True) as owner:
        made = await owner.execute(
            "INSERT INTO magnet_read.quarantine (projection, stream, first_position, error) "
            "VALUES ('gone_v1', gen_random_uuid(), 1, 'x') RETURNING id"
        )
        [id] = await made.fetchone() or [None]
        path = f"/v1/dead-letters/{id}/requeue"
        first = await magnet.call("POST", path, Idempotency_Key="k")
        assert (first.status_code, first.json()) == (202, {"id": str(id), "requeue_requested": True})
        await owner.execute("DELETE FROM magnet_read.quarantine")
    again = await magnet.call("POST", path, Idempotency_Key="k")
    assert (again.status_code, again.content, again.headers["idempotent-replay"]) == (202, first.content, "true")
    assert (await magnet.call("POST", path, Idempotency_Key="j")).status_code == 404


async def test_a_prompt_is_previewed_saved_or_not(magnet: Running):
    await magnet.do("POST", "/v1/prompts", {"name": "foot", "text": "Bye"})
    body = {"definition": {"text": "{{ a }}{{ b }} {% include 'foot' %}"}, "variables": {"a": "{{b}}", "b": [1, "x"]}}
    shown = await magnet.do("POST", "/v1/prompts:preview", body)
    assert shown["messages"] == [{"role": "user", "content": '{{b}}[1,"x"] Bye'}]
    answer = await magnet.call("POST", "/v1/prompts:preview", {"definition": {"text": "{{ a }}"}})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, "/variables/a")
    await a_prompt(magnet)
    shown = await magnet.do("POST", "/v1/prompts:preview", {"prompt": "greeting", "variables": {"name": "Ada"}})
    assert shown["messages"][0]["content"] == "Hello Ada"


async def test_the_log_is_read_in_order_with_filters(magnet: Running):
    await a_prompt(magnet)
    await magnet.do("PATCH", "/v1/prompts/greeting", {"text": "b", "temperature": 0.1, "message": "Because of X"})
    page = await magnet.get("/v1/events?limit=2")
    rest = await magnet.get(f"/v1/events?cursor={page['next_cursor']}")
    assert [event["position"] for event in page["items"] + rest["items"]] == [1, 2, 3]
    event = page["items"][0]
    assert (event["type"], event["kind"], event["name"], event["version"]) == (
        "prompt.created",
        "prompt",
        "greeting",
        1,
    )
    assert event["actor"] == {"type": "local", "id": "local", "name": "local"}
    assert len(event["hash"]) == 64
    assert len((await magnet.get("/v1/events?type=prompt.text_changed"))["items"]) == 1
    assert len((await magnet.get("/v1/events?reason=because"))["items"]) == 2
    assert (await magnet.get("/v1/events?kind=model"))["items"] == []


@pytest.mark.parametrize(
    ("asked", "code", "meant"),
    [
        ("type=prompt.publishd", "unknown_event_type", "prompt.published"),
        ("type=prompt.created,model.creatd", "unknown_event_type", "model.created"),
        ("type=", "unknown_event_type", "/v1/event-types"),
        ("kind=prompts", "unknown_kind", "prompt"),
    ],
)
async def test_a_filter_that_no_event_can_ever_fit_is_refused_and_told_what_may_be_meant(
    magnet: Running, asked: str, code: str, meant: str
):
    for path in ("/v1/events", "/v1/events/stream"):
        answer = await magnet.call("GET", f"{path}?{asked}")
        problem = answer.json()
        assert (answer.status_code, problem["code"]) == (422, code)
        assert meant in problem["detail"] and problem["errors"][0]["pointer"] == f"/{asked.partition('=')[0]}"


async def test_health_metrics_and_projections_answer(magnet: Running):
    await a_prompt(magnet)
    assert await magnet.get("/health/live") == {"status": "live"}
    ready = await magnet.get("/health/ready")
    assert (ready["status"], ready["log"]["position"]) == ("ready", 1)
    await magnet.get("/v1/prompts")
    found = (await magnet.get("/v1/projections"))["items"]
    [projection] = [each for each in found if each["name"] == "configurations_v1"]
    assert (projection["position"], projection["state"]) == (1, "live")
    metrics = (await magnet.call("GET", "/metrics")).text
    assert 'magnet_http_requests_total{method="POST",route="/v1/prompts",status="201"} 1.0' in metrics


async def test_the_documentation_works_without_a_network(magnet: Running):
    first = await magnet.call("GET", "/")
    assert (first.status_code, first.headers["location"]) == (307, "/docs")
    for page in ("/docs", "/redoc"):
        answer = await magnet.call("GET", page)
        assert answer.status_code == 200
        assert "http" not in answer.text.replace('"http-equiv"', "")
    for asset in ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js"):
        assert (await magnet.call("GET", f"/docs/static/{asset}")).status_code == 200
    document = await magnet.get("/openapi.json")
    assert document["paths"]["/v1/prompts"]["post"]["tags"] == ["commands: prompts"]


async def test_who_waits_for_a_read_model_of_another_process_tells_that_process(magnet: Running):
    heard: asyncio.Queue[str | None] = asyncio.Queue()
    magnet.container.listener.on("magnet_read", heard.put_nowait)
    magnet.container.positions.followed.clear()  # as where another process brings them on
    assert not await magnet.container.reached("configurations_v1", 1, 0.01)
    async with asyncio.timeout(PATIENCE):
        while await heard.get() != "wanted":
            pass


@pytest.mark.parametrize("path", ["/v1/event-types", "/v1/projections", "/v1/plugins"])
async def test_a_list_that_is_short_goes_on_by_its_cursor_too(magnet: Running, path: str):
    def told(items: Any) -> list[tuple[Any, ...]]:
        return [tuple(item.get(name) for name in ("group", "type", "name", "package")) for item in items]

    whole = await magnet.get(path)
    assert whole["next_cursor"] is None
    found, cursor, pages = [], "", 0
    while True:
        page = await magnet.get(f"{path}?limit={len(whole['items']) // 2}{cursor}")
        found += page["items"]
        pages += 1
        if page["next_cursor"] is None:
            break
        cursor = f"&cursor={page['next_cursor']}"
    assert (told(found), pages >= 2) == (told(whole["items"]), True)
    for wrong in ("limit=0", "limit=501", "cursor=WyJ4Il0", "order=asc"):
        answer = await magnet.call("GET", f"{path}?{wrong}")
        assert answer.status_code == 422, wrong
