"""What the processes of one training do together: they add up what each has computed of a step.

Each process has a card and a Trainer of its own, which knows nothing of the others: neither transformers nor accelerate
sees more than one process, so nothing is scaled, averaged or wrapped a second time. The rows of a step are dealt to the
processes (`batches.Dealt`); here the scored tokens of the step are counted over all of them before its first pass, and the
gradients of the adapter are added after its last one, before they are clipped. After that all take the same step.

What is exchanged goes through the memory of the machine (gloo) and not from card to card: the gradients of an adapter are
few, a process that dies is noticed by the others at once, and the path is the same as on a CPU.
"""

from __future__ import annotations

import datetime
import os
import sys
import time
from typing import Any

import torch
from torch import distributed
from transformers import PrinterCallback, TrainerCallback, set_seed

from finetune.model.base import load_model
from finetune.training.adapter import add_adapter
from finetune.training.layers import quick_layers
from finetune.training.others import LOOK_SECONDS, MEET, Part
from finetune.training.plan import Plan
from finetune.training.recipe import Recipe
from finetune.training.step import can_share
from finetune.training.train import AnswerTrainer, arguments, dataset, rehearse
from finetune.training.watch import kept_small, set_rate

MEETING = datetime.timedelta(minutes=2)
# The first process looks at the validation rows and saves while the others wait. One that dies is noticed without a limit.
WAITING = datetime.timedelta(days=30)


class Parted(RuntimeError):
    """Another process of this training cannot be reached any more."""


class Together:
    """One of the processes of a training; all of them have to call the same methods in the same order.

    Args:
        store: where they find each other.
        number: of this process, from 0.
        of: how many there are.

    Raises:
        Parted: here and in every method, when another process is gone.
    """

    def __init__(self, store: distributed.Store, number: int, of: int):
        self.number, self.of = number, of
        # They all run on this machine: nobody else has to be able to reach them.
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo0" if sys.platform == "darwin" else "lo")
        try:
            # Not the group of the whole process (`init_process_group`), which other libraries would take for theirs.
            self._group = distributed.ProcessGroupGloo(store, number, of, MEETING)
        except RuntimeError as error:
            raise Parted(str(error)) from None

    def count(self, tokens: Any) -> int:
        """The scored tokens of a step over all processes."""
        return int(self._sum(torch.tensor([int(tokens)]))[0])

    def begin_alike(self, model: torch.nn.Module) -> None:
        """Gives the adapters of all processes the weights of the first."""
        parameters = learned(model)
        options = distributed.BroadcastOptions()
        options.rootRank, options.timeout = 0, WAITING
        flat = torch.cat([parameter.detach().flatten().float().cpu() for parameter in parameters])
        self._wait(lambda: self._group.broadcast([flat], options))
        for parameter, part in zip(parameters, flat.split([one.numel() for one in parameters]), strict=True):
            parameter.data.copy_(part.view_as(parameter))

    def add_up(self, model: torch.nn.Module, *numbers: float) -> list[float]:
        """Replaces each gradient of the adapter by its sum over all processes, and gives the sums of some numbers.

        A weight that has no gradient in any process keeps none: the optimiser passes over it then.
        """
        parameters = learned(model)
        device = parameters[0].device
        there = [float(parameter.grad is not None) for parameter in parameters]
        gradients = [
            torch.zeros(parameter.numel(), device=device)
            if parameter.grad is None
            else parameter.grad.flatten().float()
            for parameter in parameters
        ]
        flat = self._sum(torch.cat([*(part.cpu() for part in gradients), torch.tensor([*there, *numbers])]))
        sizes = [parameter.numel() for parameter in parameters]
        *sums, counts, others = flat.split([*sizes, len(sizes), len(numbers)])
        for parameter, total, count in zip(parameters, sums, counts.tolist(), strict=True):
            if count:
                parameter.grad = total.view_as(parameter).to(parameter.device, parameter.dtype)
        return others.tolist()

    def close(self) -> None:
        """Lets go of the others."""
        if self._group is not None:
            self._group.shutdown()
            self._group = None

    def _sum(self, values: torch.Tensor) -> torch.Tensor:
        options = distributed.AllreduceOptions()
        options.timeout = WAITING
        self._wait(lambda: self._group.allreduce([values], options))
        return values

    def _wait(self, begin: Any) -> None:
        try:
            begin().wait()
        except RuntimeError as error:
            raise Parted(str(error)) from None


class Following(TrainerCallback):
    """Goes along in a process that is not the first: it decides nothing, and waits for the first at every step."""

    def __init__(self, recipe: Recipe, plan: Plan, number: int):
        self.recipe, self.plan, self.number = recipe, plan, number

    def on_train_begin(self, args, state, control, optimizer=None, lr_scheduler=None, **_):
        set_rate(optimizer, lr_scheduler, self.plan.learning_rate)

    def on_step_begin(self, args, state, control, **_):
        # Dropout drops something else in each process, and after a resume the same as without it. The checkpoints hold the
        # random state of the first process alone.
        torch.manual_seed(self.recipe.seed * 1_000_003 + state.global_step * self.plan.processes + self.number)


def learned(model: torch.nn.Module) -> list[torch.nn.Parameter]:
    """The weights that are trained, in an order that is the same in every process."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def follow(part: Part) -> None:
    """Trains along with the first process, to the last step or until that one is gone. Nothing is saved or told."""
    recipe, plan = part.recipe, part.plan
    model = load_model(
        part.folder, kind=plan.device, dtype=plan.dtype, quantisation=plan.quantisation, trains=True
    )  # fmt: skip
    set_seed(recipe.seed)
    adapted = add_adapter(model, recipe, checkpointing=plan.checkpointing)
    share = not plan.checkpointing and can_share(adapted, part.rows)
    trainer = AnswerTrainer(
        model=adapted, args=arguments(recipe, plan, part.directory, follows=True),
        train_dataset=dataset(part.rows, blank=True), callbacks=[Following(recipe, plan, part.number)],
        plan=plan, seed=recipe.seed, pad=part.pad, share=share,
    )  # fmt: skip
    trainer.remove_callback(PrinterCallback)
    with quick_layers(adapted), kept_small(plan):
        rehearse(adapted, plan, part.rows, part.pad, share)
        store = distributed.FileStore(str(part.store), plan.processes)
        store.set(f"ready-{part.number}", "")
        while not store.check([MEET]):
            time.sleep(LOOK_SECONDS)
        try:
            trainer.together = Together(store, part.number, plan.processes)
            trainer.together.begin_alike(adapted)
            trainer.train(resume_from_checkpoint=str(part.resume) if part.resume else None)
        except Parted:
            # The first one finds out which process ended, and why: what happens here is but a consequence of it.
            return
