"""Records of Salesforce: knowledge articles that are online, or those that a query gives."""

from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any
from urllib.parse import quote, urljoin

from pydantic import Field

from adapters.connectors.edit_times import version_of
from adapters.connectors.given_values import id_of, mapping, must_be_root, text, title
from adapters.connectors.oauth import Grant, Tokens
from adapters.connectors.paging import pages
from adapters.connectors.record_html import record_html
from adapters.connectors.soql import Select, parsed, quoted
from adapters.connectors.web import Answer, Ask, Web, origin_of
from commands.knowledge.connectors import FINDS, GivenDocument, Listed, NotFetched, Place, SourceUnavailable
from domain.definition import Strict, parse
from domain.errors import Invalid
from domain.paths import at

SETTLED = timedelta(seconds=60)
"""Salesforce tells the second of a change: until it is surely over, another change may bear the same one."""

TITLES = ("Title", "Name", "Subject", "CaseNumber")
TOLD_OF_ARTICLES = (
    "Id", "KnowledgeArticleId", "ArticleNumber", "Title", "Summary", "UrlName", "Language", "LastPublishedDate",
    "SystemModstamp",
)  # fmt: skip
DEEPEST = 8

FieldName = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[A-Za-z]\w*(\.[A-Za-z]\w*)*$")]
Language = Annotated[str, Field(pattern=r"^[A-Za-z_-]{2,10}$")]


class SalesforceArticles(Strict):
    """Knowledge articles that are published."""

    object: str = Field(
        "Knowledge__kav", max_length=100, pattern=r"^[A-Za-z]\w*$",
        description="Where they are kept; `KnowledgeArticleVersion` has those of all types, with a summary only.",
    )  # fmt: skip
    languages: list[Language] = Field(
        default_factory=list, max_length=50, description="Such as `en_US`; empty: all of them."
    )


class SalesforceConfig(Strict):
    """Records of Salesforce: knowledge articles that are online, or what a query in SOQL gives."""

    url: str = Field(
        min_length=1, max_length=2000, description="Your domain, such as https://example.my.salesforce.com."
    )
    client_id: Annotated[str, FINDS] = Field(
        min_length=1, max_length=500, pattern=r"^[!-~]+$", description="The consumer key of the connected app."
    )
    api_version: str = Field("62.0", pattern=r"^[0-9]{2,3}\.0$", description="Of the REST API, such as 62.0.")
    articles: SalesforceArticles | None = Field(None, description="Take articles; needs no `soql`.")
    soql: str | None = Field(
        None, max_length=8000, description="Take the records of a single SELECT of one object; needs no `articles`."
    )
    text: list[FieldName] = Field(
        default_factory=list,
        max_length=50,
        description="Fields that make the text, plain or HTML; of articles: `Summary`.",
    )
    title: FieldName | None = Field(None, description="null = Title, Name, Subject or CaseNumber.")
    version: FieldName = Field("SystemModstamp", description="The field that changes with a record.")


class SalesforceConnector:
    """Lists ids and times by one query, and fetches each record alone by another."""

    config = SalesforceConfig
    secrets: Mapping[str, str] = {"client_secret": "The consumer secret of the connected app."}

    def __init__(self, web: Web, tokens: Tokens | None = None) -> None:
        self._tokens = tokens or Tokens(web)

    def check(self, config: Mapping[str, Any]) -> None:
        """Raise Invalid where the address or the query can't be right, or the text is not among what is selected."""
        settings = parse(SalesforceConfig, dict(config), "/config")
        must_be_root(settings.url, "/config/url")
        if (settings.articles is None) == (settings.soql is None):
            raise Invalid("Set `articles` or `soql`, one of them.", code="nothing_chosen", pointer="/config")
        if settings.soql is None:
            return
        select = parsed(settings.soql, "/config/soql")
        if not settings.text:
            raise Invalid("Name the fields that make the text.", code="no_text", pointer="/config/text")
        for number, name in enumerate(settings.text):
            if not select.names(name):
                raise Invalid(
                    f"The query does not select {name}.", code="not_selected", pointer=f"/config/text/{number}"
                )

    async def list(self, place: Place) -> AsyncIterator[Listed | None]:
        """Yield all records; SourceUnavailable where they are fewer than Salesforce counts."""
        records = Records(self._tokens, place)
        found, total = 0, 0
        async for page, told in records.pages():
            total = max(total, count_of(told))
            for each in page:
                found += 1
                edited = text(at(each, records.settings.version))
                yield Listed(external_id=records.external_id(each), version=version_of(edited, SETTLED))
        if found < total:
            raise SourceUnavailable(f"Salesforce counts {total} records and gave {found}.")

    async def fetch(self, place: Place, external_id: str) -> GivenDocument:
        """Return a record as HTML, with its other fields as metadata."""
        records = Records(self._tokens, place)
        settings, record = records.settings, await records.one(external_id)
        named = (settings.title,) if settings.title else TITLES
        called = title(next(filter(None, (text(at(record, each)) for each in named)), ""), external_id)
        texts = {each: at(record, each) for each in records.text}
        return GivenDocument(
            external_id=external_id,
            title=called,
            url=records.link(record),
            media_type="text/html",
            content=record_html(called, texts).encode(errors="replace"),
            metadata={
                "object": text(at(record, "attributes.type")),
                "fields": {name: value for name, value in plain(record).items() if name not in texts},
            },
            acl=None,
        )

    def end(self, place: Place) -> None:
        """Keep nothing of the source; its token serves the next sync."""


class Records:
    """The records that one source's settings are about."""

    def __init__(self, tokens: Tokens, place: Place) -> None:
        self.settings = parse(SalesforceConfig, dict(place.config), "/config")
        self.text = self.settings.text or ["Summary"]
        self._tokens = tokens
        self._root = self.settings.url.rstrip("/")
        self._select = select_of(self.settings)
        self._grant = Grant(
            url=f"{self._root}/services/oauth2/token",
            form={
                "grant_type": "client_credentials",
                "client_id": self.settings.client_id,
                "client_secret": place.secrets.get("client_secret", ""),
            },
        )

    def pages(self) -> AsyncIterator[tuple[list[Any], Any]]:
        """Return the pages of all records, with what tells them apart and when they changed."""
        told_apart = ["KnowledgeArticleId", "Language"] if self.settings.articles else ["Id"]
        first = self._query(self._select.listing([*told_apart, self.settings.version]))

        async def ask(cursor: str | None) -> Any:
            told = (await self._ask(first, cursor)).of_source().json()
            if mapping(told).get("done") is not True and not text(mapping(told).get("nextRecordsUrl")):
                raise SourceUnavailable("Salesforce has more records and does not say where.")
            return told

        return pages(ask, items="records", next="nextRecordsUrl")

    def external_id(self, record: Any) -> str:
        """Return what tells a record from others: an article's id is another one with each version."""
        if self.settings.articles is None:
            return id_of(record, "Id")
        return f"{id_of(record, 'KnowledgeArticleId')}/{id_of(record, 'Language')}"

    async def one(self, external_id: str) -> Mapping[str, Any]:
        """Return a record, or raise NotFetched."""
        if self.settings.articles is None:
            soql = self._select.one(Id=external_id)
        else:
            article, _, language = external_id.partition("/")
            soql = self._select.one(PublishStatus="Online", KnowledgeArticleId=article, Language=language)
        found = mapping((await self._ask(self._query(soql))).of_part().json()).get("records")
        if found == []:
            raise NotFetched("It is no longer there, or no longer online.", code="gone")
        if not isinstance(found, list) or not isinstance(found[0], Mapping):
            raise NotFetched("What was answered is no record.")
        return found[0]

    def link(self, record: Mapping[str, Any]) -> str | None:
        """Return where people open a record."""
        kind, id = text(at(record, "attributes.type")), text(record.get("Id")) or text(at(record, "attributes.url"))
        id = id.rpartition("/")[2]
        return f"{self._root}/lightning/r/{quote(kind, safe='')}/{quote(id, safe='')}/view" if kind and id else None

    def _query(self, soql: str) -> str:
        return f"{self._root}/services/data/v{self.settings.api_version}/query?q={quote(soql, safe='')}"

    async def _ask(self, url: str, further: str | None = None) -> Answer:
        try:
            url = url if further is None else urljoin(url, further)
            elsewhere = origin_of(url) != origin_of(self._root)
        except ValueError:
            elsewhere = True
        if elsewhere:
            raise SourceUnavailable("Salesforce names a next page that lies at another address.")
        answer = await self._tokens.ask(self._grant, Ask(url=url))
        if answer.status == 403 and b"REQUEST_LIMIT_EXCEEDED" in answer.body:
            raise SourceUnavailable("Salesforce was asked as often as it allows: sync again when its limit is over.")
        return answer


def select_of(settings: SalesforceConfig) -> Select:
    """Return the query that the settings stand for."""
    if settings.articles is None:
        return parsed(settings.soql or "", "/config/soql")
    named = [*TOLD_OF_ARTICLES, *settings.text, *([settings.title] if settings.title else []), settings.version]
    distinct: dict[str, str] = {}
    for name in named:
        distinct.setdefault(name.lower(), name)
    return Select(
        fields=", ".join(distinct.values()),
        object=settings.articles.object,
        alias="",
        which=f"WHERE PublishStatus = 'Online'{spoken_in(settings.articles.languages)}",
    )


def spoken_in(languages: Sequence[str]) -> str:
    """Return the condition for articles in some languages; older versions of the API know none but `=`."""
    named = ", ".join(map(quoted, languages))
    if len(languages) > 1:
        return f" AND Language IN ({named})"
    return f" AND Language = {named}" if languages else ""


def count_of(told: Any) -> int:
    """Return how many records there are by an answer, 0 where it does not say."""
    total = mapping(told).get("totalSize")
    return total if isinstance(total, int) else 0


def plain(record: Mapping[str, Any], depth: int = DEEPEST) -> dict[str, Any]:
    """Return a record's fields, and those of the records in it, without what Salesforce says about each."""
    return {name: inner(value, depth) for name, value in record.items() if name != "attributes"}


def inner(value: Any, depth: int) -> Any:
    """Return a field's value; records inside are told as objects and lists."""
    if isinstance(value, Mapping):
        if not depth:
            return None
        if isinstance(value.get("records"), list):
            return [inner(each, depth - 1) for each in value["records"]]
        return plain(value, depth - 1)
    return [inner(each, depth - 1) for each in value] if isinstance(value, list) and depth else value
