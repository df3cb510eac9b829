"""How many GPUs a training is spread over, and why."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from finetune.errors import FinetuneError
from finetune.model import machine, memory
from finetune.training.plan import Choice, Plan

# Sets how many processes train: on GPUs at most one a card; on a CPU, where it is for trying this out, any number.
FORCED = "FINETUNE_PROCESSES"


def spread(plan: Plan, cards: Sequence[str]) -> Plan:
    """The plan for as many processes as there are cards for, with the same rows in a step; as it is where there is one.

    A base that is split over the cards takes them all in one process.

    Args:
        plan: for one process.
        cards: names of the visible GPUs, the plan's own first.

    Raises:
        FinetuneError: FINETUNE_PROCESSES is no number.
    """
    forced = _forced()
    if plan.split:
        return plan
    if plan.device != "cuda":
        fit, why = (), f"{FORCED} asks for it"
        most = forced or 1
    else:
        fit, why = _fit(plan, cards)
        most = min(len(fit), forced or len(fit))
        if forced:
            why = f"{FORCED} is {forced}; {why}"
    rows = plan.micro_batch * plan.accumulation
    processes = max(count for count in range(1, max(1, most) + 1) if rows % count == 0)
    if max(len(cards), most) == 1:
        return plan
    if processes < most:
        why += f"; the {rows} rows of a step cannot be dealt to {most} alike"
    unit = "GPUs" if plan.device == "cuda" else "processes"
    if processes == 1:
        choice = Choice(unit, f"1 of {len(cards) or most}", why)
        return dataclasses.replace(plan, choices=(*plan.choices, choice))
    own = rows // processes
    micro = max(size for size in range(1, min(plan.micro_batch, own) + 1) if own % size == 0)
    why += f"; each computes {own} of the {rows} rows of a step, and their gradients are added"
    choices = [
        dataclasses.replace(choice, value=f"{micro} rows × {own // micro} × {processes} {unit}")
        if choice.name == "micro-batch" else choice
        for choice in plan.choices
    ]  # fmt: skip
    return dataclasses.replace(
        plan, micro_batch=micro, accumulation=own // micro, processes=processes, cards=tuple(fit[:processes]),
        choices=(*choices, Choice(unit, str(processes), why)),
    )  # fmt: skip


def _forced() -> int:
    text = os.environ.get(FORCED, "").strip()
    if not text:
        return 0
    if not text.isdecimal() or not int(text):
        raise FinetuneError(
            f"{FORCED} is “{text}”.", hint="Set it to a number of processes, 1 or more, or take it away."
        )
    return int(text)


def _fit(plan: Plan, cards: Sequence[str]) -> tuple[list[str], str]:
    """The cards that can do what the first one does, and why these."""
    first, *rest = [(card, machine.device(card)) for card in cards] or [("", None)]
    alike = [(card, device) for card, device in rest if device.kind == "cuda" and device.name == first[1].name]
    needed = plan.estimated_bytes or 0
    free = [card for card, device in alike if device.free_bytes * memory.HEADROOM >= needed]
    why = f"{len(cards)} are visible"
    if other := len(rest) - len(alike):
        why += f", {other} of another make than the first, which would wait for them"
    if full := len(alike) - len(free):
        why += f", {full} with too little memory free"
    return [first[0], *free], why
