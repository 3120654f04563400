"""Ids that last from one load to the next: many readers give their documents new ones each time."""

import re
from collections import Counter
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

DRAWN = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
"""What LlamaIndex draws where a reader gives no id."""

PLACES = ("file_path", "url", "URL", "link", "source", "file_name")


def lasting_id(id: str, text: str, metadata: Mapping[str, Any], seen: Counter[str]) -> str:
    """Return a document's own id, else where it is from, else a hash of its text; the second of those is `…#2`."""
    if not DRAWN.fullmatch(id):
        return id
    places = (metadata.get(name) for name in PLACES)
    place = next((each for each in places if isinstance(each, str) and 0 < len(each) < 900), None)
    found = place or sha256(text.encode(errors="replace")).hexdigest()
    seen[found] += 1
    return found if seen[found] == 1 else f"{found}#{seen[found]}"
