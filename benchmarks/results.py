"""The kept results: a part for each benchmark, with when and where it was measured."""

import re
from collections.abc import Iterable, Mapping

OPENING = """# Results

Made by `python -m benchmarks --write`. Each part says when and with what it was measured; one that is measured again, alone
with `--only NAME` or with all others, takes the place of its former figures.
"""

PART = re.compile(r"^## (\S+)\n\n(.*?)\n*(?=^## |\Z)", re.MULTILINE | re.DOTALL)


def parts(text: str) -> dict[str, str]:
    """Return benchmark's name -> what stands below its heading, as `page` wrote it."""
    return {match[1]: match[2] for match in PART.finditer(text)}


def page(kept: Mapping[str, str], order: Iterable[str]) -> str:
    """Return the whole page, its parts in the given order. A part of a benchmark that is no more is left out."""
    return OPENING + "".join(f"\n## {name}\n\n{kept[name]}\n" for name in order if name in kept)
