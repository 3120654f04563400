"""Roles and permissions: who may do what. Every route declares the permission it needs."""

from collections.abc import Mapping

PUBLIC = "public"
"""Needs no credential: health and the documentation."""

PERMISSIONS: Mapping[str, str] = {
    "configuration:read": "read configuration things, their history and who uses them",
    "configuration:write": "create, change, publish, roll back, archive and restore configuration things",
    "prompts:preview": "render a prompt",
    "keys:manage": "create, change, read and revoke API keys",
    "log:read": "read the event log",
    "projections:read": "see where projections stand and what they have set aside",
    "projections:manage": "rebuild projections and take back what they have set aside",
    "metrics:read": "read the metrics",
}

ROLES: Mapping[str, frozenset[str]] = {
    "admin": frozenset(PERMISSIONS),
    "editor": frozenset({"configuration:read", "configuration:write", "prompts:preview"}),
    "operator": frozenset(
        {"configuration:read", "prompts:preview", "projections:read", "projections:manage", "metrics:read"}
    ),
    "user": frozenset({"configuration:read", "prompts:preview"}),
    "auditor": frozenset({"configuration:read", "log:read", "projections:read", "metrics:read"}),
}


def allowed(roles: frozenset[str], permission: str) -> bool:
    """Return whether one of the roles has the permission."""
    return permission == PUBLIC or any(permission in ROLES.get(role, ()) for role in roles)
