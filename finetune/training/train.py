"""A recipe becomes an adapter: setup, train, keep the best."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from datasets import Dataset
from peft import PeftModel, load_peft_weights, set_peft_model_state_dict
from torch.utils.data import Sampler
from transformers import PrinterCallback, Trainer, TrainingArguments, set_seed

from finetune.dataset.example import Example
from finetune.model.prompt import Encoded, Prompt
from finetune.runs.events import Emit
from finetune.training import loggers
from finetune.training.adapter import add_adapter
from finetune.training.batches import IGNORED, Dealt, LengthGrouped, collate, features
from finetune.training.layers import quick_layers
from finetune.training.looking import Looker
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.samples import Samples
from finetune.training.step import answer_loss, batch_of, can_share, undisturbed
from finetune.training.watch import STOPPED, Watch, kept_small, peak_memory

if TYPE_CHECKING:
    from finetune.training.others import Others
    from finetune.training.together import Together


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

    @property
    def asked_to_stop(self) -> bool:
        return self.reason == STOPPED

    def as_json(self) -> dict:
        return asdict(self)


class AnswerTrainer(Trainer):
    """transformers' Trainer with the loss on the answer's tokens alone, and the head only where it is needed."""

    loss_is_scaled_for_ga = True
    row_tokens = 0  # real tokens trained on by this start of the run, padding not counted
    watch: Watch
    together: Together | None = None  # where several processes train: see there

    def __init__(self, *args: Any, plan: Plan, seed: int, pad: int, share: bool, **kwargs: Any):
        super().__init__(*args, data_collator=lambda rows: collate(rows, pad), **kwargs)
        # Makes the Trainer count the scored tokens of a whole step, over all its micro-batches.
        self.model_accepts_loss_kwargs = True
        self._order_seed, self._share, self._processes = seed, share, plan.processes
        self._step_loss, self._tokens_told = 0.0, 0

    def _get_train_sampler(self, train_dataset: Any = None) -> Sampler[int]:
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        own = self.args.train_batch_size * self.args.gradient_accumulation_steps
        if self.together is None:
            return LengthGrouped(lengths, own, self._order_seed)
        blank = len(lengths) - 1
        order = LengthGrouped(lengths[:blank], own * self._processes, self._order_seed)
        return Dealt(order, self.together.number, self._processes, blank)

    def _get_num_items_in_batch(self, batch_samples: list, device: Any) -> Any:
        scored = super()._get_num_items_in_batch(batch_samples, device)
        return scored if self.together is None else self.together.count(scored)

    def training_step(self, model: Any, inputs: Any, num_items_in_batch: Any = None) -> torch.Tensor:
        loss = super().training_step(model, inputs, num_items_in_batch)
        if self.together is None:
            return loss
        self._step_loss += float(loss)
        if self.accelerator.sync_gradients:  # the last pass of the step; clipping comes next
            own, tokens = self._step_loss, self.row_tokens - self._tokens_told
            whole, all_tokens = self.together.add_up(model, own, tokens)
            loss = loss + (whole - own)
            self.row_tokens += round(all_tokens) - tokens
            self._step_loss, self._tokens_told = 0.0, self.row_tokens
        return loss

    def compute_loss(
        self, model: Any, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        bare = self.accelerator.unwrap_model(model)
        total, _, scored = answer_loss(bare, inputs["input_ids"], inputs["labels"], share=self._share)
        if model.training:
            answered = (inputs["labels"] != IGNORED).any(1)  # a blank row has nothing to answer
            self.row_tokens += int(inputs["lengths"][answered].sum())
        loss = total / (num_items_in_batch or scored)
        return (loss, {"loss": loss}) if return_outputs else loss

    def _run_epoch(self, *args: Any, **kwargs: Any) -> None:
        # transformers asks whether it is at an end after a step, and not before the first one of a resumed epoch.
        if self.state.global_step >= self.state.max_steps:
            self.control.should_training_stop = True
            return
        super()._run_epoch(*args, **kwargs)

    def evaluate(self, *_: Any, **__: Any) -> dict[str, float]:
        """A look at the validation rows, see `Watch.look`."""
        return self.watch.look()


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
    prompt: Prompt | None = None,
    examples: Sequence[Example] = (),
    per_second: float | None = None,
    beside: Others | None = None,
) -> Trained:
    """Train an adapter and save it to `directory/adapter`.

    Args:
        model: the frozen base, as `load_model(trains=True)` gave it.
        rows, validation: encoded rows.
        directory: of the run; checkpoints go to `directory/checkpoints`.
        pad: token id that fills shorter rows.
        emit: takes a kind of event and its fields.
        should_stop: asked after each step, and after each pass of a look.
        resume: checkpoint to go on from.
        before: seconds and tokens of the parts before the resume.
        prompt: of the run, by which a look scores labels and answers; None: tokens are counted alone.
        examples: the validation rows as texts, for the answers at each look.
        per_second: price of a second on this machine.
        beside: the other processes, where the plan has several. They hold the same rows and train along.
    """
    set_seed(recipe.seed)
    adapted = add_adapter(model, recipe, checkpointing=plan.checkpointing)
    share = not plan.checkpointing and can_share(adapted, rows)
    watch = Watch(recipe, plan, emit, should_stop, before or {}, per_second)
    watch.looker = Looker(
        adapted,
        prompt,
        plan,
        validation=validation,
        training=rows,
        pad=pad,
        share=share,
        should_stop=should_stop,
    )
    watch.samples = Samples(watch.looker, validation, examples, recipe.max_new_tokens) if examples else None
    trainer = AnswerTrainer(
        model=adapted,
        args=arguments(recipe, plan, directory),
        train_dataset=dataset(rows, blank=beside is not None),
        eval_dataset=dataset(validation[:1]),  # it must have one to look at all; the looks are the Watch's
        callbacks=[watch],
        plan=plan,
        seed=recipe.seed,
        pad=pad,
        share=share,
    )
    # It would print every log line a second time, as a dictionary.
    trainer.remove_callback(PrinterCallback)
    watch.trainer, trainer.watch = trainer, watch
    with quick_layers(adapted), kept_small(plan):
        rehearse(adapted, plan, rows, pad, share)
        watch.looker.rehearse()
        if beside is not None:
            trainer.together = beside.join()
            trainer.together.begin_alike(adapted)
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


def rehearse(adapted: PeftModel, plan: Plan, rows: Sequence[Encoded], pad: int, share: bool) -> None:
    """The largest pass of the training, once, so that too little memory shows before the first step.

    Nothing is learned, and no chance is used up.
    """
    with undisturbed(adapted):
        adapted.train()
        longest = sorted(rows, key=len)[-plan.micro_batch :]
        answer_loss(adapted, *batch_of(longest, pad, adapted.device), share=share)[0].backward()
        adapted.zero_grad(set_to_none=True)


def _keep(trainer: AnswerTrainer, watch: Watch, directory: Path) -> int:
    """Puts the best weights back and returns their step.

    After a stop between two looks the newest weights stay where the last look was the best so far: the loss was still
    falling when training was stopped.
    """
    stopped_between_looks = watch.ended_because == STOPPED and watch.worse == 0
    best = directory / "checkpoints" / f"checkpoint-{watch.best_step}"
    if stopped_between_looks or watch.best_step == trainer.state.global_step or not best.is_dir():
        return trainer.state.global_step
    set_peft_model_state_dict(
        trainer.accelerator.unwrap_model(trainer.model), load_peft_weights(str(best), device="cpu")
    )
    return watch.best_step


def arguments(recipe: Recipe, plan: Plan, directory: Path, *, follows: bool = False) -> TrainingArguments:
    """What transformers is told. A process that `follows` another one neither looks nor saves nor tells."""
    when = "no" if follows else "steps"
    made = TrainingArguments(
        output_dir=str(directory / "checkpoints"),
        num_train_epochs=recipe.epochs,
        max_steps=plan.steps,
        per_device_train_batch_size=plan.micro_batch,
        gradient_accumulation_steps=plan.accumulation,
        learning_rate=plan.learning_rate,
        lr_scheduler_type="linear",
        # The first step of a warm-up has a rate of nought: the only one of a training must not be that.
        warmup_steps=min(math.ceil(recipe.warmup * plan.steps), plan.steps - 1),
        weight_decay=recipe.weight_decay,
        max_grad_norm=1.0,
        fp16=plan.dtype == "float16",
        use_cpu=plan.device == "cpu",
        logging_strategy=when,
        logging_steps=1,
        logging_nan_inf_filter=False,
        eval_strategy=when,
        eval_steps=plan.steps_per_look,
        save_strategy=when,
        save_steps=plan.steps_per_look,
        save_total_limit=2,
        metric_for_best_model="eval_loss",
        greater_is_better=False,
        remove_unused_columns=False,
        report_to=[] if follows else loggers.prepare(recipe.log_to, directory),
        run_name=directory.name,
        project="finetune",
        disable_tqdm=True,
        seed=recipe.seed,
        dataloader_pin_memory=plan.device == "cuda",
    )
    if made.n_gpu > 1:
        # With several in sight it would split each batch over all of them by threads.
        made._n_gpu = 1
    return made


def dataset(rows: Sequence[Encoded], *, blank: bool = False) -> Dataset:
    """The rows as transformers takes them; with `blank` one more, of which nothing is learned, see `batches.Dealt`."""
    made = [features(row) for row in rows]
    return Dataset.from_list([*made, {"input_ids": [0], "labels": [IGNORED]}] if blank else made)
