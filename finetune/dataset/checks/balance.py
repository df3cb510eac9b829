"""Too few rows, and labels that are too common or too rare."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding, plural

# Fewer different inputs than this cannot be in all of train, validation and test.
RARE = 3


def balance_findings(examples: Sequence[Example], task: Task, clusters: np.ndarray) -> list[Finding]:
    """Too few rows, and for classification labels that are too common or too rare.

    Args:
        clusters: of each example; inputs with the same number count as one.
    """
    found = _few(len(examples))
    if task != "classification" or not examples:
        return found
    counts = Counter(example.output for example in examples)
    label, most = max(counts.items(), key=lambda item: item[1])
    share = most / len(examples)
    if share > 0.9:
        message = f"“{label}” has {share:.0%} of the rows: it will be over-predicted."
        fix = "Add rows of the other labels, or leave out some of this one."
        found.append(Finding("class_imbalance", "warning", (), message, fix, check="class_imbalance"))
    elif share > 0.6:
        message = f"“{label}” has {share:.0%} of the rows: always answering that would score as much."
        fix = "Add rows of the other labels if you can."
        found.append(Finding("class_imbalance", "note", (), message, fix, check="class_imbalance"))
    if rare := rare_labels(examples, clusters):
        rows = tuple(sorted(example.row for example in examples if example.output in rare))
        names = ", ".join(f"“{label[:60]}”" for label in sorted(rare)[:5]) + (", …" if len(rare) > 5 else "")
        have = plural("label has", "labels have", len(rare))
        message = f"{len(rare):,} {have} fewer than {RARE} different inputs: {names}."
        fix = (
            "They cannot be in all three parts of the split. Add rows, merge them with other labels, or leave them out."
        )
        found.append(Finding("rare_class", "warning", rows, message, fix, mends=("drop_rare",), check="rare_class"))
    return found


def rare_labels(examples: Sequence[Example], clusters: np.ndarray) -> set[str]:
    """The labels with fewer than RARE different inputs."""
    numbers: dict[str, int] = {}
    codes = np.fromiter(
        (numbers.setdefault(example.output, len(numbers)) for example in examples), np.int64, len(examples)
    )
    different = np.unique(codes * (int(clusters.max(initial=0)) + 1) + clusters)
    inputs = np.bincount(different // (int(clusters.max(initial=0)) + 1), minlength=len(numbers))
    return {label for label, number in numbers.items() if inputs[number] < RARE}


def _few(rows: int) -> list[Finding]:
    if rows >= 500:
        return []
    fix = "Collect more rows, 500 if you can."
    if rows < 50:
        severity, text = (
            "error",
            f"{rows:,} rows are fewer than the 50-100 that a fine-tune needs at least; prompting often wins.",
        )
    elif rows < 100:
        severity, text = "warning", f"{rows:,} rows are enough for a pilot; under 100, prompting often wins."
    else:
        severity, text, fix = "note", f"{rows:,} rows; 500 or more are recommended.", "More rows help most."
    return [Finding("too_few_rows", severity, (), text, fix, check="too_few_rows")]
