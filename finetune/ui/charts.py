"""The tables behind the native charts: rows of every label in every part, and the curves of loss and score."""

from __future__ import annotations

from collections.abc import Sequence

import pandas

from finetune.dataset.splitting.split import Split
from finetune.ui.theme import AMBER, INK, SLATE

PART_COLOURS = {"train": INK, "validation": AMBER, "test": SLATE}
LOSS_COLOURS = {"training": INK, "validation": AMBER}
SCORE_COLOURS = {"trained on": INK, "validation": AMBER}
LABELS_SHOWN = 10  # more bars than this are no longer read, on a telephone above all
NAME = 18  # characters of a label below its bar
LABELS_LISTED = 200  # lines of the table
POINTS = 400  # of one curve; more only cost time in the browser


def balance(split: Split, labels: dict[str, int]) -> pandas.DataFrame:
    """Rows by label and part, columns `label`, `rows`, `part`; of many labels the largest, without labels by part."""
    parts = split.as_json()
    if not labels:
        return pandas.DataFrame([{"label": name, "rows": part["rows"], "part": name} for name, part in parts.items()])
    largest = sorted(labels, key=lambda label: (-labels[label], label))[:LABELS_SHOWN]
    names = _names(largest)
    return pandas.DataFrame(
        [
            {"label": names[label], "rows": counts["labels"].get(label, 0), "part": name}
            for name, counts in parts.items()
            for label in largest
        ]
    )


def _names(labels: Sequence[str]) -> dict[str, str]:
    """Labels cut in their middle, where that leaves them apart: labels with one stem differ at their ends."""
    short = {label: label if len(label) <= NAME else f"{label[: NAME - 8]}…{label[-7:]}" for label in labels}
    return short if len(set(short.values())) == len(labels) else {label: label for label in labels}


def balance_sentence(split: Split, labels: dict[str, int]) -> str:
    """What the bars show."""
    rows = {name: len(part) for name, part in split.parts().items()}
    dealt = f"{rows['train']:,} rows to train on, {rows['validation']:,} to choose by, {rows['test']:,} to judge by"
    if not labels:
        return f"{dealt}."
    total = sum(labels.values())
    largest, smallest = max(labels, key=labels.__getitem__), min(labels, key=labels.__getitem__)
    if labels[largest] == labels[smallest]:
        said = f"{dealt}. Each of the {len(labels):,} labels has {_percent(labels[largest] / total)} of the rows"
    else:
        said = (
            f"{dealt}. The largest label, “{largest[:60]}”, has {_percent(labels[largest] / total)} of the rows, the "
            f"smallest, “{smallest[:60]}”, {_percent(labels[smallest] / total)}"
        )
    drawn = f" The {LABELS_SHOWN} largest of {len(labels):,} labels are drawn." if len(labels) > LABELS_SHOWN else ""
    return f"{said}.{drawn}"


def _percent(share: float) -> str:
    return f"{share:.0%}" if share >= 0.1 else f"{share:.1%}" if share >= 0.001 else "under 0.1%"


def balance_table(split: Split, labels: dict[str, int]) -> pandas.DataFrame:
    """The same numbers to read: a line a label, a column a part, and the share of the label; the largest labels."""
    parts = split.as_json()
    total = sum(part["rows"] for part in parts.values()) or 1
    lines = []
    largest = sorted(labels, key=lambda label: (-labels[label], label))
    for label in largest[:LABELS_LISTED]:
        counts = [part["labels"].get(label, 0) for part in parts.values()]
        lines.append([label, *counts, f"{sum(counts) / total:.0%}"])
    if rest := largest[LABELS_LISTED:]:
        counts = [sum(part["labels"].get(label, 0) for label in rest) for part in parts.values()]
        lines.append([f"{len(rest):,} others", *counts, f"{sum(counts) / total:.0%}"])
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
    return _curves("loss", {"training": points, "validation": validation})


def scores(validation: Sequence[tuple[int, float]], learned: Sequence[tuple[int, float]]) -> pandas.DataFrame:
    """Columns `step`, `right` in percent, `curve`: of the validation rows, and of rows that were trained on."""
    parts = {"trained on": learned, "validation": validation}
    return _curves("right", {name: [(step, 100 * share) for step, share in part] for name, part in parts.items()})


def _curves(value: str, parts: dict[str, Sequence[tuple[int, float]]]) -> pandas.DataFrame:
    """Points by step as columns `step`, `value`, `curve`; empty where no curve has any.

    A curve without points has one without a value: the chart draws no curve that it did not know when it first appeared.
    """
    first = min((points[0][0] for points in parts.values() if points), default=None)
    records = [
        {"step": step, value: number, "curve": name}
        for name, points in parts.items()
        for step, number in points or ([] if first is None else [(first, None)])
    ]
    return pandas.DataFrame(records, columns=["step", value, "curve"])


def drawn(curves: pandas.DataFrame) -> bool:
    """Whether there is a curve to see: a single point says nothing, and its axes are but noise."""
    return not curves.empty and bool(curves.dropna().groupby("curve").size().max() > 1)
