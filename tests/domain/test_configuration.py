"""What all configuration things do alike, shown on prompts and providers."""

import pytest

from domain.errors import Archived, Conflict, Invalid, StaleVersion
from domain.prompt import Prompt
from domain.provider import Provider
from domain.references import identify
from tests.scenario import given


def a_prompt(**definition: object) -> Prompt:
    return Prompt.create(name="greeting", definition={"text": "Hello {{ name }}", **definition})


def a_provider() -> Provider:
    provider = Provider.create(name="openai", definition={"type": "openai", "base_url": "https://api.example.com/v1"})
    provider.set_secret("api_key", hint="wxyz")
    return provider


def changed(thing: Prompt | Provider, **fields: object) -> None:
    thing.change(thing.definition | fields)


def test_a_new_thing_has_version_1_and_that_is_live():
    prompt = a_prompt()
    assert (prompt.version, prompt.labels["live"]["version"], prompt.is_draft) == (1, 1, False)


def test_the_id_is_made_from_kind_and_name_so_that_a_name_is_unique():
    assert a_prompt().id == identify("prompt", "greeting") == a_prompt().id
    assert identify("model", "greeting") != a_prompt().id
    assert identify("prompt", str(a_prompt().id)) == a_prompt().id


def test_names_that_could_be_mistaken_are_refused():
    for name in ("", "Upper", "-x", "a" * 64, "a/b", "../a", "a\n", "a b", "é", str(a_prompt().id)):
        refusal = None
        try:
            Prompt.create(name=name, definition={"text": "x"})
        except Invalid as error:
            refusal = error
        assert refusal is not None and refusal.errors[0].pointer == "/name", name


def test_a_change_of_two_groups_is_two_events_in_the_words_of_the_business():
    prompt = (
        given(a_prompt())
        .when(lambda p: changed(p, text="Hi", temperature=0.5))
        .then(
            (Prompt.TextChanged, {"text": "Hi", "messages": None}),
            (Prompt.ParametersChanged, {"temperature": 0.5, "seed": None}),
        )
    )
    assert prompt.version == 3
    assert prompt.is_draft


def test_a_change_that_changes_nothing_is_no_event():
    given(a_prompt()).when(lambda p: changed(p, text="Hello {{ name }}")).then_nothing()


def test_one_and_one_point_zero_and_true_are_different_values():
    schema = {"variables": {"n": {"schema": {"const": 1}}}}
    prompt = a_prompt(**schema)
    given(prompt).when(lambda p: changed(p, variables={"n": {"schema": {"const": 1.0}}})).then(
        (Prompt.VariablesChanged, {})
    )


def test_title_and_tags_make_no_draft():
    prompt = (
        given(a_prompt())
        .when(lambda p: changed(p, title="Greeting", tags=["a"]))
        .then((Prompt.Described, {"title": "Greeting"}), (Prompt.Tagged, {"tags": ["a"]}))
    )
    assert not prompt.is_draft


def test_publishing_points_live_at_a_version_and_holds_what_it_was():
    prompt = a_prompt()
    old = prompt.definition
    changed(prompt, text="Hi")
    prompt.publish(label="live", version=2, definition=prompt.definition)
    given(prompt).when(lambda p: p.publish(label="live", version=1, definition=old)).then(
        (Prompt.Published, {"label": "live", "version": 1, "definition": old})
    )


def test_publishing_what_is_published_is_no_event():
    prompt = a_prompt()
    given(prompt).when(lambda p: p.publish(label="live", version=1, definition=p.definition)).then_nothing()


def test_publishing_with_a_change_points_live_at_the_version_left_behind():
    prompt = a_prompt()
    changed(prompt, text="Hi")
    given(prompt).when(lambda p: p.publish_newest()).then((Prompt.Published, {"version": 3}))
    assert not prompt.is_draft


@pytest.mark.parametrize("words", [["Hello"], ["Hi", "Hello"]])
def test_publishing_with_a_change_of_how_it_is_shown_or_back_to_what_runs_points_live_there_too(words: list[str]):
    prompt = a_prompt(text="Hello")
    for text in words:
        changed(prompt, text=text, title=f"{text}!")
    left_behind = prompt.version + 1
    given(prompt).when(lambda p: p.publish_newest()).then((Prompt.Published, {"version": left_behind}))
    live = prompt.labels["live"]
    assert (live["version"], live["definition"]["title"]) == (prompt.version, "Hello!")
    prompt.collect_events()
    given(prompt).when(lambda p: p.publish_newest()).then_nothing()


def test_publishing_with_a_change_back_to_exactly_what_runs_points_live_at_the_version_left_behind():
    prompt = a_prompt(text="Hello")
    changed(prompt, text="Hi")

    def changed_back(prompt: Prompt) -> None:
        changed(prompt, text="Hello")
        prompt.publish_newest()

    given(prompt).when(changed_back).then((Prompt.TextChanged, {"text": "Hello"}), (Prompt.Published, {"version": 4}))


def test_a_rollback_takes_back_how_it_is_shown_where_only_that_differs_from_live():
    prompt = a_prompt()
    changed(prompt, title="Greeting")
    prompt.collect_events()
    given(prompt).when(lambda p: p.roll_back(to_version=2, definition=p.definition)).then((Prompt.RolledBack, {}))
    assert prompt.labels["live"]["version"] == prompt.version == 3


def test_a_rollback_is_a_new_version_equal_to_the_old_one_and_live_at_once():
    prompt = a_prompt()
    old = prompt.definition
    changed(prompt, text="Hi")
    given(prompt).when(lambda p: p.roll_back(to_version=1, definition=old)).then(
        (Prompt.RolledBack, {"to_version": 1, "definition": old})
    )
    assert prompt.definition == old
    assert prompt.labels["live"]["version"] == prompt.version == 3


def test_live_can_not_be_removed_but_other_labels_can():
    prompt = a_prompt()
    prompt.publish(label="staging", version=1, definition=prompt.definition)
    given(prompt).when(lambda p: p.remove_label("live")).then_refused(Conflict, "live_label")
    given(prompt).when(lambda p: p.remove_label("staging")).then((Prompt.LabelRemoved, {}))
    given(prompt).when(lambda p: p.remove_label("staging")).then_nothing()


def test_a_label_has_the_form_of_a_name():
    prompt = a_prompt()
    refusal = (
        given(prompt)
        .when(lambda p: p.publish(label="No Label", version=1, definition=p.definition))
        .then_refused(Invalid, "invalid_label")
    )
    assert isinstance(refusal, Invalid) and refusal.errors[0].pointer == "/label"


def test_an_archived_thing_refuses_changes_until_it_is_restored():
    prompt = a_prompt()
    given(prompt).when(lambda p: p.archive()).then((Prompt.ArchivedAway, {}))
    given(prompt).when(lambda p: changed(p, text="Hi")).then_refused(Archived, "archived")
    given(prompt).when(lambda p: p.archive()).then_nothing()
    given(prompt).when(lambda p: p.restore()).then((Prompt.Restored, {}))
    given(prompt).when(lambda p: changed(p, text="Hi")).then((Prompt.TextChanged, {}))


def test_a_version_asked_for_must_be_the_present_one():
    given(a_prompt()).when(lambda p: p.must_be_at(2)).then_refused(StaleVersion)
    given(a_prompt()).when(lambda p: p.must_be_at(1)).then_nothing()


def test_references_are_those_of_the_newest_and_of_every_labelled_version():
    model, other = str(identify("model", "a")), str(identify("model", "b"))
    prompt = a_prompt(model=model)
    changed(prompt, model=other, text="{% include 'footer@staging' %}")
    assert {(pointer, kind) for pointer, kind, _ in prompt.references()} == {
        ("/model", "model"),
        ("/text", "prompt"),
    }
    assert {str(target) for _, _, target in prompt.references()} == {
        model,
        other,
        str(identify("prompt", "footer")),
    }


def test_changing_the_origin_clears_every_secret():
    provider = a_provider()
    origin = provider.origin

    def move(p: Provider) -> None:
        changed(p, base_url="https://elsewhere.example.com/v1")
        p.forget_secrets_of(origin)

    given(provider).when(move).then(
        (Provider.BaseUrlChanged, {}),
        (Provider.SecretCleared, {"field": "api_key", "cause": "origin_changed"}),
    )
    assert provider.secrets == {}


def test_another_path_at_the_same_origin_keeps_the_secrets():
    provider = a_provider()
    origin = provider.origin
    changed(provider, base_url="https://API.example.com:443/v2")
    provider.forget_secrets_of(origin)
    assert provider.secrets == {"api_key": "wxyz"}


def test_a_snapshot_gives_back_the_same_thing():
    prompt = a_prompt()
    changed(prompt, text="Hi", tags=["x"])
    prompt.collect_events()
    copy = Prompt.Snapshot.take(prompt).mutate(None)
    assert isinstance(copy, Prompt)
    assert vars(copy) == vars(prompt)
