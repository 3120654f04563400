"""Objects of a bucket: listed to the end, signed so that a real store lets them in, and never a part of them."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote
from uuid import uuid4
from xml.sax.saxutils import escape

import pytest
from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from adapters.connectors.s3 import KEYS_AT_ONCE, S3Connector
from adapters.connectors.signature_v4 import SigningKey
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.s3_server import REGION, Store, s3_server
from tests.support.site import Answer, Site, site

ODD_KEYS = [
    "a b+c.txt",
    "ü/ö.md",
    "a%20b.txt",
    "q?x=1&y.txt",
    "tilde~'()*!.txt",
    "a//b.txt",
    "x=<y>&amp;.txt",
    "日本.txt",
]


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    with s3_server() as running:
        yield running


@pytest.fixture
def bucket(store: Store) -> str:
    name = f"bucket-{uuid4().hex}"
    store.client().create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    return name


async def no_pause(_: float) -> None:
    return None


@pytest.fixture
async def connector(store: Store) -> AsyncIterator[S3Connector]:
    web = Web(Egress(["127.0.0.0/8"]), pause=no_pause)
    yield S3Connector(web)
    await web.close()


def place(store: Store, bucket: str, **config: Any) -> Place:
    return Place(
        source=uuid4(),
        config={"url": store.url, "region": REGION, "bucket": bucket, **config},
        secrets={"access_key": store.access_key, "secret_key": store.secret_key},
    )


async def listed(connector: S3Connector, where: Place) -> dict[str, str | None]:
    return {each.external_id: each.version async for each in connector.list(where) if each is not None}


# The signature, as Amazon's own documentation works it out ----------------------

EXAMPLE = SigningKey(
    access_key="AKIAIOSFODNN7EXAMPLE",
    secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
    region="us-east-1",
    service="s3",
)
THEN = datetime(2013, 5, 24, tzinfo=UTC)


@pytest.mark.parametrize(
    ("target", "headers", "signature"),
    [
        ("test.txt", {"Range": "bytes=0-9"}, "f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41"),
        ("?max-keys=2&prefix=J", {}, "34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"),
        ("?lifecycle=", {}, "fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"),
    ],
)
def test_requests_are_signed_as_the_published_examples_are(target: str, headers: dict[str, str], signature: str):
    said = EXAMPLE.signed(f"https://examplebucket.s3.amazonaws.com/{target}", THEN, headers)
    assert said["Authorization"].endswith(f"Signature={signature}")


@pytest.mark.parametrize("key", ["a b+c.txt", "ü/ö.md", "tilde~'()*!.txt", "a//b.txt"])
def test_requests_with_a_session_are_signed_as_amazons_own_client_signs_them(key: str):
    url = f"https://s3.example.com:9000/b/{quote(key, safe='/-_.~')}?x=a%20b&empty="
    mine = SigningKey(access_key="AKIA", secret_key="s", session_token="t/+=", region="r", service="s3")
    said = mine.signed(url, datetime.now(UTC))
    theirs = AWSRequest(method="GET", url=url, headers={"X-Amz-Content-SHA256": said["x-amz-content-sha256"]})
    theirs.context["timestamp"] = said["x-amz-date"]
    S3SigV4Auth(Credentials("AKIA", "s", "t/+="), "s3", "r").add_auth(theirs)
    assert theirs.headers["X-Amz-Date"] == said["x-amz-date"]
    assert theirs.headers["Authorization"] == said["Authorization"]
    assert said["x-amz-security-token"] == "t/+="


def test_a_key_does_not_tell_its_secrets():
    shown = repr(SigningKey(access_key="a", secret_key="canary", session_token="canary", region="r", service="s3"))
    assert "canary" not in shown


# A real store -------------------------------------------------------------------


async def test_keys_of_every_kind_are_listed_and_got(connector: S3Connector, store: Store, bucket: str):
    s3 = store.client()
    for number, key in enumerate(ODD_KEYS):
        s3.put_object(Bucket=bucket, Key=key, Body=f"text {number}".encode())
    where = place(store, bucket)
    assert sorted(await listed(connector, where)) == sorted(ODD_KEYS)
    for number, key in enumerate(ODD_KEYS):
        assert (await connector.fetch(where, key)).content == f"text {number}".encode(), key


async def test_what_is_stored_with_an_object_is_metadata(connector: S3Connector, store: Store, bucket: str):
    s3 = store.client()
    s3.put_object(
        Bucket=bucket, Key="in/a b.md", Body=b"# A", ContentType="text/markdown; charset=utf-8", Metadata={"team": "x"}
    )
    s3.put_object(Bucket=bucket, Key="in/b.pdf", Body=b"%PDF", ContentType="application/unknown")
    where = place(store, bucket, link="https://files.example.com/{key}")
    found = await connector.fetch(where, "in/a b.md")
    assert (found.title, found.media_type, found.acl) == ("in/a b.md", "text/markdown", None)
    assert found.url == "https://files.example.com/in/a%20b.md"
    assert found.metadata["metadata"] == {"team": "x"}
    assert (found.metadata["key"], found.metadata["bucket"]) == ("in/a b.md", bucket)
    assert found.metadata["last_modified"].endswith("GMT")
    assert (await connector.fetch(where, "in/b.pdf")).media_type == ""


async def test_a_long_list_is_walked_to_its_end(connector: S3Connector, store: Store, bucket: str):
    s3 = store.client()
    many = KEYS_AT_ONCE + 5
    for number in range(many):
        s3.put_object(Bucket=bucket, Key=f"k/{number}.txt", Body=b"x")
    assert len(await listed(connector, place(store, bucket, prefix="k/"))) == many


async def test_patterns_prefixes_and_versions(connector: S3Connector, store: Store, bucket: str):
    s3 = store.client()
    for key in ("a/x.md", "a/old/y.md", "a/.hidden.md", "a/folder/", "a/p.png", "b/z.md"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"x")
    s3.put_object(Bucket=bucket, Key="a/empty.md", Body=b"")
    where = place(store, bucket, prefix="a/", exclude=["a/old/*"])
    all_there_is = [each async for each in connector.list(where)]
    assert [each.external_id for each in all_there_is if each] == ["a/x.md"]
    assert all_there_is.count(None) == 5
    before = await listed(connector, where)
    assert await listed(connector, where) == before
    s3.put_object(Bucket=bucket, Key="a/x.md", Body=b"y")
    assert await listed(connector, where) != before


async def test_a_bucket_that_is_gone_says_nothing_of_its_objects(connector: S3Connector, store: Store):
    with pytest.raises(NotFetched) as told:
        await connector.fetch(place(store, "no-such-bucket"), "a.txt")
    assert told.value.error_code == "not_fetched"


async def test_a_wrong_secret_is_told_as_that_and_an_object_that_is_gone_as_gone(
    connector: S3Connector, store: Store, bucket: str
):
    right = place(store, bucket)
    with pytest.raises(NotFetched) as gone:
        await connector.fetch(right, "missing.txt")
    assert gone.value.error_code == "gone"
    for secrets, code in (
        ({**right.secrets, "secret_key": "canary"}, "credentials_refused"),
        ({**right.secrets, "access_key": "AKIAUNKNOWN"}, "credentials_refused"),
        ({"access_key": store.access_key}, "credentials_missing"),
    ):
        with pytest.raises(SourceUnavailable) as told:
            await listed(connector, Place(source=right.source, config=right.config, secrets=secrets))
        assert told.value.error_code == code
        assert "canary" not in str(told.value)
    with pytest.raises(SourceUnavailable, match="404"):
        await listed(connector, place(store, "no-such-bucket"))


# What a store may answer ----------------------------------------------------------


@pytest.fixture
async def door() -> AsyncIterator[Site]:
    async with site() as made:
        yield made


def page(*keys: str, more: str = "", truncated: bool = False, encoded: bool = False) -> bytes:
    objects = "".join(f"<Contents><Key>{escape(key)}</Key><ETag>&quot;e&quot;</ETag></Contents>" for key in keys)
    return (
        f'<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{objects}'
        f"<IsTruncated>{str(truncated).lower()}</IsTruncated>{more}"
        f"{'<EncodingType>url</EncodingType>' if encoded else ''}</ListBucketResult>"
    ).encode()


async def test_an_object_that_was_copied_onto_itself_with_other_metadata_is_another_version(
    connector: S3Connector, door: Site
):
    def at(modified: str) -> bytes:
        return page("a.txt").replace(
            b"</ETag>", f"</ETag><LastModified>{modified}</LastModified><Size>4</Size>".encode()
        )

    door.next = [Answer(body=at(f"2026-05-01T10:00:0{second}.000Z")) for second in (0, 0, 7)]
    first, same, copied = [await listed(connector, elsewhere(door)) for _ in range(3)]
    assert first == same != copied


def elsewhere(door: Site, **config: Any) -> Place:
    secrets = {"access_key": "AKIA", "secret_key": "canary", "session_token": "token"}
    return Place(source=uuid4(), config={"url": f"{door.url}/gate/", "bucket": "b", **config}, secrets=secrets)


NEXT = "<NextContinuationToken>same</NextContinuationToken>"
BOMB = b"""<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "aaaaaaaaaa"><!ENTITY c SYSTEM "file:///etc/passwd">]>
<ListBucketResult><Contents><Key>&a;&c;.txt</Key></Contents></ListBucketResult>"""


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "no list of objects"),
        (b"{}", "no list of objects"),
        (b"<html></html>", "no list of objects"),
        (page("a.txt")[:-9], "no list of objects"),
        (page("a.txt", truncated=True), "not where"),
        (page("a.txt", truncated=True, more=NEXT), "read already"),
    ],
)
async def test_a_list_that_may_be_a_part_only_is_not_believed(
    connector: S3Connector, door: Site, body: bytes, reason: str
):
    door.answers = lambda _: Answer(body=body)
    with pytest.raises(SourceUnavailable, match=reason):
        await listed(connector, elsewhere(door))


async def test_nothing_in_a_list_is_expanded_or_looked_up(connector: S3Connector, door: Site):
    door.answers = lambda _: Answer(body=BOMB)
    assert "root:" not in str(await listed(connector, elsewhere(door)))


async def test_keys_are_decoded_only_where_they_are_encoded(connector: S3Connector, door: Site):
    door.answers = lambda _: Answer(body=page("a%20b+c.txt"))
    assert list(await listed(connector, elsewhere(door))) == ["a%20b+c.txt"]
    door.answers = lambda _: Answer(body=page("a%20b+c.txt", encoded=True))
    assert list(await listed(connector, elsewhere(door))) == ["a b c.txt"]


async def test_a_public_bucket_is_asked_without_a_signature_and_a_refusal_is_told(connector: S3Connector, door: Site):
    denied = b"<Error><Code>AccessDenied</Code><Message>canary</Message></Error>"
    door.answers = lambda asked: (
        Answer(body=page("a.txt")) if "list-type" in asked.query else Answer(status=403, body=denied)
    )
    where = Place(source=uuid4(), config=elsewhere(door).config)
    assert list(await listed(connector, where)) == ["a.txt"]
    with pytest.raises(NotFetched, match=r"answered 403 \(AccessDenied\)\.$"):
        await connector.fetch(where, "a.txt")
    assert all("authorization" not in asked.headers for asked in door.asked)
    door.answers = lambda _: Answer(status=403, body=denied)
    with pytest.raises(SourceUnavailable, match=r"answered 403 \(AccessDenied\)\.$"):
        await listed(connector, where)
    door.answers = lambda _: Answer(status=400, body=denied.replace(b"AccessDenied", b"ExpiredToken"))
    with pytest.raises(SourceUnavailable) as told:
        await connector.fetch(elsewhere(door), "a.txt")
    assert told.value.error_code == "credentials_refused"


async def test_credentials_go_to_no_other_host(connector: S3Connector, door: Site):
    async with site(lambda _: Answer(body=page("a.txt"))) as other:
        door.answers = lambda asked: Answer(status=307, headers={"Location": f"{other.url}{asked.path}"})
        await listed(connector, elsewhere(door))
        assert "authorization" in door.asked[0].headers
        assert door.asked[0].path == "/gate/b"
        for name in ("authorization", "x-amz-security-token"):
            assert name not in other.asked[0].headers
        assert "canary" not in str(door.asked[0].headers)


async def test_a_bucket_may_stand_before_the_host(door: Site):
    class Resolving(Egress):
        async def addresses(self, host: str, port: int) -> list[str]:
            assert (host, port) == ("my-bucket.localhost", door.port)
            return ["127.0.0.1"]

    web = Web(Resolving())
    door.answers = lambda asked: Answer(body=page("a.txt") if asked.path == "/" else b"text")
    where = elsewhere(door, url=f"http://localhost:{door.port}", bucket="my-bucket", path_style=False)
    connector = S3Connector(web)
    assert list(await listed(connector, where)) == ["a.txt"]
    assert (await connector.fetch(where, "a.txt")).content == b"text"
    await web.close()


@pytest.mark.parametrize(
    "config",
    [
        {"url": "ftp://x"},
        {"url": "https://u:p@x.example.com"},
        {"url": "https://x.example.com/?a=b"},
        {"bucket": "../x"},
        {"bucket": "A_b", "path_style": False},
        {"bucket": "evil.example.com/"},
        {"region": "x/y"},
        {"prefix": "\x00"},
    ],
)
def test_settings_that_cannot_be_right_are_refused(connector: S3Connector, config: dict[str, Any]):
    with pytest.raises(Invalid):
        connector.check({"url": "https://s3.example.com", "bucket": "b", **config})
