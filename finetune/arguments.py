"""The options of the command line. What the commands do is in `__main__`."""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path
from typing import NoReturn

from finetune.dataset.checks.likeness import LOWEST, THRESHOLD
from finetune.dataset.example import TASKS
from finetune.dataset.mending import DEFAULT_MENDS, MENDS
from finetune.dataset.readiness.questions import Questions
from finetune.errors import FinetuneError
from finetune.evidence.systems import ALTERNATIVES
from finetune.runs import store, supervise
from finetune.training.recipe import PRESETS


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

    def add(name: str, help: str) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        command.add_argument("--json", action="store_true", help="one JSON object on standard output")
        command.add_argument("--root", type=Path, default=store.default_root(), help="directory of the runs")
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
            choices=[*MENDS, "none"],
            help=f"what to do about findings (default {', '.join(DEFAULT_MENDS)}); none leaves every row as it is",
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
        command.add_argument(
            "--requests-per-day",
            type=float,
            metavar="N",
            help="for the costs of a month; kept for all runs of the root",
        )
        command.add_argument("--must", action="append", metavar="TEXT", help="each answer must contain it")
        command.add_argument("--must-not", action="append", metavar="TEXT", help="no answer may contain it")
        command.add_argument("--pattern", metavar="REGEX", help="each answer must match it somewhere")

    inspect = add("inspect", "look at a file: rows, split, findings, readiness")
    add_data(inspect)
    inspect.add_argument("--cleaned", type=Path, metavar="DIR", help="write the mended rows and what changed there")
    for name, help in (
        ("train", "train an adapter on a file"),
        ("run", "the main job: inspect, train, compare, verdict"),
    ):
        command = add(name, help)
        add_data(command)
        command.add_argument("--run-dir", type=Path, metavar="DIR", help="place of this run; must not exist yet")
        command.add_argument(
            "--recipe",
            type=Path,
            metavar="FILE",
            help="repeat the recipe.json of a run, or any JSON object of recipe fields; what is given beside it wins",
        )
        if name == "run":
            add_asked(command)
    command = add("compare", "compare a trained run on its held-out rows")
    command.add_argument("run", help="id or directory")
    add_asked(command)
    command = add("check", "drift: score a finished run on fresh rows")
    command.add_argument("run", help="id or directory")
    command.add_argument("data", nargs="+", help="fresh rows with their answers, in any format that `inspect` reads")
    command.add_argument("--input", action="append", metavar="COL", help="input column, where its name has changed")
    command.add_argument("--output", metavar="COL", help="output column, where its name has changed")
    command.add_argument("--below", type=float, metavar="SCORE", help="train again under this score, 0 to 1")
    command = add("report", "the comparison as one file to take away, HTML or Markdown")
    command.add_argument("run", help="id or directory")
    command.add_argument("file", type=Path, help="ends in .html or .md")
    command = add("verdict", "the decision alone, from scores")
    command.add_argument("scores", type=Path, help='JSONL of {"id", "part", "scores": {system: 0..1}}')
    command.add_argument("--seed", type=int, default=0, help="seed of the bootstrap")
    command.add_argument(
        "--models", type=int, default=1, metavar="N", help="fine-tuned models that were compared on these test rows"
    )
    add("runs", "list the runs")
    command = add("stop", "stop a run; what it learned is kept")
    command.add_argument("run", help="id or directory")
    command.add_argument(
        "--grace", type=float, default=supervise.GRACE_SECONDS, metavar="SECONDS", help="time to save in"
    )
    add("resume", "go on with a stopped run").add_argument("run", help="id or directory")
    command = add("queue", "who has the device and who waits for it; `stop RUN` takes a run out")
    moves = command.add_mutually_exclusive_group()
    for to, help in (
        ("first", "let this run be the next"), ("up", "let it go before the one in front of it"),
        ("down", "let the one behind it go first"),
    ):  # fmt: skip
        moves.add_argument(f"--{to}", metavar="RUN", help=help)
    command = add("recipe", "the fields of a recipe, for --set; the recipe of a run; or what differs between two runs")
    command.add_argument("run", nargs="?", help="id or directory; without it, the fields are listed")
    command.add_argument("other", nargs="?", metavar="other", help="a second run to compare it with")
    return top
