"""Languages of texts: found out where they are sure, kept with the text, and filtered by."""

import random
from collections import Counter
from collections.abc import AsyncIterator
from functools import cache

import pytest
from py3langid.langid import MODEL_FILE, LanguageIdentifier, visit_counts

from adapters.languages import Languages, identifier
from adapters.reading.reader import Reader
from tests.support.knowledge import Knowledge, knowledge
from tests.support.postgres import Database

GERMAN, ENGLISH = "Urlaub sind dreißig Tage im Jahr.", "Cars are parked behind the house."


@pytest.mark.parametrize(
    ("text", "language"),
    [
        (GERMAN, "de"),
        (ENGLISH, "en"),
        ("Hur många dagar semester?", "sv"),
        ("Сколько дней отпуска?", "ru"),
        ("lunch", None),
        ("", None),
        ("12345 67", None),
        ("\ud800 \x00", None),
        (GERMAN * 100_000, "de"),
    ],
)
async def test_a_language_is_told_where_it_is_sure_and_always_the_same(text: str, language: str | None):
    found = {await Languages().detect(text) for _ in range(3)}
    assert found == {language}


@cache
def plain() -> LanguageIdentifier:
    """Return the model as the library has it."""
    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "a",
        f"{GERMAN} {ENGLISH} Сколько дней отпуска? 休暇は何日ありますか。 كم يوم إجازة؟ ",
        "The quick brown fox, le renard brun et rapide, der flinke braune Fuchs. " * 40,
        random.Random(1).randbytes(3000).decode("latin-1"),
        "e\u0301 " * 300,
    ],
)
def test_what_is_found_in_a_text_at_all_places_at_once_is_what_the_library_finds_byte_after_byte(text: str):
    model = identifier()
    letters = LanguageIdentifier._encode(text)
    walked = visit_counts(model.tk_nextmove, model._rowbase, model.tk_output, letters)
    assert Counter(model.features(letters).tolist()) == (walked or Counter())
    (language, likely), (by_library, as_likely) = model.classify(text), plain().classify(text)
    assert (language, likely) == (by_library, pytest.approx(as_likely, abs=1e-3))


async def test_a_document_that_does_not_tell_its_language_is_looked_at_and_code_is_not():
    reader = Reader(languages=Languages())
    try:
        german = GERMAN.encode()
        assert (await reader.read(german, "text/plain", "a.txt")).language == "de"
        assert (await reader.read(german, "text/x-python", "a.py")).language is None
        assert (await reader.read(b"<html lang='fr'>" + german, "text/html", "a.html")).language == "fr"
    finally:
        await reader.close()


@pytest.fixture
async def known(database: Database) -> AsyncIterator[Knowledge]:
    async with knowledge(database) as made:
        await made.source()
        yield made


async def add(known: Knowledge, name: str, text: str, language: str | None, **details: object) -> None:
    await known.add("handbook", name, text, indexed=False, **details)  # type: ignore[arg-type]
    document, thing = known.documents["handbook", name], known.sources["handbook"]
    space = thing.indexes["1"]["space"]
    chunking = await known.store(space, [text], language)
    document.finish_indexing(
        number=document.number, index=1, chunking=chunking.hex(), chunks=1, space=space, dimensions=32
    )
    await known.side.record(document)


async def test_documents_are_filtered_by_the_language_of_their_text_also_after_their_details_changed(known: Knowledge):
    await add(known, "german", f"needle {GERMAN}", "de")
    await add(known, "page", f"needle {ENGLISH}", "en-US")
    await add(known, "own", "needle", "en", metadata={"language": "tlh"})
    await add(known, "none", "needle none", None)

    async def having(language: str) -> set[tuple[str, str | None]]:
        asked = {"type": "eq", "key": "language", "value": language}
        found = await known.search("needle", filter=asked)
        return {(passage.external_id, passage.language) for passage in found.passages}

    expected = {"de": {("german", "de")}, "en": {("page", "en")}, "tlh": {("own", "tlh")}}
    assert {language: await having(language) for language in expected} == expected
    await known.add("handbook", "german", f"needle {GERMAN}", title="Urlaub", metadata={"team": 1}, indexed=False)
    assert await having("de") == {("german", "de")}
    facets = (await known.search("needle", facets=["language"])).facets
    assert facets is not None
    assert facets["language"]["missing"] == 1
    before = await known.checksum()
    await known.rebuild()
    assert await known.checksum() == before
