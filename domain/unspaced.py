"""Scripts that put no blanks between words, or join endings to them: what stands for words there."""

import re

SIGNS = (
    r"\u0E01-\u0E3A\u0E40-\u0E4E\u0E80-\u0EFF\u1000-\u109F\u1780-\u17FF\u3005\u3007\u3041-\u3096\u309D-\u309F"
    r"\u30A1-\u30FA\u30FC-\u30FF\u31F0-\u31FF\u3400-\u4DBF\u4E00-\u9FFF\uAC00-\uD7A3\uF900-\uFAFF\uFF66-\uFF9D"
    r"\U00020000-\U000323AF"
)
"""Thai, Lao, Burmese, Khmer, Japanese, Chinese and Korean, as ranges; searches by words have the same."""

WIDE_STOPS = r"\u3002\uff01\uff1f"
"""Full stop, exclamation and question mark of Chinese and Japanese: no blank follows them."""

WORDS = re.compile(rf"[{SIGNS}]+|[^\W{SIGNS}]+")
RUN = re.compile(rf"[{SIGNS}]")


def is_unspaced(word: str) -> bool:
    """Return whether a word is made of such signs."""
    return RUN.match(word) is not None


def words_in(text: str) -> list[str]:
    """Return the words of a text in their order; of such signs each two that stand together, or one that stands alone."""
    found: list[str] = []
    for word in WORDS.findall(text):
        if len(word) > 2 and is_unspaced(word):
            found += [word[at : at + 2] for at in range(len(word) - 1)]
        else:
            found.append(word)
    return found
