"""Answering without a model: the sentences of the best passages that share the most words with the question."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from domain.citations import MARKER, markers
from domain.code_spans import parts_of
from domain.retrieval import Passage
from domain.unspaced import WIDE_STOPS, is_unspaced, words_in

SENTENCE = re.compile(
    rf"(?:[^.!?{WIDE_STOPS}\n]|[.!?](?=\S))+(?:[.!?](?=\s|\Z)|[{WIDE_STOPS}]+[\u201d\u2019\u300d\u300f\uff09]*|\n|\Z)"
)
WORD = re.compile(r"\w+")
MODEL = "extractive"
"""What stands in the place of a model's name."""

QUOTED = 3
"""Passages that are quoted at most."""

FUNCTION_WORDS = frozenset(
    [
        "about",
        "and",
        "any",
        "are",
        "but",
        "can",
        "could",
        "did",
        "does",
        "for",
        "from",
        "had",
        "has",
        "have",
        "how",
        "into",
        "its",
        "may",
        "might",
        "must",
        "not",
        "our",
        "shall",
        "should",
        "than",
        "that",
        "the",
        "their",
        "them",
        "then",
        "there",
        "these",
        "they",
        "this",
        "those",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "whose",
        "why",
        "will",
        "with",
        "would",
        "you",
        "your",
    ]
)
"""Words of English questions that say nothing of what is asked for."""

LIKE_MARKERS = re.compile(rf"[\w.]*(?:{MARKER.pattern})+")
"""What may be taken for markers, with the name that is indexed."""

SIGN = re.compile(r"[{}\[\]=;<>\"$\\|]")
"""What code, data and tables are full of, and prose is not."""

MOST_SIGNS = 1 / 16
"""Part of a sentence's characters beyond which it is taken for code."""

OF_CODE = 0.4
"""What a word counts in code, where one counts in prose: who asks wants to be told, not shown a call that says it."""

STEM = 5
"""Letters by which words are compared, so that `verified` is found in `verifies`."""

ENOUGH = 0.5
"""Part of the best passage's fit that another one needs to be quoted too."""

LONGEST = 600
"""Characters of a quotation."""


@dataclass(frozen=True, kw_only=True)
class Sentence:
    """A stretch of a passage's text, and the question's words in it: what each counts."""

    start: int
    end: int
    words: Mapping[str, float]


def quote(question: str, passages: Sequence[Passage], first: int = 1) -> str:
    """Return quotations of the best passages that are about the question, each with its marker.

    Numbers begin at `first`. A word of the question counts the more, the fewer of the passages have it; titles count.
    """
    sought = _sought(question)
    read = [_sentences(passage.text, sought) for passage in passages]
    shared = [
        _most([*(each.words for each in sentences), dict.fromkeys(sought.findall(passage.title.lower()), 1.0)])
        for passage, sentences in zip(passages, read, strict=True)
    ]
    having = Counter(word for each in shared for word in each)
    fits = [_worth(each, having) for each in shared]
    enough = max(fits, default=0.0) * ENOUGH
    chosen = [number for number, fit in enumerate(fits) if fit >= enough][: QUOTED if enough else 1]
    quotations = [(quotation(passages[number].text, read[number], having), first + number) for number in chosen]
    return "\n\n".join(quoted(text, number) for text, number in quotations)


def quoted(text: str, number: int) -> str:
    """Return a quotation with its marker; what looks like one in it is none of ours, and shown as code: `argv[0]`."""
    shown = "".join(part if code else LIKE_MARKERS.sub(_as_code, part) for part, code in parts_of(text))
    line = f'"{shown}" [{number}]'
    if [marker.numbers for marker in markers(line)] == [[number]]:
        return line
    plain = MARKER.sub(r"(\1)", text)  # backticks in it make it unclear where code ends
    return f'"{plain}" [{number}]'


def _as_code(found: "re.Match[str]") -> str:
    return f"`{found[0]}`" if any(markers(found[0])) else found[0]


def quotation(text: str, sentences: Sequence[Sentence], having: Mapping[str, int]) -> str:
    """Return the stretch of a text, of at most LONGEST characters, that begins where it fits best."""
    if not sentences:
        return text[:LONGEST].strip()
    best = max(sentences, key=lambda each: _worth(each.words, having))
    end = best.end
    for each in sentences:
        if each.start >= best.end and each.end - best.start <= LONGEST // 2:
            end = each.end
    return " ".join(text[best.start : min(end, best.start + LONGEST)].split())


def _sought(question: str) -> re.Pattern[str]:
    """Return what finds the words of a question, in lower case: in all their forms, and as parts of names."""
    asked = words_in(question.lower())
    said = [word for name in asked if not is_unspaced(name) for word in name.split("_") if len(word) > 2]
    stems = {word.rstrip("s")[:STEM] or word for word in [each for each in said if each not in FUNCTION_WORDS] or said}
    forms = (f"{re.escape(stem)}(?=s*(?![^\\W_]))" if len(stem) < STEM else re.escape(stem) for stem in stems)
    spaced = f"(?<![^\\W_])(?:{'|'.join(sorted(forms)) or '(?!)'})"
    return re.compile("|".join([spaced, *sorted({word for word in asked if is_unspaced(word)})]))


def _sentences(text: str, sought: re.Pattern[str]) -> list[Sentence]:
    found = []
    for each in SENTENCE.finditer(text):
        words = sought.findall(each[0].lower())
        is_code = words and len(SIGN.findall(each[0])) > len(each[0]) * MOST_SIGNS
        counting = dict.fromkeys(words, OF_CODE if is_code else 1.0)
        found.append(Sentence(start=each.start(), end=each.end(), words=counting))
    return found


def _most(parts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return each word with the most that it counts anywhere."""
    most: dict[str, float] = {}
    for words in parts:
        for word, counting in words.items():
            most[word] = max(counting, most.get(word, 0.0))
    return most


def _worth(words: Mapping[str, float], having: Mapping[str, int]) -> float:
    """Return what words count together, each by how few of the passages have it."""
    return sum(counting / having[word] for word, counting in words.items())


def words_of(text: str) -> list[str]:
    """Return the words of a text that say something, in their order."""
    said = words_in(text.lower())
    return [word for word in said if is_unspaced(word) or (len(word) > 2 and word not in FUNCTION_WORDS)]
