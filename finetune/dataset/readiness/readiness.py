"""Whether a fine-tune makes sense at all on this data, what the test part can show, and what would change that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass

from finetune.dataset.example import Task
from finetune.dataset.finding import Finding
from finetune.dataset.readiness.changes import would_change
from finetune.dataset.readiness.facts import Baseline, Facts, by_size, faults
from finetune.dataset.readiness.power import detectable_difference, rows_to_detect
from finetune.dataset.readiness.profile import Profile
from finetune.dataset.readiness.profile import profile as make_profile
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.readiness.rules import RULES, Decision, Point, decide
from finetune.dataset.readiness.topics import points
from finetune.dataset.splitting.split import Split

__all__ = [
    "RULES", "Baseline", "Decision", "Point", "Readiness", "assess", "detectable_difference", "rows_to_detect",
]  # fmt: skip

_DEFAULTS = Questions()
# Said where training is what to do, at once or on a small scale.
_BEFORE_TRAINING = (
    "Start with a pilot of 50 to 100 rows (rule of thumb; the preset “pilot” takes 100): it costs minutes.",
    "If it improves nothing, look at the data first, then at its quality, then at the base, then at the task (rule of "
    "thumb).",
)


@dataclass(frozen=True)
class Readiness:
    """What to do first, and why.

    Attributes:
        reasons: sentences: first those that made the decision, then what else holds back, then what speaks for a
            fine-tune, then advice.
        detectable_difference: the smallest difference (0..1) that the compared test rows can show with 80% power.
        points: every topic that was looked at.
        would_change: sentences, each found by applying the rules to the changed thing.
        compared_rows: the test rows that will be compared.
        questions: the answers that this rests on.
    """

    decision: Decision
    reasons: tuple[str, ...]
    detectable_difference: float
    points: tuple[Point, ...]
    would_change: tuple[str, ...]
    compared_rows: int
    questions: Questions

    def as_json(self) -> dict:
        return {
            "decision": self.decision,
            "reasons": list(self.reasons),
            "detectable_difference": self.detectable_difference,
            "points": [asdict(point) for point in self.points],
            "would_change": list(self.would_change),
            "compared_rows": self.compared_rows,
            "questions": self.questions.as_json(),
        }


def assess(
    split: Split,
    task: Task,
    findings: Sequence[Finding],
    *,
    questions: Questions = _DEFAULTS,
    profile: Profile | None = None,
    baseline: Baseline | None = None,
    compared_rows: int | None = None,
    mended: Collection[str] = (),
) -> Readiness:
    """The decision by `RULES`, with every rule of thumb that applies as a reason.

    Args:
        split: the rows that are used.
        findings: of the file; what counts is the share of the used rows that still have each. Notes hold nothing back.
        questions: what the data cannot tell.
        profile: of the rows of this split; None makes it here.
        baseline: what a classical model reaches on these rows, for classification.
        compared_rows: test rows that the comparison will take at most; None takes all.
        mended: names of the mends that were applied: their findings count no more.

    Raises:
        ValueError: the profile is of other rows.
    """
    parts = split.parts()
    rows = sum(map(len, parts.values()))
    shape = profile or make_profile(split, task, split.labels)
    if shape.rows != rows:
        raise ValueError(f"the profile is of {shape.rows} rows, the split has {rows}")
    facts = Facts(
        task=task,
        rows=rows,
        test_rows=len(split.test),
        compared_rows=compared_rows,
        labels=by_size(Counter(shape.labels.rows)) if shape.labels else (),
        distinct=shape.outputs.distinct / rows,
        faults=faults(parts.values(), findings, mended),
        profile=shape,
        questions=questions,
        baseline=baseline,
    )
    every = points(facts)
    decision, made = decide(every)
    against = [one for one in every if one not in made and one.leans != "fine_tune"]
    speaks_for = [one for one in every if one not in made and one not in against]
    reasons = [one.reason for one in (*made, *against, *speaks_for)]
    if decision in ("fine_tune", "pilot_first"):
        reasons += _BEFORE_TRAINING
    return Readiness(
        decision=decision,
        reasons=tuple(reasons),
        detectable_difference=facts.detectable,
        points=every,
        would_change=would_change(facts),
        compared_rows=facts.compared,
        questions=questions,
    )
