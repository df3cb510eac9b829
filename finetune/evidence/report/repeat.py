"""The command line that makes a run again, from what the run recorded of itself."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from finetune.dataset.checks.likeness import THRESHOLD
from finetune.dataset.mending import DEFAULT_MENDS
from finetune.evidence.alternatives.asking import default_prompt
from finetune.evidence.alternatives.documents import PASSAGES_FILE, read_passages
from finetune.evidence.systems import ALTERNATIVES
from finetune.runs.store import Run
from finetune.training.recipe import Recipe

PASTED = ("pasted text", "pasted text.txt", "standard input")
# Fields of the recipe that have an option of their own.
_NAMED = ("base", "preset", "seed", "max_minutes")


@dataclass(frozen=True)
class Repeat:
    """How a run is made again.

    Attributes:
        command: for a shell, every argument quoted.
        notes: sentences: where to run it, and what it cannot know.
    """

    command: str
    notes: tuple[str, ...]


def repeat_command(run: Run) -> str:
    """`python -m finetune run DATA …` with everything that made this run."""
    return repeat(run).command


def repeat(run: Run) -> Repeat:
    """The command and what has to be said about it."""
    report, record = run.report(), run.record()
    kept = (
        f"The rows as they were used are kept in the folder of the run {run.id}: train.jsonl, validation.jsonl and "
        "test.jsonl, under data."
    )
    notes = list(_notes(run, report, record))
    words = ["python", "-m", "finetune", "run", *_data(report, record)]
    for name, value in (*_columns(report, record), *_recipe(run.recipe()), *_mends(report), *_asked(run)):
        words += _option(name, value)
    return Repeat(shlex.join(words), (*notes, kept))


def _notes(run: Run, report: dict, record: dict) -> Iterator[str]:
    digest = record["data"]["sha256"]
    if report.get("file", {}).get("format") == "hub":
        yield f"The data set was read from the Hub; if it is still the same, its rows have SHA-256 {digest}."
    elif record["data"]["name"] in PASTED:
        yield f"The rows were pasted: give the same text on standard input (SHA-256 {digest})."
    else:
        yield f"Run it in the folder that holds the data; what was read has SHA-256 {digest}."
    names = [source["name"] for source in report.get("file", {}).get("sources", ())]
    if any(name.endswith(")") and name.rpartition(" (")[0] in names for name in names):
        yield "Files of one name came from different folders: put the right path in place of each."
    if (comparison := run.comparison() or {}).get("options", {}).get("documents"):
        count = comparison["options"]["documents"]
        yield f"The documents have to be there too; their {count:,} passages are kept in the run ({PASSAGES_FILE})."


def _data(report: dict, record: dict) -> list[str]:
    """The files by their names, as positional arguments."""
    file = report.get("file", {})
    sources = [source for source in file.get("sources", ()) if not source.get("test")]
    if file.get("format") == "hub" and sources:
        return ["hub:" + sources[0]["name"].rpartition(" ")[0]]
    names = [source["name"] for source in sources] or [record["data"]["name"]]
    return ["-"] if names[0] in PASTED else [_path(name) for name in names]


def _columns(report: dict, record: dict) -> Iterator[tuple[str, str]]:
    columns = report.get("columns", {})
    template = columns.get("template")
    if template:
        yield "template", template
    elif columns.get("input"):
        for name in report.get("inputs") or columns["input"].split(" + "):
            yield "input", name
    output = columns.get("output")
    if output and not (record["task"] == "chat" and output == columns.get("input")):
        yield "output", output
    yield "task", record["task"]
    for name in ("group", "time"):
        if columns.get(name):
            yield name, columns[name]
    for source in report.get("file", {}).get("sources", ()):
        if source.get("test"):
            yield "test-file", _path(source["name"])
    if report.get("near", THRESHOLD) != THRESHOLD:
        yield "near", plainly(report["near"])


def _recipe(recipe: Recipe) -> Iterator[tuple[str, str]]:
    """Base, preset and seed, and what differs from the preset."""
    preset = Recipe.from_preset(recipe.preset)
    yield "model", recipe.base
    yield "preset", recipe.preset
    yield "seed", str(recipe.seed)
    if recipe.max_minutes != preset.max_minutes:
        yield "max-minutes", plainly(recipe.max_minutes)
    for name, value in changed(recipe):
        if name not in _NAMED:
            yield "set", f"{name}={plainly(value)}"


def changed(recipe: Recipe) -> list[tuple[str, object]]:
    """The fields in which a recipe differs from its preset, with their values."""
    preset = Recipe.from_preset(recipe.preset)
    return [
        (entry.name, getattr(recipe, entry.name))
        for entry in dataclasses.fields(Recipe)
        if getattr(recipe, entry.name) != getattr(preset, entry.name)
    ]


def plainly(value: object) -> str:
    """A value as the command line reads it, without the .0 of a whole number."""
    if isinstance(value, float) and float(short := f"{value:g}") == value:
        return short
    return str(value)


def _mends(report: dict) -> Iterator[tuple[str, str]]:
    mends = report.get("mends")
    if mends is not None and set(mends) != set(DEFAULT_MENDS):
        for name in mends or ["none"]:
            yield "mend", name


def _asked(run: Run) -> Iterator[tuple[str, str | Sequence[str]]]:
    """What was asked of the comparison, as it was made and not as the next one would be."""
    options = (run.comparison() or {}).get("options") or {}
    record = run.record()
    if options.get("prompt") and options["prompt"] != default_prompt(record["task"], record["labels"]):
        yield "prompt", options["prompt"]
    for name in ALTERNATIVES:
        if name not in options.get("systems", ALTERNATIVES):
            yield "without", name
    for name in ("must", "must_not"):
        for text in options.get(name, ()):
            yield name.replace("_", "-"), text
    if options.get("pattern"):
        yield "pattern", options["pattern"]
    if options.get("documents"):
        sources = dict.fromkeys(passage.source for passage in read_passages(run.directory / PASSAGES_FILE))
        if sources:
            yield "documents", [_path(name) for name in sources]


def _option(name: str, value: str | Sequence[str]) -> list[str]:
    if not isinstance(value, str):
        return [f"--{name}", *value]
    # A value with a dash in front would be taken for an option.
    return [f"--{name}={value}"] if value.startswith("-") else [f"--{name}", value]


def _path(name: str) -> str:
    return f"./{name}" if name.startswith("-") else name
