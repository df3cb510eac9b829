"""For tasks with labels: scores of each label, who is taken for whom, and which rows moved from base to fine-tuned."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import precision_recall_fscore_support

RESAMPLES = 2_000


def per_class(expected: Sequence[str], answered: Sequence[str], labels: Sequence[str], *, seed: int = 0) -> dict:
    """The "classes" of one system.

    Returns:
        "macro_f1": mean F1 of the labels that occur among the expected answers, so that a label without a test row is
        no zero; "macro_f1_interval": 95%, percentile bootstrap of the rows; "classes": a line for each label;
        "confusion": rows (truth × answer, in the order of `labels`); "other": answers that are no label.
    """
    names = list(labels) + sorted(set(expected) - set(labels))
    place = {label: number for number, label in enumerate(names)}
    nothing = len(names)  # the column of answers that are no label
    truth = np.array([place[label] for label in expected], dtype=int)
    said = np.array([place.get(answer, nothing) for answer in answered], dtype=int)
    precision, recall, f1, rows = precision_recall_fscore_support(
        truth, said, labels=range(len(names)), zero_division=0.0
    )
    confusion = np.zeros((len(names), len(names) + 1), dtype=int)
    np.add.at(confusion, (truth, said), 1)
    seen = rows > 0
    drawn = np.random.default_rng(seed).integers(0, len(truth), (RESAMPLES, len(truth)))
    ends = np.quantile([_macro_f1(truth[rows], said[rows], len(names)) for rows in drawn], (0.025, 0.975))
    return {
        "macro_f1": float(f1[seen].mean()),
        "macro_f1_interval": [float(ends[0]), float(ends[1])],
        "classes": [
            {
                "label": label,
                "rows": int(rows[number]),
                "precision": float(precision[number]),
                "recall": float(recall[number]),
                "f1": float(f1[number]),
            }
            for number, label in enumerate(names)
        ],
        "confusion": confusion[:, : len(names)].tolist(),
        "other": int(confusion[:, nothing].sum()),
    }


def _macro_f1(truth: np.ndarray, said: np.ndarray, count: int) -> float:
    rows = np.bincount(truth, minlength=count)[:count]
    answers = np.bincount(said, minlength=count)[:count]
    right = np.bincount(truth[truth == said], minlength=count)[:count]
    seen = rows > 0
    return float((2 * right[seen] / (rows + answers)[seen]).mean())


def moved(rows: Sequence[int], expected: Sequence[str], base: Sequence[str], fine_tuned: Sequence[str]) -> list[dict]:
    """The rows whose answer the fine-tune changed, together by what they were and became, the most frequent first."""
    groups: dict[tuple[str, str, str], list[int]] = {}
    for row, *answers in zip(rows, expected, base, fine_tuned, strict=True):
        if answers[1] != answers[2]:
            groups.setdefault(tuple(answers), []).append(row)

    def outcome(truth: str, before: str, after: str) -> str:
        return "mended" if after == truth else "broken" if before == truth else "still_wrong"

    return [
        {"expected": key[0], "base": key[1], "fine_tuned": key[2], "rows": found, "outcome": outcome(*key)}
        for key, found in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    ]
