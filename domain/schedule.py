"""Schedules: cron's five fields, in UTC, or in the time zone that `CRON_TZ=Area/City` before them names."""

from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

ZONE = "CRON_TZ="
FIELDS = 5


def next_time(schedule: str, after: datetime) -> datetime:
    """Return when it is time next, in UTC; raise ValueError that says what is wrong with the schedule.

    An hour that a clock skips or shows twice is met once, as Debian's cron has it.
    """
    zone: tzinfo = UTC
    fields = schedule.split()
    if fields and fields[0].startswith(ZONE):
        name = fields.pop(0).removeprefix(ZONE)
        try:
            zone = ZoneInfo(name)
        except (ValueError, OSError, KeyError):
            raise ValueError(f"{name!r} is no time zone: one is Europe/Berlin") from None
    if len(fields) != FIELDS:
        raise ValueError(
            "a schedule has five fields: minute, hour, day of month, month, day of week, as `30 3 * * 1-5`"
        )
    try:
        return next(CronSim(" ".join(fields), after.astimezone(zone))).astimezone(UTC)
    except CronSimError as error:
        raise ValueError(f"this schedule can't be read: {error}") from None
    except StopIteration:
        raise ValueError("this schedule never comes") from None
