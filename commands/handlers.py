"""The catalogue: which handler carries out which command."""

from commands.agents.agent import AgentRules
from commands.agents.guardrails import Guards
from commands.agents.tool_server import NoteTools, ToolServerHandlers
from commands.agents.tools import Specifications, ToolPlugins
from commands.api_key import Credentials
from commands.bus import Answers, Handlers
from commands.channels.channel import ChannelRules
from commands.channels.channel_deliveries import NoteDelivery, delivery_noted
from commands.checkpoint import NoteCheckpoint, note_checkpoint
from commands.configuration import (
    Archive,
    ChangeThing,
    ConfigurationHandlers,
    CreateThing,
    Publish,
    RemoveLabel,
    Restore,
    RollBack,
)
from commands.conversations.cancelling import CancelTurn, turn_cancelled
from commands.conversations.closing import CloseIdle, closed_idle, settle_conduct
from commands.conversations.conversation import (
    BeginConversation,
    CloseConversation,
    ConversationHandlers,
    Decide,
    EndTurn,
    ForkConversation,
    GiveFeedback,
    InterruptTurn,
    NoteAction,
    StartTurn,
)
from commands.conversations.conversation_course import (
    HandOff,
    NoteBegun,
    NoteGuardrail,
    NoteSummary,
    NoteTopic,
    begun_noted,
    guardrail_noted,
    handed_off,
    summary_noted,
    topic_noted,
)
from commands.conversations.conversation_notes import (
    NoteCopied,
    NoteReview,
    SuggestTitle,
    TitleConversation,
    copied,
    review_noted,
    title_suggested,
    titled,
)
from commands.conversations.conversation_processing import EndProcessing, processing_ended
from commands.conversations.conversation_queue import RefuseMessage, refused
from commands.conversations.conversation_research import (
    NoteFindings,
    NotePlan,
    NoteReflection,
    findings_noted,
    plan_noted,
    reflection_noted,
)
from commands.conversations.conversation_tokens import ConversationTokens, OpenConversation
from commands.knowledge.connectors import Connectors
from commands.knowledge.document import AddDocuments, DocumentHandlers, RemoveDocument, RetryDocument
from commands.knowledge.indexing import NoteResults, note_results
from commands.knowledge.knowledge_source import BuildIndex, CompleteIndex, IndexHandlers, SwitchIndex
from commands.knowledge.passages import ChangePassage, PassageHandlers, RewritePassage
from commands.knowledge.sync import BeginSync, CancelSync, EndSync, NoteListing, NoteProgress, SyncHandlers
from commands.knowledge.tokenizing import Chunkers, Tokenizers
from commands.knowledge.trials import ShowTrial, show_trial
from commands.models.model import settle_model
from commands.models.model_kinds import ModelKinds
from commands.pipelines.pipeline_run import (
    BeginPipelineRun,
    CancelPipelineRun,
    EndPipelineRun,
    NoteItemBegun,
    NoteItemEnded,
    item_begun,
    item_ended,
    pipeline_run_begun,
    pipeline_run_cancelled,
    pipeline_run_ended,
)
from commands.plugin_settings import ProviderSettings, Settables
from commands.ports import PromptRenderer, SecretBox, Things
from commands.prompt import Templates
from commands.retrieval.answering_prompt import RagToolRule
from commands.runs.retention import DestroyRunTexts, RetentionHandlers
from commands.runs.run_handlers import RunHandlers
from commands.runs.runs import FinishRun, InterruptRun, StartRun
from commands.subject import EraseSubject, ExportSubject, NoteAnswersRemoved, SubjectHandlers
from commands.tag import RenameTag, rename_tag
from commands.webhook import WebhookRules
from domain.agent import Agent
from domain.api_key import ApiKey
from domain.channel import Channel
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.prompt import Prompt
from domain.provider import Provider
from domain.rag_tool import RagTool
from domain.retrieval_tool import RetrievalTool
from domain.tool_server import ToolServer
from domain.webhook import Webhook


def handlers(
    *,
    secrets: SecretBox,
    renderer: PromptRenderer,
    answers: Answers,
    things: Things,
    specifications: Specifications,
    tokenizers: Tokenizers,
    connectors: Connectors | None = None,
    guards: Guards | None = None,
    embedders: Settables | None = None,
    rerankers: Settables | None = None,
    chunkers: Chunkers | None = None,
    tool_plugins: ToolPlugins | None = None,
) -> Handlers:
    """Return command class -> handler."""
    indexes = IndexHandlers(things=things, tokenizers=tokenizers, connectors=connectors or {}, chunkers=chunkers or {})
    documents = DocumentHandlers(things=things, tokenizers=tokenizers)
    passages = PassageHandlers(things=things)
    syncs = SyncHandlers(things=things, connectors=connectors or {})
    tool_servers = ToolServerHandlers(specifications=specifications, plugins=tool_plugins or {})
    configuration = ConfigurationHandlers(
        secrets=secrets,
        rules={
            Agent: AgentRules(renderer=renderer, things=things, guards=guards or {}),
            Model: settle_model,
            Provider: ProviderSettings(embedders=embedders or {}, rerankers=rerankers or {}),
            KnowledgeSource: indexes,
            RetrievalTool: ModelKinds(things=things),
            RagTool: RagToolRule(things=things),
            ToolServer: tool_servers,
            Prompt: Templates(renderer=renderer, things=things),
            ApiKey: Credentials(box=secrets),
            Webhook: WebhookRules(box=secrets),
            Channel: ChannelRules(box=secrets),
        },
        live_rules={Agent: settle_conduct},
        return_rules={KnowledgeSource: indexes.go_on},
    )
    runs = RunHandlers(answers=answers)
    conversations = ConversationHandlers(things=things)
    subjects = SubjectHandlers(secrets=secrets)
    return {
        AddDocuments: documents.add,
        RemoveDocument: documents.remove,
        RetryDocument: documents.retry,
        ChangePassage: passages.change,
        RewritePassage: passages.rewrite,
        BeginSync: syncs.begin,
        CancelSync: syncs.cancel,
        NoteListing: syncs.note_listing,
        NoteProgress: syncs.note_progress,
        EndSync: syncs.end,
        NoteResults: note_results,
        NoteTools: tool_servers.note,
        BuildIndex: indexes.build,
        SwitchIndex: indexes.switch,
        CompleteIndex: indexes.complete,
        BeginConversation: conversations.begin,
        ForkConversation: conversations.begin,
        StartTurn: conversations.start_turn,
        Decide: conversations.decide,
        NoteAction: conversations.note_action,
        NoteBegun: begun_noted,
        NoteTopic: topic_noted,
        HandOff: handed_off,
        NoteSummary: summary_noted,
        NotePlan: plan_noted,
        NoteFindings: findings_noted,
        NoteReflection: reflection_noted,
        NoteGuardrail: guardrail_noted,
        EndTurn: conversations.end_turn,
        InterruptTurn: conversations.interrupt,
        GiveFeedback: conversations.give_feedback,
        CloseConversation: conversations.close,
        CancelTurn: turn_cancelled,
        RefuseMessage: refused,
        CloseIdle: closed_idle,
        EndProcessing: processing_ended,
        TitleConversation: titled,
        SuggestTitle: title_suggested,
        NoteReview: review_noted,
        NoteCopied: copied,
        NoteDelivery: delivery_noted,
        OpenConversation: ConversationTokens(box=secrets).opened,
        StartRun: runs.start,
        FinishRun: runs.finish,
        InterruptRun: runs.interrupt,
        BeginPipelineRun: pipeline_run_begun,
        CancelPipelineRun: pipeline_run_cancelled,
        NoteItemBegun: item_begun,
        NoteItemEnded: item_ended,
        EndPipelineRun: pipeline_run_ended,
        CreateThing: configuration.create,
        ChangeThing: configuration.change,
        Publish: configuration.publish,
        RemoveLabel: configuration.remove_label,
        RollBack: configuration.roll_back,
        Archive: configuration.archive,
        Restore: configuration.restore,
        RenameTag: rename_tag,
        ShowTrial: show_trial,
        NoteCheckpoint: note_checkpoint,
        ExportSubject: subjects.export,
        EraseSubject: subjects.erase,
        NoteAnswersRemoved: subjects.note_answers_removed,
        DestroyRunTexts: RetentionHandlers(secrets=secrets).destroy,
    }
