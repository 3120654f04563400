"""`magnet plugins`: what was found, and how it is."""

from typing import TYPE_CHECKING

from api.cli.output import AsJSON, show_json, table

if TYPE_CHECKING:
    from api.cli.connection import Connection

COLUMNS = ("group", "name", "package", "version", "state", "error")


def plugins(*, as_json: AsJSON = False) -> None:
    """List plugins and built-in connectors; one that failed is listed with its error."""
    from api.cli.connection import run

    async def work(connection: "Connection") -> None:
        found = await connection.get("/v1/plugins")
        if as_json:
            show_json({"items": found["items"]})
        else:
            table(COLUMNS, [[each[name] for name in COLUMNS] for each in found["items"]])

    run(work)
