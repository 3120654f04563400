"""LlamaIndex's PGVectorStore as a process in an environment of its own, made by `make bench`."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from psycopg.conninfo import conninfo_to_dict

from benchmarks.corpus import SHARES, Corpus
from benchmarks.database import Databases

PYTHON = Path(__file__).parents[1] / ".venv-bench" / "bin" / "python"
SCRIPT = Path(__file__).with_name("peer_store_process.py")


@dataclass(frozen=True, kw_only=True)
class Peer:
    """The process: it answers each line with one."""

    process: "subprocess.Popen[str]"

    def ask(self, **command: Any) -> Any:
        """Send a command and return its answer."""
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(command) + "\n")
        self.process.stdin.flush()
        return self.answer()

    def answer(self) -> Any:
        """Return what it says next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError("LlamaIndex's process has ended: see what it wrote above.")
        return json.loads(line)

    def search(self, number: int, mode: str) -> list[str]:
        """Return the ids of the passages that it finds for a question."""
        found: list[str] = self.ask(do="search", question=number, mode=mode)
        return found


def there() -> bool:
    """Return whether the environment is there; say so where it is not."""
    if not PYTHON.exists():
        sys.stderr.write("  not run: LlamaIndex's part, for which `make bench` makes an environment of its own\n")
        return False
    return True


def address(databases: Databases) -> str:
    """Return where a new database is, as SQLAlchemy writes it."""
    dsn = conninfo_to_dict(databases.empty(memory=True))
    return f"{dsn['user']}@/{dsn['dbname']}?host={dsn['host']}"


def written(given: Corpus, place: Path) -> Path:
    """Write a corpus where the other process reads it."""
    np.save(place / "vectors.npy", given.vectors)
    np.save(place / "question_vectors.npy", given.question_vectors)
    details = {
        "texts": given.texts,
        "questions": given.questions,
        "metadata": [
            {name: number // given.per_document % values for name, values in SHARES.items()}
            for number in range(len(given.texts))
        ],
    }
    (place / "corpus.json").write_text(json.dumps(details), "utf-8")
    return place


@contextmanager
def peer(databases: Databases, place: Path) -> Iterator[Peer | None]:
    """Run the process while the block lasts, filled with the corpus; None where its environment is not there."""
    if not there():
        yield None
        return
    command = [str(PYTHON), "-I", str(SCRIPT), address(databases), str(place)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        try:
            made = Peer(process=process)
            made.answer()
            yield made
        finally:
            assert process.stdin is not None
            process.stdin.close()
