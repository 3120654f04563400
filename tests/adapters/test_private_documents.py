"""What is made of the files of conversations: sealed, bound to its conversation, and gone with its subject's key."""

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from psycopg_pool import AsyncConnectionPool

from adapters.event_store.data_keys import DataKeys, SubjectErased
from adapters.keyring import Keyring, SealBroken
from adapters.private_documents import PostgresPrivateDocuments
from commands.conversations.private_source import FilePassage, PrivateDocument
from domain.private_source import Standing
from tests.api.test_subjects import database_holds

MADE = PrivateDocument(
    standing=Standing(space="abc", passages=2),
    passages=[
        FilePassage(start=0, end=5, page=None, heading=None),
        FilePassage(start=5, end=9, page=2, heading="canary-1"),
    ],
    vectors=[b"\x00\x3c\x00\x00", b"\x00\x00\x00\x3c"],
)


@pytest.fixture
async def pool(database: Any) -> AsyncIterator[AsyncConnectionPool]:
    async with AsyncConnectionPool(database.app_dsn, min_size=1, max_size=2, open=False) as opened:
        yield opened


async def test_what_is_made_of_a_file_is_sealed_and_found_by_its_conversation_alone(
    pool: AsyncConnectionPool, database: Any
):
    documents = PostgresPrivateDocuments(pool, DataKeys(pool, Keyring(bytes(32))))
    mine, theirs, file = uuid4(), uuid4(), str(uuid4())
    await documents.keep(mine, "ada", {file: MADE})
    assert await documents.read(mine) == {file: MADE}
    assert await documents.standing(mine) == {file: MADE.standing}
    assert await documents.read(theirs) == {}
    assert database_holds(database.owner_dsn, "canary-1") == []
    words = PrivateDocument(standing=Standing(space=None, passages=0, failure="away"), passages=[], vectors=[])
    await documents.keep(mine, "ada", {file: words})
    assert await documents.read(mine) == {file: words}, "what was made before is replaced"
    await documents.keep(theirs, "ada", {file: MADE})
    assert await documents.read(mine) == {file: words}, "and by its own conversation only"
    async with pool.connection() as connection:
        await connection.execute("UPDATE magnet.private_documents SET conversation = %s", [theirs])
    with pytest.raises(SealBroken):
        await documents.read(theirs)
    await documents.remove(theirs)
    assert await documents.standing(theirs) == {}


async def test_of_who_was_erased_nothing_opens_and_nothing_stays(pool: AsyncConnectionPool):
    keys = DataKeys(pool, Keyring(bytes(32)))
    documents = PostgresPrivateDocuments(pool, keys)
    mine, theirs = uuid4(), uuid4()
    await documents.keep(mine, "ada", {str(uuid4()): MADE})
    await documents.keep(theirs, "bob", {str(uuid4()): MADE})
    await keys.destroy("ada")
    assert await documents.read(mine) == {}
    await documents.remove_erased()
    assert (await documents.standing(mine), len(await documents.standing(theirs))) == ({}, 1)
    with pytest.raises(SubjectErased):
        await documents.keep(mine, "ada", {str(uuid4()): MADE})
