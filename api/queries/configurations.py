"""Queries on configuration things over HTTP: the same routes for every kind."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

from starlette.responses import Response

from api.call import Call, Operation, Parameter, answer, json_response, parse_time
from api.commands.configurations import WORDS
from api.cursors import cursor_after, place_of
from api.schemas import document_schema, list_schema
from domain.configuration import Configuration
from domain.errors import Invalid, NotFound
from domain.references import NAME, identify
from projections.configurations import ConfigurationsProjection, ListQuery, after_cursor, labelled, names_wanted

READ_MODEL = ConfigurationsProjection.name
LIMIT = Parameter(
    name="limit",
    schema={"type": "integer", "minimum": 1, "maximum": 500, "default": 50},
    description="Items of a page.",
)
CURSOR = Parameter(name="cursor", schema={"type": "string"}, description="`next_cursor` of the page before.")
ORDER = Parameter(
    name="order",
    schema={"type": "string", "enum": ["desc", "asc"], "default": "desc"},
    description="By creation: newest or oldest first.",
)
LIST = (
    LIMIT,
    CURSOR,
    ORDER,
    Parameter(name="tag", schema={"type": "string"}, description="Only what carries this tag."),
    Parameter(name="archived", schema={"type": "boolean", "default": False}, description="With what is archived."),
    Parameter(name="q", schema={"type": "string"}, description="Part of name, title or description."),
)
PAST = (
    Parameter(name="version", schema={"type": "integer", "minimum": 1}, description="As it was at this version."),
    Parameter(name="as_of", schema={"type": "string", "format": "date-time"}, description="As it was at this time."),
)
LABEL = Parameter(name="label", schema={"type": "string"}, description="The version a label points at; `live` runs.")
BETWEEN = tuple(
    Parameter(
        name=name,
        schema={"type": "string", "minLength": 1},
        description=f"What to compare {name}: a version, a label where the kind has labels, or a time (RFC 3339).",
    )
    for name in ("from", "to")
)

USAGE = ("kind", "name", "path", "id")
"""What usages are in the order of."""


class ConfigurationQueries:
    """The handlers of one kind."""

    BESIDE: ClassVar[Mapping[str, Any]] = {}
    """Schemas of what `shown` adds to documents."""

    def __init__(self, kind: type[Configuration]) -> None:
        self._kind = kind

    async def page(self, call: Call) -> Response:
        """Return a page of the list."""
        cursor = call.query.get("cursor")
        query = ListQuery(
            kind=self._kind.TOPIC,
            limit=call.integer("limit", 50, 1, 500) or 50,
            after=None if cursor is None else after_cursor(cursor),
            newest_first=call.choice("order", ("desc", "asc")) == "desc",
            tag=call.text("tag"),
            archived=call.flag("archived"),
            text=call.text("q"),
        )
        position = await call.wait_for_read_model(READ_MODEL)
        page = await call.container.view.page(query)
        following = "null" if page.next_cursor is None else f'"{page.next_cursor}"'
        items = await self.shown(call, page.items)
        body = f'{{"items":[{",".join(items)}],"next_cursor":{following}}}'
        return json_response(body.encode(), headers={"Magnet-Position": str(position)})

    async def get(self, call: Call) -> Response:
        """Return a thing: newest, labelled, or as it was."""
        if not call.query:
            position = await call.wait_for_read_model(READ_MODEL)
            row = await call.container.view.get(self._id(call))
            if row is None or row.kind != self._kind.TOPIC:
                raise self._absent()
            [document] = await self.shown(call, [row.document])
            return json_response(
                document.encode(),
                headers={"ETag": f'"{row.version}"', "Magnet-Position": str(max(position, row.position))},
            )
        return await self._get_other(call)

    async def shown(self, call: Call, documents: Sequence[str]) -> Sequence[str]:
        """Return documents as they stand in the read model with what a kind shows of the present beside."""
        return documents

    async def _get_other(self, call: Call) -> Response:
        asked = [name for name in ("version", "label", "as_of") if name in call.query]
        if len(asked) > 1:
            raise Invalid("Ask for one of version, label and as_of.", pointer=f"/{asked[1]}")
        version, time = call.integer("version", None, 1, 2**62), call.time("as_of")
        if version is not None:
            body = await call.container.history.at_version(self._kind, self._id(call), version)
        elif time is not None:
            body = await call.container.history.as_of(self._kind, self._id(call), time)
        else:
            return await self._get_labelled(call, call.text("label") or "live")
        return json_response(body, headers={"Magnet-Position": str(await call.container.log.head())})

    async def _get_labelled(self, call: Call, label: str) -> Response:
        position = await call.wait_for_read_model(READ_MODEL)
        row = await call.container.view.get(self._id(call))
        if row is None or row.kind != self._kind.TOPIC:
            raise self._absent()
        shown = labelled(row, label, await call.container.log.names(names_wanted([row])))
        if shown is None:
            raise NotFound("There is no such label.", code="unknown_label")
        return answer(shown, position=max(position, row.position), headers={"ETag": f'"{row.version}"'})

    async def history(self, call: Call) -> Response:
        """Return what happened to a thing."""
        limit = call.integer("limit", 50, 1, 500) or 50
        page = await call.container.history.page(
            self._kind,
            self._id(call),
            limit=limit,
            cursor=call.query.get("cursor"),
            oldest_first=call.choice("order", ("desc", "asc")) == "asc",
        )
        return answer(page, position=await call.container.log.head())

    async def diff(self, call: Call) -> Response:
        """Return what differs between two versions, each named by its number, by a label or by a time."""
        old, new = await self._version(call, "from"), await self._version(call, "to")
        difference = await call.container.history.diff(self._kind, self._id(call), old, new)
        return answer(difference, position=await call.container.log.head())

    async def _version(self, call: Call, name: str) -> int:
        history, id, named = call.container.history, self._id(call), call.text(name)
        points = (
            "the number of a version, a label, or a time"
            if self._kind.LABELLED
            else "the number of a version, or a time"
        )
        told = f"{points} such as 2027-01-31T12:00:00Z"
        if named is None:
            raise Invalid(f"'{name}' is needed: {told}.", code="missing", pointer=f"/{name}")
        if named.isascii() and named.isdigit():
            return call.integer(name, None, 1, 2**62) or 0
        if self._kind.LABELLED and NAME.match(named):
            return await history.labelled_version(self._kind, id, named)
        try:
            time = parse_time(named, f"/{name}")
        except Invalid as error:
            raise Invalid(f"'{name}' is {told}.", code=error.error_code, pointer=f"/{name}") from None
        return await history.version_at(self._kind, id, time)

    async def usages(self, call: Call) -> Response:
        """Return who refers to a thing."""
        id = self._id(call)
        if await call.container.store.version_of(self._kind, id) is None:
            raise self._absent()
        limit = call.integer("limit", 50, 1, 500) or 50
        items = await call.container.view.usages(id, place_of(call, len(USAGE)), limit + 1)
        following = cursor_after([items[limit - 1][name] for name in USAGE]) if len(items) > limit else None
        return answer({"items": items[:limit], "next_cursor": following}, position=await call.container.log.head())

    def _id(self, call: Call) -> UUID:
        return identify(self._kind.TOPIC, call.path("ref"))

    def _absent(self) -> NotFound:
        return NotFound(f"There is no such {self._kind.TOPIC.replace('_', ' ')}.")


def operations(
    kind: type[Configuration],
    collection: str,
    *,
    permission: str,
    queries: type[ConfigurationQueries] = ConfigurationQueries,
) -> Sequence[Operation]:
    """Return the queries of a kind."""
    handlers = queries(kind)
    word = WORDS.get(kind.TOPIC, f"a {kind.TOPIC}")
    thing = f"/v1/{collection}/{{ref}}"
    document = document_schema(kind)
    document["properties"] |= handlers.BESIDE

    def operation(path: str, name: str, summary: str, handler: Any, **more: Any) -> Operation:
        return Operation(
            method="GET",
            path=path,
            side="queries",
            tag=collection,
            name=name,
            summary=summary,
            permission=permission,
            handler=handler,
            **more,
        )

    topic = kind.TOPIC
    return [
        operation(
            f"/v1/{collection}",
            f"list_{topic}s",
            f"List {collection.replace('-', ' ')}",
            handlers.page,
            parameters=LIST,
            answer=list_schema(document),
        ),
        operation(
            thing,
            f"get_{topic}",
            f"Read {word}",
            handlers.get,
            parameters=(*PAST, LABEL) if kind.LABELLED else PAST,
            answer=document,
        ),
        operation(
            f"{thing}/history",
            f"get_history_of_{topic}",
            f"Read what happened to {word}",
            handlers.history,
            parameters=(LIMIT, CURSOR, replace(ORDER, description="Newest or oldest version first.")),
        ),
        operation(
            f"{thing}/diff",
            f"diff_{topic}",
            f"Compare {word} as of two versions, labels or times",
            handlers.diff,
            parameters=BETWEEN,
        ),
        operation(
            f"{thing}/usages",
            f"get_usages_of_{topic}",
            f"Read who refers to {word}",
            handlers.usages,
            parameters=(LIMIT, CURSOR),
        ),
    ]
