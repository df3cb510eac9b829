"""The tables behind the native charts: rows of every label in every part, and the two loss curves."""

from __future__ import annotations

from collections.abc import Sequence

import pandas

from finetune.dataset.split import Split
from finetune.ui.theme import AMBER, INK, SLATE

PART_COLOURS = {"train": INK, "validation": AMBER, "test": SLATE}
LOSS_COLOURS = {"training": INK, "validation": AMBER}
LABELS_SHOWN = 14  # more bars than this are no longer read
POINTS = 400  # of one curve; more only cost time in the browser


def balance(split: Split, labels: dict[str, int]) -> pandas.DataFrame:
    """Rows by label and part, columns `label`, `rows`, `part`; the smallest labels are summed up as one."""
    parts = split.as_json()
    if not labels:
        return pandas.DataFrame(
            [{"label": "all rows", "rows": counts["rows"], "part": name} for name, counts in parts.items()]
        )
    largest = sorted(labels, key=lambda label: (-labels[label], label))
    shown, rest = largest[:LABELS_SHOWN], largest[LABELS_SHOWN:]
    records = [
        {"label": label, "rows": counts["labels"].get(label, 0), "part": name}
        for name, counts in parts.items()
        for label in shown
    ]
    if rest:
        records += [
            {
                "label": f"{len(rest)} others",
                "rows": sum(counts["labels"].get(label, 0) for label in rest),
                "part": name,
            }
            for name, counts in parts.items()
        ]
    return pandas.DataFrame(records)


def balance_table(split: Split, labels: dict[str, int]) -> pandas.DataFrame:
    """The same numbers to read: a line a label, a column a part, and the share of the label."""
    parts = split.as_json()
    total = sum(part["rows"] for part in parts.values()) or 1
    lines = []
    for label in sorted(labels, key=lambda label: (-labels[label], label)):
        counts = [part["labels"].get(label, 0) for part in parts.values()]
        lines.append([label, *counts, f"{sum(counts) / total:.0%}"])
    counts = [part["rows"] for part in parts.values()]
    lines.append(["all rows", *counts, "100%"])
    return pandas.DataFrame(lines, columns=["label" if labels else "", *parts, "share"])


def losses(training: Sequence[tuple[int, float]], validation: Sequence[tuple[int, float]]) -> pandas.DataFrame:
    """Columns `step`, `loss`, `curve`. A long training curve is averaged in equal stretches of steps."""
    points = list(training)
    if len(points) > POINTS:
        stretch = -(-len(points) // POINTS)
        groups = [points[start : start + stretch] for start in range(0, len(points), stretch)]
        points = [(group[-1][0], sum(loss for _, loss in group) / len(group)) for group in groups]
    records = [{"step": step, "loss": loss, "curve": "training"} for step, loss in points]
    records += [{"step": step, "loss": loss, "curve": "validation"} for step, loss in validation]
    return pandas.DataFrame(records, columns=["step", "loss", "curve"])
