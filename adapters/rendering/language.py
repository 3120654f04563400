"""The template language: Jinja2 in a sandbox, with JSON's text for what is no text.

`{{ x }}` gives a string as it is, null as nothing, true and false and numbers as in JSON, a list or
an object as compact JSON. A value is never rendered again. Nothing is escaped, stripped or changed:
line ends stay as they are. Loaded in the child process only.
"""

import math
import sys
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from functools import partial
from typing import Any, NoReturn, cast

import orjson
from jinja2 import StrictUndefined, Template, nodes
from jinja2.exceptions import TemplateRuntimeError, UndefinedError
from jinja2.lexer import Lexer
from jinja2.runtime import Undefined
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import missing
from jinja2.visitor import NodeTransformer

GLOBALS = ("range", "dict", "namespace")
DROPPED_FILTERS = ("random", "pprint")
LIVE = "@live"

MAX_JSON = 4 * 1024 * 1024
"""Characters of one JSON text, roughly; of no use where a whole call may give 1 MiB."""

LEAST_ROOM, ROOM_EACH = 64 * 1024, 24
"""Bytes that must be free before such a text is made, and for each character: six of them, as the encoder grows."""

# Any of these stands in for a carriage return while Jinja reads a source, for it would drop it.
STAND_INS = "\x1f\x1e\x1d\x1c\x0b\x0c\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2008\u205f\u1680"


class Refused(Exception):
    """The template can't be rendered; `facts` may have template, line, name, pointer, reason."""

    def __init__(self, code: str, **facts: Any) -> None:
        super().__init__(code)
        self.code = code
        self.facts = facts


class MissingValue(UndefinedError):
    """A name or a field that has no value."""

    def __init__(self, owner: Any, name: Any, message: str | None = None) -> None:
        super().__init__(message)
        self.owner = owner
        self.missing = name


class Missing(StrictUndefined):
    """What stands for a missing value: any use of it but `is defined` and `default` fails."""

    __slots__ = ()

    def __init__(
        self,
        hint: str | None = None,
        obj: Any = missing,
        name: str | None = None,
        exc: type[TemplateRuntimeError] = UndefinedError,
    ) -> None:
        if exc is UndefinedError:
            exc = cast("type[TemplateRuntimeError]", partial(MissingValue, obj, name))
        super().__init__(hint, obj, name, exc)


class Array(list[Any]):
    """A list whose text is JSON wherever it is used as text."""

    def __repr__(self) -> str:
        return to_json(self)


class Object(dict[str, Any]):
    """An object whose text is JSON wherever it is used as text."""

    def __repr__(self) -> str:
        return to_json(self)


def worn(value: Any) -> Any:
    """Return a JSON value whose lists and objects have JSON as their text."""
    if isinstance(value, dict):
        return Object({key: worn(item) for key, item in value.items()})
    if isinstance(value, list):
        return Array([worn(item) for item in value])
    return value


def to_json(value: Any, indent: int | None = None) -> str:
    """Return JSON text: compact, or with line breaks where an indent is asked for.

    The encoder ends the process where memory is refused to it, so it is begun only with what is
    small enough, and with room for that.
    """
    options = orjson.OPT_NON_STR_KEYS | (orjson.OPT_INDENT_2 if indent else 0)
    measure = Measure()
    measure.take(value)
    bytes(LEAST_ROOM + ROOM_EACH * (MAX_JSON - measure.left))  # gone at once; or a MemoryError
    try:
        return orjson.dumps(value, default=measure.plain, option=options).decode()
    except orjson.JSONEncodeError as error:
        if error.__cause__ is not None:
            raise error.__cause__ from None
        raise Refused("rendering_failed") from None


class Measure:
    """How long the JSON text of a value becomes, roughly; refused where that is too long."""

    def __init__(self) -> None:
        self.left = MAX_JSON

    def take(self, value: Any) -> None:
        """Count a value and all in it, as far as it is JSON; the rest is counted once it is made plain."""
        rest = [value]
        while rest:
            value = rest.pop()
            if isinstance(value, dict):
                self.left -= 2 + sum(len(key) + 4 if isinstance(key, str) else 24 for key in value)
                rest += value.values()
            elif isinstance(value, list | tuple):
                self.left -= 2 + len(value)
                rest += value
            elif isinstance(value, str):
                self.left -= 2 + len(value)
            else:
                self.left -= 24 if isinstance(value, float) else 4
            if self.left < 0:
                raise Refused("rendering_limit")

    def plain(self, value: Any) -> Any:
        """Return the JSON value that something inside a list or object stands for."""
        made = plain(value)
        self.take(made)
        return made


def plain(value: Any) -> Any:
    """Return the JSON value that something inside a list or object stands for."""
    if isinstance(value, Undefined):
        str(value)  # raises what is missing
    if isinstance(value, Iterator | KeysView | ValuesView | ItemsView | range | set | frozenset):
        return list(value)
    raise Refused("template_forbidden")


def text_of(value: Any) -> str:
    """Return the text that `{{ value }}` stands for."""
    if isinstance(value, str):
        return str(value)
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Refused("rendering_failed")
    return to_json(value if isinstance(value, float | list | tuple | dict) else plain(value))


class ExactLexer(Lexer):
    """A lexer that keeps carriage returns, given a source in which `stand_in` is in their place."""

    stand_in = ""

    def _normalize_newlines(self, value: str) -> str:
        return value.replace(self.stand_in, "\r") if self.stand_in else value


class FieldsFirst(NodeTransformer):
    """Reads `order.items` as `order['items']`: the field, where there is one. What is called stays a method."""

    def visit_Call(self, node: nodes.Call) -> nodes.Node:  # noqa: N802 - the library's name
        """Leave what is called as it is, and look at what it is called on and with."""
        called = node.node
        self.generic_visit(node)
        if isinstance(called, nodes.Getattr):
            node.node = called
        return node

    def visit_Getattr(self, node: nodes.Getattr) -> nodes.Node:  # noqa: N802 - the library's name
        """Return the same as a field that is asked for by its name in brackets."""
        self.generic_visit(node)
        name = nodes.Const(node.attr, lineno=node.lineno, environment=node.environment)
        return nodes.Getitem(node.node, name, node.ctx, lineno=node.lineno, environment=node.environment)


class Language(ImmutableSandboxedEnvironment):
    """The templates of one call: parsed, checked and compiled; includes come from the given sources."""

    def __init__(self, includes: Mapping[str, str]) -> None:
        super().__init__(
            undefined=Missing, finalize=text_of, autoescape=False, keep_trailing_newline=True, cache_size=0
        )
        self.globals = {name: self.globals[name] for name in GLOBALS}
        for name in DROPPED_FILTERS:
            del self.filters[name]
        self.filters |= {"tojson": to_json, "string": text_of}
        self.exact = ExactLexer(self)
        self.sources = includes
        self.compiled: dict[str, Template] = {}

    @property
    def lexer(self) -> Lexer:
        """The lexer that keeps line ends."""
        return self.exact

    def read(self, source: str, name: str) -> nodes.Template:
        """Parse a source, or raise Refused or TemplateSyntaxError."""
        self.exact.stand_in = ""
        if "\r" in source:
            self.exact.stand_in = next((each for each in STAND_INS if each not in source), "")
            source = source.replace("\r", self.exact.stand_in or "\r")
        tree = self.parse(source, name)
        for node in tree.find_all((nodes.Import, nodes.FromImport, nodes.Extends)):
            raise Refused("template_forbidden", template=name, line=node.lineno)
        FieldsFirst().visit(tree)
        return tree

    def included(self, tree: nodes.Template, name: str) -> Iterable[nodes.Include]:
        """Yield the includes of a template; each names a constant."""
        for node in tree.find_all(nodes.Include):
            target = node.template
            if not isinstance(target, nodes.Const) or not isinstance(target.value, str):
                raise Refused("template_forbidden", template=name, line=node.lineno)
            yield node

    def built(self, source: str, name: str) -> Template:
        """Return the compiled template, its includes compiled before it, or raise Refused."""
        return self._built(source, name, ())

    def _built(self, source: str, name: str, within: tuple[str, ...]) -> Template:
        tree = self.read(source, name)
        for node in self.included(tree, name):
            wanted = cast("nodes.Const", node.template).value
            key = self.key_of(wanted)
            if key is None:
                if node.ignore_missing:
                    continue
                raise Refused("missing_include", template=name, line=node.lineno, name=wanted)
            if key in within:
                raise Refused("recursive_include", template=name, line=node.lineno, name=wanted)
            if key not in self.compiled:
                self.compiled[key] = self._built(self.sources[key], key, (*within, key))
        code = self.compile(tree, name)
        return self.template_class.from_code(self, code, self.make_globals(None))

    def key_of(self, wanted: str) -> str | None:
        """Return under which name an include was given; no label means `live`."""
        for key in (wanted, wanted + LIVE, wanted.removesuffix(LIVE)):
            if key in self.sources:
                return key
        return None

    def handle_exception(self, source: str | None = None) -> NoReturn:
        """Raise the present error as it is, without the library's rewriting of its traceback."""
        raise cast("BaseException", sys.exc_info()[1])

    def get_template(self, name: Any, *_: Any, **__: Any) -> Template:
        """Return an included template: those that are missing were refused before."""
        key = self.key_of(name)
        if key is None:
            return self.from_string("")
        return self.compiled[key]
