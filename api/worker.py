"""A worker: keeps the projections up to date, without serving HTTP; from the log, or from Kafka."""

import asyncio
import re
import signal
from collections.abc import Callable, Sequence

from adapters.projection_runner.batch import ReadModel
from api.bootstrap import open_container
from api.database import database
from api.kafka_parts import kafka_feeds
from api.process import calm_collector
from api.read_models import READ_MODELS
from api.settings import Settings, SettingsError

GROUP = re.compile(r"[a-z0-9_]{1,20}\Z")


def work(settings: Settings, *, ready: Callable[[], None]) -> None:
    """Run until SIGINT or SIGTERM; what another process runs already is taken over when that one ends."""
    with database(settings) as dsns:
        asyncio.run(_work(settings, dsns.app, ready))


async def _work(settings: Settings, dsn: str, ready: Callable[[], None]) -> None:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stopped.set)
    container = await open_container(settings, dsn=dsn, worker=True)
    try:
        calm_collector()
        ready()
        await stopped.wait()
    finally:
        await container.close()


def work_from_kafka(settings: Settings, *, group: str, projections: Sequence[str], ready: Callable[[], None]) -> None:
    """Run a share of read models that are fed from Kafka, until SIGINT or SIGTERM; raise SettingsError."""
    known = {model.name: model for model in READ_MODELS}
    if settings.kafka_bootstrap_servers is None:
        raise SettingsError("KAFKA_BOOTSTRAP_SERVERS is not set: there is no broker to read from.")
    if not GROUP.match(group):
        raise SettingsError("A group has 1 to 20 letters a-z, digits and _: it becomes part of a schema's name.")
    if strange := [name for name in projections if name not in known]:
        raise SettingsError(f"There is no projection {', '.join(strange)}: there are {', '.join(known)}.")
    models = [known[name] for name in projections or known]
    with database(settings) as dsns:
        asyncio.run(_work_from_kafka(settings, dsns.app, group, models, ready))


async def _work_from_kafka(
    settings: Settings, dsn: str, group: str, models: Sequence[ReadModel], ready: Callable[[], None]
) -> None:
    async with kafka_feeds(settings, dsn=dsn, group=group, models=models) as feeds, asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(feed.run(), name=feed.schema) for feed in feeds]
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, lambda: [task.cancel() for task in running])
        ready()
