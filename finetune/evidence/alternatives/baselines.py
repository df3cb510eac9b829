"""The alternatives that need no training of a language model, and the rows that go into a prompt. All from train alone.

Classification: `majority`, `Tfidf`. Every task: `few_shot` chooses rows for a prompt.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from finetune.dataset.example import Example
from finetune.errors import FinetuneError

if TYPE_CHECKING:
    from sklearn.pipeline import FeatureUnion


def majority(train: Sequence[Example]) -> str:
    """The most frequent label; of several, the first in alphabetical order.

    Raises:
        FinetuneError: no training rows.
    """
    _require_rows(train)
    counts = Counter(example.output for example in train)
    return min(counts, key=lambda label: (-counts[label], label))


class Tfidf:
    """Logistic regression on TF-IDF of words, word pairs and pieces of words, fitted to the training rows.

    Settings are fixed, so that nothing about this alternative is tuned on the rows that judge it.

    Attributes:
        names: the labels of the training rows, in alphabetical order.

    Raises:
        FinetuneError: no training rows.
    """

    def __init__(self, train: Sequence[Example], seed: int = 0):
        _require_rows(train)
        labels = [example.output for example in train]
        self.names = sorted(set(labels))
        self._features = self._model = None
        if len(self.names) > 1:
            # Imported here: the page, which only asks for examples, starts without it.
            from sklearn.linear_model import LogisticRegression

            self._features = _features()
            self._model = LogisticRegression(C=10.0, max_iter=1000, random_state=seed)
            self._model.fit(self._features.fit_transform([example.input for example in train]), labels)

    def answer(self, inputs: Sequence[str]) -> tuple[list[str], np.ndarray]:
        """The label of each input, and the probabilities (inputs, names)."""
        if not inputs or self._model is None:
            return [self.names[0]] * len(inputs), np.ones((len(inputs), len(self.names)))
        found = self._model.predict_proba(self._features.transform(inputs))
        return [self.names[place] for place in found.argmax(1)], found


def few_shot(train: Sequence[Example], *, count: int, seed: int, labels: Sequence[str] | None = None) -> list[Example]:
    """At most `count` training rows to show in a prompt, the same for the same seed whatever the order of `train`.

    Drawn from the shorter half of the rows (of each label), since every shot is paid for in every request. With
    `labels`, their turns alternate: a, b, c, a, b, c, the most frequent first. Inputs are all different.
    """
    draw = random.Random(seed)
    groups: dict[str, list[Example]] = {}
    seen: set[str] = set()
    for example in sorted(train, key=lambda example: (len(example.input) + len(example.output), example.row)):
        key = " ".join(example.input.split()).casefold()
        if key not in seen and (not labels or example.output in labels):
            seen.add(key)
            groups.setdefault(example.output if labels else "", []).append(example)
    rounds = []
    for _, group in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0])):
        shorter = group[: max((len(group) + 1) // 2, -(-count // len(groups)))]
        rounds.append(draw.sample(shorter, len(shorter)))
    longest = max(map(len, rounds), default=0)
    return [group[turn] for turn in range(longest) for group in rounds if turn < len(group)][: max(count, 0)]


def _features() -> FeatureUnion:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    # Pieces of words (within word bounds) forgive typos and work for scripts without spaces; `\w+` keeps "I" and "7".
    return make_union(
        TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=r"(?u)\w+|\S"),
        TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 4), sublinear_tf=True),
    )


def _require_rows(train: Sequence[Example]) -> None:
    if not train:
        raise FinetuneError("There are no training rows.", hint="Give more rows, or a larger share to training.")
