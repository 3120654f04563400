"""How a sheet's numbers are to be read: which are dates, times, durations or percentages."""

import re
from datetime import datetime, timedelta
from typing import Any

from adapters.reading.archive import attribute, inner, local

DATES = frozenset([*range(14, 18), 22, *range(27, 32), 34, 35, 36, *range(50, 59)])
TIMES = frozenset([*range(18, 22), 32, 33, 45, 47])
DURATION = 46
PERCENTAGES = frozenset([9, 10])
"""Numbers of formats that every program knows."""

SAID = re.compile(r'"[^"]*"|\\.|_.|\*.')
"""What a format shows as it stands, or as a blank."""

ELAPSED = re.compile(r"\[(?:h+|m+|s+)\]", re.IGNORECASE)
BRACKETS = re.compile(r"\[[^\]]*\]")
FIRST_AFTER_1900_02_29 = 61
"""A day that never was: the number before this one."""

LATEST = 2_958_466
"""The number of the first day of the year 10000."""


class Formats:
    """The number formats of a workbook, by the numbers of its cells' styles."""

    def __init__(self, styles: Any, *, from_1904: bool) -> None:
        self._from_1904 = from_1904
        self._kinds: list[str] = []
        if styles is None:
            return
        own = {attribute(each, "numFmtId"): attribute(each, "formatCode") or "" for each in inner(styles, "numFmt")}
        for formats in inner(styles, "cellXfs"):
            for each in formats:
                if local(each) == "xf":
                    number = attribute(each, "numFmtId") or "0"
                    self._kinds.append(_kind_of(own[number]) if number in own else _known(int(number)))

    def shown(self, value: str, style: str | None) -> str:
        """Return a number as it is to be read."""
        try:
            number = float(value)
            kind = self._kinds[int(style)] if style else ""
        except (ValueError, IndexError):
            return value
        if kind == "percentage":
            return f"{number * 100:.12g}%"
        if kind == "duration":
            minutes, seconds = divmod(round(number * 86_400), 60)
            return f"{minutes // 60}:{minutes % 60:02}:{seconds:02}"
        if kind and 0 <= number < LATEST:
            return self._moment(number, kind)
        return value if value.lstrip("-").isdigit() else f"{number:.15g}"

    def _moment(self, number: float, kind: str) -> str:
        if self._from_1904:
            day = datetime(1904, 1, 1)  # noqa: DTZ001 - sheets know of no zones
        else:
            day = datetime(1899, 12, 30 if number >= FIRST_AFTER_1900_02_29 else 31)  # noqa: DTZ001
        moment = day + timedelta(seconds=round(number * 86_400))
        clock = moment.strftime("%H:%M:%S" if moment.second else "%H:%M")
        if number < 1 and kind == "time":
            return clock
        return moment.date().isoformat() if kind == "date" and number == int(number) else f"{moment.date()} {clock}"


def _known(number: int) -> str:
    if number in DATES:
        return "date"
    if number in TIMES:
        return "time"
    if number == DURATION:
        return "duration"
    return "percentage" if number in PERCENTAGES else ""


def _kind_of(code: str) -> str:
    """Return what a format written out is one of; only its part for positive numbers counts."""
    shown = SAID.sub("", code).split(";")[0].lower()
    if ELAPSED.search(shown):
        return "duration"
    bare = BRACKETS.sub("", shown)
    if "general" in bare:
        return ""
    if re.search("[yd]", bare) or (re.search("m", bare) and not re.search("[hs]", bare)):
        return "date"
    if re.search("[hs]", bare):
        return "time"
    return "percentage" if "%" in bare else ""
