"""All commands of `magnet`. Heavy imports wait until a command needs them."""

import typer

from api.cli.archive import archive, archived
from api.cli.ask import ask
from api.cli.audit import audit
from api.cli.backups import backup, restore
from api.cli.configuration_files import apply, export
from api.cli.consume import consume
from api.cli.demo import demo
from api.cli.doctor import doctor
from api.cli.events import events
from api.cli.ingest import ingest
from api.cli.keys import keys
from api.cli.plugins import plugins
from api.cli.projections import projections
from api.cli.replay import replay
from api.cli.replay_conversations import replay_conversations
from api.cli.serving import serve, worker
from api.cli.vectors import vectors

app = typer.Typer(
    name="magnet",
    help="An event-sourced backend for AI orchestration. Every command works on the installation in MAGNET_HOME "
    "(default ./.magnet), on DATABASE_URL, or on the server at MAGNET_URL with MAGNET_API_KEY.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(serve)
app.command()(worker)
app.command()(consume)
app.command()(demo)
app.command()(ask)
app.command()(ingest)
events.command()(archive)
events.command()(archived)
app.add_typer(events, name="events")
app.add_typer(audit, name="audit")
app.add_typer(projections, name="projections")
app.add_typer(vectors, name="vectors")
app.add_typer(keys, name="keys")
app.command()(apply)
app.command()(export)
app.command()(backup)
app.command()(restore)
app.command()(replay)
app.command()(replay_conversations)
app.command()(plugins)
app.command()(doctor)
