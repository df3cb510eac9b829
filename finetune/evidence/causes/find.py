"""Why there was no gain: each cause from what was measured, in the order in which to look for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from finetune.dataset.example import Example
from finetune.evidence.causes import answer_causes, training_causes
from finetune.evidence.causes.cause import AREAS, Cause, Facts
from finetune.evidence.report.plain import trusted
from finetune.runs.store import Run
from finetune.training.choose import settled
from finetune.training.plan import choose_rows
from finetune.training.recipe import Recipe

# Data, then quality, then base, then task; within these, what explains most comes first.
LOOKED_FOR: tuple[Callable[[Facts], Cause | None], ...] = (
    training_causes.pilot,
    training_causes.few_steps,
    training_causes.still_improving,
    training_causes.more_rows,
    training_causes.overfit,
    training_causes.too_few_per_class,
    training_causes.truncation,
    answer_causes.labels_unlearnable,
    answer_causes.conflicts,
    answer_causes.suspect_labels,
    answer_causes.one_answer,
    answer_causes.base_already_good,
    answer_causes.confused_pair,
    answer_causes.format_errors,
)


def find_causes(
    comparison: dict,
    outputs: Sequence[dict],
    report: dict,
    events: Sequence[dict],
    recipe: Recipe,
    train: Sequence[Example],
) -> list[dict]:
    """The causes that the measurements show, none where there was a gain, or where the comparison is not to be trusted.

    A cause that the numbers do not bear is not told: a run that went well and still has no gain has no cause here.

    Args:
        comparison, outputs, report, events: of comparison.json, outputs.jsonl, report.json and events.jsonl.
        train: the rows that the model learned from.

    Returns:
        {"kind", "area", "message", "rows", "total", "fix"}, in the order data, quality, base, task; "rows" are the first
        of "total" source rows.
    """
    if comparison["verdict"]["decision"] == "use_fine_tuned" or not trusted(comparison) or not outputs:
        return []
    facts = Facts(comparison, outputs, report, events, recipe, train)
    found = [cause for look in LOOKED_FOR if (cause := look(facts)) is not None]
    return [cause.as_json() for cause in sorted(found, key=lambda cause: AREAS.index(cause.area))]


def causes_of(run: Run) -> list[dict]:
    """The causes of a run that was compared, from its files; empty where it was not."""
    if (comparison := run.comparison()) is None:
        return []
    recipe, task = settled(run), run.record()["task"]
    train = choose_rows(run.examples("train"), recipe.rows, task, recipe.seed)
    return find_causes(comparison, run.outputs(), run.report(), run.events()[0], recipe, train)
