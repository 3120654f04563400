"""The HTTP application: every operation as a route, each with its permission."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, partial
from http import HTTPStatus
from urllib.parse import unquote_to_bytes

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from adapters.event_store.heads import look_anew
from api import documentation, health, metrics
from api.accesses import access
from api.call import Call, Operation, must_be_allowed
from api.commands import (
    answers,
    channel_messages,
    completions,
    conversation_forks,
    conversation_notes,
    conversation_tokens,
    conversations,
    documents,
    passages,
    pipeline_runs,
    prompt_runs,
    replays,
    responses,
    sample_questions,
    source_trials,
    subjects,
    syncs,
    tool_servers,
    web_chats,
)
from api.commands import configurations as configuration_commands
from api.commands import projections as projection_commands
from api.commands import providers as provider_commands
from api.commands import tags as tag_commands
from api.commands import webhooks as webhook_commands
from api.container import Container
from api.cross_origin import NamedOrigins, Preflight, page_that_asks, share
from api.errors import HttpProblem, problem, problem_of
from api.event_schemas import asyncapi_document
from api.mcp_server import exchange as mcp_exchange
from api.middleware import RequestMiddleware
from api.openai_forms import refusals as openai_refusals
from api.openapi import openapi_document
from api.permissions import OWN_PERMISSIONS, PERMISSIONS, PUBLIC, WATCHED
from api.queries import accesses as access_queries
from api.queries import audit as audit_queries
from api.queries import chunking_previews, dead_letters, event_stream, openai_models, searches
from api.queries import configurations as configuration_queries
from api.queries import conversations as conversation_queries
from api.queries import documents as document_queries
from api.queries import log as log_queries
from api.queries import passages as passage_queries
from api.queries import pipeline_runs as pipeline_run_queries
from api.queries import plugins as plugin_queries
from api.queries import prompts as prompt_queries
from api.queries import providers as provider_queries
from api.queries import responses as response_queries
from api.queries import runs as run_queries
from api.queries import syncs as sync_queries
from api.queries import tool_servers as tool_server_queries
from api.queries import web_chats as web_chat_queries
from api.queries import webhooks as webhook_queries
from api.queries.api_keys import ApiKeyQueries
from api.routing import Directly, IndexedRoutes
from api.web_chat import serving as web_chat
from commands.conversations.conversation_tokens import HELD, Claims
from commands.ports import Actor
from domain.agent import Agent
from domain.api_key import ApiKey
from domain.channel import Channel
from domain.configuration import Configuration
from domain.errors import FieldError, Invalid
from domain.knowledge_source import KnowledgeSource
from domain.model import Model
from domain.pipeline import Pipeline
from domain.prompt import Prompt
from domain.provider import Provider
from domain.rag_tool import RagTool
from domain.retrieval_tool import RetrievalTool
from domain.tool_server import ToolServer
from domain.webhook import Webhook

COLLECTIONS: Sequence[tuple[type[Configuration], str]] = (
    (Provider, "providers"),
    (Model, "models"),
    (Prompt, "prompts"),
    (KnowledgeSource, "knowledge-sources"),
    (RetrievalTool, "retrieval-tools"),
    (RagTool, "rag-tools"),
    (ToolServer, "tool-servers"),
    (Pipeline, "pipelines"),
    (Agent, "agents"),
    (ApiKey, "api-keys"),
    (Webhook, "webhooks"),
    (Channel, "channels"),
)
CONFIGURATION = ("configuration:read", "configuration:write")


@cache
def operations() -> Sequence[Operation]:
    """Return every operation of the API."""
    found: list[Operation] = [*health.OPERATIONS, *metrics.OPERATIONS]
    found += [
        *prompt_queries.OPERATIONS,
        *prompt_runs.OPERATIONS,
        *pipeline_runs.OPERATIONS,
        *pipeline_run_queries.OPERATIONS,
        *searches.OPERATIONS,
        *answers.OPERATIONS,
        *sample_questions.OPERATIONS,
        *conversations.OPERATIONS,
        *conversation_forks.OPERATIONS,
        *conversation_notes.OPERATIONS,
        *replays.OPERATIONS,
        *conversation_tokens.OPERATIONS,
        *conversation_queries.OPERATIONS,
        *subjects.OPERATIONS,
        *run_queries.OPERATIONS,
    ]
    for kind, collection in COLLECTIONS:
        keys = kind is ApiKey
        read, write = OWN_PERMISSIONS.get(kind.TOPIC, CONFIGURATION)
        queries = ApiKeyQueries if keys else configuration_queries.ConfigurationQueries
        found += configuration_commands.operations(kind, collection, keys=keys, permission=write)
        found += configuration_queries.operations(kind, collection, permission=read, queries=queries)
    return [
        *found,
        *provider_commands.OPERATIONS,
        *provider_queries.OPERATIONS,
        *documents.OPERATIONS,
        *document_queries.OPERATIONS,
        *chunking_previews.OPERATIONS,
        *passages.OPERATIONS,
        *passage_queries.OPERATIONS,
        *source_trials.OPERATIONS,
        *syncs.OPERATIONS,
        *sync_queries.OPERATIONS,
        *tool_servers.OPERATIONS,
        *tool_server_queries.OPERATIONS,
        *plugin_queries.OPERATIONS,
        *tag_commands.OPERATIONS,
        *projection_commands.OPERATIONS,
        *completions.OPERATIONS,
        *responses.OPERATIONS,
        *response_queries.OPERATIONS,
        *openai_models.OPERATIONS,
        *mcp_exchange.OPERATIONS,
        *event_stream.OPERATIONS,  # before what stands at /v1/events/{ref}
        *log_queries.OPERATIONS,
        *dead_letters.OPERATIONS,
        *audit_queries.OPERATIONS,
        *access_queries.OPERATIONS,
        *webhook_commands.OPERATIONS,
        *webhook_queries.OPERATIONS,
        *channel_messages.OPERATIONS,
        *web_chats.OPERATIONS,
        *web_chat_queries.OPERATIONS,
    ]


def create_app(container: Container, *, side: str = "all") -> ASGIApp:
    """Return the application over an open container; `side` is commands, queries or all.

    Raises ValueError where an operation declares no known permission.
    """
    chosen = [each for each in operations() if side == "all" or each.side in (side, "both")]
    preflights = [preflight(operation, container) for operation in chosen if operation.origins is not None]
    indexed = IndexedRoutes([*(route(operation, container) for operation in chosen), *preflights])
    layers = [Middleware(RequestMiddleware, metrics=container.metrics)]
    if container.settings.cors:
        layers.append(
            Middleware(
                NamedOrigins,
                allow_origins=container.settings.cors,
                allow_methods=["*"],
                allow_headers=["*"],
                expose_headers=["ETag", "Location", "Magnet-Position", "Request-Id", "Idempotent-Replay"],
            )
        )
    app = FastAPI(
        title="Magnet",
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        redirect_slashes=False,
        middleware=layers,
    )
    app.state.side = side
    app.router.routes.append(indexed)
    settings = container.settings
    documentation.add_routes(
        app,
        partial(openapi_document, chosen),
        partial(asyncapi_document, topic=settings.kafka_topic, servers=settings.kafka_bootstrap_servers),
        settings.root_path,
    )
    web_chat.add_routes(app)
    app.add_exception_handler(HTTPException, _refused)
    return Directly(app, indexed, layers)


def route(operation: Operation, container: Container) -> Route:
    """Return an operation's route; one without a permission that exists stops the start."""
    if operation.permission != PUBLIC and operation.permission not in PERMISSIONS:
        raise ValueError(f"{operation.method} {operation.path} declares no permission that exists.")
    return Route(operation.path, Endpoint(operation, container), methods=[operation.method], name=operation.name)


def preflight(operation: Operation, container: Container) -> Route:
    """Return the route by which browsers ask whether a page may call an operation."""
    return Route(operation.path, Preflight(operation, container), methods=["OPTIONS"])


class Endpoint:
    """Serves an operation: who calls, may they, is every parameter known; then the handler."""

    def __init__(self, operation: Operation, container: Container) -> None:
        self._operation = operation
        self._container = container
        self._known = {parameter.name for parameter in operation.parameters}
        self._watched = operation.permission in WATCHED
        # Where anybody may ask, anybody could fill the access log.
        self._noting = operation.permission != PUBLIC

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what must be noted is noted before its answer leaves, or it does not leave."""
        request = Request(scope, receive)
        look_anew()
        caller = Caller(actor=self._container.nobody)
        failure: Exception | None = None
        try:
            response = await self._respond(request, caller)
        except Exception as error:
            response, failure = self._problem(request, error), error
        if self._watched or (self._noting and response.status_code == HTTPStatus.FORBIDDEN):
            try:
                await self._container.access_log.note(access(request, caller.actor, response.status_code, failure))
            except Exception as error:
                response = self._problem(request, error)
        if caller.origin is not None:
            share(response, caller.origin)
        await response(scope, receive, send)

    async def _respond(self, request: Request, caller: "Caller") -> Response:
        permission = self._operation.permission
        _refuse_hidden_nul(request)
        claims = self._container.visitors.claims(request) if permission != PUBLIC else None
        if claims is not None:
            await self._visit(request, caller, claims)
        else:
            if permission != PUBLIC:
                caller.actor = await self._container.authenticator(request)
            else:
                caller.origin = await page_that_asks(self._operation, self._container, request)
            must_be_allowed(caller.actor, permission)
        if request.scope["query_string"]:
            _check_parameters(request, self._known)
        visiting, id = claims is not None, request.scope["request_id"]
        return await self._operation.handler(
            Call(request, self._container, caller.actor, id, HELD if visiting else "api", visiting=visiting)
        )

    async def _visit(self, request: Request, caller: "Caller", claims: Claims) -> None:
        """Let the holder of a conversation's token in, or refuse it: a token opens few operations of one conversation."""
        if not self._operation.by_token:
            raise HttpProblem(403, "forbidden", "A conversation's token opens that conversation alone.")
        if request.headers.get("origin") == claims.origin:
            caller.origin = claims.origin
        caller.actor = await self._container.visitors.visitor(claims, request)

    def _problem(self, request: Request, error: Exception) -> Response:
        response = problem_of(error, request_id=request.scope["request_id"], instance=request.url.path)
        return response if self._operation.refused is None else self._operation.refused(response)


@dataclass
class Caller:
    """Who calls, as far as that is known so far."""

    actor: Actor
    origin: str | None = None
    """Whose pages may read the answer."""


def _check_parameters(request: Request, known: set[str]) -> None:
    """Refuse query parameters that the operation does not know, or that stand twice."""
    names = [name for name, _ in request.query_params.multi_items()]
    strange = [name for name in names if name not in known]
    if strange or len(set(names)) != len(names):
        raise Invalid(
            "A query parameter is unknown or stands twice.",
            errors=[
                FieldError(
                    pointer=f"/{name}",
                    message="there is no such parameter, or it stands twice",
                    code="unknown_parameter",
                )
                for name in (strange or names)[:20]
                if name.isprintable()
            ]
            or [FieldError(pointer="", message="a parameter's name is unprintable", code="unknown_parameter")],
        )


def _refuse_hidden_nul(request: Request) -> None:
    raw: bytes = request.scope.get("raw_path") or b""
    if b"%" in raw or b"%" in request.scope["query_string"]:
        for part in (raw, request.scope["query_string"]):
            try:
                text = unquote_to_bytes(part).decode("utf-8")
            except UnicodeDecodeError:
                raise Invalid("The address is not UTF-8.", code="invalid_text") from None
            if "\x00" in text:
                raise Invalid("The address holds NUL.", code="invalid_text")


async def _refused(request: Request, error: Exception) -> Response:
    """Answer what the router refuses: unknown routes and methods."""
    assert isinstance(error, HTTPException)
    code, detail = {
        404: ("not_found", "There is nothing at this address."),
        405: ("method_not_allowed", "This address does not take this method: see Allow."),
    }.get(error.status_code, ("refused", "The request was refused."))
    response = problem(
        status=error.status_code,
        code=code,
        detail=detail,
        request_id=request.scope["request_id"],
        instance=request.url.path,
        headers=error.headers,
    )
    return openai_refusals.refused(response) if is_openai(request) else response


def is_openai(request: Request) -> bool:
    """Return whether this is an address that OpenAI's clients alone ask for."""
    path: str = request.scope["path"].removeprefix(request.scope.get("root_path", ""))
    return path.startswith("/openai/")
