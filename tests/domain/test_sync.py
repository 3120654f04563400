"""Syncs: one at a time, ended once, and what is believed of a source."""

from uuid import uuid4

from domain.sync import TOTALS, Sync, SyncEnded, Syncing, SyncInProgress
from tests.scenario import given

SOURCE = uuid4()
TOTAL = dict.fromkeys(TOTALS, 0)


def a_sync(*, allow_mass_removal: bool = False) -> Sync:
    return Sync.create(source=SOURCE, allow_mass_removal=allow_mass_removal)


def cancelling() -> Sync:
    sync = a_sync()
    sync.cancel()
    return sync


def completed() -> Sync:
    sync = a_sync()
    sync.end("completed")
    return sync


def test_one_sync_of_a_source_at_a_time():
    syncing, first, second = Syncing.create(source=SOURCE), uuid4(), uuid4()
    given(syncing).when(lambda s: s.begin(first)).then((Syncing.Began, {"sync": str(first)}))
    refusal = given(syncing).when(lambda s: s.begin(second)).then_refused(SyncInProgress, "sync_in_progress")
    assert refusal.details == {"sync": str(first)}
    given(syncing).when(lambda s: s.end(second)).then_nothing()
    given(syncing).when(lambda s: s.end(first)).then((Syncing.Ended, {"sync": str(first)}))
    given(syncing).when(lambda s: s.begin(second)).then((Syncing.Began, {"sync": str(second)}))


def test_a_source_that_lists_nothing_where_it_listed_much_is_not_believed():
    sync = a_sync()
    assert not sync.believes(listed=0, known=1)
    assert not sync.believes(listed=9, known=100)
    assert sync.believes(listed=10, known=100)
    assert sync.believes(listed=1, known=19)
    assert sync.believes(listed=0, known=0)
    assert a_sync(allow_mass_removal=True).believes(listed=0, known=100)


def test_a_sync_ends_once():
    given(a_sync()).when(lambda s: s.end("failed", {"code": "c", "reason": "r"})).then(
        (Sync.Failed, {"code": "c", "reason": "r"})
    )
    given(completed()).when(lambda s: s.end("cancelled")).then_nothing()
    given(completed()).when(lambda s: s.progress(totals=TOTAL | {"added": 1}, errors=[])).then_nothing()
    given(completed()).when(lambda s: s.cancel()).then_refused(SyncEnded, "sync_ended")


def test_a_sync_is_asked_to_stop_once():
    given(a_sync()).when(lambda s: s.cancel()).then((Sync.CancelRequested, {}))
    given(cancelling()).when(lambda s: s.cancel()).then_nothing()
    given(cancelling()).when(lambda s: s.end("cancelled")).then((Sync.Cancelled, {}))


def test_progress_that_is_told_again_is_no_event():
    sync = a_sync()
    given(sync).when(lambda s: s.progress(totals=TOTAL | {"added": 1}, errors=[])).then((Sync.Progressed, {}))
    given(sync).when(lambda s: s.progress(totals=TOTAL | {"added": 1}, errors=[])).then_nothing()
