"""Common words rank what rare ones find: as much is ranked as there is time for, and nothing rare is missed."""

import pytest

from adapters.retrieval import narrowing, rarity
from adapters.retrieval.rarity import Rarity
from adapters.retrieval.words import words_of
from tests.support.knowledge import Knowledge, knowledge
from tests.support.postgres import Database


def rarity_of(passages: int, **shares: float) -> Rarity:
    async def read() -> list[tuple[str, float, int]]:
        return [(word, share, passages) for word, share in shares.items()]

    return Rarity(read)


async def test_the_rarest_words_are_looked_for_as_far_as_they_find_few_enough():
    known = rarity_of(100_000, the=0.9, open=0.005, file=0.004, pickle=0.0001)
    assert await known.worth_finding(["the", "open", "file", "pickle"]) == {"open", "file", "pickle"}
    assert await known.worth_finding(["the", "file", "zebra"]) == {"file", "zebra"}


async def test_of_words_that_are_all_common_the_rarest_one_is_looked_for():
    known = rarity_of(100_000, the=0.9, how=0.5, rare=0.0001)
    assert await known.worth_finding(["the", "how"]) == {"how"}
    assert await known.worth_finding(["the"]) == {"the"}
    assert await known.worth_finding([]) == frozenset()


async def test_where_there_are_few_passages_or_no_statistics_every_word_is_looked_for():
    assert await rarity_of(5_000, the=0.9, how=0.5).worth_finding(["the", "how"]) == {"the", "how"}
    assert await rarity_of(0).worth_finding(["the", "how"]) == {"the", "how"}


async def test_a_rarer_word_has_a_larger_part_in_the_rank_and_all_parts_together_are_the_whole():
    known = rarity_of(100_000, the=0.9, open=0.03, file=0.0001)
    tiers = await known.tiers(["the", "open", "zebra"])
    assert [words for _, words in tiers] == [{"the"}, {"open"}, {"zebra"}]
    parts = [part for part, _ in tiers]
    assert parts == sorted(parts) and parts[0] < 0.02
    assert sum(parts) == pytest.approx(1)


async def test_words_of_many_rarities_are_few_groups():
    shares = {f"w{number}": 0.5**number for number in range(1, 15)}
    tiers = await rarity_of(100_000, **shares).tiers(shares)
    assert len(tiers) == rarity.TIERS
    assert sorted(word for _, words in tiers for word in words) == sorted(shares)


async def test_without_statistics_every_word_counts_the_same():
    assert await rarity_of(0).tiers(["the", "zebra"]) == [(1.0, {"the", "zebra"})]
    assert await rarity_of(0).tiers([]) == []


async def test_one_rare_word_ranks_above_many_common_ones(database: Database):
    async with knowledge(database) as known:
        await known.source()
        for number in range(30):
            await known.add("handbook", f"{number}", f"how to open the common file number{number}")
        await known.add("handbook", "rare", "a zebra in the file of another animal, at length")
        asked = "how to open the zebra file"
        assert (await known.texts(asked, mode="lexical"))[0].startswith("how to open")
        await analyzed(known)
        assert (await known.texts(asked, mode="lexical"))[0].startswith("a zebra")


async def test_statistics_are_read_again_after_a_while(monkeypatch: pytest.MonkeyPatch):
    reads = []

    async def read() -> list[tuple[str, float, int]]:
        reads.append(1)
        return []

    known = Rarity(read)
    for _ in range(3):
        await known.worth_finding(["a", "b"])
    assert len(reads) == 1
    monkeypatch.setattr(rarity, "FRESH_FOR", 0.0)
    again = Rarity(read)
    for _ in range(3):
        await again.worth_finding(["a", "b"])
    assert len(reads) == 4


async def test_a_search_uses_what_postgresql_knows_of_the_words(database: Database, monkeypatch: pytest.MonkeyPatch):
    async with knowledge(database) as known:
        await known.source()
        for number in range(30):
            await known.add("handbook", f"{number}", f"the common words of number{number}")
        await known.add("handbook", "rare", "the common zebra")
        assert len(await known.texts("the common zebra", mode="lexical", limit=100)) == 31
        for bound in ("RANKED", "ALL_RANKED"):
            monkeypatch.setattr(rarity, bound, 10)
        await analyzed(known)
        assert await known.texts("the common zebra", mode="lexical", limit=100) == ["the common zebra"]
        assert len(await known.texts("common", mode="lexical", limit=100)) == 10  # as many as are ranked


async def test_of_common_words_what_has_all_of_them_is_ranked_before_what_has_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    for bound in ("RANKED", "ALL_RANKED"):
        monkeypatch.setattr(rarity, bound, 3)
    async with knowledge(database) as known:
        await known.source()
        for number in range(15):
            await known.add("handbook", f"red{number}", f"red number{number}")
            await known.add("handbook", f"blue{number}", f"blue number{number}")
            await known.add("handbook", f"green{number}", f"green number{number}")
        await known.add("handbook", "two", "something that is red and green")
        await known.add("handbook", "all", "something that is red, green and blue")
        await analyzed(known)
        assert (await known.texts("blue and red and green", mode="lexical"))[:2] == [
            "something that is red, green and blue",
            "something that is red and green",
        ]


async def test_what_a_condition_leaves_of_many_is_ranked_though_little_of_what_the_words_find_is_left(
    database: Database, monkeypatch: pytest.MonkeyPatch
):
    for bound in ("RANKED", "ALL_RANKED"):
        monkeypatch.setattr(rarity, bound, 3)
    for bound in ("FEWEST", "MOST_EXACT"):
        monkeypatch.setattr(narrowing, bound, 0)
    async with knowledge(database) as known:
        await known.source()
        for number in range(40):
            group = "staff" if number % 8 == 7 else "board"
            await known.add("handbook", f"{number}", f"common number{number}", acl=[group])
        await analyzed(known)
        found = await known.texts("common", groups=frozenset({"staff"}), mode="lexical", limit=100)
        assert sorted(found) == sorted(f"common number{number}" for number in range(7, 40, 8))


@pytest.mark.parametrize(
    ("words", "finding"),
    [
        (["zebra", "rare"], (None, None, "'rare' | 'zebra'")),
        (["the"], (None, None, "'the'")),
        (["the", "how"], (None, "'how' & 'the'", "'how'")),
        (["the", "how", "file's"], ("'file''s' & 'how' & 'the'", "('file''s') & ('how' | 'the')", "'file''s'")),
        ([], (None, None, "")),
    ],
)
async def test_words_that_find_more_than_is_ranked_are_looked_for_together_first(
    words: list[str], finding: tuple[str | None, str | None, str]
):
    shares = {"the": 0.9, "how": 0.5, "file's": 0.1, "rare": 0.001}
    asked = await words_of(rarity_of(100_000, **shares), 0, words, sought=True)
    assert tuple(asked[f"{name}_words_0"] for name in ("several", "some")) == finding[1:]
    assert asked["every_word_0"] == finding[0]


async def analyzed(known: Knowledge) -> None:
    """Have PostgreSQL look at the passages, and the searcher at what it found."""
    await known.owner.execute("ANALYZE passages_v1.passages")
    known.searcher.rarity._until = 0.0
