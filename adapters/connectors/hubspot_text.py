"""What HubSpot's content says, as HTML: posts have a body, pages are made of modules, records of properties."""

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from typing import Any

from adapters.connectors.given_values import mapping, text
from adapters.connectors.record_html import MARKUP, paragraph
from commands.knowledge.connectors import NotFetched

DEEPEST = 100
MODULES = ("layoutSections", "widgetContainers", "widgets")
HEADINGS = frozenset({"title", "heading", "header", "headline", "subheading", "subtitle", "question"})
WORDS = HEADINGS | {
    "html", "text", "rich_text", "richtext", "content", "description", "body", "value", "answer", "quote", "caption",
    "paragraph", "summary", "button_text", "alt",
}  # fmt: skip
"""What modules call their texts; anything else is told where it is HTML."""

LOOKS = frozenset(
    {
        "css",
        "cssClass",
        "cssStyle",
        "cssId",
        "child_css",
        "css_class",
        "styles",
        "style",
        "rowMetaData",
        "smart_objects",
    }
)


def body_of(item: Mapping[str, Any], title: str) -> str:
    """Return the HTML of a post, an article or a page; one that says nothing says its title."""
    for name in ("postBody", "body"):
        if text(item.get(name)).strip():
            return text(item[name])
    told = dict.fromkeys(each for name in MODULES for each in said(item.get(name), name))
    return "\n".join(told) or f"<h1>{escape(title)}</h1>"


def said(value: Any, name: str, depth: int = DEEPEST) -> Iterator[str]:
    """Yield the texts of modules, in the order of the page."""
    if not depth:
        raise NotFetched(f"Its modules lie more than {DEEPEST} deep in each other.", code="too_deep")
    if isinstance(value, str):
        if MARKUP.search(value):
            yield value
        elif name in WORDS and value.strip():
            yield paragraph(value, "h2" if name in HEADINGS else "p")
    elif isinstance(value, Mapping):
        for inner in in_order(value):
            if inner not in LOOKS:
                yield from said(value[inner], inner, depth - 1)
    elif isinstance(value, list):
        for each in value:
            yield from said(each, name, depth - 1)


def in_order(value: Mapping[str, Any]) -> Sequence[str]:
    """Return the names of a module's parts; columns are named by where they begin."""
    names = list(value)
    return sorted(names, key=int) if names and all(name.isdecimal() for name in names) else names


def is_public(item: Mapping[str, Any]) -> bool:
    """Return whether everybody may read a page: no password, and no rules of access."""
    return not text(item.get("password")) and item.get("publicAccessRulesEnabled") is not True


def is_published(item: Mapping[str, Any]) -> bool:
    """Return whether a page can be read by those it is meant for."""
    told = item.get("currentlyPublished")
    return told if isinstance(told, bool) else text(item.get("state")).startswith("PUBLISHED")


def record_title(properties: Mapping[str, Any], names: Sequence[str]) -> str:
    """Return what a record is called, by some of its properties."""
    return " ".join(filter(None, (text(mapping(properties).get(name)).strip() for name in names)))
