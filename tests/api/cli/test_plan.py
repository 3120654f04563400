"""Plans: what an apply would do, found from documents and what is there."""

from pathlib import Path
from typing import Any

import pytest

from api.cli.documents import Document, WrongDocuments, load
from api.cli.exporting import files
from api.cli.failure import CommandFailed
from api.cli.plan import Step, Wishes, patch_between, plan
from api.cli.present import Present
from domain.configuration import Configuration
from domain.definition import merge_patch
from domain.model import Model
from domain.prompt import Prompt
from domain.provider import Provider
from domain.references import identify
from domain.tool_server import ToolServer

PROVIDER = "kind: provider\nname: acme\ntype: openai\nbase_url: https://a.example/v1\n"
MODEL = "kind: model\nname: big\nprovider: acme\nmodel: big-1\nmodel_kind: chat\n"
HELLO = "kind: prompt\nname: hello\ntext: hi\n"
URL = "https://a.example/v1"


def documents(tmp_path: Path, *texts: str) -> list[Document]:
    for number, text in enumerate(texts):
        (tmp_path / f"{number}.yaml").write_text(text)
    return load(tmp_path)


def wrong(tmp_path: Path, *texts: str, present: list[Present] | None = None, **wishes: Any) -> list[str]:
    with pytest.raises(WrongDocuments) as refused:
        plan(documents(tmp_path, *texts), present or [], Wishes(**wishes))
    return list(refused.value.errors)


def thing(kind: type[Configuration], name: str, definition: dict[str, Any], **more: Any) -> Present:
    newest = kind.normal(definition)
    labels = {"live": newest} | {label: kind.normal(each) for label, each in more.pop("labels", {}).items()}
    labels = labels if kind.LABELLED else {}
    return Present(
        kind=kind,
        name=name,
        id=str(identify(kind.TOPIC, name)),
        version=2,
        definition=newest,
        labels={label: (1, each) for label, each in labels.items()},
        shown=newest,
        shown_labels=labels,
        **more,
    )


def hello(definition: dict[str, Any] | None = None, **more: Any) -> Present:
    return thing(Prompt, "hello", definition or {"text": "hi"}, **more)


def acme(**more: Any) -> Present:
    return thing(Provider, "acme", {"type": "openai", "base_url": URL}, **more)


def told(steps: list[Step]) -> list[tuple[str, str]]:
    return [(step.verb, step.name) for step in steps]


def done(steps: list[Step]) -> list[tuple[str, str]]:
    return [(operation.do, operation.label) for step in steps for operation in step.operations]


def test_what_is_absent_is_created_after_what_it_refers_to(tmp_path):
    first = "kind: prompt\nname: a\nmodel: big\ntext: '{% include \"z\" %}'\n---\nkind: prompt\nname: z\ntext: hi\n"
    steps = plan(documents(tmp_path, first, MODEL, PROVIDER), [], Wishes())
    assert told(steps) == [("create", "acme"), ("create", "z"), ("create", "big"), ("create", "a")] or told(steps) == [
        ("create", "acme"),
        ("create", "big"),
        ("create", "z"),
        ("create", "a"),
    ]


def test_what_is_as_it_should_be_needs_nothing(tmp_path):
    found = documents(tmp_path, HELLO + "temperature: 0.5\n")
    [step] = plan(found, [hello({"text": "hi", "temperature": 0.5})], Wishes())
    assert (step.verb, list(step.operations), list(step.changes)) == ("nothing", [], [])


def test_a_change_is_told_field_by_field_and_published(tmp_path):
    [step] = plan(documents(tmp_path, HELLO + "temperature: 0.5\n"), [hello({"text": "hey"})], Wishes())
    assert [(c.path, c.before, c.after) for c in step.changes] == [("/temperature", None, 0.5), ("/text", "hey", "hi")]
    assert done([step]) == [("change", ""), ("publish", "live")]
    assert step.operations[0].body == {"temperature": 0.5, "text": "hi"}


def test_a_change_may_stay_a_draft(tmp_path):
    assert done(plan(documents(tmp_path, HELLO), [hello({"text": "hey"})], Wishes(draft=True))) == [("change", "")]


def test_a_draft_that_is_as_the_document_says_is_published(tmp_path):
    present = hello({"text": "hi"}, labels={"live": {"text": "old"}})
    assert done(plan(documents(tmp_path, HELLO), [present], Wishes())) == [("publish", "live")]


def test_a_new_title_alone_publishes_nothing(tmp_path):
    assert done(plan(documents(tmp_path, HELLO + "title: Hello\n"), [hello()], Wishes())) == [("change", "")]


def test_labels_get_the_versions_that_the_document_tells_of(tmp_path):
    text = HELLO + "labels:\n  live: {text: old}\n  next: {}\n"
    steps = plan(documents(tmp_path, text), [], Wishes())
    assert done(steps) == [("create", ""), ("change", ""), ("publish", "next")]
    assert steps[0].operations[0].body["text"] == "old"
    present = hello({"text": "hi"}, labels={"live": {"text": "old"}, "next": {"text": "hi"}})
    assert done(plan(documents(tmp_path, text), [present], Wishes())) == []


def test_what_is_archived_is_restored(tmp_path):
    assert done(plan(documents(tmp_path, HELLO), [hello(archived=True)], Wishes())) == [("restore", "")]


def test_only_pruning_archives_what_no_document_names_users_first(tmp_path):
    big = thing(Model, "big", {"provider": str(identify("provider", "acme")), "model": "b", "kind": "chat"})
    present = [acme(), big, hello()]
    assert told(plan(documents(tmp_path, HELLO), present, Wishes())) == [("nothing", "hello")]
    assert told(plan(documents(tmp_path, HELLO), present, Wishes(prune=True)))[1:] == [
        ("archive", "big"),
        ("archive", "acme"),
    ]


def test_a_secret_is_taken_from_the_environment_once(tmp_path):
    secret = PROVIDER + "api_key: {env: ACME_KEY}\n"
    environment = {"ACME_KEY": "sk-0123456789abcd"}
    found = documents(tmp_path, secret)
    [step] = plan(found, [], Wishes(environment=environment))
    assert (step.secrets, "sk-0123" in repr(step)) == (["api_key"], False)
    set_already = acme(secrets={"api_key": "abcd"})
    assert done(plan(found, [set_already], Wishes(environment=environment))) == []
    assert done(plan(found, [set_already], Wishes())) == []
    assert done(plan(found, [set_already], Wishes(environment=environment, rotate_secrets=True))) == [("change", "")]
    assert done(plan(found, [acme(secrets={"api_key": "wxyz"})], Wishes(environment=environment))) == [("change", "")]


def test_a_move_to_another_origin_sets_the_secret_again(tmp_path):
    found = documents(tmp_path, PROVIDER.replace("a.example", "b.example") + "api_key: {env: ACME_KEY}\n")
    present = acme(secrets={"api_key": "abcd"})
    [step] = plan(found, [present], Wishes(environment={"ACME_KEY": "sk-0123456789abcd"}))
    assert step.secrets == ["api_key"]
    with pytest.raises(WrongDocuments, match="ACME_KEY"):
        plan(found, [present], Wishes())


def test_a_tool_server_is_exported_and_applied_again_and_its_secret_follows_any_of_its_addresses(tmp_path):
    definition = {
        "type": "openapi",
        "url": "https://a.example/openapi.json",
        "auth": {"kind": "api_key", "name": "key", "in": "query"},
        "tools": {"order": {"calls_per_turn": 1}},
    }
    present = thing(ToolServer, "shop", definition, secrets={"secrets/api_key": "abcd"})
    [(name, text)] = files([present]).items()
    assert (name, "env: SHOP_SECRETS_API_KEY" in text) == ("tool_servers/shop.yaml", True)
    environment = {"SHOP_SECRETS_API_KEY": "0123456789abcd"}
    assert done(plan(documents(tmp_path, text), [present], Wishes(environment=environment))) == []
    moved = documents(tmp_path, text.replace("https://a.example", "https://b.example"))
    [step] = plan(moved, [present], Wishes(environment=environment))
    assert step.secrets == ["secrets/api_key"]


@pytest.mark.parametrize(
    ("text", "where", "says"),
    [
        ("kind: promt\nname: a\n", "0.yaml:1 (document 1) /kind", "one of provider, model, prompt"),
        ("name: a\ntext: x\n", "0.yaml:1 (document 1) /kind", "one of"),
        ("kind: api_key\nname: a\n", "0.yaml:1 (document 1) /kind", "one of"),
        (HELLO + "---\nkind: prompt\nname: b\ntext: x\ntemperature: '1'\n", "0.yaml:8 (document 2) /temperature", ""),
        (HELLO + "temprature: 1\n", "0.yaml:4 (document 1) /temprature", ""),
        (HELLO.replace("hello", "Hello"), "0.yaml:2 (document 1) /name", ""),
        (HELLO.replace("hello", "5"), "0.yaml:2 (document 1) /name", "quotes"),
        (HELLO + "labels: {live: {temperature: 9}}\n", "0.yaml:4 (document 1) /labels/live/temperature", ""),
        (PROVIDER + "api_key: sk-plain\n", "0.yaml:5 (document 1) /api_key", "{env: NAME}"),
        (PROVIDER + "secret_headers: {X-Key: {env: a b}}\n", "0.yaml:5 (document 1) /secret_headers/X-Key", "env"),
        (PROVIDER + "labels: {}\n", "0.yaml:5 (document 1) /labels", "no labels"),
        (MODEL.replace("chat", "chatty"), "0.yaml:5 (document 1) /model_kind", ""),
        ("- 1\n", "0.yaml:1 (document 1) /", "an object"),
        (HELLO + "text: again\n", "0.yaml:4", "twice"),
        (HELLO + "---\n" + HELLO, "0.yaml:6", "stands already in 0.yaml:1"),
    ],
)
def test_what_is_wrong_is_told_with_file_line_and_field(tmp_path, text, where, says):
    with pytest.raises(WrongDocuments) as refused:
        documents(tmp_path, text)
    assert refused.value.errors[0].startswith(where), refused.value.errors
    assert says in refused.value.errors[0]


def test_all_that_is_wrong_is_told_at_once_and_no_value_is(tmp_path):
    with pytest.raises(WrongDocuments) as refused:
        documents(tmp_path, PROVIDER + "api_key: sk-plain\n", HELLO + "seed: sk-two\n")
    assert len(refused.value.errors) == 2 and "sk-" not in str(refused.value)


def test_references_to_what_does_not_exist_are_told(tmp_path):
    assert "there is no provider" in wrong(tmp_path, MODEL)[0]
    assert "'z'" in wrong(tmp_path, HELLO.replace("hi", "'{% include \"z\" %}'"), PROVIDER, MODEL)[0]
    assert "/provider" in wrong(tmp_path, HELLO, MODEL, PROVIDER.replace("acme", "b"), present=[acme(archived=True)])[0]


def test_a_circle_is_told(tmp_path):
    one = "kind: prompt\nname: one\ntext: '{% include \"two\" %}'\n"
    with pytest.raises(CommandFailed, match="circle"):
        plan(
            documents(tmp_path, one, one.replace("two", "x").replace("one", "two").replace('"x"', '"one"')),
            [],
            Wishes(),
        )


def test_two_defaults_of_a_kind_are_refused(tmp_path):
    with pytest.raises(WrongDocuments, match="already 'big'"):
        documents(tmp_path, PROVIDER, MODEL + "default: true\n", MODEL.replace("big", "small", 1) + "default: true\n")


def test_an_empty_directory_is_no_configuration(tmp_path):
    with pytest.raises(CommandFailed, match=r"\.yaml"):
        load(tmp_path)


@pytest.mark.parametrize("text", ["", "# all gone\n", "---\n---\n"])
def test_files_with_nothing_in_them_are_no_configuration(tmp_path, text):
    (tmp_path / "a.yaml").write_text(text)
    with pytest.raises(CommandFailed, match="nothing"):
        load(tmp_path)


def test_each_secret_of_an_export_has_a_variable_of_its_own_that_an_apply_takes(tmp_path):
    config = {"api_key": "1234", "secret_headers/X-Team": "5678"}
    things = [
        thing(Provider, name, {"type": "openai", "base_url": URL}, secrets=config) for name in ("4ever", "a-b", "a.b")
    ]
    for name, text in files(things).items():
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    found = load(tmp_path)
    assert done(plan(found, things, Wishes())) == []
    variables = [variable for document in found for variable in document.secrets.values()]
    assert len(set(variables)) == 6
    assert {"_4EVER_API_KEY", "_4EVER_SECRET_HEADERS_X_TEAM"} < set(variables)


def test_a_patch_makes_one_definition_the_other():
    before = {"a": 1, "b": {"c": 1, "d": [1]}, "e": "x", "f": True}
    after = {"a": 1, "b": {"d": [2], "g": {"h": 0}}, "f": 1}
    patch = patch_between(before, after)
    assert patch == {"b": {"c": None, "d": [2], "g": {"h": 0}}, "e": None, "f": 1}
    assert merge_patch(before, patch) == after


def test_an_export_holds_what_differs_from_the_defaults_and_no_secret():
    present = acme(secrets={"api_key": "abcd", "secret_headers/X-Key": ""})
    long = hello(
        {"title": "Hello", "text": "one\ntwo\n", "temperature": 0.5},
        labels={"live": {"text": "old"}, "next": {"text": "one\ntwo\n", "temperature": 0.5}},
    )
    assert files([present, long, hello(archived=True)]) == {
        "providers/acme.yaml": "kind: provider\nname: acme\ntype: openai\nbase_url: https://a.example/v1\n"
        "api_key:\n  env: ACME_API_KEY\nsecret_headers:\n  X-Key:\n    env: ACME_SECRET_HEADERS_X_KEY\n",
        "prompts/hello.yaml": "kind: prompt\nname: hello\ntitle: Hello\ntemperature: 0.5\ntext: |\n  one\n  two\n"
        "labels:\n  live:\n    text: old\n    temperature: null\n  next: {}\n",
    }
