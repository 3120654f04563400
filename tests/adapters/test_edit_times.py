"""Times of edits as versions: one that a later edit may bear too is none."""

from datetime import datetime, timedelta

import pytest

from adapters.connectors.edit_times import version_of

SETTLED = timedelta(minutes=5)


@pytest.mark.parametrize(("edited", "now", "settled"), [
    ("2026-05-01T10:00:00Z", "2026-05-01T10:04:59Z", False),
    ("2026-05-01T10:00:00Z", "2026-05-01T10:05:01Z", True),
    ("2026-05-01T10:00+02:00", "2026-05-01T08:06:00Z", True),
    ("2026-05-01", "2026-05-01T23:59:00Z", False),
    ("2026-05-01", "2026-05-02T12:04:00Z", False),  # in the last place on earth that day was over five minutes ago
    ("2026-05-01", "2026-05-02T12:06:00Z", True),
    ("2026-05", "2026-05-31T23:00:00Z", False),
    ("2026-05", "2026-06-01T13:00:00Z", True),
    ("2026", "2026-12-31T10:00:00Z", False),
    ("2025", "2026-05-01T10:00:00Z", True),
    ("2026-05-01T10:00:00", "2026-05-01T21:00:00Z", False),
    ("2026-05-01T10:00:00", "2026-05-01T22:06:00Z", True),
    ("yesterday", "2026-05-01T10:00:00Z", True),
])  # fmt: skip
def test_a_time_is_a_version_once_it_is_over_everywhere(edited: str, now: str, settled: bool):
    assert version_of(edited, SETTLED, datetime.fromisoformat(now)) == (edited if settled else None)


def test_no_time_is_no_version():
    assert version_of("", SETTLED) is None
