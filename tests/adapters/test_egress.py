"""User-set addresses lead to the world outside, however they are written, unless more is allowed."""

import asyncio
import socket
from ipaddress import ip_address
from typing import Any

import httpcore2
import pytest

from adapters.egress import Egress, EgressRefused, checked_pool, is_public

PRIVATE = [
    "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "224.0.0.1", "0.0.0.0", "255.255.255.255",
    "198.18.0.1", "192.0.2.1", "240.0.0.1", "::", "::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "64:ff9b:1::7f00:1", "2002:7f00:1::",
    "64:ff9b:1:7f00:0:100:808:808", "64:ff9b:1::808:808", "::7f00:1", "fec0::1", "fe80::1", "fc00::1", "ff02::1", "2001::1", "2001:db8::1",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_an_address_that_is_not_in_the_world_outside_is_not_public(address: str):
    assert not is_public(ip_address(address))


@pytest.mark.parametrize(
    "address", ["1.1.1.1", "93.184.216.34", "2606:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_an_address_in_the_world_outside_is_public(address: str):
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "2130706433", "0x7f.1", "127.1", "0177.0.0.1", "0", "::1", "::ffff:127.0.0.1", "localhost"]
)
async def test_a_host_is_refused_by_what_it_stands_for(host: str):
    with pytest.raises(EgressRefused, match="MAGNET_EGRESS_ALLOW"):
        await Egress().addresses(host, 80)


async def test_networks_and_places_may_be_allowed():
    assert await Egress(["127.0.0.0/8"]).addresses("127.0.0.1", 80) == ["127.0.0.1"]
    assert await Egress(["127.0.0.1:80"]).addresses("127.0.0.1", 80) == ["127.0.0.1"]
    for allowed in (["127.0.0.1:81"], ["10.0.0.0/8"]):
        with pytest.raises(EgressRefused):
            await Egress(allowed).addresses("127.0.0.1", 80)


async def test_a_name_with_one_private_address_is_refused_whole(monkeypatch: pytest.MonkeyPatch):
    async def resolve(*_: Any, **__: Any) -> list[Any]:
        return [(2, 1, 6, "", ("1.1.1.1", 80)), (2, 1, 6, "", ("10.0.0.1", 80))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    with pytest.raises(EgressRefused):
        await Egress().addresses("example.com", 80)


async def test_the_address_that_was_checked_is_the_one_connected_to(monkeypatch: pytest.MonkeyPatch):
    """A name that changes its address after the check leads nowhere else: it is asked for once."""
    asked = 0

    async def resolve(*_: Any, **__: Any) -> list[Any]:
        nonlocal asked
        asked += 1
        return [(2, 1, 6, "", ("127.0.0.1" if asked == 1 else "10.0.0.1", port))]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        heads.append(head)
        writer.write(b"HTTP/1.1 302 Found\r\nLocation: http://169.254.169.254/\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    heads: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        server = await asyncio.start_server(answer, sock=listening)
        monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
        async with checked_pool(Egress(["127.0.0.0/8"]), connections=1) as pool:
            answered = await pool.request("GET", f"http://example.com:{port}/")
        server.close()
        await server.wait_closed()
    assert answered.status == 302  # and nobody went there
    assert asked == 1
    assert f"Host: example.com:{port}".encode() in heads[0]


async def test_a_host_that_is_not_there_is_told_as_that():
    async with checked_pool(Egress(), connections=1) as pool:
        with pytest.raises(httpcore2.ConnectError):
            await pool.request("GET", "http://nowhere.invalid/")
