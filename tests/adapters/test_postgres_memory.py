"""How much memory PostgreSQL may take: a share of what is here, a container's bound being what is here."""

from pathlib import Path

import psutil
import pytest

from adapters.postgres import memory
from adapters.postgres.memory import memory_here, share_of_memory


def test_without_a_container_the_memory_is_the_machines(tmp_path: Path):
    assert memory_here((tmp_path / "missing",)) == psutil.virtual_memory().total


@pytest.mark.parametrize(("told", "here"), [("1000000\n", 1_000_000), ("max\n", None), (f"{2**63 - 4096}\n", None)])
def test_a_containers_bound_holds_where_there_is_one(tmp_path: Path, told: str, here: int | None):
    (tmp_path / "limit").write_text(told)
    assert memory_here((tmp_path / "limit",)) == (here or psutil.virtual_memory().total)


@pytest.mark.parametrize(("there", "share"), [(1_000, 500), (8_000, 2_000), (100_000, 9_000)])
def test_a_share_stays_within_its_bounds(monkeypatch: pytest.MonkeyPatch, there: int, share: int):
    monkeypatch.setattr(memory, "memory_here", lambda: there)
    assert share_of_memory(4, 500, 9_000) == share
