"""The values that a recipe leaves to the program, chosen from the data and the base, each with its reason."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.dataset.example import Example, Task
from finetune.model import memory
from finetune.model.gallery import Shape, context_of
from finetune.model.machine import Device
from finetune.training.plan import Choice, Plan, steps_of
from finetune.training.recipe import AUTOMATIC, LONGEST, Recipe

if TYPE_CHECKING:
    from finetune.model.prompt import Prompt
    from finetune.runs.store import Run

THOROUGH = "thorough"
FEWEST_STEPS = 12  # in a pass: with fewer, the optimiser hardly moves
LARGE_BATCH_ROWS = 2000  # from which on a step of 32 leaves steps enough
FREE_TEXT_PASSES = 2.0
MANY_ROWS = 10_000  # from here on a row is met so seldom that nothing holds it back
# “LoRA Without Regret” (Thinking Machines, 2025) divides 32 by the rank; its rate, which ours comes from, is for that.
ALPHA = 32
# Solved examples share the room of a row in the prompts of the comparison: eight of them need this much to be read.
ROOM = 1024
SMALLEST_ROOM = 512
WARM_STEPS = 10


@dataclass(frozen=True, slots=True)
class Facts:
    """What the choices rest on.

    Attributes:
        train_rows: rows to learn from, after the recipe's cap.
        labels: how many there are; 0 unless the task is classification.
        answer_tokens: tokens of all answers that are learned.
        longest: tokens of the longest row of the run, held-out rows included; 0 unknown.
        context: tokens that the base can take, None where that is not known.
        shape: of the base, None where it is not known.
        device: where it computes; None leaves memory out of it.
    """

    task: Task
    train_rows: int
    labels: int = 0
    answer_tokens: int = 0
    longest: int = 0
    context: int | None = None
    shape: Shape | None = None
    device: Device | None = None


def choose(recipe: Recipe, facts: Facts) -> tuple[Recipe, tuple[Choice, ...]]:
    """The recipe with a number for all that it left open but the learning rate, and the reasons.

    The rate depends on these numbers and is chosen in the plan.
    """
    left = {name for name, auto in AUTOMATIC.items() if getattr(recipe, name) == auto} - {"learning_rate"}
    told: list[Choice] = []

    def settle(name: str, found: tuple[float | str, str], shown: str = "{:g}") -> None:
        nonlocal recipe
        if name in left:
            recipe = dataclasses.replace(recipe, **{name: found[0]})
            told.append(Choice(name.replace("_", " "), shown.format(found[0]), found[1]))

    settle("batch_size", _batch_size(facts))
    settle("epochs", _epochs(recipe, facts))
    settle("rank", _rank(recipe, facts))
    settle(
        "alpha", (ALPHA, "the rate is meant for 32 divided by the rank: so the best rate does not depend on the rank")
    )
    settle("dropout", _dropout(facts))
    settle("warmup", _warmup(steps_of(recipe, facts.train_rows)), "{:.0%}")
    settle("patience", _patience(recipe))
    settle("quantisation", _quantisation(recipe, facts), "{}")
    settle("max_tokens", _max_tokens(recipe, facts), "{:,}")
    return recipe, tuple(told)


def without_data(
    recipe: Recipe,
    *,
    context: int | None = None,
    longest: int | None = None,
    shape: Shape | None = None,
    device: Device | None = None,
) -> Recipe:
    """The recipe as it would be settled for rows that are not counted yet, for an estimate of its memory."""
    # A thousand rows stand for all of them: more change nothing that takes memory, but for a step of 32.
    rows = recipe.rows or 1000
    facts = Facts("instruction", rows, longest=longest or 0, context=context, shape=shape, device=device)
    return choose(recipe, facts)[0]


def most_tokens(max_tokens: int, base: str, folder: Path | None = None) -> int:
    """From which length on a row is cut: the recipe's bound, or what the base can take where the recipe leaves it open.

    Args:
        folder: of the base or its tokenizer, where it is known; without it only the gallery and a path tell.
    """
    return max_tokens or min(context_of(base, folder) or LONGEST, LONGEST)


def settled(run: Run) -> Recipe:
    """The recipe of a run with the values that its training took for those that were left open.

    What no training has chosen yet is the number by which a run was made before there was a choice.
    """
    chosen = (plan_event(run) or {}).get("chosen", {})
    recipe = run.recipe()
    left = {name for name, auto in AUTOMATIC.items() if getattr(recipe, name) == auto}
    if recipe.sweep == "yes" and "learning_rate" in chosen:
        left.add("learning_rate")
    fields = Recipe.__dataclass_fields__
    return dataclasses.replace(recipe, **{name: chosen.get(name, fields[name].default) for name in left})


def plan_event(run: Run) -> dict | None:
    """The last plan that a training of this run told, None before there is one."""
    return next((event for event in reversed(run.events()[0]) if event["kind"] == "plan" and "chosen" in event), None)


def split_of(run: Run) -> list[list[int]]:
    """Where the base of a run lay as it was trained, as `model.machine.Split`; empty where it fitted on one GPU."""
    return (plan_event(run) or {}).get("split", [])


def chosen_values(before: Recipe, after: Recipe, plan: Plan) -> dict:
    """What `settled` reads again: the values of the fields that were left open, and the rate."""
    left = [name for name, auto in AUTOMATIC.items() if getattr(before, name) == auto]
    found = {name: getattr(after, name) for name in left} | {"learning_rate": plan.learning_rate}
    # A base that did not fit as it is was packed after all.
    return found | ({"quantisation": plan.quantisation} if "quantisation" in left else {})


def for_run(
    run: Run, prompt: Prompt, chosen: Sequence[Example], folder: Path, device: Device, earlier: dict | None
) -> tuple[Recipe, tuple[Choice, ...]]:
    """What `choose` makes of a run; with the plan of an earlier start, what was chosen then, the rate included.

    Args:
        prompt: of the run; how long its rows may be is what is settled here.
        chosen: the training rows.
        folder: of the base.
        earlier: as `plan_event`.
    """
    if earlier is not None:
        return settled(run), ()
    recipe, record = run.recipe(), run.record()
    held_out = [example for part in ("validation", "test") for example in run.examples(part)]
    facts = Facts(
        record["task"],
        len(chosen),
        labels=len(record["labels"]) if record["task"] == "classification" else 0,
        answer_tokens=sum(prompt.answer_lengths(chosen)),
        longest=max(prompt.lengths([*chosen, *held_out]), default=0),
        context=context_of(recipe.base, folder),
        shape=memory.shape_of(str(folder)),
        device=device,
    )
    recipe, told = choose(recipe, facts)
    if prompt.plain:
        why = "this base has no chat template: instruction, input and answer stand under plain headings, in the comparison too"
        told = (*told, Choice("prompt", "plain", why))
    return recipe, told


def again(choices: Iterable[Choice], event: dict) -> tuple[Choice, ...]:
    """The choices of a resumed run, with the reasons that they were made by."""
    said = {choice["name"]: Choice(**choice) for choice in event["choices"]}
    choices = tuple(choices)
    names = [choice.name for choice in choices]
    kept = {"prompt", *(name.replace("_", " ") for name in AUTOMATIC)}
    first = [choice for name, choice in said.items() if name in kept and name not in names]
    return (*(said.get(one.name, one) if one.name in kept else one for one in choices), *first)


def _batch_size(facts: Facts) -> tuple[int, str]:
    size = 4
    most = 32 if facts.train_rows >= LARGE_BATCH_ROWS else 16
    while size < most and facts.train_rows / (2 * size) >= FEWEST_STEPS:
        size *= 2
    steps = math.ceil(facts.train_rows / size)
    return size, f"{facts.train_rows:,} rows make {steps:,} steps a pass; small steps learn more from few rows"


def _epochs(recipe: Recipe, facts: Facts) -> tuple[float, str]:
    if facts.task == "classification" and facts.labels:
        rows = facts.train_rows / facts.labels
        passes = 5.0 if rows < 20 else 4.0 if rows < 100 else 3.0 if rows < 1000 else 2.0
        reason = f"{rows:.0f} rows a label: the fewer there are, the oftener they are read"
    else:
        passes = FREE_TEXT_PASSES if facts.train_rows < MANY_ROWS else 1.0
        reason = (
            "free text is known by heart after about two passes" if passes > 1 else "there are many rows: one is enough"
        )
    if recipe.preset == THOROUGH:
        return 2 * passes, f"{reason}; twice that in a thorough run"
    return passes, f"{reason}; training ends before, where the validation loss falls no more"


def _rank(recipe: Recipe, facts: Facts) -> tuple[int, str]:
    rank, most, double = 16, 64, recipe.preset == THOROUGH
    # An adapter learns as fast as a full fine-tune while it has more weights than there are tokens to learn.
    while facts.shape is not None and rank < most and facts.shape.adapter_parameters(rank) < facts.answer_tokens:
        rank *= 2
    rank *= 2 if double else 1
    reason = "room enough for the answers of these rows"
    if facts.shape is not None and facts.answer_tokens:
        weights = facts.shape.adapter_parameters(rank) / 1e6
        reason = f"{weights:.1f} million weights for {facts.answer_tokens:,} tokens of answers"
    return rank, f"{reason}; twice the usual in a thorough run" if double else reason


def _dropout(facts: Facts) -> tuple[float, str]:
    if facts.train_rows >= MANY_ROWS:
        return 0.0, "there are many rows: none is met often enough to be learned by heart"
    if facts.task != "classification" and facts.train_rows < 1000:
        return 0.1, "few rows of free text are soon known by heart"
    return 0.05, "a little, against learning rows by heart"


def _warmup(steps: int) -> tuple[float, str]:
    share = round(min(0.2, max(0.03, WARM_STEPS / steps)), 3)
    warm = max(1, round(share * steps))
    return share, f"{warm} of {steps:,} steps: the first steps of an adapter are its roughest"


def _patience(recipe: Recipe) -> tuple[int, str]:
    looks = max(2, recipe.evaluations)
    if recipe.preset == THOROUGH:
        return 2 * looks, "looks that find it no better, twice the usual in a thorough run"
    return looks, f"looks that find it no better, about {'one pass' if recipe.evaluations > 1 else 'two passes'}"


def _quantisation(recipe: Recipe, facts: Facts) -> tuple[str, str]:
    if facts.device is None or facts.shape is None:
        return "nf4", "how large this base is nobody can tell: 4 bits (QLoRA) are safe"
    bound = min(recipe.max_tokens or max(facts.longest, SMALLEST_ROOM), facts.context or LONGEST, LONGEST)
    whole = dataclasses.replace(recipe, quantisation="none", max_tokens=bound)
    one = dataclasses.replace(facts.device, beside=())  # on several it would be slower than on one in 4 bits
    need = memory.estimate(facts.shape, whole, one, facts.longest or None)
    sizes = f"{need.total / memory.GIB:.1f} GiB of {need.available / memory.GIB:.1f} GiB free"
    if need.fits and not need.checkpointing:
        return "none", f"the base fits as it is ({sizes}): nothing is lost to rounding it to 4 bits"
    return "nf4", f"QLoRA, in 4 bits: as it is, the base would take {sizes}"


def _max_tokens(recipe: Recipe, facts: Facts) -> tuple[int, str]:
    wanted = max(64 * math.ceil(facts.longest / 64), ROOM)
    bound = min(wanted, facts.context or LONGEST, LONGEST)
    longest = f"the longest row has {facts.longest:,} tokens" if facts.longest else "no row is counted yet"
    if bound == ROOM and facts.longest <= bound:
        return bound, f"{longest}; the rest is room for the examples in the prompts of the comparison"
    if bound < wanted and facts.longest <= bound:
        return bound, f"{longest}; more the base cannot take"
    fitting = _that_fits(recipe, facts, bound)
    if fitting < min(bound, facts.longest):
        return fitting, f"{longest}, and more than this does not fit into the memory: longer inputs are cut"
    if bound < facts.longest:
        return bound, f"{longest}, and the base cannot take more than this: longer inputs are cut"
    return bound, f"{longest}: nothing is cut"


def _that_fits(recipe: Recipe, facts: Facts, bound: int) -> int:
    """The bound, halved until rows of it fit into the memory; the smallest where none does."""
    if facts.device is None or facts.shape is None:
        return bound
    while bound > SMALLEST_ROOM:
        need = memory.estimate(facts.shape, dataclasses.replace(recipe, max_tokens=bound), facts.device, bound)
        if need.fits:
            break
        bound = max(SMALLEST_ROOM, bound // 2)
    return bound
