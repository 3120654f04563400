"""Retry-After as others write it."""

from datetime import UTC, datetime

import pytest

from adapters.retry_after import seconds_asked

NOW = datetime(2026, 5, 1, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("1.5", 1.5),
        ("Fri, 01 May 2026 12:00:30 GMT", 30.0),
        ("Fri, 01 May 2026 12:00:30", 30.0),
        ("Fri, 01 May 2026 14:00:30 +0200", 30.0),
        ("Thu, 30 Apr 2026 12:00:00 GMT", 0.0),
        ("Sat, 01 Jan 0001 00:00:00 +2359", 0.0),
        ("Fri, 31 Dec 99999999999 23:59:59 GMT", None),
        ("Fri, 01 May 2026 12:00:00 +9999", None),
        ("9" * 400, None),
        ("-5", None),
        ("\u0665", None),
        ("nan", None),
        ("inf", None),
        ("soon", None),
    ],
)
def test_it_is_a_number_of_seconds_or_a_date_and_else_nothing(value: str | None, seconds: float | None):
    assert seconds_asked(value, NOW) == seconds
