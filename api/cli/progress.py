"""How far something long is: told line by line, also where no terminal is."""

import time

from api.cli.output import note

REPORT_EVERY = 1.0
"""Seconds between two reports of how far it is."""


class Progress:
    """Reports how far a stage is, how fast it goes, and how long the rest takes."""

    def __init__(self) -> None:
        self._stage = ""
        self._began = self._told = time.monotonic()
        self._from = 0

    def __call__(self, stage: str, done: int, whole: int) -> None:
        """Take a stage's progress; report it from time to time, and its end."""
        now = time.monotonic()
        if stage != self._stage:
            self._stage, self._began, self._told, self._from = stage, now, 0.0, done
        if done < whole and now - self._told < REPORT_EVERY:
            return
        self._told = now
        rate = (done - self._from) / max(now - self._began, 1e-9)
        rest = f", about {(whole - done) / rate:.0f} s left" if 0 < done < whole and rate > 0 else ""
        note(f"{stage}: {done:,} of {whole:,}{f' ({rate:,.0f}/s{rest})' if done > self._from else ''}")
