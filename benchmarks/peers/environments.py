"""Environments that other systems are installed into, and what a measurement was made on."""

import os
import platform
import subprocess
import venv
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path


def installed(environment: Path, packages: Sequence[str]) -> dict[str, str]:
    """Make the environment if it is not there; return the packages' versions in it."""
    python = environment / "bin" / "python"
    if not python.exists():
        venv.create(environment, with_pip=True)
    subprocess.run([python, "-m", "pip", "install", "--quiet", *packages], check=True)
    program = "import sys, importlib.metadata as m; print(*[m.version(name) for name in sys.argv[1:]])"
    told = subprocess.run([python, "-c", program, *packages], check=True, capture_output=True, text=True).stdout
    return dict(zip(packages, told.split(), strict=True))


def circumstances(versions: Mapping[str, str]) -> str:
    """Return when, and on what."""
    return ", ".join(
        [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC", f"{os.cpu_count()} cores", f"Python {platform.python_version()}",
            *(f"{name} {number}" for name, number in versions.items()), f"Magnet's fastapi {version('fastapi')}",
        ]
    )  # fmt: skip
