"""Schemas of OpenAPI as JSON schemas: whole in themselves, of what is sent, with 3.0's own words put into JSON schema's."""

import re
from collections import Counter
from collections.abc import Mapping
from typing import Any

import jsonschema_rs
import orjson

from adapters.tool_servers.openapi.document import DEEPEST, Document, wrong
from domain.references import escaped

LARGEST = 200_000
"""Bytes of one tool's schema: models are told it with each call."""

TOO_LARGE = f"what it takes has a schema of more than {LARGEST:,} bytes"
KEPT = frozenset(
    {
        "type", "enum", "const", "format", "title", "description", "default", "minimum", "maximum", "exclusiveMinimum",
        "exclusiveMaximum", "multipleOf", "minLength", "maxLength", "pattern", "minItems", "maxItems", "uniqueItems",
        "minProperties", "maxProperties", "required", "minContains", "maxContains", "dependentRequired",
        "contentEncoding", "contentMediaType",
    }
)  # fmt: skip
ONE = frozenset(
    {
        "items", "additionalProperties", "not", "if", "then", "else", "contains", "propertyNames", "unevaluatedItems",
        "unevaluatedProperties",
    }
)  # fmt: skip
SEVERAL = frozenset({"allOf", "anyOf", "oneOf", "prefixItems"})
NAMED = frozenset({"properties", "patternProperties", "dependentSchemas"})
CONTROLS = re.compile(r"[^A-Za-z0-9_.-]+")


class Unusable(Exception):
    """This can't be called, for the reason given; the rest of the specification can."""


class SchemaCopier:
    """Copies schemas of one tool; what they refer to is copied once, into `$defs`, so that circles end."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self._names: dict[str, str] = {}
        self._taken: Counter[str] = Counter()
        self._defs: dict[str, Any] = {}
        self._waiting: list[tuple[str, str, Any]] = []
        self._size = 0

    def copied(self, node: Any, at: str, depth: int = 0) -> Any:
        """Return a schema; or raise WrongSpecification, or Unusable where it is too large."""
        self._document.count()
        if isinstance(node, bool):
            return node
        if not isinstance(node, dict):
            raise wrong(at, "a schema is an object")
        if depth > DEEPEST:
            raise wrong(at, "this schema is nested too deep")
        if "$ref" in node:
            name = self._defined(node["$ref"], f"{at}/$ref")
            beside = {key: node[key] for key in ("description", "default") if isinstance(node.get(key), str)}
            return {"$ref": f"#/$defs/{name}", **beside}
        made: dict[str, Any] = {}
        for key, value in node.items():
            here = f"{at}/{escaped(key)}"
            if key in KEPT:
                made[key] = value
                self._grow(len(key) + len(orjson.dumps(value)))
            elif key in ONE:
                made[key] = self.copied(value, here, depth + 1)
            elif key in SEVERAL:
                if not isinstance(value, list):
                    raise wrong(here, "a list of schemas is expected")
                made[key] = [self.copied(each, f"{here}/{n}", depth + 1) for n, each in enumerate(value)]
            elif key in NAMED:
                if not isinstance(value, dict):
                    raise wrong(here, "an object of schemas is expected")
                self._grow(sum(map(len, value)))
                made[key] = {
                    name: self.copied(each, f"{here}/{escaped(name)}", depth + 1)
                    for name, each in value.items()
                    if key != "properties" or not self._is_read_only(each, f"{here}/{escaped(name)}")
                }
        return nullable(node, of_3_0(without_absent(node, made)))

    def whole(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Return a tool's schema with all that it refers to; or raise Unusable."""
        while self._waiting:
            name, pointer, node = self._waiting.pop()
            self._defs[name] = self.copied(node, pointer)
        whole = {**schema, "$defs": self._defs} if self._defs else schema
        if len(orjson.dumps(whole)) > LARGEST:
            raise Unusable(TOO_LARGE)
        try:
            jsonschema_rs.validator_for(whole, offline=True)
        except (jsonschema_rs.ValidationError, ValueError) as error:
            reason = str(error).partition("\n")[0][:200]
            raise Unusable(f"what it takes is described by what is no JSON schema: {reason}") from None
        return whole

    def _defined(self, ref: Any, at: str) -> str:
        """Return the name under which what a reference leads to is copied."""
        pointer, node = self._document.target(ref, at)
        if pointer not in self._names:
            wanted = CONTROLS.sub("_", pointer.rpartition("/")[2])[:60] or "root"
            name = wanted
            while name in self._taken:  # counted on, so that many of one name do not take ever longer
                self._taken[wanted] += 1
                name = f"{wanted}_{self._taken[wanted]}"
            self._names[pointer] = name
            self._taken[name] = 1
            self._waiting.append((name, pointer, node))  # copied later: what is there may lead back here
        return self._names[pointer]

    def _is_read_only(self, node: Any, at: str) -> bool:
        return isinstance(node, dict) and self._document.resolved(node, at)[0].get("readOnly") is True

    def _grow(self, size: int) -> None:
        """Count what is copied, so that no schema grows without end on the way."""
        self._size += size
        if self._size > LARGEST:
            raise Unusable(TOO_LARGE)


def without_absent(node: Mapping[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    """Ask for no property that is only ever answered, and so was left out."""
    described, left = node.get("properties"), made.get("properties", {})
    if isinstance(made.get("required"), list) and isinstance(described, dict):
        needed = [name for name in made["required"] if name not in described or name in left]
        return {
            **{key: value for key, value in made.items() if key != "required"},
            **({"required": needed} if needed else {}),
        }
    return made


def of_3_0(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema with exclusive bounds as numbers: OpenAPI 3.0 has them as flags beside the bound."""
    for flag, bound in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(flag), bool):
            exclusive = schema.pop(flag)
            if exclusive and bound in schema:
                schema[flag] = schema.pop(bound)
    return schema


def nullable(node: Mapping[str, Any], schema: dict[str, Any]) -> dict[str, Any]:
    """Return a schema that null fits too, where OpenAPI 3.0's `nullable` says so."""
    if node.get("nullable") is not True:
        return schema
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    schema = {**schema, "type": [*types, *(["null"] if "null" not in types else [])]}
    if isinstance(schema.get("enum"), list) and None not in schema["enum"]:
        schema["enum"] = [*schema["enum"], None]
    return schema
