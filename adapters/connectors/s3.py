"""Documents from a bucket of an object store that speaks S3: Amazon's, MinIO, Ceph and others."""

import re
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Annotated, Any
from urllib.parse import quote, unquote_plus, urlencode, urlsplit, urlunsplit

from lxml import etree
from pydantic import Field

from adapters.connectors.given_values import must_be_root
from adapters.connectors.paging import pages
from adapters.connectors.selection import Selection, wanted
from adapters.connectors.signature_v4 import UNRESERVED, SigningKey
from adapters.connectors.web import Answer, Ask, Web
from adapters.reading.kinds import MEDIA_TYPES
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from domain.definition import parse
from domain.errors import Invalid

KEYS_AT_ONCE = 1000
USER_METADATA = "x-amz-meta-"
HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")
OF_CREDENTIALS = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "InvalidSecurity",
        "InvalidToken",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "TokenRefreshRequired",
    }
)
"""Codes of refusals that concern who asks, not what is asked for."""


class S3Config(Selection):
    """Objects of a bucket in Amazon S3, or in a store that speaks as it does; `include` and `exclude` are of whole keys."""

    url: Annotated[str, FINDS] = Field(
        min_length=1, max_length=2000, description="Where the store is, such as https://s3.eu-central-1.amazonaws.com."
    )
    region: Annotated[str, FINDS] = Field(
        "us-east-1", pattern=r"^[a-z0-9-]{1,50}$", description="Where the bucket is, as the store says."
    )
    bucket: str = Field(
        min_length=1, max_length=255, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", description="Its name, without s3://."
    )
    prefix: Annotated[str, FINDS] = Field(
        "", max_length=1024, pattern=r"^[^\x00]*$", description="What the keys of objects begin with."
    )
    path_style: Annotated[bool, FINDS] = Field(
        True, description="false = the bucket's name stands before the host, not in the path."
    )
    link: str | None = Field(
        None, max_length=2000, description="The address that people open; `{key}` stands for an object's key."
    )


class S3Connector:
    """Lists keys with their ETags, a thousand at a time, and gets objects by their keys."""

    config = S3Config
    secrets: Mapping[str, str] = {
        "access_key": "The id of an access key; without it the bucket is public.",
        "secret_key": "The secret of that access key.",
        "session_token": "Of an access key that is given for a time.",
    }

    def __init__(self, web: Web) -> None:
        self._web = web

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address is none."""
        settings = parse(S3Config, dict(config), "/config")
        must_be_root(settings.url, "/config/url")
        if not settings.path_style and not HOST_NAME.fullmatch(settings.bucket):
            raise Invalid(
                "A bucket with this name can't stand before a host: it needs path_style.",
                code="invalid_bucket",
                pointer="/config/bucket",
            )

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all objects below the prefix."""
        settings = parse(S3Config, dict(place.config), "/config")

        async def page(token: str | None) -> dict[str, Any]:
            asked = {"list-type": "2", "max-keys": str(KEYS_AT_ONCE), "encoding-type": "url", "prefix": settings.prefix}
            query = {**asked, **({} if token is None else {"continuation-token": token})}
            url = f"{address(settings)}?{urlencode(query, quote_via=quote, safe=UNRESERVED)}"
            try:
                answer = await self._ask(settings, place, url)
            except NotFetched as error:  # whatever refuses the list
                raise SourceUnavailable(str(error), code=error.error_code) from None
            return page_of(answer.of_source())

        async for found, _ in pages(page, items="objects", next="next"):
            for each in found:
                yield listed(each, settings)

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return an object as a document."""
        settings = parse(S3Config, dict(place.config), "/config")
        answer = await self._ask(settings, place, address(settings, external_id))
        gone = (
            answer.status == 404 and refusal_of(answer) == "NoSuchKey"
        )  # not the bucket, nor whoever stands before it
        return document_of(answer.of_document() if gone else answer.of_part(), external_id, settings)

    def end(self, place: Place) -> None:
        """Keep nothing: there is nothing."""

    async def _ask(self, settings: S3Config, place: Place, url: str) -> Answer:
        key = key_of(settings, place.secrets)
        answer = await self._web.ask(Ask(url=url, credentials=key.signed(url, datetime.now(UTC)) if key else {}))
        code = "" if answer.status < 300 or answer.status == 404 else refusal_of(answer)
        if code in OF_CREDENTIALS:
            raise SourceUnavailable(
                f"The store does not take these credentials ({code}): set the secrets, or the region, anew.",
                code="credentials_refused",
            )
        if code:
            raise NotFetched(f"The store answered {answer.status} ({code}).")
        return answer


def key_of(settings: S3Config, secrets: Mapping[str, str]) -> SigningKey | None:
    """Return what requests are signed with; None: the bucket is public."""
    if not secrets:
        return None
    if "access_key" not in secrets or "secret_key" not in secrets:
        raise SourceUnavailable("Set both secrets, access_key and secret_key, or none.", code="credentials_missing")
    return SigningKey(
        access_key=secrets["access_key"],
        secret_key=secrets["secret_key"],
        session_token=secrets.get("session_token"),
        region=settings.region,
        service="s3",
    )


def address(settings: S3Config, key: str | None = None) -> str:
    """Return the address of the bucket, or of an object in it."""
    root = urlsplit(settings.url)
    path = root.path.rstrip("/")
    netloc = root.netloc
    if settings.path_style:
        path = f"{path}/{settings.bucket}"
    else:
        netloc = f"{settings.bucket}.{netloc}"
    if key is not None:
        path = f"{path}/{quote(key, safe=f'/{UNRESERVED}')}"
    return urlunsplit((root.scheme, netloc, path or "/", "", ""))


def page_of(answer: Answer) -> dict[str, Any]:
    """Return the objects of a page and the token of the next, or raise SourceUnavailable."""
    root = xml_of(answer.body)
    if root is None or local(root) != "ListBucketResult":
        raise SourceUnavailable("The store answered what is no list of objects: is `url` that of an S3 API?")
    said = {local(each): each.text or "" for each in root if local(each) != "Contents"}
    decode = unquote_plus if said.get("EncodingType") == "url" else str
    objects = [{local(part): part.text or "" for part in each} for each in root if local(each) == "Contents"]
    for each in objects:
        each["Key"] = decode(each.get("Key", ""))
    token = said.get("NextContinuationToken")
    if said.get("IsTruncated") == "true" and not token:
        raise SourceUnavailable("The store says that there are more objects, and not where.")
    return {"objects": objects, "next": token if said.get("IsTruncated") == "true" else None}


def xml_of(body: bytes) -> Any:
    """Return the root of an XML document, None where it is none; nothing in it is looked up or expanded."""
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False)
    try:
        return etree.fromstring(body, parser)
    except etree.XMLSyntaxError:
        return None


def local(element: Any) -> str:
    """Return the name of an element, whatever its namespace."""
    return str(element.tag).rpartition("}")[2]


def refusal_of(answer: Answer) -> str:
    """Return the code of a refusal, empty where it has none that can be repeated."""
    root = xml_of(answer.body)
    code = "" if root is None else next((each.text or "" for each in root if local(each) == "Code"), "")
    return code if re.fullmatch(r"[A-Za-z.]{1,100}", code) else ""


def listed(entry: Mapping[str, str], settings: S3Config) -> Listed | None:
    """Return an object of the list; None: it is empty, stands for a folder, or is not wanted."""
    key, size = entry["Key"], entry.get("Size", "")
    if not key.startswith(settings.prefix) or key.endswith("/") or size == "0" or not wanted(key, settings):
        return None
    # the ETag is of the content only: what is stored with it changes by a copy of the object onto itself
    told = [entry.get("ETag", "").strip('"'), entry.get("LastModified", "")]
    return Listed(external_id=key, version="-".join([*told, size]) if any(told) else None)


def document_of(answer: Answer, key: str, settings: S3Config) -> GivenDocument:
    """Return an object as a document; what was stored with it is metadata."""
    told = answer.headers
    kind = told.get("content-type", "").partition(";")[0].strip().lower()
    given = {
        "key": key,
        "bucket": settings.bucket,
        "content_type": kind or None,
        "last_modified": told.get("last-modified"),
        "version_id": told.get("x-amz-version-id"),
    }
    own = {name.removeprefix(USER_METADATA): value for name, value in told.items() if name.startswith(USER_METADATA)}
    return GivenDocument(
        external_id=key,
        title=key[:1000],
        url=settings.link.replace("{key}", quote(key, safe="/")) if settings.link else None,
        # senders often know no better type than bytes, where the key's ending says more
        media_type=kind if kind in MEDIA_TYPES or kind.startswith("text/") else "",
        content=answer.body,
        metadata={name: value for name, value in given.items() if value is not None} | {"metadata": own},
        acl=None,
    )
