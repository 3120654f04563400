"""`magnet apply` and `magnet export`: configuration as YAML files."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.failure import CommandFailed
from api.cli.output import AsJSON, line, note, short, show_json

if TYPE_CHECKING:
    from collections.abc import Sequence

    from api.cli.connection import Connection
    from api.cli.plan import Step

SIGNS = {"create": "+", "change": "~", "publish": "^", "restore": "^", "archive": "-", "nothing": "="}


def apply(
    directory: Annotated[Path, typer.Argument(help="Directory with .yaml files, searched through.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Don't ask before changing.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only print the plan.")] = False,
    draft: Annotated[bool, typer.Option("--draft", help="Don't publish; changes stay drafts.")] = False,
    prune: Annotated[bool, typer.Option("--prune", help="Archive what the directory doesn't name.")] = False,
    rotate_secrets: Annotated[bool, typer.Option("--rotate-secrets", help="Write all secrets again.")] = False,
    message: Annotated[str | None, typer.Option("--message", "-m", help="Why; recorded with each change.")] = None,
    as_json: AsJSON = False,
) -> None:
    """Make an installation as the YAML files of a directory say; prints a plan first."""
    from api.cli.connection import run
    from api.cli.documents import load
    from api.cli.plan import Wishes, plan
    from api.cli.present import everything

    documents = load(directory)
    wishes = Wishes(draft=draft, prune=prune, rotate_secrets=rotate_secrets, environment=os.environ)

    async def work(connection: "Connection") -> None:
        steps = plan(documents, await everything(connection), wishes)
        waiting = [step for step in steps if step.operations]
        if not as_json:
            print_plan(steps)
        if waiting and not dry_run:
            if not yes and not _agreed(as_json):
                raise CommandFailed("Nothing was changed.")
            await _carry_out(waiting, connection, message, quiet=as_json)
        if as_json:
            show_json({"steps": [_as_json(step) for step in steps], "changed": 0 if dry_run else len(waiting)})

    run(work)


def export(
    directory: Annotated[Path, typer.Argument(help="Directory to write to; it is made if need be.")],
    *,
    as_of: Annotated[str | None, typer.Option("--as-of", help="A past time, such as 2026-01-31T12:00:00Z.")] = None,
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove files of things that are not (or were not) there.")
    ] = False,
    as_json: AsJSON = False,
) -> None:
    """Write the configuration as YAML files, now or as of a past time; secrets are never written."""
    from api.cli.connection import run
    from api.cli.exporting import files
    from api.cli.present import everything

    async def work(connection: "Connection") -> None:
        written = files(await everything(connection, as_of))
        for name, text in written.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        stale = sorted(name for name in exported(directory) if name not in written)
        for name in stale if prune else ():
            (directory / name).unlink()
        if as_json:
            told = {"removed": stale} if prune else {"stale": stale}
            show_json({"directory": str(directory), "files": sorted(written), **told})
        else:
            line(f"{len(written)} files in {directory}{f', {len(stale)} removed' if prune else ''}")
        if stale and not prune:
            note(f"Of things that are not in it, files lie there too (--prune removes them): {', '.join(stale)}")

    run(work)


def exported(directory: Path) -> set[str]:
    """Return the names of files that an export to a directory has written, such as `prompts/support.yaml`."""
    from api.cli.documents import KINDS
    from api.cli.yaml_text import write

    return {
        f"{kind}s/{path.name}"
        for kind in KINDS
        for path in (directory / f"{kind}s").glob("*.yaml")
        if path.read_text("utf-8", "replace").startswith(write([{"kind": kind, "name": path.stem}]))
    }


def print_plan(steps: "Sequence[Step]") -> None:
    """Print what would happen to each thing, and how many are as they should be."""
    for step in steps:
        if not step.operations:
            continue
        line(f"{SIGNS[step.verb]} {step.verb} {step.kind.TOPIC} '{step.name}'")
        for change in step.changes:
            line(f"    {change.path}: {short(change.before, 60)} -> {short(change.after, 60)}")
        if step.verb != "create" and step.labels:
            line(f"    points {', '.join(step.labels)} at it")
        if step.secrets:
            line(f"    sets {', '.join(step.secrets)}")
    same = sum(not step.operations for step in steps)
    line(f"{len(steps) - same} to change, {same} as they should be.")


async def _carry_out(steps: "Sequence[Step]", connection: "Connection", message: str | None, *, quiet: bool) -> None:
    from api.cli.applying import carry_out

    for number, step in enumerate(steps, 1):
        try:
            version = await carry_out(step, connection, message)
        except CommandFailed as error:
            raise CommandFailed(
                f"{step.kind.TOPIC} '{step.name}': {error}\n{number - 1} of {len(steps)} were changed; apply again "
                "when this is put right."
            ) from None
        if not quiet:
            line(f"{step.kind.TOPIC} '{step.name}' is at version {version}")


def _agreed(as_json: bool) -> bool:
    if as_json:
        raise CommandFailed("With --json nobody is asked: add --yes, or --dry-run for the plan alone.")
    try:
        return typer.confirm("Change this?")
    except typer.Abort:
        note("")
        return False


def _as_json(step: "Step") -> dict[str, object]:
    return {
        "kind": step.kind.TOPIC,
        "name": step.name,
        "action": step.verb,
        "changes": [{"path": c.path, "before": c.before, "after": c.after} for c in step.changes],
        "labels": step.labels,
        "secrets": step.secrets,
    }
