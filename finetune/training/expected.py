"""What a training will take before it has begun: its time by one timed pass, its price by the table of prices."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from finetune.errors import FinetuneError
from finetune.evidence.money.cost import money
from finetune.evidence.money.prices import Machine, Prices
from finetune.model.prompt import Encoded
from finetune.training.plan import Choice, Plan
from finetune.training.recipe import Recipe

# A training pass in forward passes: the backward pass takes two or three, and checkpointing one more.
PASSES, PASSES_CHECKPOINTED = 4, 5
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
    """Seconds of one forward pass of the base over a micro-batch of rows of middling length."""
    import torch

    from finetune.training.layers import quick_layers
    from finetune.training.step import answer_loss, batch_of, can_share, undisturbed

    ordered = sorted(rows, key=len)
    middle = max(0, (len(ordered) - plan.micro_batch) // 2)
    ids, labels = batch_of(ordered[middle : middle + plan.micro_batch], pad, model.device)
    share = not plan.checkpointing and can_share(model, rows)
    with undisturbed(model), torch.no_grad(), quick_layers(model):
        answer_loss(model, ids[:1], labels[:1], share=share)  # the first one pays for what happens once
        _wait(plan.device)
        began = time.perf_counter()
        answer_loss(model, ids, labels, share=share)
        _wait(plan.device)
        return time.perf_counter() - began


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
