"""What the README says of speed is what was measured."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
KEPT = {
    "prompts created, updated, read": ("peers/RESULTS.md", "(create|update|get)"),
    "texts ingested until they are found": ("RESULTS.md", "texts ingested until they are found.*LlamaIndex"),
    "searches by meaning and words, 100,000 passages": (
        "RESULTS.md",
        "search of 100,000 passages by meaning and words, one after.*LlamaIndex",
    ),
    "turns of an agent": ("peers/AGENTS.md", "turns per second"),
    "events recorded by `save()`, 16 threads": ("RESULTS.md", r"events recorded by save\(\), 16 threads.*stock"),
    "catching up with the log": ("RESULTS.md", "(catch-up of a plain|rebuild of).*stock"),
}
"""Where the ratios of each claim stand: the file, and how their rows begin."""


def claims() -> dict[str, float]:
    speed = (ROOT / "README.md").read_text("utf-8").split("## Speed")[1].split("\n## ")[0]
    return {
        match[1]: float(match[2]) for match in re.finditer(r"^\| (.+?) \| .+ \| ([\d.]+) x \|$", speed, re.MULTILINE)
    }


def measured(claim: str) -> list[float]:
    file, row = KEPT[claim]
    text = (ROOT / "benchmarks" / file).read_text("utf-8")
    return [
        float(match["ratio"]) for match in re.finditer(rf"^\| ({row}).*?\| +(?P<ratio>[\d.]+) x ", text, re.MULTILINE)
    ]


def test_every_claim_is_one_whose_figures_are_kept() -> None:
    assert claims().keys() == KEPT.keys()


@pytest.mark.parametrize("claim", KEPT)
def test_what_the_readme_claims_is_no_more_than_was_measured(claim: str) -> None:
    assert measured(claim)
    assert all(ratio >= claims()[claim] for ratio in measured(claim))
