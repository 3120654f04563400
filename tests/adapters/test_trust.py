"""Whose certificates are believed, by model providers and by everything else outside: one and the same."""

import asyncio
import datetime as dt
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from ipaddress import ip_address
from pathlib import Path

import httpcore2
import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from adapters.egress import Egress, checked_pool, trust
from adapters.openai.connections import Connections

LOOPBACK = Egress(["127.0.0.0/8"])


def write_certificate(file: Path) -> None:
    """Write a key, and the certificate of 127.0.0.1 that it signs itself, as a company's own authority would."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "A company's own")])
    today = dt.datetime.now(dt.UTC)
    made = x509.CertificateBuilder(subject_name=name, issuer_name=name, public_key=key.public_key())
    made = made.serial_number(1).not_valid_before(today).not_valid_after(today + dt.timedelta(days=1))
    for extension in (
        x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]),
        x509.BasicConstraints(ca=True, path_length=0),
    ):
        made = made.add_extension(extension, critical=False)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(private + made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM))


@pytest.fixture
def certificate(tmp_path: Path) -> Iterator[Path]:
    write_certificate(tmp_path / "own.pem")
    trust.cache_clear()
    yield tmp_path / "own.pem"
    trust.cache_clear()


@pytest.fixture
async def url(certificate: Path) -> AsyncIterator[str]:
    """The address of a server with that certificate."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi")
        await writer.drain()
        writer.close()

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    async with await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context) as server:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/"


async def asked_of_a_provider(url: str) -> bytes:
    async with httpx2.AsyncClient(transport=Connections(LOOPBACK)) as client:
        return (await client.get(url)).content


async def asked_of_a_source(url: str) -> bytes:
    async with checked_pool(LOOPBACK, connections=1) as pool:
        return (await pool.request("GET", url)).content


@pytest.mark.parametrize("ask", [asked_of_a_provider, asked_of_a_source])
async def test_an_authority_of_ones_own_is_believed_where_the_environment_names_it(
    ask: Callable[[str], Awaitable[bytes]], url: str, certificate: Path, monkeypatch: pytest.MonkeyPatch
):
    with pytest.raises((httpx2.ConnectError, httpcore2.ConnectError)):
        await ask(url)
    trust.cache_clear()
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    assert await ask(url) == b"hi"
