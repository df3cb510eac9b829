"""A recipe becomes an adapter: setup, train, keep the best."""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from peft import LoraConfig, PeftModel, get_peft_model, load_peft_weights, set_peft_model_state_dict
from torch.nn.functional import cross_entropy
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments, set_seed

from finetune.model.head import hidden_states, logits_of
from finetune.model.prompt import Encoded
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe

IGNORED = -100
Emit = Callable[..., Any]


@dataclass(frozen=True)
class Trained:
    """What training came to; the fields of the `training` object of the comparison."""

    seconds: float
    tokens: int
    tokens_per_second: float
    peak_memory_bytes: int
    estimated_memory_bytes: int | None
    rows: int
    epochs: float
    step: int
    best_step: int
    best_loss: float | None
    stopped_early: bool
    reason: str

    def as_json(self) -> dict:
        return asdict(self)


class LengthGrouped(Sampler[int]):
    """Rows in an order that depends on seed and epoch alone; rows of one step have about the same length.

    Unlike the sampler of transformers it asks no global random state, so a resumed run meets the same rows in the
    same order as one that was never stopped.
    """

    def __init__(self, lengths: Sequence[int], step_rows: int, seed: int):
        self.lengths, self.step_rows, self.seed, self.epoch = list(lengths), step_rows, seed, 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self):
        generator = torch.Generator().manual_seed(self.seed * 1_000_003 + self.epoch)
        order = torch.randperm(len(self.lengths), generator=generator).tolist()
        # Sorted within stretches of eight steps: mixed enough to learn from, alike enough to need little padding.
        stretch = self.step_rows * 8
        steps = []
        for start in range(0, len(order), stretch):
            rows = sorted(order[start : start + stretch], key=lambda row: -self.lengths[row])
            steps += [rows[first : first + self.step_rows] for first in range(0, len(rows), self.step_rows)]
        # A step with fewer rows goes last: anywhere else it would shift the rows of all steps after it.
        mixed = [steps[place] for place in torch.randperm(len(steps), generator=generator).tolist()]
        for step in sorted(mixed, key=len, reverse=True):
            yield from step


def collate(rows: Sequence[dict], pad: int) -> dict[str, torch.Tensor]:
    """Rows padded on the right: `input_ids` and `labels`, both (rows, longest), `lengths` (rows). The causal mask hides the padding."""
    longest = max(len(row["input_ids"]) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    labels = torch.full((len(rows), longest), IGNORED)
    for place, row in enumerate(rows):
        ids[place, : len(row["input_ids"])] = torch.tensor(row["input_ids"])
        labels[place, : len(row["labels"])] = torch.tensor(row["labels"])
    # Tokens can't be counted by comparing with the padding: in many bases it is also the end token.
    return {"input_ids": ids, "labels": labels, "lengths": torch.tensor([len(row["input_ids"]) for row in rows])}


def answer_logits(model: PeftModel, ids: torch.Tensor, labels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits (scored tokens, vocabulary) in float32 and their targets: the head runs only where an answer's token is predicted."""
    hidden = hidden_states(model, input_ids=ids, use_cache=False).last_hidden_state
    scored = labels[:, 1:] != IGNORED
    return logits_of(model, hidden[:, :-1][scored]), labels[:, 1:][scored]


class AnswerTrainer(Trainer):
    """transformers' Trainer with the loss on the answer's tokens alone, and the head only where it is needed."""

    loss_is_scaled_for_ga = True
    row_tokens = 0  # real tokens trained on by this process, padding not counted

    def __init__(self, *args: Any, seed: int, pad: int, **kwargs: Any):
        super().__init__(*args, data_collator=lambda rows: collate(rows, pad), **kwargs)
        # Makes the Trainer count the scored tokens of a whole step, over all its micro-batches.
        self.model_accepts_loss_kwargs = True
        self._order_seed = seed

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        return LengthGrouped(
            lengths, self.args.train_batch_size * self.args.gradient_accumulation_steps, self._order_seed
        )

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        with self.accelerator.autocast():
            logits, targets = answer_logits(self.accelerator.unwrap_model(model), inputs["input_ids"], inputs["labels"])
        if model.training:
            self.row_tokens += int(inputs["lengths"].sum())
        loss = cross_entropy(logits, targets, reduction="sum") / (num_items_in_batch or len(targets))
        return (loss, {"loss": loss}) if return_outputs else loss


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
            self.ended_because = "asked to stop"
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
        self.last_loss = logs["loss"]
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
        loss = metrics["eval_loss"]
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


def peak_memory(device: str) -> int:
    """The most memory this process has held so far, in bytes: of the GPU, or of the machine on a CPU."""
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def add_adapter(model: Any, recipe: Recipe) -> PeftModel:
    """The model with a fresh LoRA on every linear layer of its blocks, its weights in float32 for the optimiser."""
    adapted = get_peft_model(
        model,
        LoraConfig(
            r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear",
            bias="none", task_type="CAUSAL_LM",
        ),
    )  # fmt: skip
    for parameter in adapted.parameters():
        if parameter.requires_grad:
            parameter.data = parameter.data.float()
    return adapted


def train(
    model: Any,
    recipe: Recipe,
    plan: Plan,
    rows: Sequence[Encoded],
    validation: Sequence[Encoded],
    *,
    directory: Path,
    pad: int,
    emit: Emit,
    should_stop: Callable[[], bool] = lambda: False,
    resume: Path | None = None,
    before: dict | None = None,
) -> Trained:
    """Train an adapter and save it to `directory/adapter`.

    Args:
        model: the frozen base, as `load_model(trains=True)` gave it.
        rows, validation: encoded rows.
        directory: of the run; checkpoints go to `directory/checkpoints`.
        pad: token id that fills shorter rows.
        emit: takes a kind of event and its fields.
        should_stop: asked after each step.
        resume: checkpoint to go on from.
        before: seconds and tokens of the parts before the resume.
    """
    set_seed(recipe.seed)
    adapted = add_adapter(model, recipe)
    watch = Watch(recipe, plan, emit, should_stop, before or {})
    trainer = AnswerTrainer(
        model=adapted,
        args=_arguments(recipe, plan, directory),
        train_dataset=_dataset(rows),
        # Sorted, so that a look pads little.
        eval_dataset=_dataset(sorted(validation[: plan.look_rows], key=len)),
        callbacks=[watch],
        seed=recipe.seed,
        pad=pad,
    )
    # It would print every log line a second time, as a dictionary.
    trainer.remove_callback(PrinterCallback)
    watch.trainer = trainer
    trainer.train(resume_from_checkpoint=str(resume) if resume else None)
    seconds, tokens = watch.seconds, watch.tokens
    kept = _keep(trainer, watch, directory)
    adapted.save_pretrained(directory / "adapter")
    return Trained(
        seconds=seconds,
        tokens=tokens,
        tokens_per_second=trainer.row_tokens / sum(watch.step_seconds) if watch.step_seconds else 0.0,
        peak_memory_bytes=peak_memory(plan.device),
        estimated_memory_bytes=plan.estimated_bytes,
        rows=len(rows),
        epochs=round(trainer.state.epoch or 0.0, 3),
        step=trainer.state.global_step,
        best_step=kept,
        best_loss=None if watch.best == float("inf") else watch.best,
        stopped_early=bool(watch.ended_because),
        reason=watch.ended_because,
    )


def _keep(trainer: AnswerTrainer, watch: Watch, directory: Path) -> int:
    """Puts the best weights back and returns their step.

    After a stop between two looks the newest weights stay where the last look was the best so far: the loss was still
    falling when training was stopped.
    """
    stopped_between_looks = watch.should_stop() and watch.worse == 0
    best = directory / "checkpoints" / f"checkpoint-{watch.best_step}"
    if stopped_between_looks or watch.best_step == trainer.state.global_step or not best.is_dir():
        return trainer.state.global_step
    set_peft_model_state_dict(
        trainer.accelerator.unwrap_model(trainer.model), load_peft_weights(str(best), device="cpu")
    )
    return watch.best_step


def _arguments(recipe: Recipe, plan: Plan, directory: Path) -> TrainingArguments:
    return TrainingArguments(
        output_dir=str(directory / "checkpoints"),
        num_train_epochs=recipe.epochs,
        max_steps=plan.steps,
        per_device_train_batch_size=plan.micro_batch,
        per_device_eval_batch_size=max(plan.micro_batch, 8),
        gradient_accumulation_steps=plan.accumulation,
        activation_checkpointing=plan.checkpointing,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="linear",
        warmup_steps=recipe.warmup,
        weight_decay=recipe.weight_decay,
        max_grad_norm=1.0,
        bf16=plan.dtype == "bfloat16",
        fp16=plan.dtype == "float16",
        use_cpu=plan.device == "cpu",
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy="steps",
        eval_steps=plan.steps_per_look,
        save_strategy="steps",
        save_steps=plan.steps_per_look,
        save_total_limit=2,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        prediction_loss_only=True,
        remove_unused_columns=False,
        report_to="none",
        disable_tqdm=True,
        seed=recipe.seed,
        dataloader_pin_memory=plan.device == "cuda",
    )


def _dataset(rows: Sequence[Encoded]) -> Dataset:
    return Dataset.from_list(
        [{"input_ids": row.prompt + row.answer, "labels": [IGNORED] * len(row.prompt) + row.answer} for row in rows]
    )
