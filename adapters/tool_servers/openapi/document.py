"""An OpenAPI document: read from JSON or YAML within bounds, with its references inside of itself."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import orjson
import yaml

from adapters.openai.text import cleaned
from commands.agents.tools import WrongSpecification
from domain.references import escaped

DEEPEST = 100
MOST_VALUES = 1_000_000
"""Values of a specification, with what aliases of YAML stand for written out."""

MOST_STEPS = 20
"""References that lead to references."""

VERSIONS = ("3.0", "3.1", "3.2")


class Loader(yaml.CSafeLoader):
    """Reads YAML as JSON: what looks like a date stays text, and so does a time, such as 12:30."""

    merged = 0

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """Merge what `<<` names, the first of a list last; merges of merges double what they merge, and are counted."""
        merged: list[Any] = []
        own: list[Any] = []
        for key, value in node.value:
            if key.tag != MERGE:
                own.append((key, value))
                continue
            parts = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for part in reversed(parts):
                if not isinstance(part, yaml.MappingNode):
                    raise yaml.constructor.ConstructorError(None, None, "'<<' merges objects", part.start_mark)
                self.flatten_mapping(part)
                self.merged += len(part.value)
                if self.merged > MOST_VALUES:
                    raise wrong("", f"it has more than {MOST_VALUES:,} values, with what '<<' merges")
                merged += part.value
        node.value = merged + own

    def number(self, node: yaml.ScalarNode) -> Any:
        """Return a number; one of base 60 takes ever longer the longer it is, and is text to all but YAML 1.1."""
        text = self.construct_scalar(node)
        if ":" in text:
            return text
        return (self.construct_yaml_int if node.tag == INT else self.construct_yaml_float)(node)


INT, FLOAT, MERGE = (f"tag:yaml.org,2002:{name}" for name in ("int", "float", "merge"))
Loader.add_constructor(INT, Loader.number)
Loader.add_constructor(FLOAT, Loader.number)
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}


def wrong(at: str, message: str) -> WrongSpecification:
    """Return the refusal of a specification for what stands at a JSON pointer."""
    return WrongSpecification(f"The specification at '{at or '/'}': {message}.", pointer="/spec")


class Document:
    """A specification, and what its references mean."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self.root = root
        self._left = MOST_VALUES

    @classmethod
    def read(cls, text: str) -> "Document":
        """Return the document of a text, or raise WrongSpecification."""
        value = from_json(text) if text.lstrip("\ufeff \t\r\n").startswith(("{", "[")) else from_yaml(text)
        root = plain(value)
        if not isinstance(root, dict):
            raise wrong("", "an object is expected")
        version = root.get("openapi")
        if "swagger" in root:
            raise wrong("/swagger", "this is Swagger 2: convert it to OpenAPI 3")
        if not isinstance(version, str) or not version.startswith(VERSIONS):
            raise wrong("/openapi", "the version of OpenAPI is expected, 3.0 or 3.1")
        return cls(root)

    def count(self) -> None:
        """Count a value that is copied, or raise WrongSpecification where tools would repeat too many."""
        self._left -= 1
        if self._left < 0:
            raise wrong("/paths", f"its tools have more than {MOST_VALUES:,} values, with what they refer to")

    def resolved(self, node: Any, at: str) -> tuple[Mapping[str, Any], str]:
        """Return the object that a node is, or refers to, and where that stands; or raise WrongSpecification."""
        for _ in range(MOST_STEPS):
            if not isinstance(node, dict):
                raise wrong(at, "an object is expected")
            if "$ref" not in node:
                return node, at
            at, node = self.target(node["$ref"], f"{at}/$ref")
        raise wrong(at, "references lead to references without end")

    def target(self, ref: Any, at: str) -> tuple[str, Any]:
        """Return where a reference leads to and what is there, or raise WrongSpecification."""
        if not isinstance(ref, str) or not ref.startswith("#"):
            raise wrong(at, "a reference leads to a place inside the specification, such as #/components/schemas/Pet")
        pointer = unquote(ref[1:])
        node: Any = self.root
        if pointer and not pointer.startswith("/"):
            raise wrong(at, f"'{ref[:100]}' leads nowhere")
        for part in pointer.split("/")[1:]:
            key = part.replace("~1", "/").replace("~0", "~")
            if isinstance(node, dict) and key in node:
                node = node[key]
            elif isinstance(node, list) and key.isascii() and key.isdigit() and int(key) < len(node):
                node = node[int(key)]
            else:
                raise wrong(at, f"'{ref[:100]}' leads nowhere")
        return pointer, node


def from_json(text: str) -> Any:
    """Return the value of a JSON text, or raise WrongSpecification."""
    try:
        return orjson.loads(text.lstrip("\ufeff").encode())
    except (orjson.JSONDecodeError, UnicodeEncodeError) as error:
        raise wrong("", f"this is no JSON ({error})") from None


def from_yaml(text: str) -> Any:
    """Return the value of a YAML text, or raise WrongSpecification; it is looked at for depth before it is built."""
    try:
        depth = 0
        for values, event in enumerate(yaml.parse(text, Loader=Loader)):
            if isinstance(event, yaml.CollectionStartEvent):
                depth += 1
            elif isinstance(event, yaml.CollectionEndEvent):
                depth -= 1
            if depth > DEEPEST:
                raise wrong("", f"it is nested deeper than {DEEPEST}")
            if values > MOST_VALUES:
                raise wrong("", f"it has more than {MOST_VALUES:,} values")
        return yaml.load(text, Loader=Loader)  # noqa: S506  a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = "" if mark is None else f" in line {mark.line + 1}"
        raise wrong("", f"this is no YAML{place} ({error.problem})") from None
    except (yaml.YAMLError, ValueError, RecursionError, LookupError, AttributeError, ArithmeticError) as error:
        # The last three are what its constructors say to a tag that a text does not fit, such as `!!int ""`.
        raise wrong("", f"this is no YAML ({type(error).__name__})") from None


def plain(value: Any) -> Any:
    """Return a value as JSON has it, each alias written out; or raise WrongSpecification where that has no end."""
    left = MOST_VALUES

    def copied(node: Any, at: str, depth: int) -> Any:
        nonlocal left
        left -= 1
        if left < 0:
            raise wrong("", f"it has more than {MOST_VALUES:,} values, with what its aliases stand for")
        if depth > DEEPEST:
            raise wrong("", f"it is nested deeper than {DEEPEST}")
        match node:
            case dict():
                return {
                    (name := key_of(key, at)): copied(item, f"{at}/{escaped(name)}", depth + 1)
                    for key, item in node.items()
                }
            case list():
                return [copied(item, f"{at}/{number}", depth + 1) for number, item in enumerate(node)]
            case str():
                return cleaned(node)[0]
            case int() if not -(2**63) <= node < 2**64:
                raise wrong(at, "this number does not fit 64 bits")
            case float() if node != node or node in (float("inf"), float("-inf")):
                raise wrong(at, "this is no number that JSON has")
            case None | bool() | int() | float():
                return node
        raise wrong(at, "this is nothing that JSON has")

    return copied(value, "", 0)


def key_of(key: Any, at: str) -> str:
    """Return a key as text: YAML takes the keys of `responses` for numbers."""
    if isinstance(key, bool):
        return "true" if key else "false"
    if not isinstance(key, str | int):
        raise wrong(at, "a key is text")
    return cleaned(str(key))[0]
