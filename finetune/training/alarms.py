"""What can go wrong in a training, told from its numbers alone. Each alarm is told once, with what to do about it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean, pvariance
from typing import Any, Literal

from scipy import stats

from finetune.errors import FinetuneError

Name = Literal[
    "overfitting", "memorising", "nothing_learned", "gradient_zero", "gradient_not_finite", "adapter_unmoved"
]

# Steps over which a loss is smoothed: one step's loss goes up and down by half of its value.
SPAN = 10
# A loss has diverged when the last few steps are all this many nats above its best smoothed value, and above where it
# began. What a rate that is a little too high does to the first steps stays below that.
DIVERGED_BY = 3.0
DIVERGED_STEPS = 3
# Nothing is learned when the loss has not fallen by then, and only after so many steps: fewer show noise alone.
PATIENCE_SHARE = 0.4
FEWEST_STEPS = 20
FALLEN_BY_CHANCE = 0.005
ZERO_STEPS = 3  # a single row whose answer is certain has no gradient either
STILL_STEPS = 5  # warm-up begins with a rate of zero
LEARNED_BY_HEART, NOT_UNDERSTOOD = 0.95, 0.80


@dataclass(frozen=True, slots=True)
class Alarm:
    """One thing that is wrong, and what to do about it."""

    name: Name
    text: str


class Diverged(FinetuneError):
    """The loss, or the gradient, has gone where nothing is learned any more.

    Attributes:
        step: at which that was seen.
        good: the last step before it whose weights are worth going back to; 0: none.
    """

    def __init__(self, what: str, *, step: int, good: int):
        super().__init__(
            f"The training diverged: {what}.",
            hint="Set a lower learning_rate and start again; the checkpoints before it are kept.",
        )
        self.step, self.good = step, good


class Smoothed:
    """A mean over about `SPAN` values that forgets the older ones (exponential, corrected for its beginning)."""

    def __init__(self) -> None:
        self._sum = self._weight = 0.0

    def add(self, value: float) -> float:
        """The mean with one more value in it."""
        keep = 1 - 1 / SPAN
        self._sum, self._weight = keep * self._sum + value, keep * self._weight + 1
        return self._sum / self._weight

    @property
    def value(self) -> float | None:
        """None before the first value."""
        return self._sum / self._weight if self._weight else None


@dataclass(frozen=True, slots=True)
class _Look:
    step: int
    validation: float
    training: float | None


class Alarms:
    """Hears every step and every look, and says what is wrong.

    Args:
        steps: planned.
        scaled: gradients are scaled for float16: one that is not finite is then a step left out, and no harm.
    """

    def __init__(self, steps: int, *, scaled: bool = False):
        self.steps, self.scaled = steps, scaled
        self.told: set[str] = set()
        self.losses: list[float] = []
        self.smoothed = Smoothed()
        self.best: float | None = None
        self.best_step = 0
        self.zero = 0
        self.looks: list[_Look] = []
        self.by_heart = 0

    def step(self, step: int, loss: float, gradient_norm: float | None) -> list[Alarm]:
        """What a step says.

        Args:
            loss: of the step, in nats a scored token.
            gradient_norm: before clipping; None where it is not known.

        Raises:
            Diverged: the loss is no number, or far above its best smoothed value; or the gradient is no number.
        """
        if not math.isfinite(loss):
            raise Diverged(f"the loss at step {step} is not a number", step=step, good=step - 1)
        if gradient_norm is not None and not math.isfinite(gradient_norm) and not self.scaled:
            # The optimiser has taken this step already: the weights are no numbers any more.
            raise Diverged(f"the gradient at step {step} is not a number", step=step, good=step - 1)
        self.losses.append(loss)
        value = self.smoothed.add(loss)
        if self.best is None or value <= self.best:
            self.best, self.best_step = value, step
        recent = min(self.losses[-DIVERGED_STEPS:])
        began = fmean(self.losses[:DIVERGED_STEPS])
        if len(self.losses) > DIVERGED_STEPS and recent > self.best + DIVERGED_BY and recent > began:
            raise Diverged(
                f"the loss went up to {recent:.2f} at step {step}, after {self.best:.2f} at step {self.best_step}",
                step=step,
                good=self.best_step,
            )
        return [*self._gradient(gradient_norm), *self._nothing_learned()]

    def _gradient(self, norm: float | None) -> list[Alarm]:
        if norm is None:
            return []
        if not math.isfinite(norm):
            return self._once(
                "gradient_not_finite",
                "A gradient was too large for float16, and its step was left out. Now and then that is usual; if the loss "
                "does not fall, set a lower learning_rate.",
            )
        self.zero = self.zero + 1 if norm == 0 else 0
        if self.zero < ZERO_STEPS:
            return []
        return self._once(
            "gradient_zero",
            f"The gradient has been zero for {self.zero} steps: nothing is learned from them. The answers may all be the same "
            "and known already, or this base does not hand gradients back: try another base, or quantisation none.",
        )

    def _nothing_learned(self) -> list[Alarm]:
        done = len(self.losses)
        if done < max(FEWEST_STEPS, PATIENCE_SHARE * self.steps):
            return []
        part = max(5, done // 4)
        first, last = self.losses[:part], self.losses[-part:]
        noise = math.sqrt((pvariance(first) + pvariance(last)) / part)
        fallen = fmean(first) - fmean(last)
        # By their order too: a steep fall within the first steps makes their spread, and with it the noise, look large.
        order = stats.mannwhitneyu(first, self.losses[done // 2 :], alternative="greater").pvalue
        if fallen > 0 and (fallen > 3 * noise or order < FALLEN_BY_CHANCE):
            self.told.add("nothing_learned")  # it has learned: a plateau later on is another thing
            return []
        return self._once(
            "nothing_learned",
            f"After {done} steps the loss is where it began ({fmean(first):.3f}, now {fmean(last):.3f}). Look at some rows on "
            "the tab Preview: do the inputs say what the answer should be? If they do, set a higher learning_rate or a "
            "larger rank, or take a larger base.",
        )

    def look(
        self, step: int, validation: float, *, right: float | None = None, learned: float | None = None
    ) -> list[Alarm]:
        """What a look at the validation rows says.

        Args:
            validation: loss.
            right: share of what the task measures that is right on the validation rows.
            learned: the same on rows that were trained on.
        """
        self.looks.append(_Look(step, validation, self.smoothed.value))
        return [*self._overfitting(), *self._memorising(right, learned)]

    def _overfitting(self) -> list[Alarm]:
        if len(self.looks) < 3:
            return []
        before, middle, now = self.looks[-3:]
        if not before.validation < middle.validation < now.validation:
            return []
        if None in (before.training, middle.training, now.training):
            return []
        if not before.training > middle.training > now.training:
            return []
        return self._once(
            "overfitting",
            f"Overfitting: the validation loss has risen since step {before.step}, from {before.validation:.3f} to "
            f"{now.validation:.3f}, while the training loss fell from {before.training:.3f} to {now.training:.3f}. The best "
            "checkpoint is kept; more rows, fewer passes or more dropout help.",
        )

    def _memorising(self, right: float | None, learned: float | None) -> list[Alarm]:
        if right is None or learned is None:
            return []
        self.by_heart = self.by_heart + 1 if learned >= LEARNED_BY_HEART and right <= NOT_UNDERSTOOD else 0
        if self.by_heart < 2:
            return []
        return self._once(
            "memorising",
            f"Overfitting: on rows that it was trained on {learned:.0%} is right, on the validation rows {right:.0%}. It learns "
            "the rows by heart; more rows help most, then fewer passes or more dropout.",
        )

    def adapter(self, step: int, still: int, of: int) -> list[Alarm]:
        """What the adapter's second matrices say, which begin as zeros.

        Args:
            still: those that are zero yet.
            of: all of them.
        """
        if step < STILL_STEPS or not still:
            return []
        which = "None of the adapter's layers has" if still == of else f"{still} of the adapter's {of} layers have not"
        return self._once(
            "adapter_unmoved",
            f"{which} moved after {step} steps: no gradient comes back to them. Try quantisation none, or another base; in a "
            "model of experts it may be experts that these rows never ask.",
        )

    def _once(self, name: Name, text: str) -> list[Alarm]:
        if name in self.told:
            return []
        self.told.add(name)
        return [Alarm(name, text)]

    def recall(self, history: Iterable[Mapping[str, Any]]) -> None:
        """Hear again, without a word, what was said before a resume: the log of transformers' trainer state."""
        for entry in history:
            step = entry.get("step", 0)
            if (loss := entry.get("loss")) is not None:
                self.step(step, loss, entry.get("grad_norm"))
            elif (loss := entry.get("eval_loss")) is not None and step:
                self.look(step, loss, right=entry.get("eval_score"), learned=entry.get("eval_train_score"))
