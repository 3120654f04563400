"""Documents: what people change of passages goes with the text, and is put into an index like a version."""

from uuid import UUID

from domain.document import Document
from domain.passage_edits import CutPassage, Edit, PassageName, matched
from tests.scenario import given

NAME = PassageName(start=10, end=20, sha256="aa")
NAMED = {"start": 10, "end": 20, "sha256": "aa"}


def an_indexed_document() -> Document:
    document = Document.create(source=UUID(int=1), external_id="a")
    document.add(sha256="00", size=1, media_type="", title="", url=None, metadata={}, acl=None)
    document.finish_indexing(number=1, index=1, chunking="cc", chunks=1, space=None, dimensions=None)
    return document


def test_an_edited_passage_is_to_be_indexed_anew_and_then_is_not():
    document = (
        given(an_indexed_document())
        .when(lambda d: d.edit(NAME, text_sha256="bb"))
        .then((Document.PassageEdited, NAMED | {"text_sha256": "bb"}))
    )
    assert document.needs(1) and not document.lacks(1)
    found = {"number": 1, "index": 1, "chunking": "dd", "chunks": 1, "space": None, "dimensions": None}
    given(document).when(lambda d: d.finish_indexing(**found, edition=1)).then((Document.PassagesIndexed, found))
    assert not document.needs(1)


def test_the_same_edit_again_is_nothing_new_and_a_restored_passage_keeps_no_edit():
    document = an_indexed_document()
    document.edit(NAME, text_sha256="bb")
    given(document).when(lambda d: d.edit(NAME, text_sha256="bb")).then_nothing()
    given(document).when(lambda d: d.edit(NAME, text_sha256=None)).then((Document.PassageRestored, NAMED))
    assert document.edits == {}


def test_a_disabled_passage_needs_no_index_and_is_enabled_again():
    document = (
        given(an_indexed_document())
        .when(lambda d: d.disable(NAME, disabled=True))
        .then((Document.PassageDisabled, NAMED))
    )
    assert not document.needs(1)
    given(document).when(lambda d: d.disable(NAME, disabled=True)).then_nothing()
    given(document).when(lambda d: d.disable(NAME, disabled=False)).then((Document.PassageEnabled, NAMED))


def test_an_edit_that_can_not_be_indexed_fails_alone_and_the_document_stays_indexed():
    document = an_indexed_document()
    document.edit(NAME, text_sha256="bb")
    failed = {"number": 1, "index": 1, "code": "refused", "reason": "no", "blame": "document", "edition": 1}
    given(document).when(lambda d: d.fail(**failed)).then((Document.EditsFailed, failed))
    assert (document.status, document.needs(1)) == ("indexed", False)
    given(document).when(lambda d: d.retry([1])).then((Document.RetryRequested, {}))
    assert document.needs(1)


def test_what_could_not_be_put_into_an_index_of_the_past_is_not_tried_again():
    document = an_indexed_document()
    document.edit(NAME, text_sha256="bb")
    failed = {"number": 1, "code": "refused", "reason": "no", "blame": "service", "edition": 1}
    document.fail(index=1, **failed)
    document.fail(index=2, **failed)
    document.finish_indexing(number=1, index=3, chunking="cc", chunks=1, space=None, dimensions=None, edition=1)
    assert document.status == "indexed"
    given(document).when(lambda d: d.retry([3])).then_nothing()
    assert document.status == "indexed"


def test_changes_of_passages_that_failed_are_not_tried_again_once_a_new_version_has_them():
    document = an_indexed_document()
    document.edit(NAME, text_sha256="bb")
    document.fail(number=1, index=1, code="refused", reason="no", blame="document", edition=1)
    document.add(sha256="11", size=1, media_type="", title="", url=None, metadata={}, acl=None)
    document.finish_indexing(number=2, index=1, chunking="cc", chunks=1, space=None, dimensions=None, edition=1)
    given(document).when(lambda d: d.retry([1])).then_nothing()
    assert document.status == "indexed"


def test_an_edit_finds_its_text_again_the_nearest_of_several_and_else_is_orphaned():
    cut = [CutPassage(ordinal=n, start=start, sha256=text) for n, (start, text) in enumerate([(0, "aa"), (90, "aa")])]

    def edit(start: int, sha256: str) -> Edit:
        return Edit(name=PassageName(start=start, end=start + 5, sha256=sha256), text="bb", disabled=False)

    assert matched([edit(70, "aa")], cut) == {1: edit(70, "aa")}
    assert matched([edit(0, "aa"), edit(10, "aa")], cut) == {0: edit(0, "aa"), 1: edit(10, "aa")}
    assert matched([edit(0, "gone")], cut) == {}
