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
from pathlib import Path
from typing import Any, NoReturn

from finetune import jobs
from finetune.dataset.checks.likeness import LOWEST, THRESHOLD
from finetune.dataset.cleaned import save_cleaned
from finetune.dataset.example import TASKS
from finetune.dataset.mending import DEFAULT_MENDS, MENDS
from finetune.dataset.readiness.questions import Questions, parse_answer
from finetune.dataset.reading.load import load_text
from finetune.dataset.report import Report
from finetune.errors import FinetuneError
from finetune.evidence.options import Options
from finetune.evidence.systems import ALTERNATIVES
from finetune.runs import store, supervise
from finetune.show import comparison_lines, event_line, report_lines, run_line, verdict_lines
from finetune.training.recipe import PRESETS, Recipe, describe, parse_setting

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
    answer = {"run": str(run.directory), "state": ended.state, "adapter": str(run.adapter)}
    _answer(options, answer | {"training": run.training()}, [f"{ended.state}: {run.directory}"])


def _run(options: argparse.Namespace) -> None:
    run = _trained(options, compare=True)
    comparison = run.comparison()
    if comparison is None:
        raise FinetuneError("The run was stopped before its comparison.", hint=f"`finetune resume {run.id}` goes on.")
    _answer(options, comparison, comparison_lines(comparison))


def _compare(options: argparse.Namespace) -> None:
    run = store.open_run(options.run, options.root)
    # Beginning with what was asked the last time: who sets a prompt keeps the rules of before.
    asked = _asked(options, Options.of(run))
    comparison = jobs.compare(run, options=asked, documents=options.documents, tell=_tell)
    _answer(options, comparison, comparison_lines(comparison))


def _verdict(options: argparse.Namespace) -> None:
    from finetune.evidence.scores import read_scores
    from finetune.evidence.verdict import RULES, decide

    verdict, paired = decide(read_scores(options.scores), seed=options.seed, models=options.models)
    answer = {"verdict": verdict.as_json(), "paired": paired.as_json(), "rules": RULES}
    _answer(options, answer, verdict_lines(answer))


def _runs(options: argparse.Namespace) -> None:
    found, problems = store.list_runs(options.root)
    entries = []
    for run in found:
        now, comparison = store.status(run), run.comparison()
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
    comparison = run.comparison()
    if comparison:
        _answer(options, comparison, comparison_lines(comparison))
    else:
        state = store.status(run).state
        _answer(
            options, {"run": str(run.directory), "state": state, "training": run.training()}, [f"{run.id}: {state}"]
        )


def _report(options: argparse.Namespace, recipe: Recipe) -> Report:
    data = options.data
    if data == ["-"]:
        data = load_text(sys.stdin.read(), "standard input")
    elif len(data) == 1:
        data = data[0]
    return jobs.inspect(
        data, input=options.input, output=options.output, task=options.task, template=options.template,
        group=options.group, time=options.time, test=options.test_file,
        mends=options.mend if options.mend is not None else DEFAULT_MENDS, near=options.near,
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


def _recipe(options: argparse.Namespace) -> Recipe:
    changes: dict[str, Any] = dict(parse_setting(text) for text in options.set or [])
    for name, value in (("base", options.model), ("seed", options.seed), ("max_minutes", options.max_minutes)):
        if value is not None:
            changes[name] = value
    named = changes.pop("preset", None)
    return jobs.recipe_for(options.preset or named, **changes)


def _trained(options: argparse.Namespace, *, compare: bool) -> store.Run:
    recipe = _recipe(options)
    return jobs.train(
        _report(options, recipe),
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
        print(line, file=sys.stderr, flush=True)


def _answer(options: argparse.Namespace, answer: dict, lines: Sequence[str]) -> None:
    if options.json:
        json.dump(answer, sys.stdout, ensure_ascii=False, indent=2, allow_nan=False)
        print()
    else:
        print("\n".join(lines))


class _Parser(argparse.ArgumentParser):
    """Tells a wrong option as any other mistake: one sentence, and as JSON where JSON was asked for."""

    def error(self, message: str) -> NoReturn:
        raise FinetuneError(f"{message[:1].upper()}{message[1:]}.", hint=f"`{self.prog} --help` shows the options.")


def parser() -> argparse.ArgumentParser:
    """The options of every command."""
    top = _Parser(
        prog="python -m finetune", description="Should you fine-tune for this, or is a prompt, or retrieval, enough?"
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, act: Command, help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        command.add_argument("--json", action="store_true", help="one JSON object on standard output")
        command.add_argument("--root", type=Path, default=store.default_root(), help="directory of the runs")
        command.set_defaults(act=act)
        return command

    def add_data(command: argparse.ArgumentParser) -> None:
        command.add_argument(
            "data",
            nargs="+",
            help="CSV, JSON, JSONL or Parquet, also .gz and .zst; several become one; hub:owner/name; - reads standard input",
        )
        command.add_argument("--input", action="append", metavar="COL", help="input column; may be given again")
        command.add_argument("--output", metavar="COL", help="output column")
        command.add_argument("--task", choices=TASKS, help="what the rows are, where the guess is wrong")
        command.add_argument(
            "--template", default="", metavar="TEXT", help="input from several columns: '{subject}: {body}'"
        )
        command.add_argument("--group", metavar="COL", help="column whose values stay on one side of the split")
        command.add_argument("--time", metavar="COL", help="column with dates: split in time order")
        command.add_argument("--test-file", type=Path, metavar="FILE", help="test rows of your own")
        command.add_argument(
            "--near",
            type=float,
            default=THRESHOLD,
            metavar="SHARE",
            help=f"words in common that make two inputs nearly the same, {LOWEST} to 1 (default {THRESHOLD})",
        )
        command.add_argument(
            "--answer",
            action="append",
            metavar="NAME=VALUE",
            help="what the data cannot tell: " + ", ".join(entry.name for entry in dataclasses.fields(Questions)),
        )
        command.add_argument("--seed", type=int, help="seed of the split and of the training")
        command.add_argument(
            "--mend",
            action="append",
            choices=list(MENDS),
            help=f"what to do about findings (default {', '.join(DEFAULT_MENDS)})",
        )
        command.add_argument("--model", metavar="M", help="base: gallery name, Hub name or folder")
        command.add_argument("--preset", choices=list(PRESETS), help="default: pilot without a GPU, standard with one")
        command.add_argument(
            "--set", action="append", metavar="NAME=VALUE", help="any field of the recipe; see `recipe`"
        )
        command.add_argument("--max-minutes", type=float, metavar="N", help="time box of the training")

    def add_asked(command: argparse.ArgumentParser) -> None:
        command.add_argument("--prompt", metavar="TEXT", help="instruction of your own for the system `prompted`")
        command.add_argument(
            "--documents", nargs="+", type=Path, metavar="FILE", help="documents that retrieval looks in too"
        )
        command.add_argument(
            "--without", action="append", choices=ALTERNATIVES, help="switch a system off; may be given again"
        )
        command.add_argument("--must", action="append", metavar="TEXT", help="each answer must contain it")
        command.add_argument("--must-not", action="append", metavar="TEXT", help="no answer may contain it")
        command.add_argument("--pattern", metavar="REGEX", help="each answer must match it somewhere")

    inspect = add("inspect", _inspect, "look at a file: rows, split, findings, readiness")
    add_data(inspect)
    inspect.add_argument("--cleaned", type=Path, metavar="DIR", help="write the mended rows and what changed there")
    for name, act, help in (
        ("train", _train, "train an adapter on a file"),
        ("run", _run, "the main job: inspect, train, compare, verdict"),
    ):
        command = add(name, act, help)
        add_data(command)
        command.add_argument("--run-dir", type=Path, metavar="DIR", help="place of this run; must not exist yet")
        if name == "run":
            add_asked(command)
    command = add("compare", _compare, "compare a trained run on its held-out rows")
    command.add_argument("run", help="id or directory")
    add_asked(command)
    command = add("verdict", _verdict, "the decision alone, from scores")
    command.add_argument("scores", type=Path, help='JSONL of {"id", "part", "scores": {system: 0..1}}')
    command.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    command.add_argument(
        "--models", type=int, default=1, metavar="N", help="fine-tuned models that were compared on these test rows"
    )
    add("runs", _runs, "list the runs")
    command = add("stop", _stop, "stop a run; what it learned is kept")
    command.add_argument("run", help="id or directory")
    command.add_argument(
        "--grace", type=float, default=supervise.GRACE_SECONDS, metavar="SECONDS", help="time to save in"
    )
    add("resume", _resume, "go on with a stopped run").add_argument("run", help="id or directory")
    recipe = commands.add_parser("recipe", help="the fields of a recipe, for --set")
    recipe.set_defaults(act=lambda options: print(describe()), json=False)
    return top


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit status: 0 done, 2 a mistake that the user can mend, 130 interrupted; a bug raises."""
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        options = parser().parse_args(arguments)
        options.act(options)
    except FinetuneError as error:
        print(f"finetune: {error}", file=sys.stderr)
        if "--json" in arguments:
            print(json.dumps(error.as_json(), ensure_ascii=False))
        return 2
    except KeyboardInterrupt:
        # A run is a process of its own and goes on; who pressed the key should know it.
        print("A run goes on by itself: `python -m finetune runs` shows it, `stop RUN` ends it.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # The reader (head, less) has seen enough. Python would complain once more when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    sys.exit(main())
