"""Knowledge sources: chunking, and which index answers."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.knowledge_source import KnowledgeSource, profile_of
from tests.scenario import given


def a_source(**definition: Any) -> KnowledgeSource:
    return KnowledgeSource.create(name="handbook", definition={"type": "files", **definition})


def with_index() -> KnowledgeSource:
    source = a_source()
    source.build_index(embedding_model=None, space=None)
    return source


def test_the_first_index_answers_at_once():
    source = (
        given(a_source())
        .when(lambda s: s.build_index(embedding_model=None, space=None))
        .then((KnowledgeSource.IndexStarted, {"index": 1, "space": None}))
    )
    assert (source.index, source.newest_index) == (1, 1)


def test_after_a_change_of_chunking_the_old_index_answers_until_the_new_one_is_switched_to():
    source = with_index()
    source.change(source.definition | {"chunking": {"strategy": "recursive", "size": 256, "overlap": 32}})
    source.build_index(embedding_model=None, space=None)
    assert (source.index, source.newest_index) == (1, 2)
    given(source).when(lambda s: s.switch_index(2)).then((KnowledgeSource.IndexSwitched, {"index": 2}))


def test_the_same_settings_begin_no_second_index():
    given(with_index()).when(lambda s: s.build_index(embedding_model=None, space=None)).then_nothing()


def test_the_type_of_a_source_is_given_once():
    given(a_source()).when(lambda s: s.change(s.definition | {"type": "folder", "config": {"path": "a"}})).then_refused(
        Invalid, "fixed"
    )


def test_an_overlap_is_smaller_than_the_size():
    with pytest.raises(Invalid):
        a_source(chunking={"size": 64, "overlap": 64})


def test_a_tokenizer_that_is_known_later_begins_no_index_and_stands_in_the_next_one():
    source = with_index()
    wanted: dict[str, Any] = {"embedding_model": None, "space": None, "tokenizer": "cl100k_base"}
    given(source).when(lambda s: s.build_index(**wanted)).then_nothing()
    source.change(source.definition | {"chunking": {"strategy": "sentence"}})
    given(source).when(lambda s: s.build_index(**wanted)).then((KnowledgeSource.IndexStarted, {"index": 2}))
    assert source.indexes["2"]["chunking"]["tokenizer"] == "cl100k_base"
    given(source).when(lambda s: s.build_index(**wanted)).then_nothing()


@pytest.mark.parametrize(
    "chunking",
    [
        {"strategy": "parent_child"},
        {"strategy": "sentence", "parent_size": 2048},
        {"strategy": "parent_child", "size": 512, "parent_size": 512},
    ],
)
def test_a_parent_size_belongs_to_parts_that_are_smaller(chunking: dict[str, Any]):
    with pytest.raises(Invalid) as refusal:
        a_source(chunking=chunking)
    assert refusal.value.errors[0].pointer == "/chunking"


def test_chunking_without_parts_is_told_as_it_was_before_there_were_any():
    assert a_source().definition["chunking"] == {"strategy": "recursive", "size": 512, "overlap": 64}
    parted = a_source(chunking={"strategy": "parent_child", "parent_size": 2048})
    assert parted.definition["chunking"]["parent_size"] == 2048


def test_profiles_and_what_is_made_of_chunks_begin_an_index_and_their_limit_of_cost_does_not():
    source = with_index()
    wanted: dict[str, Any] = {"embedding_model": None, "space": None}
    profile = {"glob": "*.md", "parser": "markdown", "chunking": None}
    given(source).when(lambda s: s.change(s.definition | {"profiles": [profile]})).then(
        (KnowledgeSource.ProfilesChosen, {"profiles": [profile]})
    )
    given(source).when(lambda s: s.build_index(**wanted)).then((KnowledgeSource.IndexStarted, {"index": 2}))
    source.change(source.definition | {"transformation": {}})
    given(source).when(lambda s: s.build_index(**wanted)).then((KnowledgeSource.IndexStarted, {"index": 3}))
    source.change(source.definition | {"transformation": {"cost_limit": {"amount": "1"}}})
    given(source).when(lambda s: s.build_index(**wanted)).then_nothing()


def test_a_profile_that_says_nothing_of_ocr_is_as_it_was_and_one_that_does_begins_an_index():
    source = with_index()
    source.change(source.definition | {"profiles": [{"glob": "*.pdf"}]})
    assert source.definition["profiles"] == [{"glob": "*.pdf", "parser": None, "chunking": None}]
    source.build_index(embedding_model=None, space=None)
    source.change(source.definition | {"profiles": [{"glob": "*.pdf", "ocr": "auto"}]})
    given(source).when(lambda s: s.build_index(embedding_model=None, space=None)).then(
        (KnowledgeSource.IndexStarted, {"index": 3})
    )
    with pytest.raises(Invalid):
        source.change(source.definition | {"profiles": [{"glob": "*.pdf", "ocr": "perhaps"}]})


def test_the_first_pattern_that_one_of_the_names_fits_is_the_profile():
    profiles = [{"glob": "docs/*.md"}, {"glob": "*.md"}, {"glob": "Report [0-9]*"}]
    assert profile_of(profiles, ["docs/deep/a.md"]) == profiles[0]
    assert profile_of(profiles, ["a.md", "Report 7"]) == profiles[1]
    assert profile_of(profiles, ["a", "Report 7"]) == profiles[2]
    assert profile_of(profiles, ["a", "A.MD"]) is None


def test_a_source_of_before_has_no_profiles_and_nothing_is_made_of_its_chunks():
    source = a_source()
    source.definition = {k: v for k, v in source.definition.items() if k not in ("profiles", "transformation")}
    source.build_index(embedding_model=None, space=None)
    given(source).when(lambda s: s.change({**s.definition, "title": "Handbook"})).then(
        (KnowledgeSource.Described, {"title": "Handbook"})
    )
    given(source).when(lambda s: s.build_index(embedding_model=None, space=None)).then_nothing()
