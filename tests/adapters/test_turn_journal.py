"""The journal of turns: what one process says, others hear, whatever goes wrong once."""

import asyncio
from collections.abc import Iterable
from typing import Any
from uuid import uuid4

from adapters.event_store.data_keys import KeyNotLoaded
from adapters.postgres.pools import pool_of
from adapters.turn_journal import PostgresTurnJournal
from commands.conversations.turn_streams import TurnEvent
from tests.support.patience import PATIENCE
from tests.support.postgres import Database


class ForgottenOnce:
    """Data keys of which the first that is brought is forgotten before it is used, as when another is destroyed."""

    forgotten = False

    async def ensure(self, subjects: Iterable[str]) -> None:
        if subjects and not self.forgotten:
            self.forgotten = True
            raise KeyNotLoaded

    async def fetch(self, keys: Iterable[str]) -> None:
        pass

    def seal(self, subject: str, text: str, aad: bytes) -> dict[str, Any]:
        return {"key": subject, "text": text}

    def unseal(self, box: dict[str, Any], aad: bytes) -> str:
        return str(box["text"])


async def test_a_key_that_is_forgotten_as_it_is_used_does_not_end_the_writing_for_other_processes(database: Database):
    async with pool_of(database.app_dsn, 1, 4) as pool:
        journal, run, said = PostgresTurnJournal(pool, ForgottenOnce()), uuid4(), list[str]()  # type: ignore[arg-type]
        await journal.open()

        async def goes_on() -> bool:
            return True

        try:
            journal.note(run, "ada", TurnEvent(sequence=1, type="turn.completed", data={}))
            async with asyncio.timeout(PATIENCE):
                async for event in journal.follow(run, 0, goes_on):
                    said.append(event.type)
        finally:
            await journal.close()
    assert said == ["turn.completed"]
