"""A bucket of a real store, with a door before it that can be shut."""

from collections.abc import Mapping
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

from tests.support.s3_server import REGION, Store
from tests.support.site import Answer, Asked, Site
from tests.support.worlds import SiteWorld

BUCKET = "papers"
EXPIRED = b"<Error><Code>ExpiredToken</Code><Message>The provided token has expired.</Message></Error>"
SLOW_DOWN = b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
NOT_PASSED_ON = ("connection", "transfer-encoding", "content-length", "date", "server")


class S3World(SiteWorld):
    type = "s3"

    def __init__(self, site: Site, store: Store) -> None:
        super().__init__(site)
        self.store = store
        self.s3 = store.client()
        self.s3.create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})

    @property
    def secrets(self) -> Mapping[str, str]:  # type: ignore[override]
        return {"access_key": self.store.access_key, "secret_key": self.store.secret_key}

    @property
    def config(self) -> dict[str, Any]:
        return {"url": self.site.url, "region": REGION, "bucket": BUCKET, "prefix": "notes/"}

    @property
    def refusal(self) -> Answer:
        return Answer(status=400, body=EXPIRED)

    def throttle(self, times: int) -> None:
        self.site.next = [Answer(status=503, body=SLOW_DOWN)] * times

    def external_id(self, name: str) -> str:
        return f"notes/{name}.txt"

    async def put(self, name: str, text: str) -> None:
        self.s3.put_object(Bucket=BUCKET, Key=self.external_id(name), Body=text.encode(), ContentType="text/plain")

    async def remove(self, name: str) -> None:
        self.s3.delete_object(Bucket=BUCKET, Key=self.external_id(name))

    def authorized(self, asked: Asked) -> bool:
        return True  # the store sees to that

    def asks_for(self, asked: Asked) -> str | None:
        key = asked.path.removeprefix(f"/{BUCKET}").removeprefix("/notes/")
        return key.removesuffix(".txt") or None

    def answer(self, asked: Asked) -> Answer:
        """Pass a request on as it is: its signature is of the host that it came to."""
        query = f"?{urlencode(asked.query, quote_via=quote)}" if asked.query else ""
        request = Request(f"{self.store.url}{quote(asked.path)}{query}", headers=asked.headers, method=asked.method)
        try:
            with urlopen(request) as answer:
                return passed_on(answer.status, answer.headers, answer.read())
        except HTTPError as refusal:
            with refusal:
                return passed_on(refusal.code, refusal.headers, refusal.read())


def passed_on(status: int, headers: Any, body: bytes) -> Answer:
    kept = {name: value for name, value in headers.items() if name.lower() not in NOT_PASSED_ON}
    return Answer(status=status, body=body, headers=kept)
