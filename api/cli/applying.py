"""Carrying out a plan, one command after the other."""

from collections.abc import Mapping
from typing import Any

from api.cli.connection import Connection
from api.cli.failure import CommandFailed
from api.cli.plan import Operation, Step
from api.cli.present import collection, present
from domain.definition import same


async def carry_out(step: Step, connection: Connection, message: str | None) -> int:
    """Do what a step says and return the thing's version; raise CommandFailed where it changed meanwhile."""
    path = f"{collection(step.kind)}/{step.name}"
    version = await _version_now(step, connection)
    reason = {"message": message} if message else {}
    for operation in step.operations:
        match operation.do:
            case "create":
                body = {"name": step.name, **operation.body, **_secret_body(operation), **reason}
                receipt = await connection.command("POST", collection(step.kind), body)
            case "change":
                body = {**operation.body, **_secret_body(operation), **reason}
                receipt = await connection.command("PATCH", path, body, if_match=version)
            case "publish":
                body = {"version": version, "label": operation.label, **reason}
                receipt = await connection.command("POST", f"{path}/publish", body, if_match=version)
            case "restore":
                receipt = await connection.command("POST", f"{path}/restore", reason or None, if_match=version)
            case "archive":
                receipt = await connection.command("DELETE", path, reason or None, if_match=version)
        version = receipt["version"]
    assert version is not None
    return version


async def _version_now(step: Step, connection: Connection) -> int | None:
    """Return the version the thing has; what another step did to it (choose another default) is no surprise."""
    planned = step.present
    if planned is None:
        return None
    now = await present(connection, step.kind, step.name)
    if now is None or now.archived != planned.archived or not same(_own(now.definition), _own(planned.definition)):
        raise CommandFailed(f"{step.kind.TOPIC} '{step.name}' was changed by somebody else meanwhile: apply again.")
    return now.version


def _own(definition: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in definition.items() if name != "default"}


def _secret_body(operation: Operation) -> dict[str, Any]:
    """Return the secrets as a body has them: `x/name` inside an object `x`."""
    body: dict[str, Any] = {}
    for field, value in operation.secrets.items():
        name, _, key = field.partition("/")
        if key:
            body.setdefault(name, {})[key] = value
        else:
            body[name] = value
    return body
