"""Notion: every page to the last one, every kind of block as Markdown, and answers that are none."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from adapters.connectors.notion import NotionConnector
from adapters.connectors.pace import Pace
from adapters.connectors.web import Web
from adapters.egress import Egress
from commands.knowledge.connectors import NotFetched, Place, SourceUnavailable
from domain.errors import Invalid
from tests.support.asked_connectors import listed, place_of
from tests.support.site import Answer, Asked, site
from tests.support.worlds.notion import NotionWorld, block, notion_id, page_of, paragraph, said

PAGE = notion_id("alpha")


@pytest.fixture
async def world() -> AsyncIterator[NotionWorld]:
    async with site() as made:
        yield NotionWorld(made)


@pytest.fixture
async def notion(world: NotionWorld) -> AsyncIterator[NotionConnector]:
    web = Web(Egress([world.allow]))
    yield NotionConnector(web)
    await web.close()


@pytest.fixture
def place(world: NotionWorld) -> Place:
    return place_of(world.config, world.secrets)


def holding(world: NotionWorld, children: dict[str, list[Any]], **page: Any) -> None:
    """Let there be one page, `alpha`, whose blocks are these, by the id of what they are in; two on a page."""
    world.documents, world.edits = {"alpha": ""}, {"alpha": 1}
    usual = world.answer

    def answer(asked: Asked) -> Answer:
        parts = asked.path.split("/")
        if parts[2] == "blocks":
            if parts[3] not in children:
                return Answer(status=404)
            return page_of(children[parts[3]], asked.query.get("start_cursor"))
        if asked.path == f"/v1/pages/{PAGE}":
            return Answer(body={**world.page("alpha"), **page})
        return usual(asked)

    world.answer = answer


async def told(notion: NotionConnector, place: Place) -> str:
    return (await notion.fetch(place, PAGE)).content.decode()


async def test_a_search_is_followed_to_its_last_page_and_what_is_thrown_away_is_left_out(
    notion: NotionConnector, world: NotionWorld, place: Place
):
    for name in "abcde":
        await world.put(name, name)
    usual = world.page
    world.page = lambda name: {**usual(name), "in_trash": name == "c", "archived": name == "d"}
    assert await listed(notion, place) == {
        notion_id("a"): "2026-01-01T00:01:00.000Z",
        notion_id("b"): "2026-01-01T00:01:00.000Z",
        notion_id("e"): "2026-01-01T00:01:00.000Z",
        "": "2",
    }
    assert [asked.json.get("start_cursor") for asked in world.site.asked] == [None, "2", "4"]
    with pytest.raises(NotFetched, match="trash"):
        await notion.fetch(place, notion_id("c"))


async def test_what_was_edited_just_now_has_no_version_yet(notion: NotionConnector, world: NotionWorld, place: Place):
    await world.put("a", "a")
    usual = world.page
    for ago, known in ((timedelta(seconds=30), False), (timedelta(hours=1), True)):
        edited = (datetime.now(UTC) - ago).strftime("%Y-%m-%dT%H:%M:00.000Z")
        world.page = lambda name, edited=edited: {**usual(name), "last_edited_time": edited}
        assert await listed(notion, place) == {notion_id("a"): edited if known else None}


async def test_databases_are_asked_source_by_source_and_beyond_what_one_query_gives(
    notion: NotionConnector, world: NotionWorld, place: Place
):
    database, most = notion_id("database"), 3
    rows = [
        {"object": "page", "id": f"row{n}", "last_edited_time": "2026-01-01T00:00:00.000Z",
         "created_time": f"2026-01-01T00:0{n}:00.000Z"} for n in range(7)
    ]  # fmt: skip

    def answer(asked: Asked) -> Answer:
        if asked.path == f"/v1/databases/{database}":
            return Answer(body={"object": "database", "data_sources": [{"id": "one"}, {"id": "two"}]})
        if asked.path == "/v1/data_sources/two/query":
            return page_of([], None)
        assert asked.json["sorts"] == [{"timestamp": "created_time", "direction": "ascending"}]
        since = asked.json.get("filter", {}).get("created_time", {}).get("on_or_after", "")
        matching = [row for row in rows if row["created_time"] >= since]
        answered = page_of(matching[:most], asked.json.get("start_cursor"))
        if len(matching) > most:
            answered.body["request_status"] = {"type": "incomplete", "incomplete_reason": "query_result_limit_reached"}
        return answered

    world.answer = answer
    place = place_of({**world.config, "databases": [database]}, world.secrets)
    assert list(await listed(notion, place)) == [f"row{n}" for n in range(7)]
    for row in rows:
        row["created_time"] = "2026-01-01T00:00:00.000Z"
    with pytest.raises(SourceUnavailable, match="does not give all pages of the data source one"):
        await listed(notion, place)


async def test_a_search_that_is_cut_off_is_not_taken_for_all(notion: NotionConnector, world: NotionWorld, place: Place):
    cut = {"results": [], "next_cursor": None, "request_status": {"type": "incomplete"}}
    world.site.next = [Answer(body=cut)]
    with pytest.raises(SourceUnavailable, match="name their `databases`"):
        await listed(notion, place)


BLOCKS = {
    PAGE: [
        block("heading_1", rich_text=said("Top")),
        block("paragraph", rich_text=[
            *said("Say "), *said("it ", annotations={"bold": True}), *said("a|b", annotations={"code": True}),
            *said(" there", href="/0123"), *said("", type="equation", equation={"expression": "x^2"}),
        ]),
        block("paragraph", rich_text=[]),
        block("bulleted_list_item", "outer", has_children=True, rich_text=said("one")),
        block("bulleted_list_item", rich_text=said("two\nlines")),
        block("numbered_list_item", rich_text=said("first")),
        block("numbered_list_item", rich_text=said("second")),
        block("to_do", rich_text=said("done"), checked=True),
        block("to_do", rich_text=said("open"), checked=False),
        block("toggle", "toggle", has_children=True, rich_text=said("More")),
        block("heading_2", "folded", has_children=True, rich_text=said("Folded"), is_toggleable=True),
        block("code", rich_text=said("a = '```'\n\nb"), language="python", caption=said("A caption")),
        block("quote", "quote", has_children=True, rich_text=said("Quoted")),
        block("callout", rich_text=said("Mind\nthis"), icon={"type": "emoji", "emoji": "💡"}),
        block("equation", expression="e=mc^2"),
        block("divider"),
        block("table", "table", has_children=True, table_width=2, has_column_header=True),
        block("table", "bare", has_children=True, table_width=1, has_column_header=False),
        block("column_list", "columns", has_children=True),
        block("child_page", "11111111-2222-3333-4444-555555555555", has_children=True, title="Below"),
        block("child_database", "aaaa-bbbb", title=""),
        block("bookmark", url="https://example.com/a", caption=[]),
        block("image", type="external", external={"url": "https://example.com/b.png"}, caption=said("A picture")),
        block("file", type="file", file={"url": "https://files.example/x/notes%20a.txt?X-Amz-Signature=canary"}),
        block("table_of_contents"),
        block("link_to_page", type="page_id", page_id="9999-8888"),
        block("unsupported"),
        block("ai_block", "unheard", has_children=True),
    ],
    "outer": [block("to_do", "inner", has_children=True, rich_text=said("inner"))],
    "inner": [paragraph("innermost")],
    "toggle": [paragraph("shown when opened")],
    "folded": [paragraph("under the heading")],
    "quote": [paragraph("and more")],
    "table": [
        block("table_row", cells=[said("Name"), said("a|b")]), block("table_row", cells=[said("x\ny")]),
        block("table_row", cells=[said("1"), said("2")]),
    ],
    "bare": [block("table_row", cells=[said("only")])],
    "columns": [block("column", "left", has_children=True), block("column", "right", has_children=True)],
    "left": [paragraph("left")],
    "right": [paragraph("right")],
    "unheard": [paragraph("heard all the same")],
}  # fmt: skip

MARKDOWN = """# Top

Say **it** `a|b` [there](https://www.notion.so/0123)$x^2$

- one
  - [ ] inner

    innermost
- two
  lines
1. first
2. second
- [x] done
- [ ] open
- More

  shown when opened

## Folded

under the heading

````python
a = '```'

b
````

A caption

> Quoted
>
> and more

> 💡 Mind
> this

$$
e=mc^2
$$

---

| Name | a\\|b |
| --- | --- |
| x<br>y |  |
| 1 | 2 |

|  |
| --- |
| only |

left

right

[Below](https://www.notion.so/11111111222233334444555555555555)

[Untitled](https://www.notion.so/aaaabbbb)

[https://example.com/a](https://example.com/a)

![A picture](https://example.com/b.png)

notes a.txt

[Linked page](https://www.notion.so/99998888)

heard all the same"""


async def test_every_kind_of_block_is_told_and_what_is_not_is_counted(
    notion: NotionConnector, world: NotionWorld, place: Place
):
    holding(world, BLOCKS)
    given = await notion.fetch(place, PAGE)
    assert given.content.decode() == MARKDOWN
    assert given.metadata["blocks_not_told"] == {"unsupported": 1}
    assert (given.media_type, given.title, given.acl) == ("text/markdown", "About alpha", None)
    assert given.url == f"https://www.notion.so/{PAGE.replace('-', '')}"


async def test_properties_become_metadata_all_of_them(notion: NotionConnector, world: NotionWorld, place: Place):
    ids = [notion_id(str(n)) for n in range(5)]
    properties = {
        "Name": {"id": "title", "type": "title", "title": [*said("Two\nlines "), *said("\x00here")]},
        "Text": {"id": "a", "type": "rich_text", "rich_text": said("words")},
        "Price": {"id": "b", "type": "number", "number": 1.5},
        "Kind": {"id": "c", "type": "select", "select": {"name": "note"}},
        "State": {"id": "d", "type": "status", "status": None},
        "Tags": {"id": "e", "type": "multi_select", "multi_select": [{"name": "x"}, {"name": "y"}]},
        "Due": {"id": "f", "type": "date", "date": {"start": "2026-01-01", "end": None, "time_zone": None}},
        "Who": {"id": "g", "type": "people", "people": [{"id": "u1", "name": "Ann"}, {"id": "u2"}]},
        "Files": {"id": "h", "type": "files", "files": [{"name": "a.pdf", "file": {"url": "https://x?sig=canary"}}]},
        "Done": {"id": "i", "type": "checkbox", "checkbox": False},
        "Sum": {"id": "j", "type": "formula", "formula": {"type": "number", "number": 3}},
        "All": {"id": "k", "type": "rollup", "rollup": {"type": "array", "array": [{"type": "number", "number": 1}]}},
        "Number": {"id": "l", "type": "unique_id", "unique_id": {"prefix": "T", "number": 7}},
        "By": {"id": "m", "type": "created_by", "created_by": {"object": "user", "id": "u3"}},
        "Related": {"id": "n%3A", "type": "relation", "relation": [{"id": ids[0]}], "has_more": True},
        "Odd": {"id": "o", "type": "number", "number": {"not": "a number"}},
        "None": "no property",
    }
    holding(world, {PAGE: []}, properties=properties)
    usual = world.answer

    def answer(asked: Asked) -> Answer:
        if asked.path.startswith(f"/v1/pages/{PAGE}/properties/"):
            assert asked.path.endswith("/n:")
            found = [{"object": "property_item", "type": "relation", "relation": {"id": id}} for id in ids]
            return page_of(found, asked.query.get("start_cursor"))
        return usual(asked)

    world.answer = answer
    given = await notion.fetch(place, PAGE)
    assert given.title == "Two lines here"
    assert given.metadata["properties"] == {
        "Name": "Two\nlines \x00here", "Text": "words", "Price": 1.5, "Kind": "note", "State": None, "Tags": ["x", "y"],
        "Due": {"start": "2026-01-01", "end": None}, "Who": ["Ann", "u2"], "Files": ["a.pdf"], "Done": False, "Sum": 3,
        "All": [1], "Number": "T-7", "By": "u3", "Related": ids, "Odd": None, "None": None,
    }  # fmt: skip
    assert given.metadata["last_edited_time"] == "2026-01-01T00:01:00.000Z"


@pytest.mark.parametrize("children", [
    {PAGE: [block("toggle", PAGE, has_children=True, rich_text=[])]},
    {PAGE: [block("toggle", "a", has_children=True)], "a": [block("toggle", "a", has_children=True)]},
    {PAGE: [block("toggle", "gone", has_children=True, rich_text=said("half"))]},
    {PAGE: [{"type": "toggle", "has_children": True}]},
    {PAGE: [block("toggle", "0", has_children=True)],
     **{str(n): [block("toggle", str(n + 1), has_children=True)] for n in range(99)}},
], ids=["in itself", "in a child of itself", "half there", "no id", "too deep"])  # fmt: skip
async def test_a_page_is_had_whole_or_not_at_all(
    notion: NotionConnector, world: NotionWorld, place: Place, children: dict[str, list[Any]]
):
    holding(world, children)
    with pytest.raises(NotFetched) as told:
        await notion.fetch(place, PAGE)
    assert told.value.error_code != "gone", "the page itself is there"


@pytest.mark.parametrize("block", [
    None, 7, "text", [], {}, {"type": 7}, {"type": "paragraph", "paragraph": None},
    {"type": "paragraph", "paragraph": {"rich_text": [None, 7, {"plain_text": 7}, {"plain_text": "a", "href": 7}]}},
    {"type": "table", "table": {}}, {"type": "code", "code": {"language": 7}},
    {"type": "image", "image": {"file": {"url": "http://[x"}}}, {"type": "child_page", "id": 7, "child_page": 7},
])  # fmt: skip
async def test_blocks_of_wrong_types_hurt_no_others(
    notion: NotionConnector, world: NotionWorld, place: Place, block: Any
):
    holding(world, {PAGE: [paragraph("before"), block, paragraph("after")]})
    text = await told(notion, place)
    assert text.startswith("before\n\n")
    assert text.endswith("after")


@pytest.mark.parametrize("answer", [
    [], {}, {"results": None}, {"results": {}}, {"results": [{}]}, {"results": [None]}, {"results": [{"id": True}]},
    {"results": [{"id": {"$ne": 1}}]}, {"results": [], "next_cursor": "again"},
])  # fmt: skip
async def test_lists_of_wrong_types_and_in_circles_are_no_lists(
    notion: NotionConnector, world: NotionWorld, place: Place, answer: Any
):
    world.answer = lambda _: Answer(body=answer)
    with pytest.raises(SourceUnavailable):
        await listed(notion, place)


async def test_a_list_that_has_more_and_does_not_say_where_is_not_taken_for_all(
    notion: NotionConnector, world: NotionWorld, place: Place
):
    world.answer = lambda _: Answer(body={"results": [], "has_more": True, "next_cursor": None})  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable, match="does not give all"):
        await listed(notion, place)
    in_database = Place(source=place.source, config={**place.config, "databases": ["d" * 32]}, secrets=place.secrets)
    whole = {"results": [], "data_sources": [{"id": "s"}], "has_more": True, "next_cursor": None}
    world.answer = lambda _: Answer(body=whole)  # type: ignore[method-assign]
    with pytest.raises(SourceUnavailable, match="does not give all"):
        await listed(notion, in_database)


async def test_a_token_that_is_not_known_is_told_as_that(notion: NotionConnector, world: NotionWorld):
    with pytest.raises(SourceUnavailable) as refused:
        await listed(notion, place_of(world.config, {"token": "another"}))
    assert refused.value.error_code == "credentials_refused"
    assert "another" not in str(refused.value)


async def test_requests_go_out_evenly_apart(world: NotionWorld, place: Place):
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    web = Web(Egress([world.allow]))
    notion = NotionConnector(web, Pace(pause=pause, clock=lambda: 1.0))
    for name in "abcde":
        await world.put(name, name)
    await listed(notion, place_of({"url": world.site.url}, world.secrets))
    await web.close()
    assert pauses == pytest.approx([1 / 3, 2 / 3])


@pytest.mark.parametrize("config", [
    {"url": "ftp://a"}, {"url": "https://api.notion.com/?a=1"}, {"databases": ["../../x"]}, {"more": 1},
    {"requests_per_second": 0},
])  # fmt: skip
def test_settings_that_can_not_be_right_are_refused(config: dict[str, Any]):
    with pytest.raises(Invalid):
        NotionConnector(Web(Egress())).check(config)


def test_nothing_needs_to_be_set():
    NotionConnector(Web(Egress())).check({})
