"""Too few rows, and labels that are too common or too rare."""

from __future__ import annotations

import numpy as np
import pytest

from finetune.dataset.checks.balance import balance_findings, rare_labels
from finetune.dataset.example import Example


def made(*pairs: tuple[str, str]) -> list[Example]:
    return [Example(row, *pair) for row, pair in enumerate(pairs, start=1)]


def many(label: str, count: int) -> list[tuple[str, str]]:
    return [(f"{label} text {n}", label) for n in range(count)]


def by_kind(examples, task="classification", clusters=None):
    clusters = np.arange(len(examples)) if clusters is None else np.array(clusters)
    return {finding.kind: finding for finding in balance_findings(examples, task, clusters)}


@pytest.mark.parametrize(("most", "severity"), [(95, "warning"), (70, "note"), (50, None)])
def test_imbalance(most, severity):
    found = by_kind(made(*many("a", most), *many("b", 100 - most)))
    if severity is None:
        assert "class_imbalance" not in found
    else:
        assert found["class_imbalance"].severity == severity
        assert ("over-predicted" in found["class_imbalance"].message) == (severity == "warning")


def test_rare_labels_count_different_inputs():
    examples = made(*many("a", 3), ("z", "b"), ("Z ", "b"), ("z", "b"), *many("c", 3))
    clusters = np.array([0, 1, 2, 3, 3, 3, 6, 7, 8])
    assert rare_labels(examples, clusters) == {"b"}
    found = by_kind(examples, clusters=clusters)["rare_class"]
    assert found.rows == (4, 5, 6) and "“b”" in found.message and found.mends == ("drop_rare",)


@pytest.mark.parametrize(("rows", "severity"), [(49, "error"), (99, "warning"), (499, "note"), (500, None)])
def test_too_few_rows(rows, severity):
    found = by_kind(made(*[(str(n), f"answer {n}") for n in range(rows)]), "instruction")
    assert (found["too_few_rows"].severity if found else None) == severity


def test_free_answers_have_no_labels():
    assert by_kind(made(*many("a", 600)), "instruction") == {}
    assert set(by_kind([], "classification")) == {"too_few_rows"}
