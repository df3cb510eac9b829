"""Learning rates around the chosen one, each tried on the same slice of the rows: the validation loss decides."""

from __future__ import annotations

import dataclasses
import math
import random
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from finetune.model.prompt import Encoded
from finetune.runs.events import Emit
from finetune.training import train as training
from finetune.training.adapter import for_a_trial
from finetune.training.alarms import Diverged
from finetune.training.plan import Choice, Plan
from finetune.training.recipe import Recipe

SPAN = math.sqrt(10)  # the outermost rates are the chosen one divided and multiplied by it
TRIED = {"cpu": 3, "cuda": 5}
MOST_STEPS, FEWEST_STEPS = 30, 4
VALIDATION_ROWS = 64
TIME_SHARE = 0.25
# A slice bears a higher rate than the whole run: of rates that do as well, within this, the lowest is taken.
AS_GOOD = 1.02


@dataclass(frozen=True)
class Swept:
    """What a sweep came to.

    Attributes:
        plan: the plan with the rate that won, and why; the same as before where nothing could be tried.
        seconds: what it took, which is time of the time box.
        asked_to_stop: it was ended from outside, and the run with it.
    """

    plan: Plan
    seconds: float
    asked_to_stop: bool


def rates_around(rate: float, count: int) -> list[float]:
    """`count` rates, ascending, evenly spaced on a logarithmic scale from a third of `rate` to three times it."""
    return [float(f"{rate * SPAN ** (2 * place / (count - 1) - 1):.2g}") for place in range(count)]


def sweep(
    model: Any,
    recipe: Recipe,
    plan: Plan,
    rows: Sequence[Encoded],
    validation: Sequence[Encoded],
    *,
    directory: Path,
    pad: int,
    emit: Emit,
    should_stop: Callable[[], bool],
) -> Swept:
    """Train a fresh adapter on one slice for each rate, and take the rate that ends with the lowest validation loss.

    Every rate gets the same base, first weights, rows, order and steps. Without a time box the outcome depends on recipe
    and rows alone; with one, the length of the slice also on the speed of the machine. `model` is left as it came.

    Args:
        model: the frozen base, as `load_model(trains=True)` gave it.
        directory: of the run; what is written under it is deleted again.
        pad: token id that fills shorter rows.
    """
    trial = _Trials(model, recipe, plan, rows, validation, directory / "sweep", pad, emit, should_stop)
    try:
        return trial.run()
    finally:
        shutil.rmtree(directory / "sweep", ignore_errors=True)


class _Trials:
    """The trials of one sweep and the time they may take."""

    def __init__(self, model, recipe, plan, rows, validation, directory, pad, emit, should_stop):
        self.model, self.plan, self.directory, self.pad = model, plan, directory, pad
        self.emit, self.should_stop = emit, should_stop
        self.recipe = dataclasses.replace(recipe, max_minutes=0.0, evaluations=1, patience=100, log_to="none")
        self.began = time.monotonic()
        self.budget = 60 * recipe.max_minutes * TIME_SHARE if recipe.max_minutes else math.inf
        self.steps = min(MOST_STEPS, max(FEWEST_STEPS, plan.steps // 4))
        draw = random.Random(recipe.seed)
        self.rows = draw.sample(list(rows), min(len(rows), self.steps * recipe.batch_size))
        self.validation = draw.sample(list(validation), min(len(validation), VALIDATION_ROWS))
        # From the middle outwards: where the time ends before, what is there is the chosen rate and its neighbours.
        rates = rates_around(plan.learning_rate, TRIED[plan.device])
        self.rates = sorted(rates, key=lambda rate: round(abs(math.log(rate / plan.learning_rate)), 2))
        self.done = 0

    @property
    def spent(self) -> float:
        return time.monotonic() - self.began

    def run(self) -> Swept:
        if not self._fits_the_time():
            return self._without("the time box leaves no room to try others")
        losses: dict[float, float | None] = {}
        for number, rate in enumerate(self.rates, 1):
            self.emit(
                "log", text=f"trying the learning rate {rate:g} ({number} of {len(self.rates)}) for {self.steps} steps"
            )
            loss, ended = self._trial(rate, self.steps)
            if self.should_stop():
                return Swept(self.plan, self.spent, True)
            if ended:
                break
            losses[rate] = loss
            self.done += self.steps
        return self._winner(losses)

    def _fits_the_time(self) -> bool:
        """Shortens the slice to what the time box allows, by the time of two steps and a look; False where that is too short."""
        if math.isinf(self.budget):
            return True
        told: list[float] = []
        began = time.monotonic()
        self._trial(self.plan.learning_rate, 2, lambda: told.append(time.monotonic()))
        if len(told) < 2:
            return self.should_stop()
        step = told[1] - told[0]
        # What a trial takes beside its steps: the adapter, the rehearsal, a look before and one after.
        rest = time.monotonic() - began - 2 * step
        # A tenth is kept for what the machine does otherwise.
        each = 0.9 * (self.budget - self.spent) / len(self.rates)
        self.steps = min(self.steps, int((each - rest) / max(step, 1e-6)))
        return self.steps >= FEWEST_STEPS

    def _trial(
        self, rate: float, steps: int, after_step: Callable[[], Any] = lambda: None
    ) -> tuple[float | None, bool]:
        """The validation loss after `steps` steps, None where it diverged; and whether it was ended before."""

        def hear(kind: str, **fields: Any) -> None:
            if kind == "progress":
                after_step()
                if steps == self.steps:
                    self._tell(fields["step"])

        plan = dataclasses.replace(self.plan, learning_rate=rate, steps=steps, steps_per_look=steps)
        try:
            with for_a_trial(self.model, self.directory):
                done = training.train(
                    self.model, self.recipe, plan, self.rows, self.validation, directory=self.directory, pad=self.pad,
                    emit=hear, should_stop=lambda: self.should_stop() or self.spent > self.budget,
                )  # fmt: skip
            return done.best_loss, done.step < steps or done.asked_to_stop
        except Diverged:
            return None, False

    def _tell(self, step: int) -> None:
        done, of = self.done + step, self.steps * len(self.rates)
        self.emit("progress", phase="sweep", step=done, steps=of, eta_seconds=self.spent / done * (of - done))

    def _winner(self, losses: dict[float, float | None]) -> Swept:
        ended_well = {rate: loss for rate, loss in losses.items() if loss is not None}
        if len(losses) < 2 or not ended_well:
            return self._without(
                "the time box left no room to try others"
                if len(losses) < 2
                else "all that were tried around it diverged too"
            )
        best = min(ended_well.values())
        rate = min(rate for rate, loss in ended_well.items() if loss <= AS_GOOD * best)
        told = ", ".join(
            f"{tried:g} → {'diverged' if loss is None else f'{loss:.3g}'}" for tried, loss in sorted(losses.items())
        )
        reason = (
            f"validation loss after {self.steps} steps on the same "
            f"{min(len(self.rows), self.steps * self.recipe.batch_size)} rows: {told}; the lowest, and of those "
            f"within {AS_GOOD - 1:.0%} of it the smallest rate"
        )
        if len(losses) < len(self.rates):
            reason += "; the time box left no room for more"
        return Swept(self._with(rate, reason), self.spent, False)

    def _without(self, why: str) -> Swept:
        before = next(choice.reason for choice in self.plan.choices if choice.name == "learning rate")
        return Swept(self._with(self.plan.learning_rate, f"{before}; {why}"), self.spent, self.should_stop())

    def _with(self, rate: float, reason: str) -> Plan:
        made = Choice("learning rate", f"{rate:g}", reason)
        choices = tuple(made if choice.name == made.name else choice for choice in self.plan.choices)
        return dataclasses.replace(self.plan, learning_rate=rate, choices=choices)
