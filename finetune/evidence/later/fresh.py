"""The fresh rows of a check: read by the columns of the run, and each that cannot be used counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from finetune.dataset.checks.likeness import normalised, text_of
from finetune.dataset.checks.spellings import label_key
from finetune.dataset.example import Example
from finetune.dataset.mapping.columns import Mapping, examples, guess
from finetune.dataset.mapping.rows import texts
from finetune.dataset.mapping.template import template_columns
from finetune.dataset.reading.hub import load_hub
from finetune.dataset.reading.load import Table, load
from finetune.dataset.tell import Tell, silent
from finetune.errors import FinetuneError
from finetune.runs.store import Run

Data = Path | str | Sequence[Path | str] | Table
HUB = "hub:"
# Fewer say nothing at all, whatever they come to.
FEWEST = 5
NAMED = 12  # columns and labels in a sentence


@dataclass(frozen=True)
class Fresh:
    """What a file has for a check.

    Attributes:
        rows: the usable rows, labels spelled as the run spells them.
        read: rows of the file.
        left_out: reason → rows: "trained_on" (the same input stands in the run's own data), "no_answer", "no_input",
            "unreadable", "repeated" (a copy of an earlier row of the file).
        other_answer: of those that stand in the run's own data, the ones that have another answer now.
        read_as: spelling → the label of the run that it stands for.
        unknown: label that the run does not know → rows.
        columns: {"input", "output"}, as in the report of the run.
    """

    name: str
    sha256: str
    rows: tuple[Example, ...]
    read: int
    left_out: dict[str, int]
    other_answer: int
    read_as: dict[str, str]
    unknown: dict[str, int]
    columns: dict


def read_fresh(
    run: Run, data: Data, *, input: Sequence[str] | str | None = None, output: str | None = None, tell: Tell = silent
) -> Fresh:
    """Read fresh rows for a run.

    Args:
        data: what Upload reads: CSV, JSON, JSONL or Parquet, packed or not; `hub:owner/name`; or a table read before.
        input, output: columns, where the file names them otherwise than the data of the run did.
        tell: hears what is done; may raise Cancelled.

    Raises:
        FinetuneError: the file cannot be read, has not the columns, has under `FEWEST` usable rows, or no row with a
            label that the run knows.
    """
    table = read(data, tell)
    mapping = fresh_mapping(run, table, input=input, output=output)
    made, findings = examples(table, mapping)
    empty = sorted({row for found in findings if found.kind == "empty" and not found.check for row in found.rows})
    # Of a conversation without an answer nothing tells which side is missing.
    no_answer = len(empty)
    if mapping.messages is None and mapping.output is not None:
        no_answer = sum(not answer for answer in texts(table.frame.loc[empty, mapping.output]))
    made, read_as = _spelled(run, made)
    rows, trained_on, repeated, other = _new(run, made)
    left_out = {
        "trained_on": trained_on,
        "no_answer": no_answer,
        "no_input": len(empty) - no_answer,
        "unreadable": len(table.bad_rows),
        "repeated": repeated,
    }
    fresh = Fresh(
        table.name, table.sha256, tuple(rows), len(table.frame) + len(table.bad_rows), left_out, other, read_as,
        _unknown(run, rows), mapping.as_json(),
    )  # fmt: skip
    if len(rows) < FEWEST:
        why = left_out_text(left_out) or "there are no more"
        raise FinetuneError(
            f"Of the {fresh.read:,} rows, {len(rows) or 'none'} can be used for a check, and {FEWEST} are the least "
            f"({why}).",
            hint="Give rows that were answered by hand and are new to the run.",
        )
    if sum(fresh.unknown.values()) == len(rows):
        raise FinetuneError(
            f"No row has a label that this run knows: the file has {listed(fresh.unknown)}, and the run knows "
            f"{listed(run.record()['labels'])}.",
            hint="Name the column that holds the labels, or spell them as in the training rows.",
            column=mapping.output,
        )
    return fresh


def read(data: Data, tell: Tell = silent) -> Table:
    """The table of the fresh rows. Raises FinetuneError for what cannot be read."""
    if isinstance(data, Table):
        return data
    if isinstance(data, str) and data.startswith(HUB):
        return load_hub(data.removeprefix(HUB))
    return load(data, tell=tell)


def fresh_mapping(
    run: Run, table: Table, *, input: Sequence[str] | str | None = None, output: str | None = None
) -> Mapping:
    """The columns of the run in another file.

    Raises:
        FinetuneError: it lacks one of them, or one that was named.
    """
    said, names = run.report()["columns"], list(table.frame.columns)
    template = "" if input else said.get("template") or ""
    wanted = (input,) if isinstance(input, str) else tuple(input or ())
    if template:
        wanted = template_columns(template)
    elif not wanted:
        wanted = _taken_apart(said["input"], names) or tuple(said["input"].split(" + "))
    answer = output or said["output"]
    missing = [name for name in dict.fromkeys((*wanted, answer)) if name not in names]
    if missing:
        lacks = " and ".join(f"“{name}”" for name in missing)
        raise FinetuneError(
            f"The file has no column {lacks}; {'a check' if input or output else 'this run'} reads "
            f"{' + '.join(f'“{name}”' for name in wanted)} and takes the right answer from “{answer}”.",
            hint=f"The file has {listed(names)}. Name the columns of the input and of the answer.",
        )
    task = run.record()["task"]
    if task == "chat" and answer in wanted:
        return guess(table, input=wanted, task=task)
    return guess(table, input=() if template else wanted, output=answer, task=task, template=template)


def left_out_text(left_out: dict[str, int]) -> str:
    """`12 stand in the run's own data, 3 have no answer`; empty where nothing was left out."""
    said = {
        "trained_on": ("stands in the run's own data", "stand in the run's own data"),
        "no_answer": ("has no answer", "have no answer"),
        "no_input": ("has no input", "have no input"),
        "unreadable": ("cannot be read", "cannot be read"),
        "repeated": ("repeats an earlier row", "repeat an earlier row"),
        "too_long": ("is too long", "are too long"),
        "not_asked": ("was not asked, to save time", "were not asked, to save time"),
    }
    return ", ".join(f"{count:,} {said[why][count > 1]}" for why, count in left_out.items() if count and why in said)


def listed(names: Sequence[str] | dict[str, int]) -> str:
    """“a”, “b” and 3 more."""
    names = [str(name) for name in names]
    shown = ", ".join(f"“{name[:60]}”" for name in names[:NAMED])
    return shown + (f" and {len(names) - NAMED:,} more" if len(names) > NAMED else "")


def _taken_apart(said: str, names: Sequence[str]) -> tuple[str, ...]:
    """The columns of "instruction + input", also where a name has a plus in it; nothing where some are not there."""
    if said in names:
        return (said,)
    place = said.find(" + ")
    while place >= 0:
        if said[:place] in names and (rest := _taken_apart(said[place + 3 :], names)):
            return (said[:place], *rest)
        place = said.find(" + ", place + 3)
    return ()


def _spelled(run: Run, rows: Sequence[Example]) -> tuple[list[Example], dict[str, str]]:
    """Labels that differ from one of the run's by capitals, spaces or signs at their ends alone are written as it is."""
    record = run.record()
    if record["task"] != "classification":
        return list(rows), {}
    known, keys = set(record["labels"]), Counter(map(label_key, record["labels"]))
    meant = {label_key(label): label for label in record["labels"] if keys[label_key(label)] == 1}
    read_as = {
        label: meant[label_key(label)]
        for label in dict.fromkeys(row.output for row in rows)
        if label not in known and label_key(label) in meant
    }
    return [replace(row, output=read_as[row.output]) if row.output in read_as else row for row in rows], read_as


def _new(run: Run, rows: Sequence[Example]) -> tuple[list[Example], int, int, int]:
    """The rows whose input stands nowhere in the run's data and not twice with one answer; and the counts of others.

    A row of the run counts whatever its answer is now: to take in only those whose answer has changed, all of which the
    model would get wrong, would make a fall of nothing.
    """
    answers: dict[str, set[str]] = {}
    for part in ("train", "validation", "test"):
        for example in run.examples(part):
            answers.setdefault(normalised(text_of(example)), set()).add(normalised(example.output))
    new, seen, trained_on, repeated, other = [], set(), 0, 0, 0
    for row in rows:
        text, answer = normalised(text_of(row)), normalised(row.output)
        if text in answers:
            trained_on += 1
            other += answer not in answers[text]
        elif (text, answer) in seen:
            repeated += 1
        else:
            seen.add((text, answer))
            new.append(row)
    return new, trained_on, repeated, other


def _unknown(run: Run, rows: Sequence[Example]) -> dict[str, int]:
    record = run.record()
    if record["task"] != "classification":
        return {}
    counts = Counter(row.output for row in rows)
    return {label: count for label, count in counts.most_common() if label not in set(record["labels"])}
