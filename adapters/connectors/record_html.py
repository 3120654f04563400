"""A record's texts as HTML: some of its fields under their names, whether they hold HTML or plain text."""

import re
from collections.abc import Mapping
from html import escape
from typing import Any

from adapters.connectors.given_values import text

MARKUP = re.compile(r"<[a-zA-Z][^<>]*>")


def record_html(title: str, texts: Mapping[str, Any]) -> str:
    """Return a record: its title, and the fields that are its text, under their names where they are several."""
    parts = [f"<h1>{escape(title)}</h1>"]
    for name, value in texts.items():
        told = text(value)
        if told.strip():
            parts += [f"<h2>{escape(name)}</h2>"] if len(texts) > 1 else []
            parts.append(told if MARKUP.search(told) else paragraph(told))
    return "\n".join(parts)


def paragraph(words: str, tag: str = "p") -> str:
    """Return plain text as HTML, line by line."""
    return f"<{tag}>{escape(words, quote=False).replace(chr(10), '<br>')}</{tag}>"
