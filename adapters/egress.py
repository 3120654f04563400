"""Requests to addresses that users set: only to the world outside, unless the operator allows more.

What is checked is the address that is then connected to, so neither a redirect, a name for a private address nor
a name that changes its address in between leads elsewhere.
"""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from functools import cache
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any

import httpcore2
import httpx2

Address = IPv4Address | IPv6Address
NAT64 = ip_network("64:ff9b::/96")
NEVER_PUBLIC = (
    ip_network("fec0::/10"),  # site-local
    ip_network("::/96"),  # compatible with IPv4
    ip_network("64:ff9b:1::/48"),  # NAT64 of a network's own, which may hold the IPv4 anywhere (RFC 8215, RFC 6052)
)


class EgressRefused(OSError):
    """The address is not in the world outside, and MAGNET_EGRESS_ALLOW does not name it."""


class Egress:
    """Says where user-set addresses may lead; `allow` names networks or host:port besides.

    `loopback` says whether this machine's own addresses may be reached as things are now.
    """

    def __init__(self, allow: Iterable[str] = (), *, loopback: Callable[[], Awaitable[bool]] | None = None) -> None:
        self._loopback = loopback
        self._networks = []
        self._places = set()
        for part in allow:
            try:
                self._networks.append(ip_network(part))
            except ValueError:
                host, _, port = part.rpartition(":")
                self._places.add((host.strip("[]").lower(), int(port)))

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """Return what a name stands for; raise EgressRefused where any of it must not be reached, OSError for nothing."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, port, type=2)
        except UnicodeError as error:
            raise OSError("this is no name of a host") from error
        addresses = list(dict.fromkeys(str(each[4][0]) for each in found))
        await self.check(host, port, addresses)
        return addresses

    async def check(self, host: str, port: int, addresses: Iterable[str]) -> None:
        """Raise EgressRefused where any of the addresses that a host stands for must not be reached."""
        if (host.lower().rstrip("."), port) in self._places:
            return
        for address in addresses:
            if not await self._may_reach(address):
                raise EgressRefused(
                    "The host is at an address that is not public: if it is meant, let MAGNET_EGRESS_ALLOW name it."
                )

    async def _may_reach(self, text: str) -> bool:
        if "%" in text:
            return False
        address = ip_address(text)
        if is_public(address) or any(address in network for network in self._networks):
            return True
        return address.is_loopback and self._loopback is not None and await self._loopback()


def is_public(address: Address) -> bool:
    """Return whether an address is in the world outside; one that holds another is what that is."""
    if isinstance(address, IPv6Address):
        if held := held_in(address):
            return is_public(held)
        if address.teredo is not None or any(address in network for network in NEVER_PUBLIC):
            return False
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def held_in(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address that one of IPv6 leads to: mapped, 6to4 or NAT64."""
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return None


class CheckedBackend(httpcore2.AsyncNetworkBackend):
    """Opens connections for httpcore2 to checked addresses; the name stays what TLS certificates are compared with."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress
        self._plain = httpcore2.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore2.AsyncNetworkStream:
        """Connect to the first address of the host that answers."""
        try:
            async with asyncio.timeout(timeout):
                addresses = await self._egress.addresses(host, port)
        except EgressRefused:
            raise
        except TimeoutError as error:
            raise httpcore2.ConnectTimeout(str(error)) from error
        except OSError as error:
            raise httpcore2.ConnectError(f"the name of the host is not known: {error.strerror or error}") from error
        failure: Exception | None = None
        for address in addresses[:4]:
            try:
                return await self._plain.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore2.ConnectError, httpcore2.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore2.ConnectError("the host has no address")

    async def connect_unix_socket(self, *_: Any, **__: Any) -> httpcore2.AsyncNetworkStream:
        """Refuse: no user-set address is one."""
        raise EgressRefused("A socket of this machine is no address of the world outside.")

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


@cache
def trust() -> ssl.SSLContext:
    """Return whose certificates are believed: those of SSL_CERT_FILE or SSL_CERT_DIR, or what this machine believes.

    Read once: it takes up to 140 ms.
    """
    return httpx2.create_ssl_context()


def checked_pool(egress: Egress, *, connections: int) -> httpcore2.AsyncConnectionPool:
    """Return a pool of connections to where users' addresses may lead; it follows no redirect."""
    return httpcore2.AsyncConnectionPool(
        ssl_context=trust(),
        max_connections=connections,
        keepalive_expiry=30,
        network_backend=CheckedBackend(egress),
    )
