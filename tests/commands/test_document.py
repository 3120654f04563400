"""Giving documents: each content once, each version on record, nothing hostile stored."""

import asyncio
from collections.abc import AsyncIterator
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest

from api.bootstrap import open_container
from api.container import Container
from api.settings import Settings
from commands.configuration import Archive, CreateThing
from commands.knowledge.connectors import GivenDocument
from commands.ports import SYSTEM, Context, IdempotencyKey
from domain.errors import Archived, Invalid, NotFound
from domain.knowledge_source import KnowledgeSource
from tests.support.postgres import Database

ASKED = Context(actor=SYSTEM)


def a_document(external_id: str = "a.txt", content: str = "one", **more: Any) -> GivenDocument:
    given: dict[str, Any] = {"title": "", "url": None, "media_type": "text/plain", "metadata": {}, "acl": None}
    return GivenDocument(external_id=external_id, content=content.encode(), **(given | more))


@pytest.fixture
async def container(database: Database, tmp_path: Path) -> AsyncIterator[Container]:
    made = Settings(_env_file=None, MAGNET_HOME=tmp_path)  # type: ignore[call-arg]
    opened = await open_container(made, dsn=database.app_dsn, worker=False)
    yield opened
    await opened.close()


@pytest.fixture
async def source(container: Container) -> UUID:
    command = CreateThing(kind=KnowledgeSource, name="handbook", body={"type": "files"})
    return (await container.bus.dispatch(command, ASKED)).id


def topics(database: Database) -> list[str]:
    with psycopg.connect(database.owner_dsn) as owner:
        rows = owner.execute("SELECT topic FROM magnet.magnet_events ORDER BY notification_id").fetchall()
    return [topic for (topic,) in rows if topic.startswith("document.")]


async def test_a_document_is_on_record_with_the_hash_of_its_content(container: Container, source: UUID, database):
    added = await container.documents.add(source, [a_document()], ASKED)
    assert [(each["version"], each["status"], each["sha256"]) for each in added.documents] == [
        (1, "pending", sha256(b"one").hexdigest())
    ]
    assert topics(database) == ["document.created", "document.version_added"]
    assert added.receipt.position == await container.log.head()
    with psycopg.connect(database.owner_dsn) as owner:
        assert owner.execute("SELECT content FROM magnet.contents").fetchall() == [(b"one",)]
        assert owner.execute("SELECT kind, key FROM magnet.jobs WHERE kind = 'index_document'").fetchall() == [
            ("index_document", added.documents[0]["id"])
        ]
    progress = await container.uploads.progress(added.job_id)
    assert progress is not None and (progress.total, progress.done, progress.failed) == (1, 0, [])


async def test_the_same_content_twice_is_one_version_and_no_event(container: Container, source: UUID, database):
    first = await container.documents.add(source, [a_document(), a_document("b.txt")], ASKED)
    again = await container.documents.add(source, [a_document(), a_document("b.txt")], ASKED)
    assert again.documents == first.documents
    assert (again.receipt.version, again.receipt.position) == (first.receipt.version, first.receipt.position)
    assert len(topics(database)) == 4


async def test_the_same_upload_20_times_at_once_is_one_document(container: Container, source: UUID, database):
    given = [a_document(), a_document("b.txt", "two")]
    answers = await asyncio.gather(*(container.documents.add(source, given, ASKED) for _ in range(20)))
    assert len({tuple(each["id"] for each in answer.documents) for answer in answers}) == 1
    assert {each["version"] for answer in answers for each in answer.documents} == {1}
    assert sorted(topics(database)) == ["document.created"] * 2 + ["document.version_added"] * 2


async def test_different_uploads_that_share_a_document_settle_on_one_version(container: Container, source, database):
    shared = a_document("shared.txt")
    uploads = [[a_document(f"{number}.txt"), shared] for number in range(20)]
    await asyncio.gather(*(container.documents.add(source, given, ASKED) for given in uploads))
    assert topics(database).count("document.version_added") == 21


async def test_other_details_of_the_same_content_are_no_new_version(container: Container, source: UUID, database):
    await container.documents.add(source, [a_document(metadata={"final": True})], ASKED)
    added = await container.documents.add(source, [a_document(metadata={"final": 1}, title="A")], ASKED)
    assert added.documents[0]["version"] == 1
    assert topics(database)[-1] == "document.details_changed"


async def test_a_removed_document_that_is_given_again_is_a_new_version(container: Container, source: UUID):
    added = await container.documents.add(source, [a_document()], ASKED)
    document = UUID(added.documents[0]["id"])
    await container.documents.remove(source, document, ASKED)
    with pytest.raises(NotFound):
        await container.documents.remove(source, document, ASKED)
    again = await container.documents.add(source, [a_document()], ASKED)
    assert again.documents[0]["version"] == 2


async def test_a_document_of_another_source_is_not_there(container: Container, source: UUID):
    added = await container.documents.add(source, [a_document()], ASKED)
    for ask in (container.documents.remove, container.documents.retry):
        with pytest.raises(NotFound):
            await ask(uuid4(), UUID(added.documents[0]["id"]), ASKED)


async def test_the_same_key_gives_the_first_answer_again(container: Container, source: UUID, database):
    key = IdempotencyKey(key="k", scope=b"s" * 32, body=b"b" * 32)
    context = Context(actor=SYSTEM, idempotency=key)
    first, again = [await container.documents.add(source, [a_document()], context) for _ in range(2)]
    assert again.receipt.replayed
    assert (again.documents, again.job_id, again.receipt.position) == (
        first.documents,
        first.job_id,
        first.receipt.position,
    )


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("external_id", ""),
        ("external_id", "a\x00b"),
        ("external_id", "a\nb"),
        ("external_id", "x" * 1001),
        ("external_id", "\ud800"),
        ("title", "a\udfff"),
        ("title", "a\x00"),
        ("url", "javascript:alert(1)"),
        ("url", "example.com"),
        ("url", "https://a\nb"),
        ("media_type", "text"),
        ("media_type", "text/plain\r\nX: y"),
        ("metadata", []),
        ("metadata", {"a": float("nan")}),
        ("metadata", {"a": float("inf")}),
        ("metadata", {"a\x00": 1}),
        ("metadata", {"a": {"b": ["\ud800"]}}),
        ("metadata", {"a": 2**64}),
        ("metadata", {"a": "x" * 70_000}),
        ("metadata", {"a": [[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]}),
        ("acl", [""]),
        ("acl", ["a\x00"]),
        ("acl", [1]),
        ("acl", ["g"] * 1001),
    ],
)
async def test_what_can_not_be_stored_is_refused_by_name(container: Container, source, database, field, value):
    with pytest.raises(Invalid) as refused:
        await container.documents.add(source, [a_document("ok"), a_document(**{field: value})], ASKED)
    assert refused.value.errors[0].pointer.startswith(f"/documents/1/{field}")
    assert topics(database) == []


async def test_no_documents_or_one_twice_are_refused(container: Container, source: UUID):
    for given in ([], [a_document(), a_document(content="two")]):
        with pytest.raises(Invalid):
            await container.documents.add(source, given, ASKED)


async def test_an_unknown_or_archived_source_takes_nothing(container: Container, source: UUID, database):
    with pytest.raises(NotFound):
        await container.documents.add(uuid4(), [a_document()], ASKED)
    await container.bus.dispatch(Archive(kind=KnowledgeSource, id=source), ASKED)
    with pytest.raises(Archived):
        await container.documents.add(source, [a_document()], ASKED)
    assert topics(database) == []


async def test_uploads_are_forgotten_after_a_month(container: Container, source: UUID, database):
    old, kept = [(await container.documents.add(source, [a_document(name)], ASKED)).job_id for name in ("old", "kept")]
    with psycopg.connect(database.owner_dsn) as owner:
        for id, days in ((old, 31), (kept, 29)):
            age = "UPDATE magnet.uploads SET made_at = made_at - %s * interval '1 day' WHERE id = %s"
            owner.execute(age, [days, id])
    await container.documents.add(source, [a_document("new")], ASKED)
    assert await container.uploads.progress(old) is None
    assert await container.uploads.progress(kept) is not None
