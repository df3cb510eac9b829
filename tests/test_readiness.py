"""Readiness: the rules of thumb, and the smallest difference a test part can show."""

from __future__ import annotations

import math

import numpy as np
import pytest

from finetune.dataset.example import Example
from finetune.dataset.quality import Finding
from finetune.dataset.readiness import assess, detectable_difference
from finetune.dataset.split import Split, split


def halves(rows: int, labels: str = "ab") -> Split:
    examples = [Example(n, f"text {n}", labels[n % len(labels)]) for n in range(1, rows + 1)]
    return split(examples, "classification", validation=0.15, test=0.15, seed=0)


def test_detectable_difference_solves_connors_formula():
    d, p = detectable_difference(200), 0.25
    rows = ((1.959964 * math.sqrt(p) + 0.841621 * math.sqrt(p - d**2)) / d) ** 2
    assert rows == pytest.approx(200, rel=1e-4)
    values = [detectable_difference(n) for n in (4, 10, 30, 92, 500, 5000)]
    assert values == sorted(values, reverse=True) and 0 < values[-1] < values[0] <= 1
    assert detectable_difference(0) == detectable_difference(3) == 1.0


def test_detectable_difference_has_the_power_it_says():
    # Simulated McNemar tests (normal approximation, as in the formula) at the difference that 150 rows should show.
    rows, discordant = 150, 0.25
    d = detectable_difference(rows, discordant)
    random = np.random.default_rng(0)
    chances = [(discordant + d) / 2, (discordant - d) / 2, 1 - discordant]
    wins, losses, _ = random.multinomial(rows, chances, 20_000).T
    z = (wins - losses) / np.sqrt(np.maximum(wins + losses, 1))
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.8, abs=0.03)


@pytest.mark.parametrize(
    ("rows", "decision"), [(30, "collect_data"), (70, "prompt_first"), (200, "pilot_first"), (1000, "fine_tune")]
)
def test_rows_decide(rows, decision):
    readiness = assess(halves(rows), "classification", [])
    assert readiness.decision == decision
    assert any(reason.startswith(f"{rows:,} rows") for reason in readiness.reasons)
    assert readiness.as_json()["detectable_difference"] == readiness.detectable_difference


def test_imbalance_and_thin_labels():
    assert assess(halves(1000, "a" * 19 + "b"), "classification", []).decision == "collect_data"
    examples = [Example(n, f"text {n}", f"label {n % 120}") for n in range(600)]
    many = split(examples, "classification", validation=0.15, test=0.15, seed=0)
    assert assess(many, "classification", []).decision == "collect_data"


def test_faults_hold_back():
    finding = Finding("conflicting_output", "warning", tuple(range(1, 200)), "", "")
    readiness = assess(halves(1000), "classification", [finding])
    assert readiness.decision == "pilot_first" and any("contradict" in reason for reason in readiness.reasons)


def test_fixed_answers_can_be_looked_up():
    examples = [Example(n, f"question {n}", f"the answer to questions of kind {n % 50}") for n in range(1000)]
    parts = split(examples, "instruction", validation=0.15, test=0.15, seed=0)
    assert assess(parts, "instruction", []).decision == "retrieval"
    free = [Example(n, f"question {n}", f"answer {n}") for n in range(1000)]
    parts = split(free, "instruction", validation=0.15, test=0.15, seed=0)
    assert assess(parts, "instruction", []).decision == "fine_tune"
