"""py3langid's model, asked at all places of a text at once: its own walk, byte after byte in Python, takes ten times as long.

Its automaton's state hangs on the last few bytes only, so every place of a text can be reached by its own short walk, and
all of these are walked together by numpy. What comes out is what the library's own walk finds.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from py3langid.langid import MODEL_FILE, LanguageIdentifier

REACH = 6
"""Bytes after which the automaton's state no longer hangs on what came before."""

AT_ONCE = 200
"""Features whose weights are added up together: as many as stay in the processor's cache."""


class LanguageModel(LanguageIdentifier):
    """Tells the language of a text, and how likely it is."""

    __slots__ = ("_bases", "_features", "_moves")

    def __init__(self, weights: NDArray[np.float16], *given: Any, **named: Any) -> None:
        # Converted once: for each text it would take as long as all else.
        super().__init__(weights.astype(np.float32), *given, **named)
        self._moves = np.asarray(self.tk_nextmove)
        self._bases = np.asarray(self.tk_row, np.intp) << 8
        self._features = np.asarray(self.tk_output, np.int32)

    @classmethod
    def load(cls) -> "LanguageModel":
        """Return the model that the library comes with; its probabilities sum up to 1."""
        model: LanguageModel = cls.from_model_file(MODEL_FILE, norm_probs=True)
        return model

    def features(self, text: bytes) -> NDArray[np.int32]:
        """Return the features of a text, each as often as it is there, in order of place."""
        letters = np.frombuffer(text, np.uint8)
        states = np.zeros(len(letters), np.intp)
        for back in range(min(REACH, len(letters)) - 1, -1, -1):
            states[back:] = self._moves[self._bases[states[back:]] + letters[: len(letters) - back]]
        found = self._features[states]
        return found[found >= 0]

    def _raw_score(self, text: bytes) -> Any:
        """Return the score of each language: what the library's own method of this name returns."""
        found, counts = np.unique(self.features(text), return_counts=True)
        if not len(found):
            return np.zeros(len(self.nb_classes), np.float32)
        often = np.log1p(counts, dtype=np.float32)
        scores = self.nb_pc.copy()
        for at in range(0, len(found), AT_ONCE):
            scores += often[at : at + AT_ONCE] @ self.nb_ptc[found[at : at + AT_ONCE]]
        return scores
