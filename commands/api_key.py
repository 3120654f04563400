"""An API key's own rule: the key is made once, shown once, and kept as a keyed hash."""

import base64
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

from commands.configuration import Change
from commands.ports import SecretBox
from domain.values import moment

PURPOSE = "api_key"


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """Keeps what authentication looks up in step with the key's events."""

    box: SecretBox

    async def __call__(self, change: Change) -> Mapping[str, str]:
        """Write the credential with the append; for a new key, return it to be shown once."""
        key = change.thing
        end = key.definition["expires_at"]
        values = {
            "id": str(key.id),
            "name": key.name,
            "revoked": key.archived,
            **{f: key.definition[f] for f in ("roles", "groups", "requests_per_minute")},
            # In UTC: the database takes no offset beyond 15:59.
            "expires_at": None if end is None else moment(end).isoformat(),
        }
        if change.before is not None:
            change.unit.effect("credential", **values)
            return {}
        token = f"mgn_{key.id.hex}_{base64.urlsafe_b64encode(secrets.token_bytes(32)).decode().rstrip('=')}"
        mac = base64.b64encode(self.box.mac(PURPOSE, token.encode())).decode()
        change.unit.effect("credential", mac=mac, **values)
        return {"key": token}
