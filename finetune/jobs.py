"""The main job in three calls, for a notebook and for the command line: inspect, train, compare."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from finetune.dataset import report as dataset
from finetune.dataset.example import Example, Task
from finetune.dataset.quality import DEFAULT_MENDS
from finetune.dataset.report import Report
from finetune.errors import FinetuneError
from finetune.model import memory
from finetune.runs import supervise
from finetune.runs.store import Run, create, default_root, model_cache, open_run, status
from finetune.training.recipe import Recipe

Tell = Callable[[dict], Any]
POLL_SECONDS = 0.3


def inspect(
    path: Path | str,
    *,
    input: Sequence[str] | str | None = None,
    output: str | None = None,
    task: str | None = None,
    mends: Iterable[str] = DEFAULT_MENDS,
    recipe: Recipe | None = None,
    root: Path | None = None,
) -> Report:
    """Everything that is known of a file before training, its lengths in tokens of the recipe's base included.

    Where the tokenizer of the base cannot be had, `tokens` is None and the rest stands.

    Args:
        input, output, task: columns and task; None guesses them.
        mends: what is done about the findings, names of `MENDS`.
        recipe: base, split shares, seed and bounds; None takes the recipe of this device.
        root: directory of fetched models and of the runs; None takes the default one.

    Raises:
        FinetuneError: the file cannot be used.
    """
    recipe = recipe or recipe_for()
    settings: dict[str, Any] = {
        "input": input, "output": output, "task": task, "mends": mends, "validation": recipe.validation_share,
        "test": recipe.test_share, "seed": recipe.seed, "max_tokens": recipe.max_tokens,
    }  # fmt: skip
    cache = model_cache(root or default_root())
    try:
        return dataset.inspect(path, **settings, count_tokens=_counter(recipe, cache))
    except _NoTokenizer as error:
        report = dataset.inspect(path, **settings)
        note = f"Tokens were not counted: {error}"
        return dataclasses.replace(report, notes=(*report.notes, note))


def recipe_for(preset: str | None = None, **changes: Any) -> Recipe:
    """The recipe of a preset, or the one that suits this device, with its default base unless another is named."""
    device = memory.device()
    changes.setdefault("base", memory.default_base(device)[0])
    return Recipe.from_preset(preset or memory.default_preset(device), **changes)


def train(
    data: Path | str | Report,
    *,
    recipe: Recipe | None = None,
    root: Path | None = None,
    directory: Path | None = None,
    compare: bool = True,
    tell: Tell = lambda event: None,
) -> Run:
    """Train a run on a file, or on what `inspect` said of it, and wait for its end.

    The work is done by a process of its own: it goes on when this one ends, and is stopped with `finetune stop`.

    Args:
        recipe: None takes the one that suits this device.
        root: directory of the runs; None takes the default one.
        directory: another place for this run.
        compare: go on to the comparison and the verdict.
        tell: takes each event of the run as it happens.

    Raises:
        FinetuneError: the file cannot be used, or the run failed; the message says why.
    """
    recipe = recipe or recipe_for()
    root = (root or default_root()).expanduser().absolute()
    report = data if isinstance(data, Report) else inspect(data, recipe=recipe, root=root)
    recipe = _with_absolute_base(recipe)
    run = create(root, report=report, recipe=recipe, name=Path(report.name).stem, directory=directory, compare=compare)
    supervise.start(run)
    follow(run, tell)
    return run


def compare(run: Run | Path | str, *, root: Path | None = None, tell: Tell = lambda event: None) -> dict:
    """The comparison of a trained run, made now if it has none: the object of section “compare” of the README.

    Raises:
        FinetuneError: there is no such run, it has no adapter, or the comparison failed.
    """
    found = run if isinstance(run, Run) else open_run(run, root or default_root())
    if (made := found.comparison()) is not None:
        return made
    if not found.adapter.exists():
        raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
    supervise.start(found, phase="compare")
    follow(found, tell)
    if (made := found.comparison()) is None:
        raise FinetuneError("The comparison was stopped before its end.", hint="Start it again.")
    return made


def resume(run: Run, tell: Tell = lambda event: None) -> Run:
    """Go on with a run that was stopped or lost, and wait for its end. Raises FinetuneError as `train`."""
    offset = run.events_path.stat().st_size if run.events_path.exists() else 0
    supervise.resume(run)
    follow(run, tell, offset)
    return run


def follow(run: Run, tell: Tell, offset: int | None = None) -> None:
    """Tell each event of a run until nothing more will come.

    Args:
        offset: byte of `events.jsonl` to begin at; None takes what the worker that lives now has said.

    Raises:
        FinetuneError: the run failed or its process is gone.
    """
    if offset is None:
        worker = supervise.process.recorded(run.directory)
        offset = worker.events_offset if worker else 0
    while True:
        # Asked before the events are read: what is said between the two is read in the next turn.
        over = not supervise.alive(run)
        events, offset = run.events(offset)
        for event in events:
            tell(event)
        if over:
            break
        time.sleep(POLL_SECONDS)
    end = status(run)
    if end.state in ("failed", "lost"):
        raise FinetuneError(end.message, hint=end.hint)


class _NoTokenizer(Exception):
    """The tokenizer of the base cannot be had."""


def _counter(recipe: Recipe, cache: Path) -> dataset.CountTokens:
    def count(examples: Sequence[Example], task: Task, labels: list[str]) -> list[int]:
        from finetune.model.base import tokenizer
        from finetune.model.prompt import Prompt

        try:
            found = tokenizer(recipe.base, cache=cache)
        except FinetuneError as error:
            raise _NoTokenizer(str(error)) from error
        return Prompt(found, task, labels, recipe.instruction, recipe.max_tokens).lengths(examples)

    return count


def _with_absolute_base(recipe: Recipe) -> Recipe:
    """A base given as a relative folder is looked for by the worker, which works in the run's directory."""
    folder = Path(recipe.base).expanduser()
    return dataclasses.replace(recipe, base=str(folder.absolute())) if folder.is_dir() else recipe
