"""What is offered over MCP, and by which names: things of some kinds, as far as the caller may use them."""

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any
from uuid import UUID

from api.call import Call, Operation
from api.permissions import allowed
from domain.configuration import Configuration
from domain.configuration_events import LIVE
from domain.errors import NotFound
from domain.references import NAME, UUID_FORM
from projections.configurations import everything, labelled

LONGEST_NAME = 64
"""Characters of a name that every model's provider takes."""

TAKEN = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")
MARKED = re.compile(r"-[A-P]{10}\Z")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A kind of thing, each of which is a tool `<prefix>_<name>`.

    `operation` is what the tool does: its permission and side are the tool's too. `takes` gives the schema of the
    arguments by the thing's live document, `gives` is that of the structured result, `tells` its text.
    """

    prefix: str
    kind: type[Configuration]
    operation: Operation
    does: str
    only_reads: bool
    takes: Callable[[Mapping[str, Any]], dict[str, Any]]
    gives: Mapping[str, Any]
    carry_out: Callable[[Call, str, dict[str, Any]], Awaitable[dict[str, Any]]]
    tells: Callable[[Mapping[str, Any]], str]


def served(call: Call, operation: Operation) -> bool:
    """Return whether this process serves an operation, and the caller may use it."""
    side = call.request.app.state.side
    return side in ("all", operation.side) and allowed(call.actor.roles, operation.permission)


async def live(call: Call, kind: type[Configuration]) -> AsyncIterator[Mapping[str, Any]]:
    """Yield the documents of all things of a kind, as they are at the version that runs."""
    async for shown in everything(call.container.view, kind.TOPIC):
        row = await call.container.view.get(UUID(shown["id"])) if shown["draft"] else None
        at_live = None if row is None else labelled(row, LIVE, {})  # the names of what they refer to are not told
        yield shown if at_live is None else at_live


def name_of(thing: str, prefix: str = "") -> str:
    """Return what a thing is called over MCP.

    Where its own name would be too long or has a dot, that is put right and ten capital letters made from the name
    follow: no name of a thing has such, so that no two are the same.
    """
    plain = f"{prefix}_{thing}" if prefix else thing
    if TAKEN.match(plain):
        return plain
    mark = "".join(chr(ord("A") + int(digit, 16)) for digit in sha256(thing.encode()).hexdigest()[:10])
    return f"{plain.replace('.', '_')[: LONGEST_NAME - len(mark) - 1]}-{mark}"


async def find(call: Call, name: str, offers: Sequence[Offer]) -> tuple[Offer, str]:
    """Return what offers a tool, and the name of its thing; or raise NotFound. Whether that exists is not asked."""
    for offer in offers:
        if name.startswith(f"{offer.prefix}_") and served(call, offer.operation):
            thing = await thing_called(call, offer.kind, name, offer.prefix)
            if thing is not None:
                return offer, thing
    raise NotFound("There is no such tool, or its use is not allowed: tools/list names those that there are.")


async def thing_called(call: Call, kind: type[Configuration], name: str, prefix: str = "") -> str | None:
    """Return the name of the thing that is called so over MCP."""
    thing = name[len(prefix) + 1 :] if prefix else name
    if NAME.match(thing) and not UUID_FORM.match(thing) and name_of(thing, prefix) == name:
        return thing
    if MARKED.search(name):
        async for shown in everything(call.container.view, kind.TOPIC):
            if name_of(shown["name"], prefix) == name:
                return str(shown["name"])
    return None
