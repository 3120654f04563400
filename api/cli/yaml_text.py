"""YAML as it is used for configuration: JSON's values, written so that people can read and edit them.

Read strictly: no duplicate keys, no aliases, no tags, and only what JSON calls null, true, false and
numbers is something else than text (so `no` and `2026-01-01` are text).
"""

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import yaml

INTEGER = re.compile(r"-?(?:0|[1-9][0-9]*)\Z")
FLOAT = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?\Z")
WORDS = {"": None, "~": None, "null": None, "true": True, "false": False}
MAP, SEQUENCE, TEXT = "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:str"
FLOAT_TAG = "tag:yaml.org,2002:float"


class WrongYAML(Exception):
    """The text can't be read; `line` counts from 1."""

    def __init__(self, message: str, line: int) -> None:
        super().__init__(message)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class YAMLDocument:
    """One document: its value, and where in the text each part of it stands."""

    value: Any
    node: yaml.Node

    def line(self, pointer: str = "") -> int:
        """Return the line (from 1) of what a JSON pointer means, or of the nearest thing around it."""
        node, line = self.node, _line(self.node)
        for part in (part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]):
            if isinstance(node, yaml.MappingNode):
                found = [pair for pair in node.value if pair[0].value == part]
            elif isinstance(node, yaml.SequenceNode) and part.isdecimal() and int(part) < len(node.value):
                found = [(node.value[int(part)],) * 2]
            else:
                return line
            if not found:
                return line
            key, node = found[0]
            line = _line(key)
        return line


class _Loader(yaml.BaseLoader):
    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise WrongYAML("aliases (*name) are not allowed: write it out", self.get_mark().line + 1)
        return super().compose_node(parent, index)


def read(text: str) -> Iterator[YAMLDocument]:
    """Yield each document that is not empty, or raise WrongYAML."""
    try:
        for node in yaml.compose_all(text, Loader=_Loader):
            if not (isinstance(node, yaml.ScalarNode) and node.value == "" and node.style is None):
                yield YAMLDocument(value=_value(node), node=node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise WrongYAML(f"this is no YAML: {error.problem}", mark.line + 1 if mark else 1) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise WrongYAML("a character that YAML does not allow: write it as an escape in double quotes", line) from None
    except RecursionError:
        raise WrongYAML("this is nested too deeply", 1) from None


def write(documents: list[dict[str, Any]]) -> str:
    """Return the documents' text: keys in their order, text of many lines as a block."""
    return yaml.dump_all(
        documents, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=2**20, explicit_start=len(documents) > 1
    )


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _value(node: yaml.Node) -> Any:
    match node:
        case yaml.MappingNode(tag="tag:yaml.org,2002:map"):
            return _mapping(node)
        case yaml.SequenceNode(tag="tag:yaml.org,2002:seq"):
            return [_value(item) for item in node.value]
        case yaml.ScalarNode(tag="tag:yaml.org,2002:str"):
            return node.value if node.style is not None else _plain(node)
        case _:
            raise WrongYAML("tags (!name) are not allowed", _line(node))


def _mapping(node: yaml.MappingNode) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, value in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise WrongYAML("a key is text", _line(key))
        if key.value in mapping:
            raise WrongYAML(f"the key '{key.value[:80]}' stands here twice", _line(key))
        mapping[key.value] = _value(value)
    return mapping


def _plain(node: yaml.ScalarNode) -> Any:
    text: str = node.value
    if text in WORDS:
        return WORDS[text]
    if INTEGER.match(text):
        number = int(text) if len(text) <= 20 else 2**64
        if not -(2**63) <= number < 2**64:
            raise WrongYAML("an integer has at most 64 bits: put it in quotes if it is text", _line(node))
        return number
    if FLOAT.match(text):
        if not math.isfinite(float(text)):
            raise WrongYAML("this number is too large", _line(node))
        return float(text)
    return text


class _Dumper(yaml.SafeDumper):
    """Writes what `read` reads back as it was, and what other readers of YAML take for the same."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, False)  # lists stand deeper than their key


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    style = "|" if "\n" in text else None
    # What is no plain line of text is written with escapes, else readers would fold or change it.
    if not text.replace("\n", "").isprintable() or text[:1].isspace():
        style = '"'
    return dumper.represent_scalar(TEXT, text, style=style)


def _float(dumper: yaml.SafeDumper, number: float) -> yaml.Node:
    return dumper.represent_scalar(FLOAT_TAG, orjson.dumps(number).decode())


def _empty_or_block(dumper: yaml.SafeDumper, mapping: Mapping[str, Any]) -> yaml.Node:
    return dumper.represent_mapping(MAP, mapping, flow_style=not mapping)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(float, _float)
_Dumper.add_representer(dict, _empty_or_block)
_Dumper.add_implicit_resolver(FLOAT_TAG, FLOAT, list("-0123456789"))
