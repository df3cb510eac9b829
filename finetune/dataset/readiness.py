"""Whether a fine-tune makes sense at all on this data, and what the test part can show."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from finetune.dataset.example import Task
from finetune.dataset.quality import Finding
from finetune.dataset.split import Split

Decision = Literal["fine_tune", "pilot_first", "prompt_first", "retrieval", "collect_data"]


@dataclass(frozen=True)
class Readiness:
    """What to do first, each reason a sentence, and the smallest difference (0..1) that the test part can show."""

    decision: Decision
    reasons: tuple[str, ...]
    detectable_difference: float

    def as_json(self) -> dict:
        return {
            "decision": self.decision,
            "reasons": list(self.reasons),
            "detectable_difference": self.detectable_difference,
        }


def detectable_difference(test_rows: int, discordant: float = 0.25, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference of two systems' accuracies, judged on the same rows, that a McNemar test would show.

    Solves for d in n = (z(1 - alpha/2)·√p + z(power)·√(p - d²))² / d², where p is the share of rows on which exactly
    one of the two is right (Connor 1987, Sample size for testing differences in proportions for the paired-sample
    design, Biometrics 43, 207-211). A difference cannot exceed p, so p is raised to d where d is larger.

    Returns:
        A share of the test rows, 0..1; 1.0 where even that would not be shown.
    """
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)

    def needed(difference: float) -> float:
        p = max(discordant, difference)
        return ((z_alpha * math.sqrt(p) + z_power * math.sqrt(p - difference**2)) / difference) ** 2

    if test_rows < needed(1.0):
        return 1.0
    low, high = 1e-6, 1.0
    for _ in range(60):  # bisection: the rows needed fall as the difference grows
        middle = (low + high) / 2
        low, high = (middle, high) if needed(middle) > test_rows else (low, middle)
    return high


def assess(split: Split, task: Task, findings: Sequence[Finding]) -> Readiness:
    """The rules of thumb, worked through; the most cautious one decides, and every one that applies is a reason."""
    rows = sum(map(len, split.parts().values()))
    shown = detectable_difference(len(split.test))
    steps: list[tuple[Decision, str]] = [_by_rows(rows), *_by_quality(rows, findings)]
    steps += _by_labels(split) if task == "classification" else _by_answers(split)
    test = f"The {len(split.test):,} test rows can show a difference of {shown:.0%} or more"
    steps.append(
        ("pilot_first", f"{test}: a smaller gain would stay unseen.") if shown > 0.2 else ("fine_tune", f"{test}.")
    )
    decision = max((decision for decision, _ in steps), key=_CAUTION.index)
    return Readiness(decision, tuple(reason for _, reason in steps), shown)


# From the most willing to the most cautious.
_CAUTION: tuple[Decision, ...] = ("fine_tune", "pilot_first", "retrieval", "prompt_first", "collect_data")


def _by_rows(rows: int) -> tuple[Decision, str]:
    if rows < 50:
        return "collect_data", f"{rows:,} rows: a fine-tune needs 50 to 100 at the very least; use prompting meanwhile."
    if rows < 100:
        return "prompt_first", f"{rows:,} rows: under 100, a good prompt often wins."
    if rows < 500:
        return "pilot_first", f"{rows:,} rows: enough for a pilot; 500 or more are recommended."
    return "fine_tune", f"{rows:,} rows: above the 500 that are recommended."


def _by_quality(rows: int, findings: Sequence[Finding]) -> list[tuple[Decision, str]]:
    steps: list[tuple[Decision, str]] = []
    for kind, what in (
        ("conflicting_output", "contradict another row; a model cannot learn both"),
        ("suspect_label", "have a doubtful label; quality comes before quantity"),
        ("too_long", "are longer than the model reads"),
        ("bad_row", "could not be read"),
        ("empty", "have an empty input or output"),
    ):
        # A conflict between free answers is a note: several can be right.
        hit = {
            row for finding in findings if finding.kind == kind and finding.severity != "note" for row in finding.rows
        }
        if len(hit) > 0.1 * rows:
            steps.append(("pilot_first", f"{len(hit):,} rows {what}. Mend the data first."))
    return steps


def _by_labels(split: Split) -> list[tuple[Decision, str]]:
    counts = Counter(example.output for part in split.parts().values() for example in part)
    rows, labels = sum(counts.values()), len(counts)
    label, most = counts.most_common(1)[0]
    steps: list[tuple[Decision, str]] = []
    if most > 0.9 * rows:
        steps.append(("collect_data", f"“{label[:60]}” has {most / rows:.0%} of the rows: it will be over-predicted."))
    thin = sum(count < 10 for count in counts.values())
    if thin > labels / 2:
        steps.append(("collect_data", f"{thin:,} of {labels:,} labels have fewer than 10 rows: too few to learn from."))
    elif thin:
        steps.append(
            ("pilot_first", f"{thin:,} of {labels:,} labels have fewer than 10 rows and will be guessed badly.")
        )
    else:
        steps.append(("fine_tune", f"{labels:,} labels, each with 10 rows or more: a narrow, well-defined task."))
    return steps


def _by_answers(split: Split) -> list[tuple[Decision, str]]:
    counts = Counter(example.output for part in split.parts().values() for example in part)
    rows = sum(counts.values())
    if len(counts) <= rows / 3:
        reason = f"{rows:,} inputs share {len(counts):,} fixed answers: looking the answer up may be enough."
        return [("retrieval", reason)]
    return [("fine_tune", "The answers are texts of their own, so a way of answering can be learned from them.")]
