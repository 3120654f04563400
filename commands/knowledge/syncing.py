"""Carrying out syncs: list what the source has, fetch what is new, take away what is gone; goes on after a crash.

What a source listed, and what was taken of it, is on record beside the log. Each batch is told in the log
before it is marked there, so that one that is done again is counted once.
"""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

from commands.at_once import at_once
from commands.bus import Bus
from commands.jobs import Finished, Job, Outcome
from commands.knowledge.connectors import (
    Connector,
    Connectors,
    GivenDocument,
    Listed,
    NotFetched,
    NotSyncable,
    Place,
    SourceSecrets,
    SourceUnavailable,
    connector_of,
    shape_of,
)
from commands.knowledge.document import Documents
from commands.knowledge.document_checks import line
from commands.knowledge.reading import Unreadable
from commands.knowledge.sync import SYNC, EndSync, NoteListing, NoteProgress
from commands.knowledge.sync_runs import document_of
from commands.ports import SYSTEM, Context, Things
from domain.errors import Archived, DomainError, Invalid, NotFound
from domain.knowledge_source import KnowledgeSource
from domain.sync import TOTALS, Sync

TAKEN = ("added", "changed", "unchanged")
"""What became of documents that the source has, and that are here."""

GONE = "gone"
"""What became of documents that were taken before, and that the source lists and does not have."""

FETCHED_AT_ONCE = 8
MOST_DOCUMENTS = 50
LOOK_EVERY = 1000
"""Listed documents after which it is seen whether the sync is to stop."""

MOST_BYTES = 8_000_000
"""Of one batch; a larger document goes alone."""


@dataclass(frozen=True, kw_only=True)
class Item:
    """A document that a source lists and that is to be fetched; `sha256` is that of what was taken before."""

    document: UUID
    external_id: str
    sha256: str | None


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What became of an item: added, changed, unchanged, failed or gone, and what was taken."""

    document: UUID
    outcome: str
    sha256: str | None = None


class SyncItems(Protocol):
    """What sources listed, and what was taken of it, beside the log."""

    async def known(self, source: UUID) -> int:
        """Return how many documents were taken of a source, and are not gone."""

    async def list(self, source: UUID, sync: UUID, listed: Sequence[Listed]) -> None:
        """Note what a source has; what has the version that was taken is unchanged."""

    async def doubt(self, source: UUID, sync: UUID, ids: Collection[str] | None) -> int:
        """Have what was taken and is not listed be fetched, None: all of it; return how many documents that are."""

    async def totals(self, source: UUID, sync: UUID) -> Mapping[str, int]:
        """Return how many documents of a sync there are by what became of them; '': nothing yet."""

    async def next(self, source: UUID, sync: UUID, limit: int) -> Sequence[Item]:
        """Return items of a sync of which nothing became yet."""

    async def settle(self, source: UUID, settled: Sequence[Settled]) -> None:
        """Note what became of items; the versions of those that failed or are gone count as not taken."""

    async def gone(self, source: UUID, sync: UUID, limit: int) -> Sequence[UUID]:
        """Return documents that were taken of a source, and that it no longer lists or has."""

    async def remove(self, source: UUID, sync: UUID, documents: Sequence[UUID]) -> None:
        """Note that documents were removed by a sync."""


class Stopped(Exception):
    """Somebody asked for the sync to stop."""


@dataclass(frozen=True, kw_only=True)
class SyncSources:
    """Carries out the jobs that sync sources."""

    bus: Bus
    things: Things
    documents: Documents
    items: SyncItems
    connectors: Connectors
    secrets: SourceSecrets
    kind: str = SYNC
    most: int = 1
    groups: int = 2

    async def carry_out(self, jobs: Sequence[Job]) -> Mapping[UUID, Outcome]:
        """Sync, from where an earlier attempt came to."""
        for job in jobs:
            await self._carry_out(UUID(job.key))
        return {job.id: Finished() for job in jobs}

    async def give_up(self, job: Job, error: str) -> None:
        """Record that a sync failed for the last time."""
        await self._end(UUID(job.key), "failed", {"code": "given_up", "reason": error})

    async def _carry_out(self, id: UUID) -> None:
        sync = (await self.things.newest_of(Sync, [id])).get(id)
        if sync is None or sync.ended:
            return
        source = await self.things.newest(KnowledgeSource, UUID(sync.source))
        try:
            if source.archived:
                raise Archived("The knowledge source was archived meanwhile.")
            connector = connector_of(self.connectors, source.definition["type"])
            place = Place(source=source.id, config=source.definition["config"], secrets=await self.secrets.of(source))
            try:
                await Syncer(work=self, sync=sync, source=source, connector=connector, place=place).run()
            finally:
                connector.end(place)
        except Stopped:
            await self._end(id, "cancelled", used=document_of(source))
        except (SourceUnavailable, Archived, Invalid, NotSyncable) as error:
            error_told = {"code": error.error_code, "reason": str(error)}
            await self._end(id, "failed", error_told, used=document_of(source))
        else:
            await self._end(id, "completed", used=document_of(source))

    async def _end(
        self, id: UUID, outcome: Any, error: Mapping[str, str] | None = None, used: Mapping[str, Any] | None = None
    ) -> None:
        await self.bus.dispatch(EndSync(id=id, outcome=outcome, error=error, used=used), context_of(id))


@dataclass(frozen=True, kw_only=True)
class Syncer:
    """One sync under way."""

    work: SyncSources
    sync: Sync
    source: KnowledgeSource
    connector: Connector
    place: Place

    async def run(self) -> None:
        """Do all of it; raise Stopped, or SourceUnavailable before anything is taken away."""
        await self._must_go_on()
        if self.sync.listed is None:
            await self._list()
        counted = Counter(await self.work.items.totals(self.source.id, self.sync.id))
        totals = Counter({name: counted[name] for name in (*TOTALS, GONE)})
        reason = "The errors of this sync say why."
        while items := await self._next():
            settled, errors = await self._take(items)
            totals.update(each.outcome for each in settled)
            await self._note(totals, errors)
            await self.work.items.settle(self.source.id, settled)
            reason = errors[0]["reason"] if errors else reason
        if totals["failed"] and not any(totals[name] for name in TAKEN):
            raise SourceUnavailable(f"Nothing of what the source lists could be taken. {reason}", code="nothing_taken")
        if totals[GONE]:
            known = await self.work.items.known(self.source.id)
            self._must_believe(sum(totals[name] for name in (*TAKEN, "failed")), known)
        while gone := await self._gone():
            for document in gone:
                await self._remove(document)
            totals["removed"] += len(gone)
            await self._note(totals, [])
            await self.work.items.remove(self.source.id, self.sync.id, gone)
        await self._note(totals, [])

    async def _list(self) -> None:
        """Ask the source what it has; one that has next to nothing, where it had much, is not believed."""
        listed, left_out, in_doubt = await self._all_there_is()
        known = await self.work.items.known(self.source.id)
        self._must_believe(len(listed), known)
        await self.work.items.list(self.source.id, self.sync.id, listed)
        doubted = await self.work.items.doubt(self.source.id, self.sync.id, in_doubt) if in_doubt != set() else 0
        waiting = (await self.work.items.totals(self.source.id, self.sync.id)).get("", 0)
        command = NoteListing(id=self.sync.id, documents=len(listed) + doubted, to_fetch=waiting, left_out=left_out)
        await self.work.bus.dispatch(command, context_of(self.sync.id))

    def _must_believe(self, listed: int, known: int) -> None:
        """Raise SourceUnavailable where a source that had `known` documents can't well have `listed` ones."""
        if not self.sync.believes(listed=listed, known=known):
            raise SourceUnavailable(
                f"The source has {listed} documents, where it had {known}: nothing was removed. "
                "If that is right, sync it with allow_mass_removal.",
                code="too_few_listed",
            )

    async def _all_there_is(self) -> tuple[Sequence[Listed], int, set[str] | None]:
        """Return what the source lists, each document once, how many things it leaves out, and which may be there yet.

        None: whatever is not listed may.

        What a source tells as a version says nothing of the settings by which a document was made of it: those are
        made part of it, so that a change of them has all fetched again.
        """
        shape = shape_of(self.connector, self.place.config)
        listed: dict[str, Listed] = {}
        left_out, whole, unwanted = 0, True, set[str]()
        try:
            async for each in self.connector.list(self.place):
                whole = whole and (each is None or each.leads)
                if each is None or not each.wanted or not can_be_stored(each.external_id):
                    left_out += 1
                    unwanted |= set() if each is None else {each.external_id}
                else:
                    version = None if each.version is None else f"{each.version} {shape}"
                    listed[each.external_id] = replace(each, version=version)
                if (len(listed) + left_out) % LOOK_EVERY == 0:
                    await self._must_go_on()
        except NotFetched as error:  # a part of the list itself, so that not all is told
            raise SourceUnavailable(str(error), code=error.error_code) from None
        return list(listed.values()), left_out, unwanted if whole else None

    async def _next(self) -> Sequence[Item]:
        await self._must_go_on()
        return await self.work.items.next(self.source.id, self.sync.id, MOST_DOCUMENTS)

    async def _gone(self) -> Sequence[UUID]:
        await self._must_go_on()
        return await self.work.items.gone(self.source.id, self.sync.id, MOST_DOCUMENTS)

    async def _must_go_on(self) -> None:
        if (await self.work.things.newest(Sync, self.sync.id)).state != "running":
            raise Stopped

    async def _take(self, items: Sequence[Item]) -> tuple[list[Settled], list[dict[str, str]]]:
        """Fetch items, as many as go together, and give them; return what became of each."""
        fetched: list[tuple[Item, GivenDocument]] = []
        failed: list[tuple[Item, DomainError]] = []
        size = 0
        for start in range(0, len(items), FETCHED_AT_ONCE):
            for item, got in await self._fetch(items[start : start + FETCHED_AT_ONCE]):
                if isinstance(got, NotFetched):
                    failed.append((item, got))
                else:
                    fetched.append((item, got))
                    size += len(got.content)
            if size >= MOST_BYTES:
                break
        settled = await self._give(fetched, failed) if fetched else []
        settled += [Settled(document=item.document, outcome=failure_of(item, error)) for item, error in failed]
        return settled, [
            {"external_id": item.external_id, "code": error.error_code, "reason": str(error)}
            for item, error in failed
            if failure_of(item, error) != GONE
        ]

    async def _fetch(self, items: Sequence[Item]) -> list[tuple[Item, GivenDocument | NotFetched]]:
        """Fetch items at once; raise SourceUnavailable where one of them finds the source away."""

        async def fetched(item: Item) -> GivenDocument | NotFetched:
            try:
                return await self.connector.fetch(self.place, item.external_id)
            except NotFetched as error:
                return error

        return list(zip(items, await at_once(fetched(item) for item in items), strict=True))

    async def _give(
        self, fetched: Sequence[tuple[Item, GivenDocument]], failed: list[tuple[Item, DomainError]]
    ) -> list[Settled]:
        """Give documents; where one is refused, each alone, so that it harms no other."""
        try:
            added = await self.work.documents.add(
                self.source.id,
                [given for _, given in fetched],
                context_of(self.sync.id),
                before={item.external_id: item.sha256 for item, _ in fetched},
            )
        except (Invalid, Unreadable) as error:
            if len(fetched) == 1:
                failed.append((fetched[0][0], error))
                return []
            return [settled for each in fetched for settled in await self._give([each], failed)]
        return [
            Settled(document=item.document, outcome=outcome_of(item, shown["sha256"]), sha256=shown["sha256"])
            for (item, _), shown in zip(fetched, added.documents, strict=True)
        ]

    async def _remove(self, document: UUID) -> None:
        try:
            await self.work.documents.remove(self.source.id, document, context_of(self.sync.id), cause="sync")
        except NotFound:
            return  # somebody, or an earlier attempt, removed it

    async def _note(self, totals: Counter[str], errors: Sequence[Mapping[str, str]]) -> None:
        command = NoteProgress(id=self.sync.id, totals={name: totals[name] for name in TOTALS}, errors=errors)
        await self.work.bus.dispatch(command, context_of(self.sync.id))


def can_be_stored(external_id: str) -> bool:
    """Return whether a document can have this id."""
    try:
        return bool(line(external_id, "/external_id", 1, 1000))
    except Invalid:
        return False


def outcome_of(item: Item, sha256: str) -> str:
    """Return what became of an item whose content has this hash."""
    if item.sha256 is None:
        return "added"
    return "unchanged" if item.sha256 == sha256 else "changed"


def failure_of(item: Item, error: DomainError) -> str:
    """Return what became of an item that could not be taken: one that never was there has failed."""
    return GONE if item.sha256 is not None and error.error_code == "gone" else "failed"


def context_of(sync: UUID) -> Context:
    """Return on whose behalf a sync acts, and as part of what."""
    return Context(actor=SYSTEM, correlation_id=str(sync), channel="worker")
