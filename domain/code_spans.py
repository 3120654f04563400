"""Code in a text of Markdown that comes in pieces: what stands in a fence, or between backticks on a line."""

import re

MARKS = re.compile(r"`+|~+")
TICKS = re.compile(r"`+")
BEFORE_A_FENCE = re.compile(r"[ \t>]*(?:(?:[-*+]|\d{1,3}[.)])[ \t]+)?")
MAY_CLOSE = re.compile(r"[ \t>]*(`*|~*)[ \t\r]*")
FENCE = 3
"""Marks at the beginning of a line that make a fence."""

LONGEST_SPAN = 400
"""Characters of code between backticks; a backtick without another so near is a character like all others."""

LONGEST_LINE = 100
"""Characters of a line that may be a fence."""

PROSE = frozenset({"markdown", "md"})
"""How a fence is labelled that holds no code: some models put a whole answer into one."""

Part = tuple[str, bool]
"""A stretch of text, and whether it is code."""


class CodeSpans:
    """Tells code from prose as a text comes; what can't be told yet is kept back."""

    def __init__(self) -> None:
        self._held = ""
        self._line = ""
        self._fence: str | None = None
        self._around: str | None = None

    def feed(self, text: str) -> list[Part]:
        """Return the parts that can be told for certain."""
        return self._parts(text, last=False)

    def rest(self) -> list[Part]:
        """Return what was kept back, at the end of a text; the next one begins anew."""
        parts = self._parts("", last=True)
        self._line, self._fence, self._around = "", None, None
        return parts

    def _parts(self, text: str, *, last: bool) -> list[Part]:
        text, at, parts = self._held + text, 0, list[Part]()
        while at < len(text):
            next_part = self._inside if self._fence else self._outside
            found = next_part(text, at, last)
            if found is None:
                break
            end, code = found
            parts.append((text[at:end], code))
            _, newline, line = text[at:end].rpartition("\n")
            self._line = (line if newline else self._line + line)[:LONGEST_LINE]
            at = end
        self._held = text[at:]
        return parts

    def _inside(self, text: str, at: int, last: bool) -> tuple[int, bool] | None:
        """Return where the next part ends that stands in a fence."""
        newline = text.find("\n", at)
        end = len(text) if newline < 0 else newline + 1
        if self._line:
            return end, True
        marks = MAY_CLOSE.fullmatch(text, at, end if newline < 0 else newline) if end - at <= LONGEST_LINE else None
        if marks and newline < 0 and not last:
            return None
        if marks and marks[1].startswith(str(self._fence)):
            self._fence = None
        return end, True

    def _outside(self, text: str, at: int, last: bool) -> tuple[int, bool] | None:
        """Return where the next part ends that stands in no fence."""
        marks = MARKS.search(text, at)
        if marks is None:
            return len(text), False
        if marks.start() > at:
            return marks.start(), False
        if marks.end() == len(text) and not last and len(marks[0]) <= LONGEST_LINE:
            return None
        if len(marks[0]) >= FENCE and BEFORE_A_FENCE.fullmatch(self._line):
            newline = text.find("\n", at, at + LONGEST_LINE)
            if newline < 0 and not last and len(text) - at < LONGEST_LINE:
                return None
            label = text[marks.end() : newline].strip()
            if newline >= 0 and "`" not in label:
                return newline + 1, self._opened(marks[0], label)
        return self._span(text, marks, last) if marks[0][0] == "`" else (marks.end(), False)

    def _opened(self, marks: str, label: str) -> bool:
        """Take a line that is a fence; return whether it is code, as what follows."""
        if self._around and not label and marks.startswith(self._around):
            self._around = None
        elif label.lower() in PROSE and not self._around:
            self._around = marks
        else:
            self._fence = marks
        return self._fence is not None

    def _span(self, text: str, ticks: "re.Match[str]", last: bool) -> tuple[int, bool] | None:
        """Return where code ends that begins with these backticks; where it does not end, they are prose."""
        newline = text.find("\n", ticks.end(), ticks.start() + LONGEST_SPAN)
        end = min(len(text), ticks.start() + LONGEST_SPAN) if newline < 0 else newline
        unsure = newline < 0 and not last and end == len(text)
        for closing in TICKS.finditer(text, ticks.end(), end):
            if unsure and closing.end() == end:
                return None
            if len(closing[0]) == len(ticks[0]):
                return closing.end(), True
        return None if unsure else (ticks.end(), False)


def parts_of(text: str) -> list[Part]:
    """Return the parts of a whole text."""
    spans = CodeSpans()
    return [*spans.feed(text), *spans.rest()]
