"""Times of edits as versions, where a source's clock is coarse."""

import re
from datetime import UTC, datetime, timedelta, timezone

COARSE = re.compile(r"\d{4}(-\d\d){0,2}")
"""A year, a month or a day."""

BEHIND = timedelta(hours=12)
"""How far the last place on earth is behind UTC: where no zone is told, it may be that one's."""


def version_of(edited: str, settled: timedelta, now: datetime | None = None) -> str | None:
    """Return when something was edited; None where the next edit may bear the same time, or no time is told."""
    before = (now or datetime.now(UTC)) - settled
    if COARSE.fullmatch(edited):
        return edited if edited < (before - BEHIND).isoformat()[: len(edited)] else None
    try:
        moment = datetime.fromisoformat(edited)
    except ValueError:
        return edited or None
    return edited if (moment if moment.tzinfo else moment.replace(tzinfo=timezone(-BEHIND))) < before else None
