"""Values that stand in several definitions, each read in one way."""

import re
from datetime import UTC, datetime
from typing import Annotated

from pydantic import StringConstraints

RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]+)?([Zz]|[+-][0-9]{2}:[0-9]{2})\Z"
)

Group = Annotated[str, StringConstraints(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f]+$")]
"""The name of a group of callers."""


def moment(text: str) -> datetime:
    """Return the time that RFC 3339 text stands for, in UTC; raise ValueError that says what is expected.

    The first and the last year are left out: in another time zone they are no time at all.
    """
    try:
        found = datetime.fromisoformat(text.upper()) if RFC_3339.match(text) else None
    except ValueError:
        found = None
    if found is None or not 1 < found.year < 9999:
        raise ValueError("a time is RFC 3339 text with an offset, such as 2027-01-31T12:00:00Z")
    return found.astimezone(UTC)
