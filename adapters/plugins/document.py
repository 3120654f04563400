"""What a plugin gives: one document of a knowledge source."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Document:
    """A document; `text`, or `content` with its `media_type`.

    `id` tells it from the others and stays the same from one load to the next. `acl` names groups that may find it,
    None: as the source says. Another `version` means that it may have changed; None: it is compared whole.
    """

    id: str
    title: str = ""
    text: str | None = None
    content: bytes | None = None
    media_type: str = ""
    url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    acl: Collection[str] | None = None
    version: str | None = None
