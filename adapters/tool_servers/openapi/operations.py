"""The operations of an OpenAPI document as tools: their names, what they take, and how a request is made of that."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any
from urllib.parse import urljoin

import orjson

from adapters.tool_servers.openapi.document import Document, wrong
from adapters.tool_servers.openapi.schemas import SchemaCopier, Unusable
from commands.agents.tools import Offer
from domain.provider import web_origin
from domain.references import escaped

METHODS = ("get", "head", "post", "put", "patch", "delete", "options", "query")
SAFE_METHODS = frozenset({"get", "head", "options", "query"})
"""Methods that change nothing (RFC 9110)."""

PLACES = ("path", "query", "header", "cookie")
STYLES: Mapping[str, tuple[str, ...]] = {
    "path": ("simple", "label", "matrix"),
    "query": ("form", "spaceDelimited", "pipeDelimited", "deepObject"),
    "header": ("simple",),
    "cookie": ("form",),
}
"""How a parameter may be written, the first unless it says something else."""

IGNORED_HEADERS = frozenset({"accept", "content-type", "authorization"})
"""Parameters of these names mean nothing (OpenAPI 3, Parameter Object)."""

CONNECTION_HEADERS = frozenset(
    {"connection", "content-length", "expect", "host", "keep-alive", "proxy-authorization", "te", "trailer",
     "transfer-encoding", "upgrade", "cookie"}
)  # fmt: skip
"""Headers that no tool's argument may set."""

MOST_TOOLS = 1_000
LARGEST_OFFER = 2_000_000
"""Bytes of all tools together: they are recorded as one event."""

LONGEST_DESCRIPTION = 4_000
LONGEST_NAME = 64
LONGEST_ADDRESS = 2_000
MOST_PARAMETERS = 1_000
"""Of one operation."""

TEMPLATE = re.compile(r"\{([^{}]*)\}")
NO_NAME = re.compile(r"[^A-Za-z0-9_-]+")


@dataclass(kw_only=True)
class Names:
    """Names that were given, each once, of letters, digits, _ and -."""

    taken: set[str] = field(default_factory=set)

    def give(self, wanted: str, *others: str) -> str:
        """Return the first of the wanted names that is free, else one with a number."""
        candidates = [NO_NAME.sub("_", each)[:LONGEST_NAME] or "_" for each in (wanted, *others)]
        last = candidates[-1]
        numbered = (f"{last[: LONGEST_NAME - 5]}_{number}" for number in range(2, 10_000))
        name = next(each for each in chain(candidates, numbered) if each not in self.taken)
        self.taken.add(name)
        return name


def offer_of(text: str, auth: Mapping[str, Any], url: str | None = None) -> Offer:
    """Return what a specification describes, or raise WrongSpecification."""
    document = Document.read(text)
    root = document.root
    paths = root.get("paths")
    if not isinstance(paths, dict):
        raise wrong("/paths", "an object of paths is expected")
    hidden = frozenset({(auth["in"], str(auth["name"]).lower())} if auth["kind"] == "api_key" else ())
    names, tools, left_out, size = Names(), list[dict[str, Any]](), list[dict[str, str]](), 0
    for path, at, item in path_items(document, paths):
        for method in METHODS:
            if method not in item:
                continue
            operation, here = document.resolved(item[method], f"{at}/{method}")
            name = names.give(name_of(operation, method, path))
            if len(names.taken) > MOST_TOOLS:
                raise wrong("/paths", f"it has more than {MOST_TOOLS:,} operations")
            try:
                tool = Operation(document, path, method, item, at, operation, here, hidden, url).tool(name)
            except Unusable as error:
                left_out.append({"tool": name, "reason": str(error)})
                continue
            tools.append(tool)
            size += len(orjson.dumps(tool))
            if size > LARGEST_OFFER:
                raise wrong("/paths", f"its tools take more than {LARGEST_OFFER:,} bytes: give a smaller part of it")
    if not tools:
        reason = f": {left_out[0]['tool']}: {left_out[0]['reason']}" if left_out else ""
        raise wrong("/paths", f"there is no operation that can be called{reason}")
    info = root.get("info")
    title = info.get("title") if isinstance(info, dict) else None
    return Offer(title=str(title or "")[:200], server=server_in(root, "", url), tools=tools, left_out=left_out)


def path_items(document: Document, paths: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    """Yield each path with where it stands and what it holds."""
    for path, node in paths.items():
        if path.startswith("x-"):
            continue
        at = f"/paths/{escaped(path)}"
        if not path.startswith("/"):
            raise wrong(at, "a path starts with /")
        item, at = document.resolved(node, at)
        yield path, at, item


def name_of(operation: Mapping[str, Any], method: str, path: str) -> str:
    """Return the name of an operation's tool: its own, else one made of method and path; it begins with a letter."""
    given = operation.get("operationId")
    wanted = given if isinstance(given, str) and given.strip() else f"{method}{path.replace('{', '').replace('}', '')}"
    name = NO_NAME.sub("_", wanted).strip("_") or method
    return name if name[0].isalpha() else f"_{name}"


def server_in(node: Mapping[str, Any], at: str, url: str | None) -> str | None:
    """Return the first of a node's servers, its variables at their defaults; None where it names none."""
    servers = node.get("servers")
    if servers is None or servers == []:
        return None
    if not isinstance(servers, list) or not isinstance(servers[0], dict) or not isinstance(servers[0].get("url"), str):
        raise wrong(f"{at}/servers/0", "an object with a 'url' is expected")
    address: str = servers[0]["url"]
    too_long = f"a server's address has more than {LONGEST_ADDRESS:,} characters"
    variables = servers[0].get("variables")
    if len(address) > LONGEST_ADDRESS:
        raise wrong(f"{at}/servers/0/url", too_long)
    for name in dict.fromkeys(TEMPLATE.findall(address)):
        variable = variables.get(name) if isinstance(variables, dict) else None
        if not isinstance(variable, dict) or not isinstance(variable.get("default"), str | int):
            raise wrong(f"{at}/servers/0/url", f"the variable '{name[:60]}' has no default")
        default = str(variable["default"])
        if len(default) * address.count(f"{{{name}}}") > LONGEST_ADDRESS:
            raise wrong(f"{at}/servers/0/variables", too_long)
        address = address.replace(f"{{{name}}}", default)
    if url is not None:
        address = urljoin(url, address)
    try:
        web_origin(address)
    except ValueError:
        return None  # such as `/v1`, of a text that came from nowhere: then base_url is needed
    return address.partition("?")[0].partition("#")[0]


@dataclass(frozen=True)
class Operation:
    """One operation while a tool is made of it."""

    document: Document
    path: str
    method: str
    item: Mapping[str, Any]
    item_at: str
    operation: Mapping[str, Any]
    at: str
    hidden: frozenset[tuple[str, str]]
    url: str | None

    def tool(self, name: str) -> dict[str, Any]:
        """Return the tool; or raise Unusable, or WrongSpecification."""
        copier, names = SchemaCopier(self.document), Names()
        properties: dict[str, Any] = {}
        required: list[str] = []
        parameters = []
        for parameter, at in self._parameters():
            taken = self._parameter(parameter, at, copier)
            described, needed = taken.pop("schema"), taken.pop("required")
            argument = names.give(taken["name"], f"{taken['name']}_{taken['in']}")
            properties[argument] = described
            required += [argument] if needed else []
            parameters.append({"argument": argument, **taken})
        body = self._body(copier)
        if body is not None:
            argument = names.give("body", "request_body")
            properties[argument] = body.pop("schema")
            required += [argument] if body.pop("required") else []
            body = {"argument": argument, **body}
        schema: dict[str, Any] = {"type": "object", "properties": properties, "additionalProperties": False}
        if required:
            schema["required"] = required
        own = server_in(self.operation, self.at, self.url) or server_in(self.item, self.item_at, self.url)
        return {
            "name": name,
            "description": self._description(),
            "input_schema": copier.whole(schema),
            "side_effects": self.method not in SAFE_METHODS,
            "request": {
                "method": self.method.upper(),
                "path": self.path,
                "server": own,
                "parameters": parameters,
                "body": body,
            },
        }

    def _description(self) -> str:
        told = [self.operation.get("summary"), self.operation.get("description")]
        text = "\n".join(each.strip() for each in told if isinstance(each, str) and each.strip())
        text = text or f"{self.method.upper()} {self.path}"
        if self.operation.get("deprecated") is True:
            text = f"(Deprecated.) {text}"
        return text if len(text) <= LONGEST_DESCRIPTION else f"{text[: LONGEST_DESCRIPTION - 2]} …"

    def _parameters(self) -> list[tuple[Mapping[str, Any], str]]:
        """Return the parameters, those of the path unless the operation has its own of the same name and place."""
        found: dict[tuple[str, str], tuple[Mapping[str, Any], str]] = {}
        for node, at in ((self.item, self.item_at), (self.operation, self.at)):
            listed = node.get("parameters", [])
            if not isinstance(listed, list):
                raise wrong(f"{at}/parameters", "a list is expected")
            if len(listed) > MOST_PARAMETERS:
                raise Unusable(f"it takes more than {MOST_PARAMETERS:,} parameters")
            for number, each in enumerate(listed):
                parameter, here = self.document.resolved(each, f"{at}/parameters/{number}")
                name, place = parameter.get("name"), parameter.get("in")
                if not isinstance(name, str) or not name:
                    raise wrong(f"{here}/name", "the name of a parameter is expected")
                if place == "querystring":
                    raise Unusable("it takes the whole query as one parameter")
                if place not in PLACES:
                    raise wrong(f"{here}/in", f"one of {', '.join(PLACES)} is expected")
                found[name, place] = (parameter, here)
        declared = {name for name, place in found if place == "path"}
        for name in TEMPLATE.findall(self.path):
            if name not in declared:
                raise Unusable(f"its path has '{{{name[:60]}}}', and no parameter says what that is")
        return [kept for (name, place), kept in found.items() if not self._is_left_out(name, place)]

    def _is_left_out(self, name: str, place: str) -> bool:
        """Whether a parameter is not the model's to give: it means nothing, or is the credential itself."""
        lower = name.lower()
        if place == "path" and f"{{{name}}}" not in self.path:
            return True
        return (place, lower) in self.hidden or (place == "header" and lower in IGNORED_HEADERS | CONNECTION_HEADERS)

    def _parameter(self, parameter: Mapping[str, Any], at: str, copier: SchemaCopier) -> dict[str, Any]:
        """Return how a parameter is written, with its schema and whether it is needed."""
        place = parameter["in"]
        content = parameter.get("content")
        if isinstance(content, dict) and content:
            media, node = next(iter(content.items()))
            described, here = self.document.resolved(node, f"{at}/content/{escaped(media)}")
            how: dict[str, Any] = {"media": media}
            schema = copier.copied(described.get("schema", {}), f"{here}/schema")
        else:
            style = parameter.get("style", STYLES[place][0])
            if style not in STYLES[place]:
                raise wrong(f"{at}/style", f"a parameter in {place} has the style {' or '.join(STYLES[place])}")
            explode = parameter.get("explode", style == "form")
            how = {"style": style, "explode": explode is True}
            if parameter.get("allowReserved") is True:
                how["reserved"] = True
            schema = copier.copied(parameter.get("schema", {}), f"{at}/schema")
        return {
            "name": parameter["name"],
            "in": place,
            **how,
            "schema": described_by(schema, parameter.get("description")),
            "required": place == "path" or parameter.get("required") is True,
        }

    def _body(self, copier: SchemaCopier) -> dict[str, Any] | None:
        """Return how the body is written, with its schema and whether it is needed; None where it has none."""
        node = self.operation.get("requestBody")
        if node is None:
            return None
        body, at = self.document.resolved(node, f"{self.at}/requestBody")
        content = body.get("content")
        if not isinstance(content, dict) or not content:
            raise wrong(f"{at}/content", "an object of media types is expected")
        media = next((each for kind in KINDS for each in content if kind(plain_type(each))), None)
        if media is None:
            raise Unusable(f"it takes {', '.join(sorted(content))[:200]}, which is not written here")
        described, here = self.document.resolved(content[media], f"{at}/content/{escaped(media)}")
        encoding = described.get("encoding", {})
        if not isinstance(encoding, dict) or not all(isinstance(each, dict) for each in encoding.values()):
            raise wrong(f"{here}/encoding", "an object of objects is expected")
        node = described.get("schema", {"type": "string"} if media.startswith("text/") else {})
        schema = copier.copied(node, f"{here}/schema")
        kept = ("contentType", "style", "explode")
        return {
            "media": media,
            "files": self._files(node, f"{here}/schema") if plain_type(media) == "multipart/form-data" else [],
            "encoding": {name: {k: each[k] for k in kept if k in each} for name, each in encoding.items()},
            "schema": described_by(schema, body.get("description")),
            "required": body.get("required") is True,
        }

    def _files(self, node: Any, at: str) -> list[str]:
        """Return the properties of a form that are files."""
        schema, here = self.document.resolved(node, at)
        properties = schema.get("properties", {})
        found = []
        for name, each in properties.items() if isinstance(properties, dict) else ():
            of = self.document.resolved(each, f"{here}/properties/{escaped(name)}")[0]
            items = self.document.resolved(of["items"], here)[0] if isinstance(of.get("items"), dict) else {}
            if "binary" in (of.get("format"), items.get("format")) or "contentMediaType" in of:
                found.append(name)
        return found


def is_json(media: str) -> bool:
    """Return whether a body of this media type is JSON; one that may be anything is that too."""
    return media in ("application/json", "*/*", "application/*") or media.endswith("+json")


KINDS: Sequence[Callable[[str], bool]] = (
    is_json,
    "application/x-www-form-urlencoded".__eq__,
    "multipart/form-data".__eq__,
    lambda media: media.startswith("text/"),
)
"""Media types of bodies that are written, the best first."""


def plain_type(media: str) -> str:
    """Return a media type without its parameters."""
    return media.partition(";")[0].strip().lower()


def described_by(schema: Any, description: Any) -> Any:
    """Return a schema with a description of what it is for, unless it has one."""
    if not isinstance(description, str) or not description.strip():
        return schema
    if not isinstance(schema, dict):
        return {"description": description.strip()} if schema is True else schema
    return {"description": description.strip(), **schema}
