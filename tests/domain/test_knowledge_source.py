"""Knowledge sources: chunking, and which index answers."""

from typing import Any

import pytest

from domain.errors import Invalid
from domain.knowledge_source import KnowledgeSource
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
