"""The command line: one thin function a command. `python -m finetune --help`.

Results go to standard output (with --json one object and nothing else), progress to standard error. A mistake that the
user can mend exits 2 with one sentence.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

from finetune import jobs
from finetune.arguments import parser
from finetune.dataset.cleaned import save_cleaned
from finetune.dataset.mending import DEFAULT_MENDS
from finetune.dataset.readiness.questions import Questions, parse_answer
from finetune.dataset.reading.load import load_text
from finetune.dataset.report import Report
from finetune.errors import FinetuneError
from finetune.evidence.money.cost import priced_of
from finetune.evidence.money.prices import Prices
from finetune.evidence.options import Options
from finetune.evidence.systems import ALTERNATIVES
from finetune.runs import queue, store, supervise
from finetune.runs.recipes import Given, compare_recipes, fields, read_recipe, told
from finetune.show import (
    comparison_lines,
    difference_lines,
    event_line,
    queue_lines,
    record_lines,
    report_lines,
    run_line,
    verdict_lines,
)  # fmt: skip
from finetune.training.recipe import Recipe, describe, parse_setting

PATIENCE_SECONDS = 2.0

Command = Callable[[argparse.Namespace], None]


def _inspect(options: argparse.Namespace) -> None:
    report = _report(options, _recipe(options))
    told = report.as_json()
    lines = report_lines(told)
    if options.cleaned is not None:
        rows, changes = save_cleaned(report, options.cleaned)
        told["cleaned"] = {"rows": str(rows), "changes": str(changes)}
        lines += [f"mended rows: {rows}", f"what changed: {changes}"]
    _answer(options, told, lines)


def _train(options: argparse.Namespace) -> None:
    run = _trained(options, compare=False)
    ended = store.status(run)
    adapter = str(run.adapter) if run.adapter.exists() else None  # none of a run that was stopped before it began
    answer = {"run": str(run.directory), "state": ended.state, "adapter": adapter}
    _answer(options, answer | {"training": run.training()}, [f"{ended.state}: {run.directory}"])


def _run(options: argparse.Namespace) -> None:
    run = _trained(options, compare=True)
    comparison = run.comparison()
    if comparison is None:
        raise FinetuneError(
            "The run was stopped before its comparison.", hint=f"`python -m finetune resume {run.directory}` goes on."
        )
    _answer(options, comparison, comparison_lines(comparison))


def _compare(options: argparse.Namespace) -> None:
    run = store.open_run(options.run, options.root)
    _keep_volume(options)
    # Beginning with what was asked the last time: who sets a prompt keeps the rules of before.
    asked = _asked(options, Options.of(run))
    comparison = jobs.compare(run, options=asked, documents=options.documents, tell=_tell)
    # At the prices of today, which may have changed since.
    comparison["cost"]["priced"] = priced_of(comparison, Prices.load(options.root))
    _answer(options, comparison, comparison_lines(comparison))


def _check(options: argparse.Namespace) -> None:
    from finetune.evidence.later.check import check, check_lines

    found = check(
        options.run, _data(options), root=options.root, input=options.input, output=options.output, below=options.below,
        tell=_Progress(),
    )  # fmt: skip
    if found is None:
        raise FinetuneError("The check was stopped before its end.", hint="Start it again.")
    _answer(options, found, check_lines(found))


def _write_report(options: argparse.Namespace) -> None:
    from finetune.evidence.report.document import write

    path = write(store.open_run(options.run, options.root), options.file)
    _answer(options, {"report": str(path)}, [str(path)])


def _verdict(options: argparse.Namespace) -> None:
    from finetune.evidence.judging.scores import read_scores
    from finetune.evidence.judging.verdict import RULES, decide

    verdict, paired = decide(read_scores(options.scores), seed=options.seed, models=options.models)
    answer = {"verdict": verdict.as_json(), "paired": paired.as_json(), "rules": RULES}
    _answer(options, answer, verdict_lines(answer))


def _runs(options: argparse.Namespace) -> None:
    found, problems = store.list_runs(options.root)
    entries = []
    for run in found:
        now, comparison = store.status(run), None
        try:
            comparison = run.comparison()
        except FinetuneError as error:
            problems.append(str(error))
        entries.append({
            "run": run.id, "directory": str(run.directory), "created": run.record()["created"],
            "base": run.recipe().base, "state": now.state, "step": now.step, "steps": now.steps,
            "message": now.message, "decision": comparison["verdict"]["decision"] if comparison else None,
        })  # fmt: skip
    lines = [run_line(entry) for entry in entries] or [f"No runs in {options.root} yet."]
    _answer(options, {"runs": entries, "problems": problems}, [*lines, *problems])


def _stop(options: argparse.Namespace) -> None:
    run = store.open_run(options.run, options.root)
    supervise.stop(run, options.grace)
    now = store.status(run)
    _answer(options, {"run": str(run.directory), "state": now.state}, [f"{run.id}: {now.state}. {now.message}".strip()])


def _resume(options: argparse.Namespace) -> None:
    run = jobs.resume(store.open_run(options.run, options.root), _tell)
    # A comparison that was begun anew and stopped again leaves the earlier one where it was.
    state, comparison = store.status(run).state, run.comparison()
    if comparison and state == "finished":
        _answer(options, comparison, comparison_lines(comparison))
    else:
        _answer(
            options, {"run": str(run.directory), "state": state, "training": run.training()}, [f"{run.id}: {state}"]
        )


def _queue(options: argparse.Namespace) -> None:
    for to in ("first", "up", "down"):
        if wanted := getattr(options, to):
            queue.move(options.root, wanted, to)
    line = queue.line_of(options.root)
    _answer(options, line.as_json(), queue_lines(line))


def _recipe_of(options: argparse.Namespace) -> None:
    if options.run is None:
        return _answer(options, {"fields": fields()}, [describe()])
    run = store.open_run(options.run, options.root)
    if options.other is None:
        return _answer(options, run.record(), record_lines(run.record()))
    found = compare_recipes(run, store.open_run(options.other, options.root))
    _answer(options, found.as_json(), difference_lines(found))


def _data(options: argparse.Namespace) -> jobs.Data:
    if options.data == ["-"]:
        return load_text(sys.stdin.read(), "standard input")
    return options.data[0] if len(options.data) == 1 else options.data


def _report(options: argparse.Namespace, recipe: Recipe) -> Report:
    return jobs.inspect(
        _data(options), input=options.input, output=options.output, task=options.task, template=options.template,
        group=options.group, time=options.time, test=options.test_file,
        mends=DEFAULT_MENDS if options.mend is None else [name for name in options.mend if name != "none"],
        near=options.near,
        questions=Questions(**dict(parse_answer(text) for text in options.answer or [])),
        recipe=recipe, root=options.root, tell=_Progress(),
    )  # fmt: skip


class _Progress:
    """Tells somebody at a terminal what is done, once it takes longer than a moment."""

    def __init__(self) -> None:
        self.begun = time.monotonic()
        self.said = ""

    def __call__(self, text: str, share: float) -> None:
        if sys.stderr.isatty() and text != self.said and time.monotonic() - self.begun > PATIENCE_SECONDS:
            print(f"{text} … {share:.0%}", file=sys.stderr, flush=True)
            self.said = text


def _recipe(options: argparse.Namespace, given: Given | None = None) -> Recipe:
    """The recipe that was asked for; what wins over a given one is told."""
    changes: dict[str, Any] = dict(parse_setting(text) for text in options.set or [])
    for name, value in (("base", options.model), ("seed", options.seed), ("max_minutes", options.max_minutes)):
        if value is not None:
            changes[name] = value
    preset = changes.pop("preset", None)
    preset = options.preset or preset
    if given is None:
        return jobs.recipe_for(preset, **changes)
    preset, values = given.with_changes(preset, changes)
    recipe = jobs.recipe_for(preset, **values)
    for one in given.changed(recipe):
        _say(f"{one.name} = {told(one.other)} instead of the recipe's {told(one.this)}")
    return recipe


def _keep_volume(options: argparse.Namespace) -> None:
    """The requests a day that costs are told for from now on."""
    if options.requests_per_day is not None:
        Prices.load(options.root).chosen(requests_per_day=options.requests_per_day).save(options.root)


def _trained(options: argparse.Namespace, *, compare: bool) -> store.Run:
    given = read_recipe(options.recipe) if options.recipe else None
    recipe = _recipe(options, given)
    if compare:
        _keep_volume(options)
    report = _report(options, recipe)
    for sentence in given.remarks(report.as_json()["file"]["sha256"]) if given else ():
        _say(sentence)
    return jobs.train(
        report,
        recipe=recipe,
        root=options.root,
        directory=options.run_dir,
        compare=compare,
        options=_asked(options, Options()) if compare else None,
        documents=options.documents if compare else None,
        tell=_tell,
    )


def _asked(options: argparse.Namespace, before: Options) -> Options | None:
    """The options of the comparison that were given, the others as before; None where none was."""
    changes: dict[str, Any] = {
        name: value if name in ("prompt", "pattern") else tuple(value)
        for name in ("prompt", "must", "must_not", "pattern")
        if (value := getattr(options, name)) is not None
    }
    if options.without:
        changes["systems"] = tuple(name for name in ALTERNATIVES if name not in options.without)
    return dataclasses.replace(before, **changes) if changes else None


def _tell(event: dict) -> None:
    if line := event_line(event):
        _say(line)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _answer(options: argparse.Namespace, answer: dict, lines: Sequence[str]) -> None:
    if options.json:
        json.dump(answer, sys.stdout, ensure_ascii=False, indent=2, allow_nan=False)
        print()
    else:
        print("\n".join(lines))


COMMANDS: dict[str, Command] = {
    "inspect": _inspect,
    "train": _train,
    "run": _run,
    "compare": _compare,
    "verdict": _verdict,
    "report": _write_report,
    "check": _check,
    "runs": _runs,
    "stop": _stop,
    "resume": _resume,
    "queue": _queue,
    "recipe": _recipe_of,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake that the user can mend, 130 interrupted; a bug raises."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser().parse_args(arguments)
        COMMANDS[options.command](options)
    except FinetuneError as error:
        print(f"finetune: {error}", file=sys.stderr)
        if "--json" in arguments:
            print(json.dumps(error.as_json(), ensure_ascii=False))
        return 2
    except KeyboardInterrupt:
        # A run is a process of its own and goes on; who pressed the key should know it.
        print(
            "A run that has begun goes on by itself: `python -m finetune runs` shows it, `stop RUN` ends it.",
            file=sys.stderr,
        )
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
