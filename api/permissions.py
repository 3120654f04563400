"""Roles and permissions: who may do what. Every route declares the permission it needs."""

from collections.abc import Mapping

PUBLIC = "public"
"""Needs no credential: health and the documentation."""

PERMISSIONS: Mapping[str, str] = {
    "configuration:read": "read configuration things, their history and who uses them",
    "configuration:write": "create, change, publish, roll back, archive and restore configuration things",
    "documents:read": "list and read documents that one's groups may find, and how far uploads are",
    "documents:write": "give documents to a knowledge source, remove them, and have them tried again",
    "sources:sync": "have a knowledge source synced, and stop that",
    "syncs:read": "see what came of syncs, with the documents that failed",
    "tools:test": "ask a tool server what it offers, and call its tools to try them out",
    "providers:test": "call a provider to see whether it answers and which models it offers",
    "prompts:preview": "render a prompt",
    "prompts:run": "run a prompt",
    "pipelines:run": "have a pipeline run, and stop that",
    "search:run": "search by a retrieval tool, among what one's groups may find",
    "search:explain": "see how a search came to its order, with the plans of its statements",
    "answers:run": "have a RAG tool answer a question, from what one's groups may find",
    "conversations:use": "begin conversations with agents, and go on with one's own",
    "conversations:read": "list and read one's own conversations",
    "conversations:read_all": "list and read everybody's conversations",
    "conversations:review": "write and read reviewers' notes on conversations that one may read",
    "conversations:replay": "have conversations that one may read answered again by another version of an agent",
    "tools:preview": "search, answer or cut documents by settings that are not saved",
    "completions:run": "have an agent, RAG tool, prompt or model answer messages in OpenAI's form",
    "embeddings:run": "embed texts",
    "mcp:use": "ask over MCP what is offered there; each tool needs the permission of what it does besides",
    "runs:read": "list and read one's own runs",
    "runs:read_all": "list and read everybody's runs, without what was said",
    "runs:read_texts": "read what was said in everybody's runs",
    "usage:read": "read usage and cost",
    "keys:read": "see who holds which API key, and when it was last used",
    "keys:manage": "create, change and revoke API keys",
    "log:read": "read the event log",
    "webhooks:read": "see to which webhooks the event log is sent, and how far they are",
    "webhooks:manage": "create, change, archive and replay webhooks",
    "projections:read": "see where projections stand and what they have set aside",
    "projections:manage": "rebuild projections and take back what they have set aside",
    "subjects:manage": "give out what is held of a person, and erase it",
    "metrics:read": "read the metrics",
}

WATCHED = frozenset({"log:read"})
"""Permissions whose use is noted in the access log, every time and before an answer leaves."""

OWN_PERMISSIONS: Mapping[str, tuple[str, str]] = {
    "api_key": ("keys:read", "keys:manage"),
    "webhook": ("webhooks:read", "webhooks:manage"),
}
"""To read and to change kinds that not everybody may read or change who may do so with other things."""

USING = frozenset(
    {
        "configuration:read",
        "documents:read",
        "prompts:preview",
        "prompts:run",
        "pipelines:run",
        "search:run",
        "answers:run",
        "completions:run",
        "embeddings:run",
        "mcp:use",
        "conversations:use",
        "conversations:read",
        "runs:read",
    }
)
"""What everyone may who works with what is configured."""

ROLES: Mapping[str, frozenset[str]] = {
    "admin": frozenset(PERMISSIONS),
    "editor": USING
    | {"sources:sync", "syncs:read"}
    | {
        "conversations:review",
        "conversations:replay",
        "configuration:write",
        "documents:write",
        "tools:preview",
        "tools:test",
        "providers:test",
        "runs:read_all",
        "usage:read",
    },
    "operator": USING
    | {
        "documents:write",
        "sources:sync",
        "syncs:read",
        "tools:test",
        "providers:test",
        "search:explain",
        "runs:read_all",
        "usage:read",
        "projections:read",
        "projections:manage",
        "metrics:read",
    },
    "user": USING,
    "auditor": frozenset(
        {
            "configuration:read",
            "documents:read",
            "syncs:read",
            "keys:read",
            "log:read",
            "webhooks:read",
            "conversations:read",
            "conversations:read_all",
            "conversations:review",
            "runs:read",
            "runs:read_all",
            "runs:read_texts",
            "usage:read",
            "projections:read",
            "metrics:read",
        }
    ),
}


def allowed(roles: frozenset[str], permission: str) -> bool:
    """Return whether one of the roles has the permission."""
    return permission == PUBLIC or any(permission in ROLES.get(role, ()) for role in roles)
