"""A training that runs out of memory, or diverges, goes on from its last good checkpoint with other numbers."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from finetune.errors import FinetuneError
from finetune.model import machine
from finetune.training.alarms import Diverged
from finetune.training.plan import Choice, Plan

Done = TypeVar("Done")
Attempt = Callable[[Plan, Path | None], Done]


class OutOfMemory(FinetuneError):
    """The memory of the device is not enough, and nothing is left that would make the training smaller."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What recoveries have changed of a plan so far; None: nothing.

    They stand in the events, in the field `recovery` of a warning, and hold for the rest of the run.
    """

    micro_batch: int | None = None
    checkpointing: bool | None = None
    quantisation: str | None = None
    learning_rate: float | None = None

    @classmethod
    def told(cls, events: Iterable[Mapping[str, Any]]) -> Changes:
        """Those that the events of a run tell; the later word holds."""
        changes = cls()
        names = [field.name for field in dataclasses.fields(cls)]
        for event in events:
            if recovery := event.get("recovery"):
                changes = dataclasses.replace(changes, **{name: recovery[name] for name in names if name in recovery})
        return changes

    def applied(self, plan: Plan) -> Plan:
        """The plan with these changes, each told among its choices."""
        for change in (self._smaller, self._again, self._packed, self._slower):
            plan = change(plan)
        return plan

    def _smaller(self, plan: Plan) -> Plan:
        rows = plan.micro_batch * plan.accumulation
        micro = self.micro_batch
        # A plan that was made anew may be smaller by itself, or have steps of another size.
        if micro is None or micro >= plan.micro_batch or rows % micro:
            return plan
        accumulation = rows // micro
        value = f"{micro} rows × {accumulation}" + (f" × {plan.processes}" if plan.processes > 1 else "")
        return dataclasses.replace(
            plan, micro_batch=micro, accumulation=accumulation,
            choices=_chosen(plan, "micro-batch", value, "more of them ran out of memory"),
        )  # fmt: skip

    def _again(self, plan: Plan) -> Plan:
        if not self.checkpointing or plan.checkpointing:
            return plan
        choices = _chosen(plan, "checkpointing", "on", "a single row ran out of memory without it")
        return dataclasses.replace(plan, checkpointing=True, choices=choices)

    def _packed(self, plan: Plan) -> Plan:
        if self.quantisation is None or plan.quantisation == self.quantisation:
            return plan
        choices = _chosen(
            plan, "quantisation", self.quantisation, "a single row ran out of memory beside the base as it is"
        )
        return dataclasses.replace(plan, quantisation=self.quantisation, choices=choices)

    def _slower(self, plan: Plan) -> Plan:
        if self.learning_rate is None:
            return plan
        choices = _chosen(plan, "learning rate", f"{self.learning_rate:g}", "the training diverged with twice as much")
        return dataclasses.replace(plan, learning_rate=self.learning_rate, choices=choices)


def _chosen(plan: Plan, name: str, value: str, reason: str) -> tuple[Choice, ...]:
    new = Choice(name, value, reason)
    if all(choice.name != name for choice in plan.choices):
        return (*plan.choices, new)
    return tuple(new if choice.name == name else choice for choice in plan.choices)


@dataclass(frozen=True, slots=True)
class _Failure:
    """What ended an attempt, without the error itself: an error holds all that its frames held, the model above all."""

    diverged: bool
    message: str
    step: int | None
    good: int | None


def carry_through(
    attempt: Attempt[Done],
    plan: Plan,
    changes: Changes,
    checkpoints: Path,
    tell: Callable[..., Any],
    *,
    resume: bool,
    may_pack: bool = False,
) -> Done:
    """Attempt the training until it comes to an end, with a smaller or slower plan after each failure.

    Args:
        attempt: trains by a plan, from a checkpoint or (None) from the start.
        plan: as it was made, without `changes`.
        changes: of earlier recoveries of this run.
        checkpoints: folder of the checkpoints.
        tell: emits an event.
        resume: the first attempt goes on from the newest checkpoint.
        may_pack: the recipe leaves open how the base is held: in 4 bits, where nothing else makes it fit.

    Raises:
        Diverged: a second time, with half the rate.
        OutOfMemory: a single row, with checkpointing, does not fit.
    """
    checkpoint = newest(checkpoints) if resume else None
    while True:
        planned = changes.applied(plan)
        try:
            return attempt(planned, checkpoint)
        except Exception as error:
            failure = _understood(error)
            if failure is None:
                raise
        # Out of the block above, with which the error went: what the attempt held is free only now.
        machine.release()
        if failure.diverged:
            changes, checkpoint = _slower(failure, planned, changes, checkpoints, tell)
        else:
            changes, checkpoint = _smaller(failure, planned, changes, checkpoints, tell, may_pack)


def _understood(error: Exception) -> _Failure | None:
    if isinstance(error, Diverged):
        return _Failure(True, error.message, error.step, error.good)
    if is_out_of_memory(error):
        return _Failure(False, str(error), None, None)
    return None


def _slower(failure: _Failure, plan: Plan, changes: Changes, checkpoints: Path, tell: Callable[..., Any]):
    if changes.learning_rate is not None:
        raise Diverged(
            f"{failure.message.removeprefix('The training diverged: ').removesuffix('.')}, and it had diverged before with "
            f"twice the rate ({2 * plan.learning_rate:g}). Half of it ({plan.learning_rate:g}) was not low enough",
            step=failure.step, good=failure.good,
        )  # fmt: skip
    back = newest(checkpoints, failure.good)
    # What was saved since has the damage in it, and a resume would take it for the newest.
    for step, folder in saved(checkpoints):
        if back is None or folder != back and step > _step(back):
            shutil.rmtree(folder, ignore_errors=True)
    rate = plan.learning_rate / 2
    changes = dataclasses.replace(changes, learning_rate=rate)
    tell(
        "warning", alarm="diverged", step=failure.step,
        text=f"{failure.message} It goes on from {_where(back)} with half the learning rate, {rate:g}.",
        recovery={"from_step": _step(back), "learning_rate": rate},
    )  # fmt: skip
    return changes, back


def _smaller(
    failure: _Failure, plan: Plan, changes: Changes, checkpoints: Path, tell: Callable[..., Any], may_pack: bool
):
    own = plan.micro_batch * plan.accumulation
    rows = own * plan.processes
    back = newest(checkpoints)
    if plan.micro_batch > 1:
        micro = max(size for size in range(1, plan.micro_batch // 2 + 1) if own % size == 0)
        changed: dict[str, Any] = {"micro_batch": micro}
        how = f"{micro} rows in a pass instead of {plan.micro_batch}, and a step is made of {own // micro} passes"
        if plan.processes > 1:
            how += f" in each of {plan.processes} processes"
    elif not plan.checkpointing:
        changed = {"checkpointing": True}
        how = "checkpointing, which computes the layers twice and keeps less of them"
    elif plan.quantisation == "none" and may_pack:
        changed = {"quantisation": "nf4"}
        how = "the base in 4 bits (QLoRA)"
    else:
        others = "" if plan.quantisation == "nf4" else "quantisation to nf4, "
        raise OutOfMemory(
            "A single row does not fit in the memory of the device, even with checkpointing.",
            hint=f"Set {others}max_tokens or rank lower, take a smaller base, or close what else uses the memory; "
            "then start a new run.",
        )
    changes = dataclasses.replace(changes, **changed)
    tell(
        "warning", alarm="out_of_memory",
        text=f"The memory was not enough. It goes on from {_where(back)} with {how}: a step still learns from {rows} rows.",
        recovery={"from_step": _step(back), **changed},
    )  # fmt: skip
    return changes, back


def is_out_of_memory(error: BaseException) -> bool:
    """Whether the memory of the GPU or of the machine was not enough."""
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    # The GPU's allocator, the CPU's, and cuBLAS, which asks for a workspace of its own.
    known = ("out of memory", "can't allocate memory", "cublas_status_alloc_failed")
    return isinstance(error, RuntimeError) and any(words in text for words in known)


def saved(checkpoints: Path) -> list[tuple[int, Path]]:
    """The whole checkpoints and their steps; one that was being written when the process died has no trainer state yet."""
    return sorted(
        (int(folder.name.rpartition("-")[2]), folder)
        for folder in checkpoints.glob("checkpoint-*")
        if (folder / "trainer_state.json").is_file() and (folder / "adapter_model.safetensors").is_file()
    )


def newest(checkpoints: Path, until: int | None = None) -> Path | None:
    """The newest whole checkpoint, of at most the step `until`."""
    found = [folder for step, folder in saved(checkpoints) if until is None or step <= until]
    return found[-1] if found else None


def _step(checkpoint: Path | None) -> int:
    return int(checkpoint.name.rpartition("-")[2]) if checkpoint else 0


def _where(checkpoint: Path | None) -> str:
    return f"the checkpoint of step {_step(checkpoint)}" if checkpoint else "the start"
