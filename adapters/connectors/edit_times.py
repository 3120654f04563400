"""Times of edits as versions, where a source's clock is coarse."""

from datetime import UTC, datetime, timedelta


def version_of(edited: str, settled: timedelta, now: datetime | None = None) -> str | None:
    """Return when something was edited; None where the next edit may bear the same time, or no time is told."""
    try:
        moment = datetime.fromisoformat(edited)
    except ValueError:
        return edited or None
    now = now or datetime.now(UTC)
    return edited if moment.tzinfo is None or moment < now - settled else None
