"""What a child process does with one request: check or render templates, and tell what is wrong.

A request is {op, templates: [[name, source]], variables, includes: {name: source}}; the answer is
{texts: [...]}, {checked: [{variables, includes}]} or {error: {code, ...}}.
"""

from collections.abc import Iterator
from types import TracebackType
from typing import Any, cast

from jinja2 import Template, nodes
from jinja2.exceptions import SecurityError, TemplateSyntaxError
from jinja2.meta import find_undeclared_variables
from jinja2.utils import missing

from adapters.rendering.language import Language, MissingValue, Refused, worn

MAX_OUTPUT = 1024 * 1024
"""Bytes of text that one call may give."""

# Jinja's messages repeat parts of the template; of those that help, what they begin with is told.
REASONS = {
    "Encountered unknown tag": "unknown tag",
    "Unexpected end of template": "unexpected end of the template",
    "unexpected end of template": "unexpected end of the template",
    "Missing end of": "a comment or raw block is not closed",
    "unexpected char": "unexpected character",
    "expected token": "unexpected token",
    "No filter named": "unknown filter",
    "No test named": "unknown test",
    "block ": "a block is defined twice",
}

NO_ROOM = {"error": {"code": "rendering_limit"}}


def answer(request: dict[str, Any]) -> dict[str, Any]:
    """Return the answer to a request; whatever goes wrong is in it."""
    try:
        language = Language(request["includes"])
        if request["op"] == "check":
            return {"checked": [checked(language, *each) for each in request["templates"]]}
        request["variables"] = worn(request["variables"])
        return {"texts": rendered(language, request["templates"], request["variables"])}
    except (MemoryError, RecursionError, OverflowError):
        return NO_ROOM
    except Exception as error:
        return {"error": told(error, request)}


def checked(language: Language, name: str, source: str) -> dict[str, Any]:
    """Return what a template needs: undeclared variables and names of included prompts."""
    tree = language.read(source, name)
    included = sorted({cast("nodes.Const", each.template).value for each in language.included(tree, name)})
    variables = sorted(find_undeclared_variables(tree))
    language.compile(tree, name)
    return {"variables": variables, "includes": included}


def rendered(language: Language, templates: list[list[str]], variables: Any) -> list[str]:
    """Return each template's text, or raise Refused."""
    texts = []
    room = MAX_OUTPUT
    for name, source in templates:
        pieces = []
        for piece in pieces_of(language.built(source, name), variables):
            room -= len(piece)
            if room < 0:
                raise Refused("rendering_limit", template=name)
            pieces.append(piece)
        text = "".join(pieces)
        try:
            room -= len(text.encode()) - len(text)
        except UnicodeEncodeError:
            raise Refused("rendering_failed", template=name) from None
        if room < 0:
            raise Refused("rendering_limit", template=name)
        if "\0" in text:
            raise Refused("rendering_failed", template=name)
        texts.append(text)
    return texts


def pieces_of(template: Template, variables: Any) -> Iterator[str]:
    """Yield the pieces of a text as they are made.

    Not by `generate`, which rewrites tracebacks: that opens files, and a child may open none.
    """
    return template.root_render_func(template.new_context(variables))


def told(error: Exception, request: dict[str, Any]) -> dict[str, Any]:
    """Return the code of an error and where it arose."""
    template, line = place(error.__traceback__)
    where: dict[str, Any] = {"template": template, "line": line}
    match error:
        case Refused():
            return where | {"code": error.code} | error.facts
        case TemplateSyntaxError():
            said = error.message or ""
            reason = next((text for start, text in REASONS.items() if said.startswith(start)), "")
            where = {"template": error.name or "", "line": error.lineno}
            return where | {"code": "template_syntax", "reason": reason}
        case SecurityError():
            return where | {"code": "template_forbidden"}
        case MissingValue():
            path = path_of(error, request["variables"])
            return where | {"code": "missing_variable", "name": str(error.missing), "path": path}
        case _ if is_limit(error):
            return where | {"code": "rendering_limit"}
        case _:
            return where | {"code": "rendering_failed"}


def is_limit(error: Exception) -> bool:
    """Whether Python's own limits were met: of a number's digits, or of the depth that it compiles."""
    return isinstance(error, SyntaxError) or (
        isinstance(error, ValueError) and str(error).startswith("Exceeds the limit")
    )


def place(trace: TracebackType | None) -> tuple[str, int | None]:
    """Return the innermost template of a traceback, and its line there."""
    found: tuple[str, int | None] = ("", None)
    while trace is not None:
        template = trace.tb_frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            found = (template.name or "", template.get_corresponding_lineno(trace.tb_lineno))
        trace = trace.tb_next
    return found


def path_of(error: MissingValue, variables: Any) -> list[str]:
    """Return the keys that lead from the variables to a missing value; none where it isn't one of them."""
    name = str(error.missing)
    if error.owner is missing:
        return [name]
    rest: list[tuple[list[str], Any]] = [([], variables)]
    while rest:
        keys, value = rest.pop()
        if value is error.owner and isinstance(value, dict | list):
            return [*keys, name]
        if isinstance(value, dict):
            rest += [([*keys, key], item) for key, item in value.items()]
        elif isinstance(value, list):
            rest += [([*keys, str(index)], item) for index, item in enumerate(value)]
    return []
