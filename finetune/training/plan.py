"""What the program decides for a run, each value with its reason. Nothing here imports torch."""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.dataset.example import Example, Task
from finetune.model.gallery import Shape
from finetune.model.machine import Device, Split
from finetune.model.memory import GIB, Estimate
from finetune.training.recipe import Recipe

FEWEST_LOOK_ROWS = 24
# Rows of a step from which on the rate is that of the formula, and the least that smaller steps leave of it.
FULL_BATCH, LEAST_SHARE = 32, 0.7
SHORT_RUN, SHORT_STEPS = 1.5, 120
NARROWEST = 1000  # width below which nobody fitted the formula


@dataclass(frozen=True, slots=True)
class Choice:
    """One value that the program chose itself."""

    name: str
    value: str
    reason: str

    def as_json(self) -> dict:
        return {"name": self.name, "value": self.value, "reason": self.reason}


@dataclass(frozen=True, slots=True)
class Plan:
    """The numbers that training runs by.

    Attributes:
        device: "cuda" or "cpu".
        dtype: number format of the computation, a name of torch.
        quantisation: how the base is held, "nf4" or "none".
        micro_batch, accumulation: rows in one pass, passes in one step.
        checkpointing: activations are computed again in the backward pass.
        learning_rate: peak.
        steps: optimiser steps if nothing stops it earlier.
        steps_per_look: steps between two looks at the validation rows.
        estimated_bytes: peak memory expected, None where the base's shape is unknown.
        choices: the above in words.
        processes: that train together; micro-batch and accumulation are those of each.
        cards: GPU of each process, empty where there is but one.
        split: where the base lies, if it does not fit on one GPU.
    """

    device: str
    dtype: str
    quantisation: str
    micro_batch: int
    accumulation: int
    checkpointing: bool
    learning_rate: float
    steps: int
    steps_per_look: int
    estimated_bytes: int | None
    choices: tuple[Choice, ...]
    processes: int = 1
    cards: tuple[str, ...] = ()
    split: Split = ()

    @property
    def gpus(self) -> int:
        """How many GPUs are taken up, at least one: each is paid for."""
        return max(1, len(self.cards), len(self.split))


def learning_rate(shape: Shape | None, model_type: str, batch_size: int, steps: int) -> tuple[float, str]:
    """Peak learning rate of a LoRA by the width of its base, the rows of a step and the length of the run, and why.

    Rule: 5e-5 x 10 x (2000 / hidden)^P, P = 0.781 for Llama-like and 0.0775 for Qwen-like models (Thinking Machines,
    “LoRA Without Regret”, 2025, fitted over 14 models). Three things bend it here:

    - Their sweeps that are published take steps of 128 rows. The gradient of a smaller step is noisier, for which the
      rate goes down with the square root of its rows. Their own guide says that this does not always hold: so the root
      is counted from `FULL_BATCH` rows on and bounded. Half of it is too much: on 100 of the tickets, in steps of 8,
      4.3e-4 was far behind 8.6e-4 and 1.3e-3 after some twenty steps, and so it was on 100 of the answers.
    - In runs of about a hundred steps they find 15 times the rate of a full fine-tune best where it is 10 times in long
      ones: an adapter begins at nothing and has to get away from there.
    - Their bases are a thousand wide or more. A narrower one is taken as that: how the curve goes on nobody has measured.
    """
    if shape is None:
        return 2e-4, "the usual rate of a LoRA: the width of this base is not known"
    power = 0.0775 if "qwen" in model_type.lower() else 0.781
    width = max(shape.hidden, NARROWEST)
    times = SHORT_RUN if steps <= SHORT_STEPS else 1.0
    share = min(1.0, max(LEAST_SHARE, math.sqrt(batch_size / FULL_BATCH)))
    rate = 5e-5 * 10 * times * (2000 / width) ** power * share
    why = [f"for a base of width {shape.hidden}{'' if width == shape.hidden else f', taken as {width}'}"]
    why.append(f"5e-5 × {10 * times:g} × (2000 / {width})^{power:g}")
    if times > 1:
        why.append(f"15 and not 10 times the rate of a full fine-tune, as {steps:,} steps are few")
    if share < 1:
        why.append(f"times {share:.2g}, as {batch_size} rows a step are noisy")
    return float(f"{rate:.2g}"), "; ".join(why)


def steps_of(recipe: Recipe, train_rows: int) -> int:
    """Optimiser steps of a settled recipe if nothing stops it earlier."""
    return max(1, math.ceil(math.ceil(train_rows / recipe.batch_size) * recipe.epochs))


def rows_of_a_look(recipe: Recipe, train_rows: int, validation_rows: int, dearer: float = 1.0) -> int:
    """Validation rows in one look at the loss: so many that all looks take about a fifth of the time of training.

    A forward pass costs about a quarter of a training pass.

    Args:
        dearer: how many times the tokens of a training row are computed for one that is looked at.
    """
    return min(validation_rows, max(FEWEST_LOOK_ROWS, int(train_rows / recipe.evaluations / dearer)))


def make_plan(
    recipe: Recipe,
    *,
    device: Device,
    dtype: tuple[str, str],
    shape: Shape | None,
    model_type: str,
    estimate: Estimate | None,
    train_rows: int,
    validation_rows: int,
    longest: int,
    chosen: tuple[Choice, ...] = (),
    dearer: float = 1.0,
) -> Plan:
    """The plan of a run.

    Args:
        recipe: with a number for all but the learning rate.
        dtype: number format and its reason.
        estimate: peak memory and the micro-batch that fits; None where the shape is unknown.
        train_rows, validation_rows: rows after the recipe's cap.
        longest: longest training row in tokens, cut to the recipe's bound.
        chosen: what `choose` settled.
        dearer: as `rows_of_a_look`.
    """
    choices = [
        Choice("device", device.name, "a GPU was found" if device.kind == "cuda" else "no GPU was found"),
        Choice("precision", dtype[0], dtype[1]),
    ]
    split = estimate.split if estimate else ()
    if split:
        held = " and ".join(str(layers) for _, layers in split)
        why = f"the base does not fit on one: they hold {held} of its layers, and compute in turns"
        choices.append(Choice("GPUs", str(len(split)), why))
    room = min(recipe.batch_size, estimate.micro_batch if estimate else 1)
    # Equal passes: a step of 16 with room for 12 rows goes as 2 x 8, not 12 + 4.
    micro = max(rows for rows in range(1, room + 1) if recipe.batch_size % rows == 0)
    accumulation = recipe.batch_size // micro
    reason = "the shape of this base is not known, so one row at a time is safe"
    if estimate:
        needed, free = estimate.total / GIB, estimate.available / GIB
        reason = f"about {needed:.1f} GiB of {free:.1f} GiB free for rows of up to {longest} tokens"
    choices.append(Choice("micro-batch", f"{micro} rows × {accumulation}", reason))
    checkpointing = bool(estimate and estimate.checkpointing)
    if checkpointing:
        choices.append(Choice("checkpointing", "on", "the activations would not fit otherwise"))
    rate, why = recipe.learning_rate, "set in the recipe"
    if not rate:
        rate, why = learning_rate(shape, model_type, recipe.batch_size, steps_of(recipe, train_rows))
    choices += [Choice("learning rate", f"{rate:g}", why), *chosen]

    steps_per_epoch = math.ceil(train_rows / recipe.batch_size)
    steps = steps_of(recipe, train_rows)
    choices.append(
        Choice("steps", str(steps), f"{train_rows} rows, {recipe.batch_size} a step, {recipe.epochs:g} passes")
    )
    steps_per_look = max(1, round(steps_per_epoch / recipe.evaluations))
    look_rows = rows_of_a_look(recipe, train_rows, validation_rows, dearer)
    looks = (
        "all validation rows" if look_rows == validation_rows else f"{look_rows} of {validation_rows} validation rows"
    )
    choices.append(
        Choice("look every", f"{steps_per_look} steps", f"{looks}, so that looking stays under a fifth of the time")
    )
    return Plan(
        device.kind, dtype[0], recipe.quantisation, micro, accumulation, checkpointing, rate, steps, steps_per_look,
        estimate.total if estimate else None, tuple(choices), split=split,
    )  # fmt: skip


def choose_rows(examples: Sequence[Example], limit: int, task: Task, seed: int) -> list[Example]:
    """At most `limit` examples (0: all), in their order; for classification with the shares that the labels have.

    A balanced draw would be another distribution than the user's: its accuracy, and its most frequent label, would not
    be those of the data.
    """
    if not limit or limit >= len(examples):
        return list(examples)
    order = list(range(len(examples)))
    random.Random(seed).shuffle(order)
    if task == "classification":
        total = Counter(example.output for example in examples)
        seen: Counter[str] = Counter()
        place_in_label = {}
        for place in order:
            label = examples[place].output
            place_in_label[place] = (seen[label] + 0.5) / total[label]
            seen[label] += 1
        # Sorting is stable, and every stretch of the result holds the labels in proportion.
        order.sort(key=lambda place: place_in_label[place])
    return [examples[place] for place in sorted(order[:limit])]
