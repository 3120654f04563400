"""Evidence of one installation: its directory, its signer, sealing, proofs and verification together."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from adapters.evidence.directory import EvidenceDirectory
from adapters.evidence.notes import Signer
from adapters.evidence.proofs import Proofs, encoded
from adapters.evidence.sealing import Sealing
from adapters.evidence.tree import SQL
from adapters.evidence.verifying import Verdict, verify
from adapters.keyring import Keyring
from adapters.postgres.reading import rows_of

PURPOSE = "evidence/ed25519"


class Evidence:
    """What routes and commands ask."""

    def __init__(self, dsn: str, pool: AsyncConnectionPool, signer: Signer, directory: EvidenceDirectory) -> None:
        self._dsn = dsn
        self._pool = pool
        self._signer = signer
        self._directory = directory
        self._verifying = asyncio.Lock()
        self.sealing = Sealing(pool, signer, directory)
        self.proofs = Proofs(pool, signer)

    @classmethod
    def of(cls, installation: UUID, *, dsn: str, pool: AsyncConnectionPool, keyring: Keyring, path: Path) -> "Evidence":
        """Return the evidence of an installation, kept in a directory; its key is derived from the installation's."""
        return cls(dsn, pool, Signer(keyring.derive(PURPOSE), str(installation)), EvidenceDirectory(path))

    @property
    def key(self) -> dict[str, Any]:
        """The name and the public half of the key that signs."""
        return {"name": self._signer.origin, "algorithm": "Ed25519", "public_key": encoded(self._signer.public_key)}

    async def verify(self, notes: Sequence[str] | None = None) -> Verdict:
        """Read the whole log again and compare it with the notes; None: all in the directory and the database.

        One verification at a time: it reads everything.
        """
        async with self._verifying:
            if notes is None:
                stored = [note for (note,) in await rows_of(self._pool, SQL["all_notes"], {})]
                notes = [*stored, *await asyncio.to_thread(self._directory.notes)]
            return await asyncio.to_thread(verify, self._dsn, self._signer, notes, self._directory)
