"""What one system answers to the rows of one part, and how good that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from finetune.dataset.example import Example
from finetune.evidence.alternatives.asking import Asked, Asking
from finetune.evidence.measures.texts import fields, is_json_task, measure
from finetune.evidence.models.cached import Found


@dataclass(frozen=True)
class Answers:
    """What one system answered on the rows of one part.

    Attributes:
        texts: the answers; `scores` (rows,) 0..1.
        seconds: for all rows, as measured when they were asked.
        asked: the questions, for systems that ask the language model; `written`: tokens written in all.
        kept: rows that were answered before and not asked again.
        probabilities: (rows, labels), for systems that give them.
        measures, fields, cut: for answers in free text, one for each row: as `texts.measure` and `texts.fields`, and
            whether the answer ended for length alone.
    """

    texts: list[str]
    scores: np.ndarray
    seconds: float = 0.0
    asked: Sequence[Asked] = ()
    written: int = 0
    kept: int = 0
    probabilities: np.ndarray | None = None
    measures: Sequence[dict[str, float]] = ()
    fields: Sequence[dict[str, Any] | None] = ()
    cut: Sequence[bool] = ()

    @property
    def read(self) -> int:
        """Tokens of all prompts."""
        return sum(len(one.prompt) for one in self.asked)


def metric_of(asking: Asking) -> str:
    """What answers are scored by: "accuracy" with labels, "field_f1" where answers are JSON, else "rouge_l"."""
    if asking.labels:
        return "accuracy"
    return "field_f1" if is_json_task([row.output for row in asking.train]) else "rouge_l"


def plain(
    rows: Sequence[Example], texts: list[str], seconds: float = 0.0, probabilities: np.ndarray | None = None
) -> Answers:
    """Answers of a system without a language model, right or wrong."""
    return Answers(texts, _hits(rows, texts), seconds, probabilities=probabilities)


def labelled(
    rows: Sequence[Example], asked: Sequence[Asked], labels: Sequence[str], ids: Sequence[list[int]],
    found: Sequence[Found],
) -> Answers:  # fmt: skip
    """The label of the highest likelihood for each row.

    Args:
        ids: token ids of each label; `found`: as `Models.likelihoods`.
    """
    likelihoods = np.array([one.value for one in found]).reshape(len(rows), len(labels))
    best = likelihoods.argmax(1)
    texts = [labels[place] for place in best]
    return Answers(
        texts, _hits(rows, texts), sum(one.seconds for one in found), asked, sum(len(ids[place]) for place in best),
        sum(one.kept for one in found), probabilities=_softmax(likelihoods),
    )  # fmt: skip


def written(rows: Sequence[Example], asked: Sequence[Asked], metric: str, found: Sequence[Found]) -> Answers:
    """The text that the model writes to each row.

    Args:
        metric: "field_f1" for JSON tasks; else "rouge_l".
        found: as `Models.texts`.
    """
    texts = [one.value[0] for one in found]
    measures = [measure(text, row.output) for text, row in zip(texts, rows, strict=True)]
    said = [fields(text, row.output) for text, row in zip(texts, rows, strict=True)]
    scores = [
        float(text.strip() == row.output.strip()) if metric == "field_f1" and one is None else
        one["f1"] if metric == "field_f1" else likeness["rouge_l"]
        for text, row, likeness, one in zip(texts, rows, measures, said, strict=True)
    ]  # fmt: skip
    return Answers(
        texts, np.array(scores), sum(one.seconds for one in found), asked, sum(one.value[1] for one in found),
        sum(one.kept for one in found), measures=measures, fields=said, cut=[one.value[2] for one in found],
    )  # fmt: skip


def _hits(rows: Sequence[Example], texts: Sequence[str]) -> np.ndarray:
    return np.array([float(text == row.output) for text, row in zip(texts, rows, strict=True)])


def _softmax(likelihoods: np.ndarray) -> np.ndarray:
    shifted = np.exp(likelihoods - likelihoods.max(1, keepdims=True))
    return shifted / shifted.sum(1, keepdims=True)
