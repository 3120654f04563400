"""Who may read a file of SharePoint, as far as its permissions name groups."""

from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from adapters.connectors.given_values import items, mapping, text

CLAIM_OF_MANY = "c:0"
"""How the login of a site's user begins that stands for a group, or for everyone; single persons begin with `i:0`."""

BARELY = frozenset({"sp.limited access", "sp.web-only limited access"})
"""Roles that open the way to something inside, and let nobody read."""


def readers_of(permissions: Iterable[Any], now: datetime) -> list[str]:
    """Return the names of the groups that may read; `[]`: only single persons may, or nobody is named.

    Links for everyone who has them, or for a whole organization, open a file to those who were given the link,
    which are not told: they name no group.
    """
    groups: set[str] = set()
    for each in permissions:
        permission = mapping(each)
        lets_read = any(text(role).lower() not in BARELY for role in items(permission.get("roles")))
        if lets_read and not is_over(permission, now):
            groups.update(group for identity in identities(permission) for group in groups_of(identity))
    return sorted(groups)


def identities(permission: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield those to whom a permission is granted, directly or by a link of their own."""
    yield mapping(permission.get("grantedToV2"))
    for each in items(permission.get("grantedToIdentitiesV2")):
        yield mapping(each)


def groups_of(identity: Mapping[str, Any]) -> Iterator[str]:
    """Yield the names by which an identity is a group of the directory or of the site."""
    for kind in ("group", "siteGroup", "siteUser"):
        found = mapping(identity.get(kind))
        name = text(found.get("displayName"))
        if name and (kind != "siteUser" or text(found.get("loginName")).startswith(CLAIM_OF_MANY)):
            yield name


def is_over(permission: Mapping[str, Any], now: datetime) -> bool:
    """Return whether a permission had an end that is past; one that can't be read is past."""
    told = permission.get("expirationDateTime")
    if told in (None, "") or text(told).startswith("0001-01-01"):
        return False
    try:
        end = datetime.fromisoformat(text(told))
    except ValueError:
        return True
    return end.replace(tzinfo=end.tzinfo or UTC) <= now
