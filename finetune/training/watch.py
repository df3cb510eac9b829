"""What watches over a training: it tells what happens, looks at the validation rows, and ends it when it should end."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import resource
import sys
import time
from collections.abc import Callable, Iterator
from statistics import fmean
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from finetune.evidence.models.pair import Stopped
from finetune.runs.events import Emit
from finetune.training.alarms import Alarms, Diverged
from finetune.training.looking import Looker, unmoved
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.samples import Samples
from finetune.training.sensors import Sensors

if TYPE_CHECKING:
    from finetune.training.train import AnswerTrainer

STOPPED = "asked to stop"
# What goes wrong early has to find something to go back to; later a lost step costs more than a saved one.
FIRST_SAVE = 5  # steps
SAVE_SECONDS = 300.0
# What a look is beside the validation rows may take this share of the time since it was done before; until then a look is
# of the validation rows alone. The plan has them stay under a fifth.
BESIDE_SHARE = 0.1
QUICK = 1.0  # seconds that are always taken
# Of glibc: from how many bytes on a block is one of its own, that is given back as it is freed.
M_MMAP_THRESHOLD, GIVEN_BACK, USUAL = -3, 10**6, 32 * 2**20


class Watch(TrainerCallback):
    """Tells what happens, and ends training when it should end: asked to, out of time, or no better for a while.

    Args:
        before: seconds and tokens of the parts of the run before this one.
        per_second: price of a second on this machine, None where it is not known.
    """

    def __init__(
        self,
        recipe: Recipe,
        plan: Plan,
        emit: Emit,
        should_stop: Callable[[], bool],
        before: dict,
        per_second: float | None = None,
    ):
        self.recipe, self.plan, self.emit, self.should_stop = recipe, plan, emit, should_stop
        self.seconds_before, self.tokens_before = before.get("seconds", 0.0), before.get("tokens", 0)
        self.per_second = per_second
        self.trainer: AnswerTrainer
        self.looker: Looker
        self.samples: Samples | None = None
        self.sensors = Sensors(plan.device)
        self.alarms = Alarms(plan.steps, scaled=plan.dtype == "float16")
        self.began = time.monotonic()
        self.step_began = self.began
        self.saved_at: float | None = None
        self.beside_seconds = self.beside_at = 0.0
        self.step_seconds: list[float] = []
        self.look_seconds: list[float] = []
        self.step_tokens = 0
        self.worse = 0
        self.best = float("inf")
        self.best_step = 0
        self.ended_because = ""

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.began

    @property
    def tokens(self) -> int:
        return self.tokens_before + self.trainer.row_tokens

    def on_train_begin(self, args, state, control, optimizer=None, lr_scheduler=None, **_):
        self.began = self.step_began = time.monotonic()
        set_rate(optimizer, lr_scheduler, self.plan.learning_rate)
        if not state.global_step:
            self.look()  # how the base does, before it has learned anything
            return control
        looks = [entry for entry in state.log_history if "eval_loss" in entry and entry["step"]]
        if looks:
            losses = [entry["eval_loss"] for entry in looks]
            place = losses.index(min(losses))
            self.best, self.best_step = losses[place], looks[place]["step"]
            self.worse = len(losses) - 1 - place
        self.alarms.recall(state.log_history)
        due = state.global_step % self.plan.steps_per_look == 0 or state.global_step >= state.max_steps
        if due and state.global_step not in [look["step"] for look in looks]:
            # It was stopped before this look, or in it.
            best = self.best
            self.look()
            if self.best < best:
                state.best_metric, state.best_global_step = self.best, state.global_step
        return control

    def on_step_begin(self, args, state, control, **_):
        self.step_began = time.monotonic()
        self.step_tokens = self.trainer.row_tokens
        if self.plan.split:
            # A checkpoint holds the random state of the first GPU alone: after a resume dropout drops the same as without.
            torch.manual_seed(self.recipe.seed * 1_000_003 + state.global_step)

    def on_step_end(self, args, state, control, **_):
        give_back(self.plan.device)
        self.step_seconds.append(time.monotonic() - self.step_began)
        if self.should_stop():
            self.ended_because = STOPPED
            control.should_training_stop = control.should_save = True
            control.should_evaluate = False
        elif state.global_step >= state.max_steps:
            control.should_save = control.should_evaluate = True
        elif self.recipe.max_minutes and self.seconds >= 60 * self.recipe.max_minutes:
            self.ended_because = f"the time box of {self.recipe.max_minutes:g} minutes is over"
            control.should_training_stop = control.should_save = control.should_evaluate = True
        elif self._save_is_due(state.global_step):
            control.should_save = True
        return control

    def _save_is_due(self, step: int) -> bool:
        if self.saved_at is None:
            return step >= FIRST_SAVE
        return time.monotonic() - self.saved_at >= SAVE_SECONDS

    def on_log(self, args, state, control, logs=None, **_):
        if not logs or "loss" not in logs:
            return
        spent = self.step_seconds[-1] if self.step_seconds else 0.0
        self.emit(
            "progress", phase="train", step=state.global_step, steps=state.max_steps, epoch=round(state.epoch or 0, 3),
            loss=logs["loss"], learning_rate=logs.get("learning_rate"), gradient_norm=logs.get("grad_norm"),
            tokens_per_second=(self.trainer.row_tokens - self.step_tokens) / spent if spent else None,
            memory_bytes=peak_memory(self.plan.device), eta_seconds=self._left(state),
            seconds=self.seconds, tokens=self.tokens, cost=self.cost, **self.sensors.read(),
        )  # fmt: skip
        # Before a look and a checkpoint: neither is of use where the weights are no numbers any more.
        self._warn(self.alarms.step(state.global_step, logs["loss"], logs.get("grad_norm")))

    @property
    def cost(self) -> float | None:
        """What the training has cost so far, by the price that the plan names."""
        return None if self.per_second is None else self.seconds * self.per_second

    def _left(self, state) -> float:
        steps = state.max_steps - state.global_step
        # The first step of a process pays for what happens once.
        recent = self.step_seconds[-10:] if len(self.step_seconds) < 3 else self.step_seconds[1:][-10:]
        left = steps * sum(recent) / max(1, len(recent))
        if self.look_seconds:
            left += steps / self.plan.steps_per_look * self.look_seconds[-1]
        if self.recipe.max_minutes:
            left = min(left, max(0.0, 60 * self.recipe.max_minutes - self.seconds))
        return left

    def look(self) -> dict[str, float]:
        """Look at the validation rows and tell what was seen; the metrics as transformers reads them.

        A stop that is asked for meanwhile ends the look, and the training with it; the look is made up for by who resumes.
        """
        trainer, state, control = self.trainer, self.trainer.state, self.trainer.control
        began = time.monotonic()
        try:
            seen, learned, sampled = self.looker.look(), None, []
            looked = time.monotonic()
            if self.beside_seconds <= max(QUICK, BESIDE_SHARE * (looked - self.beside_at)):
                # Before the first step no row has been trained on yet.
                learned = self.looker.look_at_learned() if state.global_step else None
                sampled = self.samples.take() if self.samples else []
                self.beside_at = time.monotonic()
                self.beside_seconds = self.beside_at - looked
        except Stopped:
            self.ended_because = STOPPED
            control.should_training_stop = control.should_save = True
            control.should_evaluate = False
            return {"eval_loss": float("inf")}
        step = state.global_step
        if seen.loss != seen.loss:
            raise Diverged(f"the validation loss at step {step} is not a number", step=step, good=step - 1)
        self.look_seconds.append(time.monotonic() - began)
        better = bool(step) and seen.loss < self.best
        learned_score = learned.score if learned else None
        metrics = {"eval_loss": seen.loss, "eval_score": seen.score}
        if learned:
            metrics["eval_train_score"] = learned.score
        trainer.log(dict(metrics))
        recent = self.alarms.losses[-self.plan.steps_per_look :]
        self.emit(
            "evaluated", step=step, split="validation", loss=seen.loss, train_loss=fmean(recent) if recent else None,
            best=better, metric=self.looker.metric, score=seen.score, train_score=learned_score, sampled=sampled,
            seconds=self.look_seconds[-1],
        )  # fmt: skip
        trainer.control = trainer.callback_handler.on_evaluate(trainer.args, state, control, metrics)
        if step:
            self._warn(self.alarms.look(step, seen.loss, right=seen.score, learned=learned_score))
            self._warn(self.alarms.adapter(step, *unmoved(self.looker.model)))
            self._judge(better, seen.loss, step)
        return metrics

    def _judge(self, better: bool, loss: float, step: int) -> None:
        if better:
            self.best, self.best_step, self.worse = loss, step, 0
            return
        self.worse += 1
        early = step < self.trainer.state.max_steps
        if early and self.worse >= self.recipe.patience and not self.ended_because:
            self.ended_because = f"no better on the validation rows for {self.worse} looks"
            self.trainer.control.should_training_stop = self.trainer.control.should_save = True

    def _warn(self, alarms) -> None:
        for alarm in alarms:
            self.emit("warning", text=alarm.text, alarm=alarm.name)

    def on_save(self, args, state, control, **_):
        self.saved_at = time.monotonic()
        self.emit("checkpoint", step=state.global_step, path=f"checkpoints/checkpoint-{state.global_step}")


def set_rate(optimizer: Any, schedule: Any, rate: float) -> None:
    """The peak rate of the plan, also where a checkpoint brings the one that it was made with."""
    if schedule is None or not schedule.base_lrs or schedule.base_lrs[0] == rate:
        return
    share = rate / schedule.base_lrs[0]
    schedule.base_lrs = [rate for _ in schedule.base_lrs]
    schedule._last_lr = [share * last for last in schedule._last_lr]
    for group in optimizer.param_groups:
        group["lr"], group["initial_lr"] = share * group["lr"], rate


def give_back(device: str) -> None:
    """Hands freed memory of a CPU back to the system, where the C library can.

    Steps have rows of different lengths, and what was freed after one seldom fits the next: without this the memory of a
    training grew to 1.7 times what a step holds.
    """
    if device == "cpu" and (trim := _of_glibc("malloc_trim")) is not None:
        trim(0)


@contextlib.contextmanager
def kept_small(plan: Plan) -> Iterator[None]:
    """Inside the block blocks of a megabyte or more are given back as they are freed, where the plan saves memory on a CPU.

    glibc would keep all under 32 MB in its heap, which grew to twice of what a training with checkpointing holds. It costs
    time (a step of long rows a third more, a look half), so that it is not done where memory is at hand.
    """
    tune = _of_glibc("mallopt") if plan.device == "cpu" and plan.checkpointing else None
    if tune:
        tune(M_MMAP_THRESHOLD, GIVEN_BACK)
    try:
        yield
    finally:
        if tune:
            tune(M_MMAP_THRESHOLD, USUAL)


@functools.cache
def _of_glibc(name: str) -> Callable[..., int] | None:
    try:
        return getattr(ctypes.CDLL(None), name)  # musl and macOS do not have it
    except (OSError, AttributeError):
        return None


def peak_memory(device: str) -> int:
    """The most memory this process has held so far, in bytes: of the fullest GPU, or of the machine on a CPU."""
    if device == "cuda":
        return max(map(torch.cuda.max_memory_allocated, range(torch.cuda.device_count())))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
