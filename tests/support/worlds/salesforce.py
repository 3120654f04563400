"""Salesforce with cases, two on a page; its sessions end when they are told to."""

import re
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import parse_qs

from tests.support.site import Answer, Asked
from tests.support.worlds import CANARY, SiteWorld

PAGE = 2
TOKEN = "/services/oauth2/token"
QUERY = "/services/data/v62.0/query"
CLIENT = "3MVG9.client"
BY_ID = re.compile(r"WHERE Id = '(.*)' LIMIT 1\Z")


def page_of(found: list[Any], start: int, locator: str = "01gRO0000016PIAYA2") -> Answer:
    """Return one page of a query's records; the next one has an address of its own."""
    end = start + PAGE
    done = end >= len(found)
    more = {} if done else {"nextRecordsUrl": f"{QUERY}/{locator}-{end}"}
    return Answer(body={"totalSize": len(found), "done": done, **more, "records": found[start:end]})


def refused(status: int, code: str) -> Answer:
    return Answer(status=status, body=[{"message": "Not so.", "errorCode": code}])


class SalesforceWorld(SiteWorld):
    type = "salesforce"
    renames = True
    secrets: ClassVar[Mapping[str, str]] = {"client_secret": CANARY}

    def __init__(self, site: Any) -> None:
        super().__init__(site)
        self.edits: dict[str, int] = {}
        self.ids: dict[str, str] = {}
        self.session = 0

    @property
    def config(self) -> dict[str, Any]:
        return {
            "url": self.site.url,
            "client_id": CLIENT,
            "soql": "SELECT Id, Subject, Description, Owner.Name FROM Case WHERE IsClosed = false ORDER BY Id",
            "text": ["Description"],
        }

    async def put(self, name: str, text: str) -> None:
        await super().put(name, text)
        self.edits[name] = self.edits.get(name, 0) + 1
        self.ids.setdefault(name, f"500{len(self.ids):012}AAA")

    def external_id(self, name: str) -> str:
        return self.ids[name]

    def authorized(self, asked: Asked) -> bool:
        if asked.path == TOKEN:
            form = {name: values[0] for name, values in parse_qs(asked.body.decode()).items()}
            return form == {"grant_type": "client_credentials", "client_id": CLIENT, "client_secret": CANARY}
        return asked.headers.get("authorization") == f"Bearer 00D!{CANARY}.{self.session}"

    def asks_for(self, asked: Asked) -> str | None:
        found = BY_ID.search(asked.query.get("q", ""))
        return next((name for name, id in self.ids.items() if id == found[1]), found[1]) if found else None

    def answer(self, asked: Asked) -> Answer:
        if asked.path == TOKEN:
            self.session += 1
            token = {"access_token": f"00D!{CANARY}.{self.session}", "token_type": "Bearer", "issued_at": "1"}
            return Answer(body={**token, "instance_url": self.site.url})
        name = self.asks_for(asked)
        if name is not None:
            return page_of([self.record(name)] if name in self.documents else [], 0)
        return page_of(self.records(), int(asked.path.rpartition("-")[2]) if "-" in asked.path else 0)

    def records(self) -> list[Any]:
        return [self.record(name) for name in sorted(self.documents)]

    def record(self, name: str) -> dict[str, Any]:
        return {
            "attributes": {"type": "Case", "url": f"/services/data/v62.0/sobjects/Case/{self.ids[name]}"},
            "Id": self.ids[name],
            "Subject": self.title(name),
            "Description": self.documents[name],
            "Owner": {"attributes": {"type": "User"}, "Name": "Ann"},
            "SystemModstamp": f"2026-01-01T00:00:{self.edits[name]:02}.000+0000",
        }
