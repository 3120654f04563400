"""Requests of connectors: checked, bounded, tried again when asked to, and no credential goes to another origin."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from adapters.connectors.web import ATTEMPTS, AddressRefused, Ask, TooLarge, Web
from adapters.egress import Egress
from commands.knowledge.connectors import NotFetched, SourceUnavailable
from tests.support.site import Answer, Site, site

BEARER = {"Authorization": "Bearer canary"}


async def no_pause(_: float) -> None:
    """Wait for nothing."""


@dataclass
class Canary:
    """Counts who comes, and says nothing."""

    port: int = 0
    connections: int = 0

    async def __call__(self, _: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        writer.write(b"tweet\r\n\r\n")
        writer.close()


@pytest.fixture
async def there() -> AsyncIterator[Site]:
    async with site(lambda asked: Answer(body=asked.path.encode())) as made:
        yield made


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
async def web(there: Site, pauses: list[float]) -> AsyncIterator[Web]:
    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    made = Web(Egress([there.place]), pause=pause)
    yield made
    await made.close()


async def test_an_answer_comes_as_it_is(web: Web, there: Site):
    there.next = [Answer(status=404, body=b"\xff\x00", headers={"ETag": '"x"'})]
    answer = await web.ask(Ask(url=f"{there.url}/a%20b?q=ä#part", headers={"X-One": "1"}, credentials=BEARER))
    assert (answer.status, answer.body, answer.headers["etag"]) == (404, b"\xff\x00", '"x"')
    [asked] = there.asked
    assert (asked.method, asked.path, asked.query) == ("GET", "/a b", {"q": "ä"})
    assert (asked.headers["x-one"], asked.headers["authorization"]) == ("1", "Bearer canary")
    assert asked.headers["host"] == there.place


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
async def test_who_is_busy_or_broken_is_asked_again(web: Web, there: Site, pauses: list[float], status: int):
    there.next = [Answer(status=status), Answer(status=status)]
    assert (await web.ask(Ask(url=f"{there.url}/a"))).body == b"/a"
    assert len(there.asked) == 3
    assert 0 < pauses[0] < pauses[1] * 3


async def test_retry_after_is_honoured_by_all_who_ask_that_origin(web: Web, there: Site, pauses: list[float]):
    there.next = [Answer(status=429, headers={"Retry-After": "7"})]
    await web.ask(Ask(url=f"{there.url}/a"))
    assert pauses[0] == 7.0
    assert 6 < pauses[1] <= 7  # the clock did not move here: whoever asks next waits as well
    in_a_minute = format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)
    there.next = [Answer(status=503, headers={"Retry-After": in_a_minute})]
    del pauses[:]
    await web.ask(Ask(url=f"{there.url}/b"))
    assert any(55 < each <= 60 for each in pauses)


async def test_who_asks_to_be_left_alone_for_long_is_away(web: Web, there: Site):
    there.next = [Answer(status=429, headers={"Retry-After": "3600"})]
    with pytest.raises(SourceUnavailable, match="answered 429: ask again in 3600 s"):
        await web.ask(Ask(url=f"{there.url}/a"))
    assert len(there.asked) == 1


async def test_a_source_that_stays_away_is_told_without_what_may_be_secret(web: Web, there: Site):
    there.next = [Answer(status=503)] * ATTEMPTS
    with pytest.raises(SourceUnavailable, match=r"/a answered 503 \(5 attempts\)") as told:
        await web.ask(Ask(url=f"{there.url}/a?key=canary"))
    assert "canary" not in str(told.value)


@pytest.mark.parametrize(("status", "source", "document"), [
    (200, None, None), (404, SourceUnavailable, NotFetched), (410, SourceUnavailable, NotFetched),
    (401, SourceUnavailable, SourceUnavailable), (403, SourceUnavailable, NotFetched),
    (500, SourceUnavailable, NotFetched),
])  # fmt: skip
async def test_a_refusal_concerns_the_source_or_a_document(
    web: Web, there: Site, status: int, source: type[Exception] | None, document: type[Exception] | None
):
    there.next = [Answer(status=status, body=b"for a reason")] * ATTEMPTS
    answer = await web.ask(Ask(url=f"{there.url}/a"))
    for expected, look in ((source, answer.of_source), (document, answer.of_document)):
        if expected is None:
            assert look() is answer
        else:
            with pytest.raises(expected):
                look()


async def test_an_answer_that_is_cut_is_asked_for_again(web: Web, there: Site):
    there.next = [None]
    assert (await web.ask(Ask(url=f"{there.url}/a"))).body == b"/a"


async def test_nobody_there_is_told_in_words(there: Site, pauses: list[float]):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    web = Web(Egress([f"127.0.0.1:{port}"]), pause=pause)
    with pytest.raises(SourceUnavailable, match="can't be reached"):
        await web.ask(Ask(url=f"http://127.0.0.1:{port}/"))
    await web.close()


async def test_redirects_are_followed_and_credentials_stay_at_home(web: Web, there: Site):
    async with site(lambda asked: Answer(body=b"other")) as other:
        there.next = [Answer(status=302, headers={"Location": "/here"})]
        assert (await web.ask(Ask(url=f"{there.url}/a", credentials=BEARER))).url == f"{there.url}/here"
        assert [asked.headers.get("authorization") for asked in there.asked] == ["Bearer canary"] * 2
        both = Web(Egress([there.place, other.place]))
        there.next = [Answer(status=307, headers={"Location": f"{other.url}/there"})]
        assert (await both.ask(Ask(url=f"{there.url}/a", credentials=BEARER))).body == b"other"
        assert "authorization" not in other.asked[0].headers
        await both.close()


@pytest.mark.parametrize(
    "location",
    [
        "http://169.254.169.254/",
        "http://[::ffff:127.0.0.1]/",
        "file:///etc/passwd",
        "http://a:b@127.0.0.1/",
        "http://0/",
    ],
)
async def test_a_redirect_to_where_nobody_may_go_is_refused(web: Web, there: Site, location: str):
    there.next = [Answer(status=302, headers={"Location": location})]
    with pytest.raises(AddressRefused):
        await web.ask(Ask(url=f"{there.url}/a"))


async def test_redirects_end(web: Web, there: Site):
    there.next = [Answer(status=302, headers={"Location": "/a"})] * 10
    with pytest.raises(NotFetched, match="sent on more than 5 times"):
        await web.ask(Ask(url=f"{there.url}/a"))


async def test_a_post_is_not_sent_on(web: Web, there: Site):
    there.next = [Answer(status=307, headers={"Location": "/b"})]
    with pytest.raises(SourceUnavailable, match="sends a POST on"):
        await web.ask(Ask(url=f"{there.url}/a", body=b"{}"))


async def test_too_much_is_not_read_to_its_end(web: Web, there: Site):
    there.next = [Answer(body=b"x" * 1001)]
    with pytest.raises(TooLarge, match="more than 1,000 bytes"):
        await web.ask(Ask(url=f"{there.url}/a", most=1000))
    assert (await web.ask(Ask(url=f"{there.url}/a", most=2))).body == b"/a"


async def test_what_comes_packed_unasked_is_not_unpacked(web: Web, there: Site):
    there.next = [Answer(body=b"x", headers={"Content-Encoding": "gzip"})]
    with pytest.raises(NotFetched, match="packed"):
        await web.ask(Ask(url=f"{there.url}/a"))


async def test_what_is_no_json_is_told(web: Web, there: Site):
    answer = await web.ask(Ask(url=f"{there.url}/a"))
    with pytest.raises(SourceUnavailable, match="no JSON"):
        answer.json()


HOSTILE = [
    "http://127.0.0.1:{port}\\@example.com/", "http://example.com\\@127.0.0.1:{port}/", "http://0177.0.0.1:{port}/",
    "http://127。0。0。1:{port}/", "http://①②⑦.⓪.⓪.①:{port}/", "http://2130706433:{port}/", "http://0x7f.1:{port}/",
    "http://127.1:{port}/", "http://0:{port}/", "http://[::]:{port}/", "http://[::1]:{port}/",
    "http://[::ffff:127.0.0.1]:{port}/", "http://[::ffff:7f00:1]:{port}/", "http://[64:ff9b::7f00:1]:{port}/",
    "http://[2002:7f00:1::]:{port}/", "http://[::7f00:1]:{port}/", "http://[fec0::1]:{port}/", "http://[::1%25lo]:{port}/",
    "http://169.254.169.254:{port}/", "http://100.64.0.1:{port}/", "http://224.0.0.1:{port}/", "http://localhost.:{port}/",
    "HTTP://LOCALHOST:{port}/", "file:///etc/passwd", "gopher://127.0.0.1:{port}/", "ftp://127.0.0.1:{port}/", "data:,a",
    "jar:http://127.0.0.1:{port}!/", "http:127.0.0.1:{port}/", "http:///127.0.0.1:{port}/", "//127.0.0.1:{port}/",
    "http://a:b@127.0.0.1:{port}@example.com/", "http://a:b@127.0.0.1:{port}/", "http://127.0.0.1\t:{port}/",
    "http://127.0.0.1\r:{port}/", "http://\n127.0.0.1:{port}/", "http://", "", "http://" + "a" * 300 + ".com:{port}/",
]  # fmt: skip


@pytest.fixture
async def canary() -> AsyncIterator[Canary]:
    """Listen at every address of this machine, where nobody may come."""
    made = Canary()
    async with AsyncExitStack() as stack:
        for family, address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            if family == socket.AF_INET6 and not socket.has_dualstack_ipv6():
                continue
            listening = socket.create_server((address, made.port), family=family)
            made.port = listening.getsockname()[1]
            await stack.enter_async_context(await asyncio.start_server(made, sock=listening))
        yield made


async def test_the_canary_sings_where_hostile_addresses_are_allowed(canary: Canary):
    """Without what is checked they do lead there: else the next two tests would show nothing."""
    web = Web(Egress(["0.0.0.0/0", "::/0"]), pause=no_pause)
    for url in (
        "http://127.1:{port}/",
        "http://0x7f.1:{port}/",
        "http://[::ffff:127.0.0.1]:{port}/",
        "http://0:{port}/",
    ):
        before = canary.connections
        with pytest.raises(SourceUnavailable, match="no HTTP"):
            await web.ask(Ask(url=url.format(port=canary.port)))
        assert canary.connections > before
    await web.close()


@pytest.mark.parametrize("url", HOSTILE)
async def test_hostile_addresses_are_not_asked(url: str, canary: Canary):
    web = Web(Egress(), pause=no_pause)
    with pytest.raises((AddressRefused, SourceUnavailable)):
        await web.ask(Ask(url=url.format(port=canary.port)))
    await web.close()
    assert canary.connections == 0


@pytest.mark.parametrize("url", [each for each in HOSTILE if not {"\r", "\n"} & set(each)])
async def test_no_redirect_leads_to_a_hostile_address(url: str, web: Web, there: Site, canary: Canary):
    location = url.format(port=canary.port).encode().decode("latin-1")
    there.next = [Answer(status=302, headers={"Location": location})]
    try:
        answer = await web.ask(Ask(url=f"{there.url}/a", credentials=BEARER))
    except (AddressRefused, SourceUnavailable):
        pass
    else:  # it is a path there, as any browser has it
        assert answer.url.startswith(f"{there.url}/")
    assert canary.connections == 0


@pytest.mark.parametrize("value", ["Bearer canary ", " canary", "can\nary", "can\x00ary"])
async def test_a_secret_that_can_not_be_sent_is_not_repeated(web: Web, there: Site, value: str):
    with pytest.raises(SourceUnavailable) as told:
        await web.ask(Ask(url=f"{there.url}/a", credentials={"Authorization": value}))
    assert "can" not in str(told.value).replace("can't", "")
    assert there.asked == []


@pytest.mark.parametrize("credentials", [BEARER, {"Authorization": "Basic dXNlcjpjYW5hcnk="}, {"X-API-Key": "canary"}])
async def test_an_answer_that_repeats_a_secret_is_not_told(web: Web, there: Site, credentials: dict[str, str]):
    there.next = [Answer(status=403, body=b"no canary here"), Answer(status=403, body=b"for a reason")]
    for expected in ("answered 403.", "answered 403: for a reason."):
        answer = await web.ask(Ask(url=f"{there.url}/a", credentials=credentials))
        with pytest.raises(NotFetched) as told:
            answer.of_document()
        assert str(told.value).endswith(expected)


async def test_what_is_sent_in_a_body_is_not_told_either(web: Web, there: Site):
    there.next = [Answer(status=400, body=b"wrong client_secret canary1")]
    answer = await web.ask(Ask(url=f"{there.url}/a", body=b"grant_type=x&client_secret=canary1"))
    with pytest.raises(SourceUnavailable, match=r"answered 400\.$"):
        answer.of_source()


async def test_a_redirect_to_what_is_no_address_is_told(web: Web, there: Site):
    there.next = [Answer(status=302, headers={"Location": "http://["})]
    with pytest.raises(AddressRefused, match="no address"):
        await web.ask(Ask(url=f"{there.url}/a"))


@pytest.mark.parametrize("asked", ["\xb2", "soon", "-1", "", "1e3"])
async def test_a_retry_after_that_says_nothing_is_no_reason_to_fail(web: Web, there: Site, asked: str):
    there.next = [Answer(status=429, headers={"Retry-After": asked})]
    assert (await web.ask(Ask(url=f"{there.url}/a"))).body == b"/a"
