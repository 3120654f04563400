"""Tags: one word for another, on everything."""

from domain.prompt import Prompt
from domain.tag import Tag
from tests.scenario import given


def test_a_renaming_tells_how_many_things_it_touched():
    given(Tag(tag="old")).when(lambda t: t.rename("new", things=3)).then((Tag.Renamed, {"to": "new", "things": 3}))


def test_a_thing_that_carries_both_tags_carries_the_new_one_once():
    prompt = Prompt.create(name="p", definition={"text": "a", "tags": ["x", "old", "new"]})
    given(prompt).when(lambda p: p.retag("old", "new")).then((Prompt.Tagged, {"tags": ["x", "new"]}))
