"""Passages over HTTP: how they would be cut; listed, read, changed, and found as they are then."""

from base64 import b64encode

from tests.support.server import Running

PREVIEW = "/v1/knowledge-sources:preview"


async def test_how_a_document_would_be_cut_is_shown_and_nothing_is_stored(magnet: Running):
    before = await magnet.container.log.head()
    body = {
        "chunking": {"strategy": "markdown"},
        "document": {"text": "# A\n\none\n\n# B\n\ntwo", "external_id": "a.md"},
    }
    body["document"]["media_type"] = "text/markdown"
    shown = await magnet.do("POST", PREVIEW, body)
    assert [each["headings"] for each in shown["chunks"]] == [["A"], ["B"]]
    given = {"content_base64": b64encode(b"plain words").decode(), "external_id": "a.txt"}
    shown = await magnet.do("POST", PREVIEW, {"document": given})
    assert [each["text"] for each in shown["chunks"]] == ["plain words"]
    assert await magnet.container.log.head() == before


async def test_a_preview_of_wrong_settings_or_of_no_document_is_a_422_that_points_at_them(magnet: Running):
    for body, pointer in (
        ({"chunking": {"size": 1}, "document": {"text": "x"}}, "/chunking/size"),
        ({"document": {}}, "/document/text"),
        ({"document": {"content_base64": "?"}}, "/document/content_base64"),
    ):
        answer = await magnet.call("POST", PREVIEW, body)
        assert answer.status_code == 422
        assert answer.json()["errors"][0]["pointer"] == pointer
