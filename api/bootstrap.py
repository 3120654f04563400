"""The composition root: puts together what stands behind each port."""

import asyncio
from contextlib import AsyncExitStack

from adapters.channels.doors import ChannelDoors
from adapters.channels.ways_out import channel_adapters
from adapters.egress import Egress
from adapters.event_store.appender import Appender
from adapters.event_store.data_keys import CHANNEL, DataKeys
from adapters.event_store.log import EventLog
from adapters.event_store.mapper import EventMapper
from adapters.event_store.single_streams import SingleStreams
from adapters.event_store.store import EventStore
from adapters.event_store.stretches import StretchReader
from adapters.event_store.subscription import Subscriptions
from adapters.evidence.evidence import Evidence
from adapters.guardrails.built_in import built_in_guards
from adapters.jobs import CHANNEL as JOBS
from adapters.jobs import Jobs
from adapters.keyring import Keyring
from adapters.knowledge.contents import PostgresContents
from adapters.knowledge.source_secrets import SealedSourceSecrets
from adapters.knowledge.uploads import PostgresUploads
from adapters.languages import Languages
from adapters.leases import Leases
from adapters.model_catalogue import ModelCatalogue
from adapters.openai import OpenAIModels
from adapters.plugins.checking import EMBEDDERS, RERANKERS
from adapters.postgres.access_log import AccessLog
from adapters.postgres.configurations import PostgresConfigurationsView
from adapters.postgres.conversations import PostgresConversationsView
from adapters.postgres.credentials import Credentials
from adapters.postgres.installation import claim
from adapters.postgres.listener import Listener
from adapters.postgres.passages.view import PostgresSourcePassagesView
from adapters.postgres.pools import pool_of
from adapters.postgres.runs import PostgresRunsView
from adapters.postgres.source_documents import PostgresSourceDocumentsView
from adapters.postgres.syncs import PostgresSyncsView
from adapters.private_documents import PostgresPrivateDocuments
from adapters.projection_runner.administration import ProjectionAdministration
from adapters.projection_runner.batch import Batches
from adapters.projection_runner.runner import Positions, ProjectionRunner
from adapters.reading.reader import Reader
from adapters.reading.scans import Scans, is_installed
from adapters.reading.tokenizers import InstalledTokenizers
from adapters.rendering.renderer import SandboxedRenderer
from adapters.retrieval.searcher import PostgresSearcher, search_session
from adapters.secrets import KeyringSecretBox, SealedAnswers
from adapters.tool_servers.servers import tool_servers
from adapters.turn_journal import CHANNEL as TURNS
from adapters.turn_journal import PostgresTurnJournal
from adapters.webhooks.administration import WebhookAdministration
from adapters.webhooks.dispatcher import WebhookDispatcher
from adapters.webhooks.sending import WebhookSender
from api.answering_parts import agent_loop_of, answerer_of, turn_answering_of
from api.auth import Authenticator
from api.builder import builder
from api.connectors import connectors_of
from api.container import Container
from api.event_frames import EventFrames
from api.outflows import followers, outflows
from api.read_models import READ_MODELS, read_models
from api.settings import Settings
from api.vector_stores import vector_store_of
from api.visitors import Visitors
from api.works import works_of
from commands.agents.tool_actions import ToolActions
from commands.agents.tool_server import ToolServerCalls
from commands.agents.tools import Tools
from commands.bus import Bus, Command
from commands.channels.channel_standing import Standings
from commands.channels.channels import Channels
from commands.channels.web_chat import WebChats
from commands.checkpoint import TellCheckpoints
from commands.completion import Completions
from commands.conversations.attachments import Attachments
from commands.conversations.conversation import InterruptTurn
from commands.conversations.conversation_tokens import ConversationTokens
from commands.conversations.private_source import PrivateSources
from commands.conversations.turns import Turns
from commands.handlers import handlers
from commands.knowledge.chunking_preview import ChunkingPreviews
from commands.knowledge.document import Documents
from commands.knowledge.passages import Passages
from commands.knowledge.reading import DocumentReader
from commands.knowledge.sample_questions import SampleQuestions
from commands.knowledge.source_trial import SourceTrials
from commands.knowledge.tokenizing import Cutter
from commands.models.embedding import Embeddings
from commands.models.model_calls import ChatModels, EmbeddingModels
from commands.models.provider import ProviderTrials
from commands.pipelines.pipeline_following import PipelineFollowing
from commands.pipelines.pipeline_items import PipelineItems
from commands.pipelines.pipeline_run import PipelineRuns
from commands.ports import SYSTEM, Context, PromptRenderer
from commands.prompt_run import PromptRuns
from commands.replays.built_in_scorers import built_in_scorers
from commands.replays.replay_scoring import Similarities
from commands.replays.replaying import Replays
from commands.replays.scorers import Scoring
from commands.retrieval.answer_run import AnswerRuns
from commands.retrieval.recent_searches import RecentSearches
from commands.runs.execution import Execution
from commands.runs.runs import EarlierAnswers, InterruptRun, Runs
from domain import AGGREGATES
from projections.conversation_reading import ConversationReader
from projections.history import History
from projections.run_reading import RunReader


async def open_container(
    settings: Settings,
    *,
    dsn: str,
    worker: bool = True,
    renderer: PromptRenderer | None = None,
    keyring: Keyring | None = None,
    chat_models: ChatModels | None = None,
    embedding_models: EmbeddingModels | None = None,
    reader: DocumentReader | None = None,
) -> Container:
    """Put everything together over a migrated database; with `worker`, its projections run here too."""
    if keyring is None:
        configured = settings.secret_encryption_key
        settings.home.mkdir(parents=True, exist_ok=True)
        keyring = Keyring.load(settings.home, configured.get_secret_value() if configured else None)
    installation = await asyncio.to_thread(claim, dsn, keyring.fingerprint)
    async with AsyncExitStack() as stack:
        pool = pool_of(dsn, 2, 16)
        writing = pool_of(dsn, 1, 2)
        searching = pool_of(dsn, 1, 8, search_session)
        for each in (pool, writing, searching):
            await stack.enter_async_context(each)
        keys = DataKeys(pool, keyring)
        mapper = EventMapper(AGGREGATES, keys)
        positions, listener = Positions(), Listener(dsn)
        log = EventLog(pool, mapper)
        plugins = await stack.enter_async_context(connectors_of(settings))
        vector_store = vector_store_of(settings, plugins, installation)
        if vector_store is not None:
            stack.push_async_callback(vector_store.close)
        runner = ProjectionRunner(
            dsn=dsn, pool=pool, log_reader=log, listener=listener, positions=positions,
            models=read_models(vector_store), build_elsewhere=builder(dsn),
        )  # fmt: skip
        subscriptions = Subscriptions(log, listener)

        def appended(position: int) -> None:
            subscriptions.wake(position)
            if worker:
                runner.wake(position)

        store = EventStore(pool, Appender(writing, appended), mapper, keys)
        listener.on(CHANNEL, store.forget_said)
        stack.push_async_callback(store.close)
        access_log = AccessLog(pool)
        stack.push_async_callback(access_log.close)
        credentials = Credentials(pool, listener)
        stack.push_async_callback(credentials.close)
        authenticator = Authenticator(credentials, keyring.mac)
        standing = Standings(things=store, keys=authenticator.standing)
        if renderer is None:
            sandboxed = SandboxedRenderer()
            stack.push_async_callback(sandboxed.close)
            renderer = sandboxed
        languages = Languages()
        if reader is None:
            scans = Scans(most_pages=settings.ocr_pages) if settings.ocr_pages and is_installed() else None
            reading = Reader(languages=languages, scans=scans)
            stack.push_async_callback(reading.close)
            reader = reading
        secret_box = KeyringSecretBox(keyring)
        answers = SealedAnswers(keyring)
        connectors = plugins.connectors
        tool_plugins, chunkers = plugins.tools, plugins.chunkers
        source_secrets = SealedSourceSecrets(store, secret_box)
        servers = await stack.enter_async_context(tool_servers(Egress(settings.egress), source_secrets, tool_plugins))
        tokenizers = InstalledTokenizers(store)
        cutter = Cutter(reader=reader, tokenizers=tokenizers, chunkers=chunkers)
        embedders, rerankers = plugins.of(EMBEDDERS), plugins.of(RERANKERS)
        models = OpenAIModels(
            ModelCatalogue(pool, store.load, store.heads, secret_box),
            egress=Egress(settings.model_egress, loopback=credentials.none_exist),
            plugins=[*embedders.values(), *rerankers.values()],
        )
        stack.push_async_callback(models.close)
        guards = {**plugins.guards, **built_in_guards(models)}
        catalogue = handlers(
            secrets=secret_box, renderer=renderer, answers=answers, things=store, connectors=connectors,
            specifications=servers.apis.specifications, tokenizers=tokenizers, guards=guards,
            embedders=embedders, rerankers=rerankers, chunkers=chunkers, tool_plugins=tool_plugins,
        )  # fmt: skip
        bus = Bus(store, catalogue, answers)
        runs = Runs(bus=bus)
        earlier = EarlierAnswers(repeats=store, answers=answers)
        chat_models, embedding_models = chat_models or models, embedding_models or models
        execution = Execution(runs=runs, earlier=earlier)
        prompt_runs = PromptRuns(models=chat_models, things=store, renderer=renderer, execution=execution)
        searcher = PostgresSearcher(searching, embedding_models, vector_store)
        recent = RecentSearches()
        answerer = answerer_of(
            things=store,
            searcher=searcher,
            chat=chat_models,
            rerankers=models,
            prompts=prompt_runs,
            embeddings=embedding_models,
            languages=languages,
            recent=recent,
        )
        answer_runs = AnswerRuns(things=store, answerer=answerer, execution=execution)
        tools = Tools(things=store, servers=servers)
        agent_loop = agent_loop_of(
            things=store, chat=chat_models, answerer=answerer, prompts=prompt_runs, tools=tools, guards=guards
        )
        items = PipelineItems(prompts=prompt_runs, answers=answer_runs, tools=ToolActions(tools=tools))
        entries = SingleStreams(store=store, subscriptions=subscriptions)
        source_trials = SourceTrials(bus=bus, things=store, connectors=connectors, secrets=source_secrets)
        uploads, contents = PostgresUploads(pool), PostgresContents(pool)
        documents = Documents(bus=bus, contents=contents, uploads=uploads, things=store)
        jobs = Jobs(pool, runs.owner)
        listener.on(JOBS, jobs.hear)
        runs_view = PostgresRunsView(pool)
        for model in READ_MODELS:  # empty tables answer queries until the first events are in
            await Batches(pool, model, schema=model.name, fence=0).make_schema()
        journal = PostgresTurnJournal(pool, keys)
        private_sources = PrivateSources(
            things=store, reader=reader, models=embedding_models, documents=PostgresPrivateDocuments(pool, keys),
            queue=jobs, room=settings.attachment_characters,
        )  # fmt: skip
        answering = turn_answering_of(
            bus=bus, things=store, chat=chat_models, loop=agent_loop, prompts=prompt_runs, sources=private_sources
        )
        leases = Leases(
            pool,
            runs.owner,
            {
                "run": lambda run, _: interrupt(bus, InterruptRun(id=run)),
                "turn": lambda turn, stream: interrupt(bus, InterruptTurn(id=stream, turn=str(turn))),
            },
            going=lambda: runs.going | turns.going,
        )
        turns = Turns(
            bus=bus, things=store, places=store, answering=answering, runs=runs, journal=journal, claims=leases
        )
        journal.on_cancel = turns.stop
        listener.on(TURNS, journal.hear)
        await listener.open()
        stack.push_async_callback(listener.close)
        evidence = Evidence.of(installation, dsn=dsn, pool=pool, keyring=keyring, path=settings.evidence)
        if worker:
            await runner.open()
            stack.push_async_callback(runner.close)
            channels = await stack.enter_async_context(channel_adapters(Egress(settings.egress), source_secrets))
            works = works_of(
                bus=bus, things=store, pool=pool, jobs=jobs, models=embedding_models, runs=runs, cutter=cutter,
                given=documents, sources=source_trials, log=log, keys=keys, run_texts_days=settings.run_texts_days,
                turns=turns, claims=leases, standing=standing, channels=channels, chat=chat_models, prompts=prompt_runs,
                entries=entries, items=items, files=private_sources, indexed=vector_store is None,
                recent=recent,
            )  # fmt: skip
            await jobs.open(works)
            stack.push_async_callback(jobs.close)
            dispatcher = WebhookDispatcher(
                dsn=dsn, pool=pool, reader=log, subscriptions=subscriptions, listener=listener, store=store,
                box=secret_box, sender=WebhookSender(Egress(settings.egress)),
            )  # fmt: skip
            await dispatcher.open()
            stack.push_async_callback(dispatcher.close)
            evidence.sealing.tell = TellCheckpoints(bus=bus)
            await evidence.sealing.open()
            stack.push_async_callback(evidence.sealing.close)
            for outflow in outflows(
                settings, installation, dsn=dsn, pool=pool, reader=log, listener=listener, moved=positions.moved
            ):
                await outflow.open()
                stack.push_async_callback(outflow.close)
        await leases.open()
        stack.push_async_callback(leases.close)
        await journal.open()
        stack.push_async_callback(journal.close)
        stack.push_async_callback(turns.close)
        return Container(
            settings=settings,
            pool=pool,
            keyring=keyring,
            secret_box=secret_box,
            listener=listener,
            log=log,
            subscriptions=subscriptions,
            event_frames=EventFrames(log),
            stretches=StretchReader(pool, mapper),
            store=store,
            bus=bus,
            view=PostgresConfigurationsView(pool),
            history=History(streams=store, log=log),
            positions=positions,
            administration=ProjectionAdministration(pool, log, READ_MODELS, followers(settings)),
            credentials=credentials,
            renderer=renderer,
            chat_models=chat_models,
            embedding_models=embedding_models,
            offered_models=models,
            provider_trials=ProviderTrials(bus=bus, offered=models),
            source_trials=source_trials,
            tool_servers=ToolServerCalls(bus=bus, things=store, servers=servers, tools=tools),
            plugins=plugins,
            runs=runs,
            leases=leases,
            prompt_runs=prompt_runs,
            pipeline_runs=PipelineRuns(bus=bus, things=store),
            pipeline_following=PipelineFollowing(things=store, entries=entries),
            searcher=searcher,
            answerer=answerer,
            answer_runs=answer_runs,
            sample_questions=SampleQuestions(things=store, searcher=searcher, chat=chat_models, execution=execution),
            completions=Completions(
                things=store,
                models=chat_models,
                prompts=prompt_runs,
                answers=answer_runs,
                loop=agent_loop,
                execution=execution,
            ),
            embeddings=Embeddings(things=store, models=embedding_models, execution=execution),
            turns=turns,
            replays=Replays(
                things=store,
                runs=runs,
                loop=agent_loop,
                memory=answering.memory,
                sources=private_sources,
                similarities=Similarities(models=embedding_models),
                scoring=Scoring(
                    scorers={**plugins.scorers, **built_in_scorers(chat_models, embedding_models)}, things=store
                ),
                execution=execution,
            ),
            attachments=Attachments(reader=reader),
            conversation_reader=ConversationReader(
                streams=store,
                log=log,
                view=PostgresConversationsView(pool),
                talks=store,
                revealer=store,
                files=private_sources,
            ),
            documents=documents,
            chunking_previews=ChunkingPreviews(cutter=cutter, things=store),
            passages=Passages(bus=bus, contents=contents, documents=documents),
            passages_view=PostgresSourcePassagesView(pool),
            documents_view=PostgresSourceDocumentsView(pool),
            syncs_view=PostgresSyncsView(pool),
            uploads=uploads,
            jobs=jobs,
            runs_view=runs_view,
            evidence=evidence,
            access_log=access_log,
            webhooks=WebhookAdministration(pool, log),
            run_reader=RunReader(view=runs_view, log=log, revealer=store),
            authenticator=authenticator,
            visitors=Visitors(ConversationTokens(box=secret_box), store, standing),
            channels=Channels(bus=bus, things=store, turns=turns),
            channel_doors=ChannelDoors(secrets=source_secrets),
            web_chats=WebChats(bus=bus, things=store, box=secret_box),
            runner=runner if worker else None,
            stack=stack.pop_all(),
        )


async def interrupt(bus: Bus, command: Command) -> None:
    """Record that what nobody carries out any more was interrupted."""
    await bus.dispatch(command, Context(actor=SYSTEM))
