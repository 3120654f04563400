"""Everything that routes and commands need, put together by `bootstrap`."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from psycopg_pool import AsyncConnectionPool

from adapters.channels.doors import ChannelDoors
from adapters.event_store.choosing import LogFilter
from adapters.event_store.log import EventLog
from adapters.event_store.store import EventStore
from adapters.event_store.stretches import StretchReader
from adapters.event_store.subscription import Subscription, Subscriptions
from adapters.evidence.evidence import Evidence
from adapters.jobs import Jobs
from adapters.keyring import Keyring
from adapters.knowledge.uploads import PostgresUploads
from adapters.leases import Leases
from adapters.plugins.plugins import Plugins
from adapters.postgres.access_log import AccessLog
from adapters.postgres.credentials import Credentials
from adapters.postgres.listener import Listener
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.runner import Positions, ProjectionRunner
from adapters.secrets import KeyringSecretBox
from adapters.webhooks.administration import WebhookAdministration
from api.auth import Authenticates
from api.event_frames import EventFrames
from api.metrics import Metrics
from api.rates import Rates
from api.settings import Settings
from api.visitors import Visitors
from commands.agents.tool_server import ToolServerCalls
from commands.bus import Bus
from commands.channels.channels import Channels
from commands.channels.web_chat import WebChats
from commands.completion import Completions
from commands.conversations.attachments import Attachments
from commands.conversations.turns import Turns
from commands.knowledge.chunking_preview import ChunkingPreviews
from commands.knowledge.document import Documents
from commands.knowledge.passages import Passages
from commands.knowledge.sample_questions import SampleQuestions
from commands.knowledge.source_trial import SourceTrials
from commands.models.embedding import Embeddings
from commands.models.model_calls import ChatModels, EmbeddingModels, OfferedModels
from commands.models.provider import ProviderTrials
from commands.pipelines.pipeline_following import PipelineFollowing
from commands.pipelines.pipeline_run import PipelineRuns
from commands.ports import Actor, PromptRenderer
from commands.prompt_run import PromptRuns
from commands.replays.replaying import Replays
from commands.retrieval.answer_run import AnswerRuns
from commands.retrieval.answering import Answerer
from commands.retrieval.retrieval import Searcher
from commands.runs.runs import Runs
from projections.configurations import ConfigurationsView
from projections.conversation_reading import ConversationReader
from projections.event_changes import events_with_changes
from projections.events import public_events
from projections.history import History
from projections.recorded import LogEntry
from projections.run_reading import RunReader
from projections.runs import RunsView
from projections.source_documents import SourceDocumentsView
from projections.source_passages import SourcePassagesView
from projections.syncs import SyncsView

NOBODY = Actor(type="anonymous", id="anonymous", name="anonymous")
LOOK_EVERY = 0.25
"""Seconds between two looks at a position that no notification has told of."""


@dataclass(kw_only=True)
class Container:
    """Everything that routes and commands need, put together."""

    settings: Settings
    pool: AsyncConnectionPool
    keyring: Keyring
    secret_box: KeyringSecretBox
    listener: Listener
    log: EventLog
    subscriptions: Subscriptions
    event_frames: EventFrames
    stretches: StretchReader
    store: EventStore
    bus: Bus
    view: ConfigurationsView
    history: History
    positions: Positions
    administration: ProjectionAdministration
    credentials: Credentials
    renderer: PromptRenderer
    chat_models: ChatModels
    embedding_models: EmbeddingModels
    offered_models: OfferedModels
    provider_trials: ProviderTrials
    source_trials: SourceTrials
    tool_servers: ToolServerCalls
    plugins: Plugins
    runs: Runs
    leases: Leases
    prompt_runs: PromptRuns
    pipeline_runs: PipelineRuns
    pipeline_following: PipelineFollowing
    searcher: Searcher
    answerer: Answerer
    answer_runs: AnswerRuns
    sample_questions: SampleQuestions
    completions: Completions
    embeddings: Embeddings
    turns: Turns
    replays: Replays
    attachments: Attachments
    conversation_reader: ConversationReader
    documents: Documents
    chunking_previews: ChunkingPreviews
    passages: Passages
    passages_view: SourcePassagesView
    documents_view: SourceDocumentsView
    syncs_view: SyncsView
    uploads: PostgresUploads
    jobs: Jobs
    runs_view: RunsView
    run_reader: RunReader
    evidence: Evidence
    access_log: AccessLog
    webhooks: WebhookAdministration
    authenticator: Authenticates
    visitors: Visitors
    web_chats: WebChats
    channels: Channels
    channel_doors: ChannelDoors
    chat_rates: Rates = field(default_factory=Rates)
    metrics: Metrics = field(default_factory=Metrics)
    runner: ProjectionRunner | None = None
    nobody: Actor = NOBODY
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def reached(self, name: str, position: int, seconds: float) -> bool:
        """Wait until a read model has passed a position, whichever process runs it; return whether it has."""
        clock = asyncio.get_running_loop().time
        deadline = clock() + seconds
        if name not in self.positions.followed and not self.positions.passed(name, position):
            await self.administration.want()
        while not await self.positions.wait(name, position, max(0, min(LOOK_EVERY, deadline - clock()))):
            self.positions.moved(name, await self.administration.position(name))
            if clock() >= deadline:
                return self.positions.passed(name, position)
        return True

    async def read_log(self, after: int, limit: int, filters: Mapping[str, Any], heaviest: int) -> list[LogEntry]:
        """Return entries of the log after a position, up to the one that makes them so heavy."""
        return await self.log.read(after, limit, LogFilter(**filters), heaviest)

    async def shown_events(self, entries: Sequence[LogEntry], *, changes: bool) -> list[dict[str, Any]]:
        """Return the public form of entries, with what they changed where that is asked for."""
        if changes:
            return await events_with_changes(entries, self.log, self.stretches)
        return await public_events(entries, self.log)

    def follow_log(self, after: int, filters: Mapping[str, Any], *, limit: int, heaviest: int) -> Subscription:
        """Return the batches after a position and all that come; each ends with what makes it so heavy."""
        return self.subscriptions.follow(after, LogFilter(**filters), limit=limit, heaviest=heaviest)

    async def close(self) -> None:
        """Finish what is under way, and let everything go."""
        await self.stack.aclose()
