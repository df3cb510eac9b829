"""What a training will take before it has begun: its time by one timed pass, its price by the table of prices."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from finetune.errors import FinetuneError
from finetune.evidence.money.cost import money
from finetune.evidence.money.prices import Machine, Prices
from finetune.model.prompt import Encoded
from finetune.training.plan import Choice, Plan
from finetune.training.recipe import Recipe

# A step in forward passes of the base alone: the adapter's own products and their gradients, the backward pass through the
# base, the optimiser; with checkpointing one more. Measured on a CPU, in 16 bits.
PASSES, PASSES_CHECKPOINTED = 5, 6
LOOKING = 1.2  # looks at the validation rows take a fifth at most


def seconds_of(recipe: Recipe, plan: Plan, forward_seconds: float) -> float:
    """Seconds that the training will take, if nothing ends it earlier than its time box.

    Args:
        forward_seconds: of one forward pass over one micro-batch.
    """
    passes = PASSES_CHECKPOINTED if plan.checkpointing else PASSES
    seconds = LOOKING * passes * forward_seconds * plan.steps * plan.accumulation
    return min(seconds, 60 * recipe.max_minutes) if recipe.max_minutes else seconds


def timed_pass(model: Any, rows: Sequence[Encoded], plan: Plan, pad: int) -> float:
    """Seconds of one forward pass of the base over that micro-batch of the first epoch which is nearest to the mean."""
    import torch

    from finetune.training.layers import quick_layers
    from finetune.training.step import answer_loss, batch_of, can_share, undisturbed

    ids, labels = batch_of(typical(rows, plan), pad, model.device)
    share = not plan.checkpointing and can_share(model, rows)
    with undisturbed(model), torch.no_grad(), quick_layers(model):
        answer_loss(model, ids[:1], labels[:1], share=share)  # the first one pays for what happens once
        _wait(plan.device)
        began = time.perf_counter()
        answer_loss(model, ids, labels, share=share)
        _wait(plan.device)
        return time.perf_counter() - began


def typical(rows: Sequence[Encoded], plan: Plan) -> list[Encoded]:
    """A micro-batch whose longest row is as long as those of all micro-batches are on average.

    A few long rows raise this mean far above the length of the row in the middle.
    """
    from finetune.training.batches import LengthGrouped

    size = plan.micro_batch
    order = [rows[place] for place in LengthGrouped([len(row) for row in rows], size * plan.accumulation, 0)]
    passes = [order[first : first + size] for first in range(0, len(order), size)]
    longest = [max(map(len, part)) for part in passes]
    mean = fmean(longest)
    whole = [place for place, part in enumerate(passes) if len(part) == len(passes[0])]
    return passes[min(whole, key=lambda place: abs(longest[place] - mean))]


def _wait(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


def price(root: Path, device: str, cards: int = 1) -> tuple[float, str]:
    """Price of a second of work on this machine, in dollars, and how it comes about.

    Args:
        cards: GPUs that work at the same time: the price is that of one.

    A file of prices that is damaged is passed over here: the comparison tells of it.
    """
    try:
        prices = Prices.load(root)
    except FinetuneError:
        prices = Prices.shipped()
    machine = prices.machine_for(device)
    named = _named(machine, prices.electricity.per_kwh)
    return cards * machine.second(prices.electricity.per_kwh), f"{cards} × {named}" if cards > 1 else named


def _named(machine: Machine, per_kwh: float) -> str:
    if machine.per_hour is not None:
        return f"{machine.name} at ${machine.per_hour:g} an hour"
    return f"{machine.name}: {machine.watts:g} W at ${per_kwh:g} a kWh"


def choices(seconds: float, per_second: float, named: str) -> tuple[Choice, Choice]:
    """The two estimates as choices of the plan."""
    return (
        Choice("expected time", span(seconds), "an estimate from one timed pass; measured from the first steps on"),
        Choice(
            "expected cost", f"about {money(seconds * per_second)}", f"{named}; the tab Compare changes these prices"
        ),
    )


def span(seconds: float) -> str:
    """`about 40 s`, `about 4 min`, `about 2.5 h`."""
    if seconds < 90:
        return f"about {max(1, round(seconds)):d} s"
    return f"about {seconds / 60:.0f} min" if seconds < 5400 else f"about {seconds / 3600:.1f} h"
