"""`magnet consume`: the reference consumer of the Kafka topic."""

from typing import Annotated

import typer

from api.cli.output import AsJSON, show_json, table


def consume(
    *,
    group: Annotated[str, typer.Option("--group", help="The consumer group.")],
    until_idle: Annotated[bool, typer.Option("--until-idle", help="End when there is nothing more.")] = False,
    as_json: AsJSON = False,
) -> None:
    """Take events from Kafka, each once, and count them by type; ends with what the group has taken so far.

    A template for consumers of your own: the inbox in adapters/kafka/consumer.py is what makes it exact.
    """
    from api.consume import consume as run
    from api.logging import configure
    from api.settings import load

    settings = load()
    configure("WARNING", settings.log_format)
    taken = run(settings, group, until_idle=until_idle)
    if as_json:
        show_json({"items": [{"type": t, "events": events, "last_position": last} for t, events, last in taken]})
    else:
        table(("type", "events", "last position"), taken)
