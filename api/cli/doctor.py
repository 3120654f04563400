"""`magnet doctor`: what is wrong, and what to do about it."""

from typing import Annotated

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, show_json

MARKS = {"good": "ok   ", "warning": "warn ", "bad": "BAD  "}


def doctor(
    *,
    full: Annotated[bool, typer.Option("--full", help="Check every event's hash, not only the last ones.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Check the installation; says what to do where something is wrong, and changes nothing."""
    from api.cli.checks import examine

    found = []
    for check in examine(full=full):
        found.append(check)
        if not as_json:
            line(f"{MARKS[check.verdict]} {check.name:<12} {check.found}")
            if check.advice:
                line(f"{'':<19}{check.advice}")
    bad = sum(check.verdict == "bad" for check in found)
    if as_json:
        show_json(
            {
                "ok": not bad,
                "checks": [
                    {"name": c.name, "verdict": c.verdict, "found": c.found, "advice": c.advice or None} for c in found
                ],
            }
        )
    if bad:
        raise CommandFailed(f"{bad} of {len(found)} checks failed.")
