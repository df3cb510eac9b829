"""What watches over a training: it tells what happens, and ends it when it should end."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from transformers import TrainerCallback

from finetune.errors import FinetuneError
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe

if TYPE_CHECKING:
    from finetune.training.train import AnswerTrainer

Emit = Callable[..., Any]
STOPPED = "asked to stop"


class Watch(TrainerCallback):
    """Tells what happens, and ends training when it should end: asked to, out of time, or no better for a while."""

    def __init__(self, recipe: Recipe, plan: Plan, emit: Emit, should_stop: Callable[[], bool], before: dict):
        self.recipe, self.plan, self.emit, self.should_stop = recipe, plan, emit, should_stop
        self.seconds_before, self.tokens_before = before.get("seconds", 0.0), before.get("tokens", 0)
        self.trainer: AnswerTrainer
        self.began = time.monotonic()
        self.step_began = self.began
        self.step_seconds: list[float] = []
        self.look_seconds: list[float] = []
        self.step_tokens = 0
        self.worse = 0
        self.best = float("inf")
        self.best_step = 0
        self.last_loss: float | None = None
        self.overfit_told = False
        self.ended_because = ""

    @property
    def seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.began

    @property
    def tokens(self) -> int:
        return self.tokens_before + self.trainer.row_tokens

    def on_train_begin(self, args, state, control, **_):
        self.began = self.step_began = time.monotonic()
        if state.best_metric is not None:  # resumed
            self.best, self.best_step = state.best_metric, state.best_global_step
            losses = [entry["eval_loss"] for entry in state.log_history if "eval_loss" in entry]
            self.worse = len(losses) - 1 - losses.index(min(losses)) if losses else 0

    def on_step_begin(self, args, state, control, **_):
        self.step_began = time.monotonic()
        self.step_tokens = self.trainer.row_tokens

    def on_step_end(self, args, state, control, **_):
        self.step_seconds.append(time.monotonic() - self.step_began)
        if self.should_stop():
            self.ended_because = STOPPED
            control.should_training_stop = control.should_save = True
            control.should_evaluate = False
        elif self.recipe.max_minutes and self.seconds >= 60 * self.recipe.max_minutes:
            self.ended_because = f"the time box of {self.recipe.max_minutes:g} minutes is over"
            control.should_training_stop = control.should_save = control.should_evaluate = True
        elif state.global_step >= state.max_steps:
            control.should_save = control.should_evaluate = True
        return control

    def on_log(self, args, state, control, logs=None, **_):
        if not logs or "loss" not in logs:
            return
        self.last_loss = _finite(logs["loss"], state.global_step)
        spent = self.step_seconds[-1] if self.step_seconds else 0.0
        self.emit(
            "progress", phase="train", step=state.global_step, steps=state.max_steps, epoch=round(state.epoch or 0, 3),
            loss=logs["loss"], learning_rate=logs.get("learning_rate"), gradient_norm=logs.get("grad_norm"),
            tokens_per_second=(self.trainer.row_tokens - self.step_tokens) / spent if spent else None,
            memory_bytes=peak_memory(self.plan.device), eta_seconds=self._left(state),
            seconds=self.seconds, tokens=self.tokens,
        )  # fmt: skip

    def _left(self, state) -> float:
        steps = state.max_steps - state.global_step
        recent = self.step_seconds[-10:]
        left = steps * sum(recent) / max(1, len(recent))
        if self.look_seconds:
            left += steps / self.plan.steps_per_look * self.look_seconds[-1]
        if self.recipe.max_minutes:
            left = min(left, max(0.0, 60 * self.recipe.max_minutes - self.seconds))
        return left

    def on_evaluate(self, args, state, control, metrics=None, **_):
        loss = _finite(metrics["eval_loss"], state.global_step)
        self.look_seconds.append(metrics.get("eval_runtime", 0.0))
        better = loss < self.best
        self.emit(
            "evaluated", step=state.global_step, split="validation", loss=loss, train_loss=self.last_loss, best=better
        )
        if better:
            self.best, self.best_step, self.worse = loss, state.global_step, 0
            return control
        self.worse += 1
        if self.worse >= 2 and self.last_loss is not None and self.last_loss < 0.5 * loss and not self.overfit_told:
            self.overfit_told = True
            self.emit("warning", text=(
                f"Overfitting: the validation loss ({loss:.3f}) has risen since step {self.best_step} ({self.best:.3f}) while "
                f"the training loss fell to {self.last_loss:.3f}. The best checkpoint is kept; more rows, fewer passes or more "
                "dropout help."))  # fmt: skip
        if self.worse >= self.recipe.patience:
            self.ended_because = f"no better on the validation rows for {self.worse} looks"
            control.should_training_stop = control.should_save = True
        return control

    def on_save(self, args, state, control, **_):
        self.emit("checkpoint", step=state.global_step, path=f"checkpoints/checkpoint-{state.global_step}")


def _finite(loss: float, step: int) -> float:
    if not math.isfinite(loss):
        raise FinetuneError(
            f"The training diverged: the loss at step {step} is not a number.",
            hint="Set a lower learning_rate and start again; the checkpoints before it are kept.",
        )
    return loss


def peak_memory(device: str) -> int:
    """The most memory this process has held so far, in bytes: of the GPU, or of the machine on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
