"""What is true: the aggregates, their events and their rules.

Glossary
    thing       a configuration aggregate: provider, model, prompt, API key, ...
    definition  what a thing is set to; its newest version
    version     the number of a thing's last event; names a past state too
    label       a name for a version; `live` is the one that runs
    draft       a newest version that would do something else than the live one
    variant     an alternative of a definition that shares its traffic by weight
    position    the place of an event in the one log, without gaps, in commit order
    receipt     what a command answers: id, version, position
    run         one execution, with the versions of all it used, its steps, tokens and cost
    step        a part of a run
    space       where vectors live: one embedding model, one length
    sync        one time that a source is asked what it has, and followed in that
    connector   how documents of one type of sources are listed and fetched
    index       a source's documents, cut in one way and embedded in one space
    passage     a piece of a document that a search can find
    pipeline    prompts and tools in steps, several at once in a step, each given what earlier ones gave
    action      what an agent may do: search, answer from passages, run a prompt
    topic       what an agent is asked about, with instructions and actions of its own
    subject     whom a conversation or a run is for
    tool        what another machine does when it is asked: an operation of an API, or a tool of MCP
    turn        what a person says in a conversation, and what comes of it
    file        what a person gives with a message: a document of the private source that the conversation is
    channel     a way from outside to an agent
    research    a question looked into, part by part, before it is answered
    reference   an id or a name by which one thing means another
"""

from eventsourcing.domain import Aggregate

from domain.agent import Agent
from domain.api_key import ApiKey
from domain.channel import Channel
from domain.checkpoint import Checkpoint
from domain.configuration import Configuration
from domain.conversation import Conversation
from domain.document import Document
from domain.knowledge_source import KnowledgeSource
from domain.model import DefaultModel, Model
from domain.pipeline import Pipeline
from domain.pipeline_run import PipelineRun
from domain.prompt import Prompt
from domain.provider import Provider
from domain.rag_tool import RagTool
from domain.retrieval_tool import RetrievalTool
from domain.run import Run
from domain.run_texts import RunTexts
from domain.subject import Subject
from domain.sync import Sync, Syncing
from domain.tag import Tag
from domain.tool_server import ToolServer
from domain.webhook import Webhook

CONFIGURATIONS: tuple[type[Configuration], ...] = (
    Provider,
    Model,
    Prompt,
    KnowledgeSource,
    RetrievalTool,
    RagTool,
    ToolServer,
    Pipeline,
    Agent,
    ApiKey,
    Webhook,
    Channel,
)
"""Every kind of configuration thing."""

AGGREGATES: tuple[type[Aggregate], ...] = (
    *CONFIGURATIONS,
    DefaultModel,
    Tag,
    Document,
    Sync,
    Syncing,
    Run,
    PipelineRun,
    Conversation,
    Subject,
    RunTexts,
    Checkpoint,
)
"""Every aggregate whose events the log may hold."""
