"""The main job in three calls, for a notebook and for the command line: inspect, train, compare."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path
from typing import Any

from finetune.dataset.checks.likeness import THRESHOLD
from finetune.dataset.examine import examine
from finetune.dataset.example import Task
from finetune.dataset.mapping.columns import guess
from finetune.dataset.mending import DEFAULT_MENDS, check_mends
from finetune.dataset.readiness.profile import CountPieces
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.reading.hub import load_hub
from finetune.dataset.reading.load import Table, load, with_test
from finetune.dataset.report import Choices, Count, Counting, Report, conclude, lengths_of
from finetune.dataset.tell import Tell as TellLook
from finetune.dataset.tell import silent
from finetune.errors import FinetuneError
from finetune.evidence.options import Options, passages_of, save
from finetune.model import machine, memory
from finetune.runs import supervise
from finetune.runs.store import Run, create, default_root, model_cache, open_run, status
from finetune.training.choose import most_tokens
from finetune.training.recipe import Recipe

Data = Path | str | Sequence[Path | str] | Table
Tell = Callable[[dict], Any]
HUB = "hub:"
POLL_SECONDS = 0.3


def inspect(
    data: Data,
    *,
    input: Sequence[str] | str | None = None,
    output: str | None = None,
    task: str | None = None,
    template: str = "",
    group: str | None = None,
    time: str | None = None,
    test: Path | str | None = None,
    mends: Iterable[str] = DEFAULT_MENDS,
    near: float = THRESHOLD,
    questions: Questions | None = None,
    recipe: Recipe | None = None,
    root: Path | None = None,
    tell: TellLook = silent,
) -> Report:
    """Everything that is known of a file before training, its lengths in tokens of the recipe's base included.

    Where the tokenizer of the base cannot be had, `tokens` is None and the rest stands.

    Args:
        data: a file, several files, `hub:owner/name` for a data set of the Hub, or a table that was read before.
        input, output, task: columns and task; None guesses them.
        template: the input from several columns, such as "{subject}\n{body}".
        group: a column (customer, document) whose values never stand on both sides of the split.
        time: a column with dates, for a split in time order.
        test: a test file of the user's own.
        mends: what is done about the findings, names of `MENDS`.
        near: the share of words in common from which two inputs count as nearly the same.
        questions: what the data cannot answer; None takes the defaults.
        recipe: base, split shares, seed and bounds; None takes the recipe of this device.
        root: directory of fetched models and of the runs; None takes the default one.
        tell: hears what is done and the share that is done (0..1); may raise `Cancelled`.

    Raises:
        FinetuneError: the file cannot be used.
    """
    recipe = recipe or recipe_for()
    tokenizer = _ahead(recipe, model_cache(root or default_root()))
    tell("Reading", 0.0)
    table = read(data, test=test)
    mapping = guess(table, input=input, output=output, task=task, template=template, group=group, time=time)
    choices = Choices(
        mends=tuple(mends), near=near, validation=recipe.validation_share, test=recipe.test_share, seed=recipe.seed,
        max_tokens=most_tokens(recipe.max_tokens, recipe.base), compared_rows=recipe.compare_rows,
        questions=questions or Questions(),
    )  # fmt: skip
    check_mends(choices.mends)
    examined = examine(table, mapping, near=near, tell=lambda text, share: tell(text, 0.2 + 0.5 * share))
    tell("Counting tokens", 0.7)
    lengths, note, pieces = None, (), None
    try:
        found = tokenizer.result()
    except FinetuneError as error:
        note = (f"Tokens were not counted: {error}",)
    else:
        pieces = _pieces(found)
        most = most_tokens(recipe.max_tokens, recipe.base, Path(found.name_or_path))
        choices = dataclasses.replace(choices, max_tokens=most)
        lengths = lengths_of(examined, most, _counter(recipe, found, most))
    tell("Splitting the rows", 0.85)
    return dataclasses.replace(conclude(examined, choices, lengths, pieces=pieces), notes=note)


def read(data: Data, *, test: Path | str | None = None) -> Table:
    """The table of what `inspect` takes as its data. Raises FinetuneError for what cannot be read."""
    if isinstance(data, Table):
        return data if test is None else with_test(data, test)
    if isinstance(data, str) and data.startswith(HUB):
        if test is not None:
            raise FinetuneError("A test file beside a data set of the Hub is not read.", hint="Load both as files.")
        return load_hub(data.removeprefix(HUB))
    return load(data, test=test)


def recipe_for(preset: str | None = None, **changes: Any) -> Recipe:
    """The recipe of a preset, or the one that suits this device, with its default base unless another is named."""
    device = machine.device()
    changes.setdefault("base", memory.default_base(device)[0])
    return Recipe.from_preset(preset or memory.default_preset(device), **changes)


def train(
    data: Data | Report,
    *,
    recipe: Recipe | None = None,
    root: Path | None = None,
    directory: Path | None = None,
    compare: bool = True,
    options: Options | None = None,
    documents: Sequence[Path | str] | None = None,
    tell: Tell = lambda event: None,
) -> Run:
    """Train a run on a file, or on what `inspect` said of it, and wait for its end.

    The work is done by a process of its own: it goes on when this one ends, and is stopped with `finetune stop`.

    Args:
        recipe: None takes the one that suits this device.
        root: directory of the runs; None takes the default one.
        directory: another place for this run.
        compare: go on to the comparison and the verdict.
        options: what is asked of the comparison; None takes the defaults.
        documents: files that retrieval looks in too, beside the training rows.
        tell: takes each event of the run as it happens.

    Raises:
        FinetuneError: the file cannot be used, or the run failed; the message says why.
    """
    recipe = recipe or recipe_for()
    root = (root or default_root()).expanduser().absolute()
    report = data if isinstance(data, Report) else inspect(data, recipe=recipe, root=root)
    passages = passages_of(documents)  # before there is a run: one that cannot be read is to leave none behind
    run = create(root, report=report, recipe=recipe, name=Path(report.name).stem, directory=directory, compare=compare)
    if options is not None or documents:
        save(run, options or Options(), passages)
    supervise.start(run)
    follow(run, tell)
    return run


def compare(
    run: Run | Path | str,
    *,
    root: Path | None = None,
    options: Options | None = None,
    documents: Sequence[Path | str] | None = None,
    tell: Tell = lambda event: None,
) -> dict:
    """The comparison of a trained run, made now if it has none: the object of section “compare” of the README.

    Args:
        options: what is asked of it; where given, the comparison is made anew. Answers that are kept are not asked again.
        documents: files that retrieval looks in too; None keeps those of before, [] drops them.

    Raises:
        FinetuneError: there is no such run, it has no adapter, or the comparison failed.
    """
    found = run if isinstance(run, Run) else open_run(run, root or default_root())
    if options is None and documents is None and (made := found.comparison()) is not None:
        return made
    found.weights()
    if options is not None or documents is not None:
        save(found, options or Options.of(found), passages_of(documents))
    supervise.start(found, phase="compare")
    follow(found, tell)
    if status(found).state == "stopped" or (made := found.comparison()) is None:
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


def _ahead(recipe: Recipe, cache: Path) -> Future:
    """The tokenizer of the base, fetched and read while the rows are looked at: it takes about as long."""
    found: Future = Future()

    def fetch() -> None:
        from finetune.model.base import tokenizer

        try:
            found.set_result(tokenizer(recipe.base, cache=cache))
        except BaseException as error:
            found.set_exception(error)

    # A daemon: a file that cannot be used is told at once, and not when the Hub has answered.
    threading.Thread(target=fetch, daemon=True).start()
    return found


def _counter(recipe: Recipe, tokenizer: Any, max_tokens: int) -> Counting:
    def counting(task: Task, labels: list[str]) -> Count:
        from finetune.model.prompt import Prompt

        return Prompt(tokenizer, task, labels, recipe.instruction, max_tokens).both

    return counting


def _pieces(tokenizer: Any) -> CountPieces:
    from finetune.model.prompt import pieces

    return partial(pieces, tokenizer)
