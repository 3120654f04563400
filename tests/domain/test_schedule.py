"""Schedules: when it is time next, in which time zone, and what is told of one that can't be read."""

from datetime import UTC, datetime

import pytest

from domain.errors import Invalid
from domain.knowledge_source import KnowledgeSource
from domain.schedule import next_time


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(("schedule", "after", "comes"), [
    ("*/15 * * * *", "2026-05-04T10:07", "2026-05-04T10:15"),
    ("30 3 * * *", "2026-05-04T03:30", "2026-05-05T03:30"),
    ("0 9 * * 1-5", "2026-05-08T09:00", "2026-05-11T09:00"),
    ("0 0 29 2 *", "2026-05-08T09:00", "2028-02-29T00:00"),
    ("CRON_TZ=Europe/Berlin 30 3 * * *", "2026-05-04T00:00", "2026-05-04T01:30"),
    ("CRON_TZ=Europe/Berlin 30 3 * * *", "2026-12-04T00:00", "2026-12-04T02:30"),
    ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T12:00", "2026-03-29T01:00"),  # the clock goes from 2 to 3
    ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T12:00", "2026-10-25T00:30"),  # the clock shows 2:30 twice
    ("CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30", "2026-10-26T01:30"),
])  # fmt: skip
def test_it_is_time_when_the_clock_of_its_zone_says_so(schedule: str, after: str, comes: str):
    assert next_time(schedule, at(after)) == at(comes)


@pytest.mark.parametrize(("schedule", "told"), [
    ("", "five fields"), ("* * * *", "five fields"), ("0 0 * * * *", "five fields"), ("61 * * * *", "minute"),
    ("* * * * mondays", "day-of-week"), ("CRON_TZ=Mars/Olympus 0 0 * * *", "no time zone"),
    ("CRON_TZ=../../etc/passwd 0 0 * * *", "no time zone"), ("0 0 31 2 *", "day-of-month"), ("@daily", "five fields"),
    ("CRON_TZ= 0 0 * * *", "no time zone"),
])  # fmt: skip
def test_a_schedule_that_can_not_be_read_is_refused_in_words(schedule: str, told: str):
    with pytest.raises(ValueError, match=told):
        next_time(schedule, at("2026-05-04T10:00"))
    with pytest.raises(Invalid) as refused:
        KnowledgeSource.create(name="docs", definition={"type": "files", "schedule": schedule})
    assert refused.value.errors[0].pointer.endswith("/schedule")
