"""What one system answers to the rows of one part, asked anew or found among the answers that are kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from finetune.dataset.example import Example
from finetune.evidence.asking import Asked
from finetune.evidence.kept import Kept
from finetune.evidence.metrics import exact_match, rouge_l

if TYPE_CHECKING:
    from finetune.evidence.pair import Pair

Tick = Callable[[int], None]


@dataclass
class Answers:
    """What one system answered on the rows of one part.

    Attributes:
        texts: the answers; `scores` (rows,) 0..1.
        seconds: for all rows, as measured when they were asked; `tokens`: read and written.
        probabilities: (rows, labels), for systems that give them.
        asked: the questions, for systems that ask the language model.
        kept: rows that were answered before and not asked again.
    """

    texts: list[str]
    scores: np.ndarray
    seconds: float = 0.0
    tokens: int = 0
    probabilities: np.ndarray | None = None
    exact: np.ndarray | None = None
    asked: Sequence[Asked] = ()
    kept: int = 0


def plain(rows: Sequence[Example], texts: list[str], seconds: float = 0.0) -> Answers:
    """Answers that are right or wrong."""
    hits = np.array([float(text == row.output) for text, row in zip(texts, rows, strict=True)])
    return Answers(texts, hits, seconds)


def labelled(
    rows: Sequence[Example], asked: Sequence[Asked], labels: Sequence[str], ids: Sequence[list[int]], *, kept: Kept,
    pair: Callable[[], Pair], tick: Tick,
) -> Answers:  # fmt: skip
    """The label of the highest likelihood for each row.

    Args:
        ids: token ids of each label.
        pair: loads the model, its adapter as it has to be; called only where a row was never asked.
    """
    content = [token for label in ids for token in (len(label), *label)]
    names = [kept.name("labels", one.prompt, content) for one in asked]
    found = kept.find(names)
    missing = _missing(names, found)
    if missing:
        from finetune.evidence.pair import Timer

        model = pair()
        with Timer() as timer:
            values = model.label_likelihoods([asked[place].prompt for place in missing], ids, tick).values
        new = [
            (names[place], value.tolist(), timer.seconds / len(missing))
            for place, value in zip(missing, values, strict=True)
        ]
        kept.keep(new)
        found |= {name: (value, seconds) for name, value, seconds in new}
    before = len(rows) - len(missing)
    tick(before)
    likelihoods = np.array([found[name][0] for name in names]).reshape(len(rows), len(labels))
    best = likelihoods.argmax(1)
    said = plain(rows, [labels[place] for place in best], sum(found[name][1] for name in names))
    said.probabilities = softmax(likelihoods)
    said.tokens = sum(len(one.prompt) for one in asked) + sum(len(ids[place]) for place in best)
    said.asked, said.kept = asked, before
    return said


def written(
    rows: Sequence[Example], asked: Sequence[Asked], most: int, *, kept: Kept, pair: Callable[[], Pair], tick: Tick,
    should_stop: Callable[[], bool],
) -> Answers:  # fmt: skip
    """The text that the model writes to each row, scored by ROUGE-L.

    Args:
        most: tokens of an answer at most.
    """
    names = [kept.name("text", one.prompt, most) for one in asked]
    found = kept.find(names)
    missing = _missing(names, found)
    if missing:
        from finetune.evidence.pair import Timer

        model = pair()
        with Timer() as timer:
            made = model.generate([asked[place].prompt for place in missing], most, tick, should_stop)
        texts, tokens = made.texts, int(made.tokens.sum())
        share = [timer.seconds / len(missing), tokens / len(missing)]
        new = [(names[place], [text, share[1]], share[0]) for place, text in zip(missing, texts, strict=True)]
        kept.keep(new)
        found |= {name: (value, seconds) for name, value, seconds in new}
    before = len(rows) - len(missing)
    tick(before)
    texts = [found[name][0][0] for name in names]
    scores = np.array([rouge_l(text, row.output) for text, row in zip(texts, rows, strict=True)])
    exact = np.array([exact_match(text, row.output) for text, row in zip(texts, rows, strict=True)])
    tokens = sum(len(one.prompt) for one in asked) + round(sum(found[name][0][1] for name in names))
    return Answers(texts, scores, sum(found[name][1] for name in names), tokens, exact=exact, asked=asked, kept=before)


def softmax(likelihoods: np.ndarray) -> np.ndarray:
    """Probabilities (rows, labels) among the labels."""
    shifted = np.exp(likelihoods - likelihoods.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)


def _missing(names: Sequence[str], found: dict) -> list[int]:
    """Places whose answer is not kept."""
    return [place for place, name in enumerate(names) if name not in found]
