"""The training of a run from its directory to its adapter: what the worker does in its first phase."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from finetune.dataset.example import Example, Task
from finetune.errors import FinetuneError
from finetune.model import base, machine, memory
from finetune.model.advice import advise, base_of, rows_of, spelling_of
from finetune.model.prompt import Encoded, Prompt, common_prefix
from finetune.runs.store import Run, model_cache
from finetune.training import choose, curve, expected, loggers, others, recover, several
from finetune.training.plan import Plan, choose_rows, make_plan, rows_of_a_look
from finetune.training.recipe import AUTO

if TYPE_CHECKING:
    from finetune.training.train import Trained


def prompt_of(run: Run) -> Prompt:
    """The prompt that a run trains and compares with."""
    recipe, record = choose.settled(run), run.record()
    tokenizer = base.tokenizer(recipe.base, cache=model_cache(run.root))
    return Prompt(tokenizer, record["task"], record["labels"], recipe.instruction, recipe.max_tokens)


def train_run(
    run: Run, emit: Callable[..., Any], should_stop: Callable[[], bool], *, resume: bool, cards: Sequence[str] = ()
) -> bool:
    """Train the run, telling events; True when it came to its end, False when it was stopped.

    Args:
        cards: names of the GPUs that processes beside this one may train on, its own first; none: it trains alone.

    Raises:
        FinetuneError: the base cannot be had, or does not fit.
    """
    recipe, record = run.recipe(), run.record()
    loggers.check(recipe.log_to)
    cache = model_cache(run.root)
    emit("log", text=f"looking for the base {recipe.base}")
    folder = base.resolve(recipe.base, cache)
    prompt, asked = prompt_of(run), recipe
    chosen = choose_rows(run.examples("train"), recipe.rows, record["task"], recipe.seed)
    held_out = run.examples("validation")
    device, earlier = machine.device(), choose.plan_event(run) if resume else None
    recipe, settled = choose.for_run(run, prompt, chosen, folder, device, earlier)
    prompt.max_tokens = recipe.max_tokens
    # Rows that are too long for the base are told below, by their number.
    known, spelling = rows_of(chosen, record["task"]), spelling_of(prompt.tokenizer, chosen)
    for advice in advise(base_of(recipe.base, cache, folder), known, spelling):
        if advice.severity == "warning":
            emit("warning", text=advice.text)
    from finetune.training.looking import dearer

    rows = _encode(prompt, chosen, "training", emit)
    dear = dearer(rows, [prompt.answer_ids(label) for label in prompt.labels]) if rows else 1.0
    # The rows of a look are drawn as the training rows are: the file's order may be by label.
    drawn = choose_rows(held_out, rows_of_a_look(recipe, len(chosen), len(held_out), dear), record["task"], recipe.seed)
    validation = _encode(prompt, drawn, "validation", emit)
    if not rows or not validation:
        raise FinetuneError(
            "There are no rows to train on, or none to validate on.", hint="Raise max_tokens or change the shares."
        )
    if cut := sum(1 for row in rows if row.cut):
        emit(
            "warning",
            text=f"{cut} of {len(rows)} training rows are longer than {recipe.max_tokens} tokens: their inputs are cut at the end.",
        )

    shape = memory.shape_of(str(folder))
    longest = max(len(row) for row in [*rows, *validation])
    estimate = shape and memory.estimate(
        shape, recipe, device, longest, shared=common_prefix([row.prompt for row in rows]),
        scored=max(len(row.answer) for row in rows),
    )  # fmt: skip
    if estimate and not estimate.fits:
        raise FinetuneError(f"{recipe.base} does not fit: it {estimate.advice}.")

    def load(quantisation: str) -> Any:
        began = time.monotonic()
        model = base.load_model(
            folder,
            kind=device.kind,
            dtype=base.precision(device.kind)[0],
            quantisation=quantisation,
            trains=True,
            split=estimate.split if estimate else (),
        )
        emit("log", text=f"loaded {folder.name} in {time.monotonic() - began:.1f} s")
        return model

    # A run that ended between a retreat to 4 bits and the plan that follows it has the retreat alone in its events.
    changes = recover.Changes.told(run.events()[0]) if resume else recover.Changes()
    # Handed over to the first attempt: a name that stayed here would keep the model beside that of a second one.
    loaded: dict[str, Any] = {}

    def at_hand(quantisation: str) -> Any:
        if quantisation not in loaded:
            loaded.clear()
            loaded[quantisation] = load(quantisation)
        return loaded[quantisation]

    model_type = at_hand(changes.quantisation or recipe.quantisation).config.model_type
    plan = make_plan(
        recipe, device=device, dtype=base.precision(device.kind), shape=shape, model_type=model_type,
        estimate=estimate, train_rows=len(rows), validation_rows=len(held_out), longest=longest,
        chosen=settled, dearer=dear,
    )  # fmt: skip
    from finetune.training.sweep import sweep
    from finetune.training.train import train

    pad = prompt.tokenizer.pad_token_id
    spent = {"seconds": earlier["spent_seconds"]} if earlier and earlier.get("spent_seconds") else {}
    given = {"directory": run.directory, "pad": pad, "emit": emit, "should_stop": should_stop}

    def carried(attempt: recover.Attempt, *, resume: bool = False) -> Any:
        """What the attempt comes to in the end, and the memory that it was left with holds for what follows."""
        nonlocal changes
        done = recover.carry_through(
            attempt, plan, changes, run.checkpoints, emit, resume=resume, may_pack=asked.quantisation == AUTO
        )
        changes = recover.Changes.told(run.events()[0])
        return done

    if earlier is not None:
        plan = dataclasses.replace(plan, choices=choose.again(plan.choices, earlier))
    elif recipe.sweep == "yes":
        swept = carried(lambda plan, _: sweep(at_hand(plan.quantisation), recipe, plan, rows, validation, **given))
        if swept.asked_to_stop:
            emit("stopped", step=0, reason="Stopped while learning rates were tried; resume begins again with them.")
            return False
        plan, spent = swept.plan, {"seconds": swept.seconds}
    planned = changes.applied(plan)
    forward = expected.timed_pass(at_hand(planned.quantisation), rows, planned, pad)

    def tell(plan: Plan) -> float:
        """Tells the plan, and gives the price of a second."""
        per_second, named = expected.price(run.root, device.kind, plan.gpus)
        seconds = expected.seconds_of(recipe, plan, forward * plan.micro_batch / planned.micro_batch)
        choices = [*plan.choices, *expected.choices(seconds, per_second, named)]
        emit(
            "plan", choices=[choice.as_json() for choice in choices], steps=plan.steps, revision=base.revision(folder),
            expected_seconds=seconds, price={"per_second": per_second, "of": named}, spent_seconds=spent.get("seconds", 0),
            chosen=choose.chosen_values(asked, recipe, plan), split=plan.split,
        )  # fmt: skip
        return per_second

    points, sizes = [], curve.parts_of(len(rows)) if recipe.curve == "yes" else []
    if sizes:
        parts = [_part(chosen, rows, count, record["task"], recipe.seed) for count in sizes]
        if earlier is None:
            tell(planned)  # what was chosen so far is kept, if it is stopped before the training itself
        points = carried(
            lambda plan, _: curve.measure(
                at_hand(plan.quantisation), recipe, plan, parts, validation, of=len(rows),
                points=curve.told(run.events()[0]), prompt=prompt, **given,
            )
        )  # fmt: skip
        if points is None:
            emit("stopped", step=0, reason="Stopped while the learning curve was measured; resume goes on with it.")
            return False
    plan = several.spread(plan, cards)

    def attempt(plan: Plan, checkpoint: Path | None) -> Trained:
        per_second = tell(plan)
        if checkpoint:
            emit("log", text=f"resuming from {checkpoint.name}")
        model = loaded.pop(plan.quantisation, None)
        before = _before(run, checkpoint, lost=model is None) or spent
        with others.beside(others.Part(recipe, plan, folder, rows, run.directory, pad, checkpoint), emit) as beside:
            return train(
                model or load(plan.quantisation), recipe, plan, rows, validation, resume=checkpoint, before=before,
                prompt=prompt, examples=drawn, per_second=per_second, beside=beside, **given,
            )  # fmt: skip

    trained = carried(attempt, resume=resume)
    if trained.asked_to_stop:
        emit(
            "stopped",
            **{
                **trained.as_json(),
                "reason": f"Stopped at step {trained.step} of {plan.steps}; what was learned is saved.",
            },
        )
        return False
    if trained.reason:
        emit("log", text=f"training ended at step {trained.step}: {trained.reason}")
    emit(
        "log",
        text=f"the adapter of step {trained.best_step} is kept (validation loss {trained.best_loss:.4f})"
        if trained.best_loss is not None
        else "the newest adapter is kept",
    )
    if recipe.curve == "yes":
        curve.conclude(points, run.events()[0], len(rows), len(validation), emit, recipe.seed)
    emit("finished", phase="train", **trained.as_json(), cards=plan.gpus)
    return True


def _part(chosen: Sequence[Example], rows: Sequence[Encoded], count: int, task: Task, seed: int) -> list[Encoded]:
    """`count` of the rows, drawn as all of them were; a smaller part lies within a larger one."""
    numbers = {example.row for example in choose_rows(chosen, count, task, seed)}
    return [row for row in rows if row.row in numbers]


def _encode(prompt: Prompt, examples: Sequence[Example], part: str, emit: Callable[..., Any]) -> list[Encoded]:
    """The rows as tokens. Those whose answer alone does not fit are left out, and told by their numbers."""
    encoded, too_long = [], []
    for example in examples:
        try:
            encoded.append(prompt.encode(example))
        except FinetuneError as error:
            if error.row is None:
                raise
            too_long.append(error.row)
    if too_long:
        named = ", ".join(map(str, too_long[:10])) + (", …" if len(too_long) > 10 else "")
        emit("warning", text=(
            f"{len(too_long)} {part} rows are left out: instruction and answer alone are longer than "
            f"{prompt.max_tokens} tokens (row {named}). Raise max_tokens to use them."))  # fmt: skip
    return encoded


def _before(run: Run, checkpoint: Path | None, *, lost: bool) -> dict:
    """Seconds and tokens that had been spent when the checkpoint was written.

    Args:
        lost: an attempt of this very process has failed. Its time counts, by the clock of the time box and in money; what
            it had learned since the checkpoint does not.
    """
    step = int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0
    steps = [event for event in run.events()[0] if (event["kind"], event.get("phase")) == ("progress", "train")]
    then = next((event for event in reversed(steps) if event["step"] == step), {})
    before = {name: then[name] for name in ("seconds", "tokens") if name in then}
    return before | {"seconds": steps[-1]["seconds"]} if lost and steps else before
