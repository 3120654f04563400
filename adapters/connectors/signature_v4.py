"""Requests signed as Amazon's APIs want it (Signature Version 4): the secret key itself never leaves."""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256
from urllib.parse import parse_qsl, quote, urlsplit

from adapters.connectors.web import parsed

ALGORITHM = "AWS4-HMAC-SHA256"
NOTHING = sha256(b"").hexdigest()
UNRESERVED = "-_.~"


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """Who signs, and for which service of which region."""

    access_key: str
    secret_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)
    region: str
    service: str

    def signed(self, url: str, at: datetime, headers: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return the headers that let a GET of this address in; `headers` are sent besides, and signed too."""
        moment = at.strftime("%Y%m%dT%H%M%SZ")
        sent = {
            **{name.lower(): " ".join(value.split()) for name, value in (headers or {}).items()},
            "x-amz-content-sha256": NOTHING,
            "x-amz-date": moment,
            **({"x-amz-security-token": self.session_token} if self.session_token else {}),
        }
        signing = {**sent, "host": parsed(url).netloc}
        names = ";".join(sorted(signing))
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        canonical = "\n".join(
            [
                "GET",
                urlsplit(url).path or "/",
                canonical_query(urlsplit(url).query),
                *(f"{name}:{signing[name]}" for name in sorted(signing)),
                "",
                names,
                NOTHING,
            ]
        )
        said = "\n".join([ALGORITHM, moment, scope, sha256(canonical.encode()).hexdigest()])
        signature = hmac.new(self._key(scope), said.encode(), "sha256").hexdigest()
        credential = f"{self.access_key}/{scope}"
        return {
            **sent,
            "Authorization": f"{ALGORITHM} Credential={credential}, SignedHeaders={names}, Signature={signature}",
        }

    def _key(self, scope: str) -> bytes:
        """Return the key of one day, region and service."""
        key = f"AWS4{self.secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return key


def canonical_query(query: str) -> str:
    """Return a query in the one form that is signed."""
    pairs = (
        (quote(name, safe=UNRESERVED), quote(value, safe=UNRESERVED))
        for name, value in parse_qsl(query, keep_blank_values=True)
    )
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))
