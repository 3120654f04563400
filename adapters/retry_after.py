"""How long an answer asks to be left alone: Retry-After (RFC 9110, 10.2.3), as whoever is asked writes it."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

LONGEST_NUMBER = 15


def seconds_asked(value: str | None, now: datetime | None = None) -> float | None:
    """Return the seconds that a Retry-After asks for: a number of them, or until a date; None where it is neither."""
    seconds = number(value)
    if seconds is not None or value is None:
        return seconds
    try:
        date = parsedate_to_datetime(value)
        return max(0.0, (date.replace(tzinfo=date.tzinfo or UTC) - (now or datetime.now(UTC))).total_seconds())
    except (ValueError, OverflowError):
        return None


def number(text: str | None) -> float | None:
    """Return a number that is written with digits and at most one point."""
    text = None if text is None else text.strip()
    if not text or not text.isascii() or not text.replace(".", "", 1).isdigit() or len(text) > LONGEST_NUMBER:
        return None
    return float(text)
