"""Causes that lie in what was learned from, and for how long: too few rows or steps, or the same rows too often."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from scipy import stats

from finetune.dataset.finding import plural
from finetune.evidence.causes.cause import Cause, Facts, percent
from finetune.evidence.systems import FINE_TUNED
from finetune.training.forecast import WORTHWHILE

FALLING = 0.1  # of the loss from one look to the next: less is as good as level
RISEN = 1.15  # of the best validation loss; the looks go up and down by some 10% by themselves
FAR_UNDER = 0.5  # training loss as a share of validation loss
THIN = 10  # training rows of a label
SHARE = 0.05  # of rows that are cut, from which on it can be felt


@dataclass(frozen=True)
class Course:
    """How the training went, from the events; a resumed run tells steps again, and the later word holds.

    Attributes:
        looks: (step, validation loss), ascending.
        losses: step → training loss.
        step, steps: the last step, and how many were planned; None where they are not told.
        ended: why it ended before its planned end, "" where it came to it.
    """

    looks: tuple[tuple[int, float], ...]
    losses: dict[int, float]
    step: int | None
    steps: int | None
    ended: str

    @classmethod
    def of(cls, facts: Facts) -> Course:
        looks, losses, step, steps, ended = {}, {}, None, None, ""
        for event in facts.events:
            kind, loss = event["kind"], event.get("loss")
            if kind == "evaluated" and loss is not None and event["step"]:  # at step 0 it is the base that is looked at
                looks[event["step"]] = loss
            elif kind == "progress" and event.get("phase") != "compare" and loss is not None:
                losses[event["step"]] = loss
            elif kind == "plan":
                steps = event.get("steps", steps)
            elif kind in ("finished", "stopped") and "best_step" in event:
                step, ended = event.get("step"), event.get("reason", "")
        return cls(tuple(sorted(looks.items())), losses, step, steps, ended)

    @property
    def falling(self) -> bool:
        """Whether the validation loss was at its lowest at the last look, after it had fallen at the one before too."""
        values = [loss for _, loss in self.looks[-3:]]
        down = all(after < before for before, after in zip(values, values[1:], strict=False))
        best = min((loss for _, loss in self.looks), default=0.0)
        return len(values) > 1 and down and values[-1] == best and values[-1] < (1 - FALLING) * values[-2]

    @property
    def fell(self) -> str:
        (_, before), (step, after) = self.looks[-2:]
        return (
            f"the error on the validation rows (the validation loss) still fell at the last look, step {step:,}: from "
            f"{before:.3f} to {after:.3f}"
        )


def pilot(facts: Facts) -> Cause | None:
    """Only a part of the training rows was used."""
    used, of = len(facts.train), facts.report.get("split", {}).get("train", {}).get("rows", 0)
    if used >= of:
        return None
    return Cause(
        "pilot", "data",
        f"It learned from {used:,} of the {of:,} training rows ({percent(used / of)}): the other {of - used:,} were left "
        "out to save time.",
        "Train on all of them before you decide: preset “standard”, or rows = 0.",
    )  # fmt: skip


def few_steps(facts: Facts) -> Cause | None:
    """Training was ended before its planned end."""
    course = Course.of(facts)
    if not course.step or not course.steps or course.step >= course.steps or course.ended.startswith("no better"):
        return None
    why = "it was stopped by hand"
    if course.ended.startswith("the time box"):
        why = course.ended
    still = f"; {course.fell}" if course.falling else ""
    return Cause(
        "few_steps", "data",
        f"Training ended after {course.step:,} of {course.steps:,} planned steps: {why}{still}.",
        "Resume it or train again to the end"
        + (f" (max_minutes is {facts.recipe.max_minutes:g}; 0 sets no limit)." if facts.recipe.max_minutes else "."),
    )  # fmt: skip


def still_improving(facts: Facts) -> Cause | None:
    """It came to its planned end while it still got better."""
    course = Course.of(facts)
    if not course.falling or (course.steps and (course.step or 0) < course.steps):
        return None
    epochs = facts.recipe.epochs
    return Cause(
        "still_improving", "data",
        f"It was still learning when it ended: {course.fell}.",
        f"Train for longer: raise epochs (now {epochs:g}), for instance to {2 * epochs:g}. Training ends by itself when the "
        "validation loss falls no more.",
    )  # fmt: skip


def more_rows(facts: Facts) -> Cause | None:
    """The learning curve, where it was measured, still rises: rows are what is missing."""
    told = [event["forecast"] for event in facts.events if event["kind"] == "curve" and event.get("forecast")]
    if not told or told[-1]["interval"][0] < WORTHWHILE:
        return None
    return Cause(
        "more_rows", "data", f"It would learn more from more rows. {told[-1]['text']}",
        f"Collect about as many rows again, to {told[-1]['rows']:,}, and train anew.",
    )  # fmt: skip


def overfit(facts: Facts) -> Cause | None:
    """The validation loss has risen clearly while the training loss is far under it."""
    course = Course.of(facts)
    if len(course.looks) < 3:
        return None
    best_step, best = min(course.looks, key=lambda look: look[1])
    later = [loss for step, loss in course.looks if step > best_step]
    last_step, last = course.looks[-1]
    recent = [loss for step, loss in course.losses.items() if course.looks[-2][0] < step <= last_step]
    if len(later) < 2 or not recent or last < RISEN * best:
        return None
    learned = sum(recent) / len(recent)
    if learned >= FAR_UNDER * last:
        return None
    return Cause(
        "overfit", "data",
        f"It began to learn the training rows by heart: after step {best_step:,} the validation loss rose from {best:.3f} "
        f"to {last:.3f}, while the training loss went down to {learned:.3f}. The adapter of step {best_step:,} is the one "
        "that was kept and compared.",
        f"More training rows help most (now {len(facts.train):,}); then fewer passes (epochs, now {facts.recipe.epochs:g}) "
        f"or more dropout (now {facts.recipe.dropout:g}).",
    )  # fmt: skip


def too_few_per_class(facts: Facts) -> Cause | None:
    """Labels with few rows to learn from are those that it gets wrong; or all labels have few."""
    if not facts.classification:
        return None
    # What the file has, and not what a pilot took of it: there another cause says so.
    counts = facts.report.get("split", {}).get("train", {}).get("labels") or Counter(facts.learned.values())
    labels = [*facts.labels, *(line["expected"] for line in facts.outputs)]
    thin = {label for label in labels if counts.get(label, 0) < THIN}
    those = [row for row, line in facts.said.items() if line["expected"] in thin]
    wrong = set(facts.wrong)
    missed = [row for row in those if row in wrong]
    rest = len(facts.said) - len(those)
    rest_missed = len(facts.wrong) - len(missed)
    if len(missed) < 3:
        return None
    if len(those) <= rest:
        table = [[len(missed), len(those) - len(missed)], [rest_missed, rest - rest_missed]]
        if stats.fisher_exact(table, alternative="greater").pvalue >= 0.05:
            return None
    few = sorted(thin, key=lambda label: (counts.get(label, 0), label))
    named = ", ".join(f"“{label[:60]}” {counts.get(label, 0)}" for label in few[:5]) + (", …" if len(few) > 5 else "")
    have = plural("label has", "labels have", len(few))
    message = (
        f"{len(few):,} {have} under {THIN} training rows ({named}). It gets {len(missed):,} of their {len(those):,} "
    )
    message += f"test rows wrong ({percent(len(missed) / len(those))})"
    message += f", and {rest_missed:,} of the {rest:,} others ({percent(rest_missed / rest)})." if rest else "."
    return Cause(
        "too_few_per_class", "data", message,
        f"Collect rows of {plural('this label', 'these labels', len(few))}, {THIN} or more of each and better 50; or merge "
        "labels that mean nearly the same.",
        tuple(missed),
    )  # fmt: skip


def truncation(facts: Facts) -> Cause | None:
    """Inputs were cut at their end, or answers at their longest length."""
    left_out, rows = facts.comparison.get("left_out") or {}, len(facts.outputs)
    cut_inputs, cut_answers = ((left_out.get(name) or {}).get(FINE_TUNED, 0) for name in ("cut_inputs", "cut_answers"))
    told, fixes, shown = [], [], []
    if cut_inputs >= SHARE * rows:
        limit = facts.recipe.max_tokens
        told.append(
            f"{cut_inputs:,} of {rows:,} test rows ({percent(cut_inputs / rows)}) are longer than {limit:,} tokens: the "
            "model did not see how they end."
        )
        fixes.append(f"Raise max_tokens (now {limit:,}), or shorten the texts to what the answer depends on.")
        shown += [row for finding in facts.findings("too_long") for row in finding["rows"] if row in facts.said]
    if cut_answers >= SHARE * rows:
        limit = facts.recipe.max_new_tokens
        told.append(
            f"{cut_answers:,} of its {rows:,} answers ({percent(cut_answers / rows)}) were cut off at {limit:,} tokens."
        )
        fixes.append(f"Raise max_new_tokens (now {limit:,}), or train on shorter answers.")
        shown += [row for row, line in facts.said.items() if FINE_TUNED in (line.get("cut") or ())]
    return Cause("truncation", "data", " ".join(told), " ".join(fixes), tuple({*shown})) if told else None
