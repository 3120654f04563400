"""Who calls: by API key, or, as long as no key exists, as the local administrator on loopback."""

import hmac
import re
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from ipaddress import ip_address
from typing import Protocol
from uuid import UUID

from starlette.requests import Request

from api.errors import HttpProblem
from commands.api_key import PURPOSE
from commands.ports import Actor, Credential

TOKEN = re.compile(r"mgn_([0-9a-f]{32})_[A-Za-z0-9_-]{43}\Z")
LOOPBACK_HOST = re.compile(r"(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d{1,5})?\Z", re.IGNORECASE)
CREDENTIALS = (b"authorization", b"x-api-key")
LOCAL = Actor(type="local", id="local", name="local", roles=frozenset({"admin"}))


class KeyStore(Protocol):
    """Where keys are looked up."""

    async def find(self, id: UUID) -> Credential | None: ...

    async def any_exist(self) -> bool: ...

    def note_use(self, id: UUID) -> None: ...


class Authenticates(Protocol):
    """Finds out who calls."""

    async def __call__(self, request: Request) -> Actor:
        """Return who calls, or raise HttpProblem."""

    async def still(self, actor: Actor) -> Actor | None:
        """Return who called as it is now, for what goes on and on; None where the credential is valid no more."""


class Bucket:
    """A token bucket: so many requests per minute, a sixth of them at once."""

    def __init__(self, per_minute: int, now: float) -> None:
        self.per_minute = per_minute
        self._room = max(1.0, per_minute / 6)
        self._tokens = self._room
        self._at = now

    def take(self, now: float) -> float:
        """Take a token; return 0, or the seconds until there is one."""
        self._tokens = min(self._room, self._tokens + (now - self._at) * self.per_minute / 60)
        self._at = now
        if self._tokens >= 1:
            self._tokens -= 1
            return 0
        return (1 - self._tokens) * 60 / self.per_minute


class Authenticator:
    """Finds out who calls. Rate limits count per process."""

    def __init__(self, keys: KeyStore, mac: Callable[[str, bytes], bytes]) -> None:
        self._keys = keys
        self._mac = mac
        self._buckets: dict[UUID, Bucket] = {}

    async def __call__(self, request: Request) -> Actor:
        """Return who calls, or raise HttpProblem: 400, 401, 403 or 429."""
        given = [(name, value) for name, value in request.scope["headers"] if name in CREDENTIALS]
        if len(given) > 1:
            raise HttpProblem(400, "two_credentials", "Send either Authorization or X-API-Key, and only once.")
        if not await self._keys.any_exist():
            return local(request)
        token = token_in(*given[0]) if given else ""
        found = TOKEN.match(token)
        if found is None:
            raise unauthorized()
        id = UUID(found[1])
        key = await self._keys.find(id)
        # The hash is compared for keys that aren't there too, so that time tells nothing.
        right = hmac.compare_digest(self._mac(PURPOSE, token.encode()), key.mac if key else bytes(32))
        if key is None or not right or not valid(key):
            raise unauthorized()
        self._limit(key)
        self._keys.note_use(id)
        return actor_of(key)

    async def still(self, actor: Actor) -> Actor | None:
        """Return who called as it is now; the local administrator is nobody once there is a key."""
        if actor.credential is None:
            return None if await self._keys.any_exist() else actor
        key = await self._keys.find(UUID(actor.credential))
        if key is None or not valid(key):
            return None
        return actor_of(key)

    async def standing(self, principal: Mapping[str, str]) -> Actor | None:
        """Return a principal that is on record as it is now; None where its credential is valid no more."""
        key = principal["id"] if principal["type"] == "api_key" else None
        roles = frozenset({"admin"}) if key is None else frozenset[str]()
        return await self.still(
            Actor(type=principal["type"], id=principal["id"], name=principal["name"], credential=key, roles=roles)
        )

    def _limit(self, key: Credential) -> None:
        if key.requests_per_minute is None:
            return
        now = time.monotonic()
        bucket = self._buckets.get(key.id)
        if bucket is None or bucket.per_minute != key.requests_per_minute:
            bucket = self._buckets[key.id] = Bucket(key.requests_per_minute, now)
        if wait := bucket.take(now):
            raise HttpProblem(
                429,
                "rate_limited",
                f"This key may send {key.requests_per_minute} requests a minute.",
                headers={"Retry-After": str(int(wait) + 1)},
            )


def valid(key: Credential) -> bool:
    """Return whether a key is neither revoked nor expired."""
    return not key.revoked and (key.expires_at is None or key.expires_at > datetime.now(UTC))


def actor_of(key: Credential) -> Actor:
    """Return who calls with a key."""
    return Actor(
        type="api_key",
        id=str(key.id),
        name=key.name,
        credential=str(key.id),
        roles=key.roles,
        groups=key.groups,
    )


def token_in(name: bytes, value: bytes) -> str:
    """Return the token of a header; empty where it holds none."""
    text = value.decode("latin-1")
    if name == b"x-api-key":
        return text
    scheme, _, token = text.partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""


def local(request: Request) -> Actor:
    """Return the local administrator, or refuse who isn't one: no key exists yet."""
    if request.client is None or not loopback(request.client.host):
        raise HttpProblem(
            401,
            "no_key_yet",
            "Until an API key exists only this machine is served: make one with 'magnet keys create NAME --role admin'.",
            headers={"WWW-Authenticate": "Bearer"},
        )
    host = request.headers.get("host", "")
    if not LOOPBACK_HOST.match(host):
        raise HttpProblem(403, "foreign_host", "Until an API key exists the Host must be a loopback address.")
    origin = request.headers.get("origin")
    foreign = origin is not None and origin.lower() not in (f"http://{host}".lower(), f"https://{host}".lower())
    if foreign or request.headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        raise HttpProblem(403, "cross_origin", "Until an API key exists no other site's requests are answered.")
    return LOCAL


@lru_cache(maxsize=1000)
def loopback(host: str) -> bool:
    """Return whether an address is one of this machine's own; what is none is not."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def unauthorized() -> HttpProblem:
    """Return the refusal of a missing or wrong credential; it doesn't say which."""
    return HttpProblem(
        401,
        "unauthorized",
        "A valid API key is needed: Authorization: Bearer mgn_...",
        headers={"WWW-Authenticate": "Bearer"},
    )
