"""What the pages show is what there is: every connector with an example that is accepted, every setting with what it is."""

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from adapters.plugins.plugins import Plugins
from api.connectors import connectors_of
from api.settings import Settings

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
KNOWLEDGE = (ROOT / "docs" / "knowledge.md").read_text("utf-8")
EXAMPLE = re.compile(r"^curl -s \$M/knowledge-sources -H \"\$J\" -d '(\{.*?\})'$", re.MULTILINE | re.DOTALL)
LONGEST = 10
"""Lines in which each connector is shown."""


@pytest.fixture
async def built_in(tmp_path: Path) -> AsyncIterator[Plugins]:
    async with connectors_of(Settings(_env_file=None, MAGNET_HOME=tmp_path, MAGNET_FOLDERS="/srv")) as made:
        yield made


def shown(type: str) -> list[Any]:
    """Return the sources that the section of a type makes."""
    section = KNOWLEDGE.split(f"\n## {type}\n", 1)[1].split("\n## ", 1)[0]
    return [json.loads(each) for each in EXAMPLE.findall(section)]


async def test_every_connector_is_shown_in_ten_lines_by_an_example_that_it_takes(built_in: Plugins):
    for type, connector in built_in.connectors.items():
        examples = shown(type)
        assert examples, type
        for example in examples:
            assert example["type"] == type
            assert set(example.get("secrets", {})) <= set(connector.secrets), type
            connector.check(example["config"])
    [upload] = shown("files")
    assert upload["type"] == "files"
    for block in re.findall(r"^```\n(.*?)^```$", KNOWLEDGE, re.MULTILINE | re.DOTALL):
        assert len(block.splitlines()) <= LONGEST, block


async def test_every_setting_and_secret_of_what_comes_along_says_what_it_is(built_in: Plugins):
    for each in await built_in.shown():
        assert each.description, each.name
        assert all((each.secrets or {}).values()), each.name
        schema: Any = each.schema
        for made in (schema, *schema.get("$defs", {}).values()):
            silent = [name for name, field in made["properties"].items() if not field.get("description")]
            assert silent == [], (each.name, made.get("title"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_code_ends(page: Path):
    assert sum(line.lstrip().startswith("```") for line in page.read_text("utf-8").splitlines()) % 2 == 0


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_what_examples_of_a_page_refer_to_is_set_on_it(page: Path):
    text = page.read_text("utf-8")
    used = re.findall(r"curl .*?\$(M)/|-H \"\$(J)\"", text)
    for name in {each for pair in used for each in pair if each}:
        assert re.search(rf"^{name}=", text, re.MULTILINE), name
