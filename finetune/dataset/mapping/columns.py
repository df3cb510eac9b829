"""Which columns are the input and the output, what the task is, and the examples that follow from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from finetune.dataset.example import TASKS, Task
from finetune.dataset.mapping.contents import guess_task, is_identifier, length, repeats
from finetune.dataset.mapping.mapping import Mapping
from finetune.dataset.mapping.names import (
    ASIDE,
    GROUPS,
    INPUTS,
    LABELS,
    MESSAGES,
    OUTPUTS,
    SUGGESTED,
    SYSTEMS,
    TITLED,
    TOGETHER,
    named,
    plain,
    words,
)
from finetune.dataset.mapping.rows import examples
from finetune.dataset.mapping.template import cell_text, render_template, template_columns, template_preview
from finetune.dataset.mapping.times import parse_times, read_times, suggest_time, table_times
from finetune.dataset.reading.conversation import as_conversation, said, stripped
from finetune.dataset.reading.table import Table
from finetune.errors import FinetuneError

__all__ = [
    "Mapping", "examples", "guess", "parse_times", "render_template", "suggest_group", "suggest_time", "table_times",
    "template_preview",
]  # fmt: skip

# Rows that are looked at, evenly over the table: enough to tell what a column holds.
_SAMPLE = 20_000
_CONVERSATIONS = 40


def guess(
    table: Table,
    *,
    input: Sequence[str] | str | None = None,
    output: str | None = None,
    task: str | None = None,
    template: str = "",
    group: str | None = None,
    time: str | None = None,
) -> Mapping:
    """The mapping of a table: the user's choices first, then the names of the columns, then what is in them.

    Args:
        template: the input as a text with names of columns in braces; `input` is not asked then.
        group, time: as in Mapping. They are never guessed, and are neither input nor output unless named so.

    Raises:
        FinetuneError: an unknown task or column, one column for both sides, a template that cannot be read, or a column
            of dates that holds none.
    """
    template = template if template.strip() else ""
    inputs = (input,) if isinstance(input, str) else tuple(input or ())
    inputs = template_columns(template, table.frame.columns) if template else inputs
    output, group, time = output or None, group or None, time or None
    _check(table, inputs, output, task, template, group, time)
    frame = _sample(
        table.frame.drop(columns=[name for name in (group, time) if name and name not in (*inputs, output)])
    )

    if task in (None, "chat") and not template and (mapping := _chat(frame, inputs, output)) is not None:
        return _with(mapping, group, time)
    if task == "chat":
        if template:
            raise FinetuneError(
                "A template is for the columns of a row, and a conversation is one column.",
                hint="Leave the template empty, or take the task instruction.",
            )
        raise FinetuneError(
            "No column holds conversations, so the task cannot be chat.",
            hint="A conversation is a list of turns with a role and a content; or take the task instruction.",
        )
    if len(frame.columns) < 2:
        name = frame.columns[0] if len(frame.columns) else None
        raise FinetuneError("The file has one column; training needs an input and an output.", column=name)

    reasons: list[str] = []
    if output is None:
        output, reason = _guess_output(frame, inputs)
        reasons.append(reason)
        if plain(output) == "chosen" and (rejected := named(frame.columns, ("rejected",))):
            reasons.append(f"“{rejected}” is not learned: of two answers the preferred one is.")
    if not inputs:
        inputs, reason = _guess_input(frame, output)
        reasons.append(reason)
    chosen: Task | None = task  # type: ignore[assignment]
    if chosen is None:
        chosen, reason = guess_task(output, frame[output], table.frame[output])
        reasons.append(reason)
    return _with(Mapping(chosen, inputs, output, reasons=tuple(reasons), template=template), group, time)


def suggest_group(table: Table) -> tuple[str, ...]:
    """Columns that look like the customer or the document that a row belongs to: named so, with values that recur."""
    frame = _sample(table.frame)
    found = []
    for name in frame.columns:
        values = [value for value in map(cell_text, frame[name]) if value]
        said_so = not GROUPS.isdisjoint(words(name)) and plain(name) not in LABELS
        if said_so and 1 < len(set(values)) < 0.9 * len(values) and max(map(len, values)) <= 200:
            found.append(name)
    return tuple(found)


def _check(
    table: Table,
    inputs: Sequence[str],
    output: str | None,
    task: str | None,
    template: str,
    group: str | None,
    time: str | None,
) -> None:
    if task is not None and task not in TASKS:
        raise FinetuneError(f"There is no task “{task}”.", hint=f"Take one of: {', '.join(TASKS)}.")
    for name in (*inputs, output, group, time):
        if name and name not in table.frame.columns:
            hint = f"The columns are: {_listed(table.frame.columns)}."
            raise FinetuneError(f"There is no column “{name}”.", hint=hint)
    if output is not None and output in inputs:
        if template:
            raise FinetuneError(
                "The template shows the model its own answer.", hint="Take the output out of it.", column=output
            )
        raise FinetuneError("Input and output are the same column.", hint="Choose two.", column=output)
    if group is not None and group == output:
        raise FinetuneError(
            "The group is the output: then no answer of the test would ever have been learned.",
            hint="Name the customer or the document that a row belongs to, or no group.",
            column=group,
        )
    if time is not None:
        values = [cell_text(cell) for cell in _sample(table.frame[[time]], 2000)[time]]
        if not read_times(values).form:
            seen = next(filter(None, values), "")[:40]
            what = f"the first is “{seen}”" if seen else "it is empty"
            raise FinetuneError(
                f"No dates can be read in “{time}”: {what}.",
                hint="Dates look like 2024-12-31 or 31.12.2024.",
                column=time,
            )


def _with(mapping: Mapping, group: str | None, time: str | None) -> Mapping:
    return replace(mapping, group=group, time=time)


def _chat(frame: pd.DataFrame, inputs: Sequence[str], output: str | None) -> Mapping | None:
    """The mapping of conversations: one column with both sides, or two columns with one side each."""
    sides = {name: _sides(frame[name]) for name in frame.columns}
    both = [name for name, roles in sides.items() if {"user", "assistant"} <= roles]
    preferred = [name for name in (named(both, (wanted,)) for wanted in MESSAGES) if name]
    messages = next(
        (name for name in (*inputs, *((output,) if output else ()), *preferred, *both) if name in both), None
    )
    system = named(frame.columns, SYSTEMS)
    one = (messages,)
    if messages and output in (None, messages) and tuple(inputs) in ((), one):
        reasons = [f"“{messages}” holds conversations: lists of turns with a role and a content."]
        if plain(messages) == "chosen" and (rejected := named(frame.columns, ("rejected",))):
            reasons.append(f"“{rejected}” is not learned: of two conversations the preferred one is.")
        return Mapping("chat", (), None, messages, system, tuple(reasons))
    asked = [
        name for name, roles in sides.items() if "user" in roles and name not in both and tuple(inputs) in ((), (name,))
    ]
    answered = [name for name, roles in sides.items() if roles == {"assistant"} and output in (None, name)]
    if not asked or not answered:
        return None
    prompt = named(asked, INPUTS) or asked[0]
    answer = named(answered, OUTPUTS) or answered[0]
    reasons = [f"“{prompt}” holds the turns before the answer, and “{answer}” the answer."]
    if plain(answer) == "chosen" and (rejected := named(frame.columns, ("rejected",))):
        reasons.append(f"“{rejected}” is not learned: of two answers the preferred one is.")
    return Mapping("chat", (), answer, prompt, system, tuple(reasons))


def _sides(column: pd.Series) -> set[str]:
    """The roles that speak in the conversations of a column; none where it has no conversations."""
    places = np.unique(np.linspace(0, max(len(column) - 1, 0), min(len(column), _CONVERSATIONS)).astype(int))
    cells = [*column.iloc[places], *column.head(20)]
    return {role for cell in cells for role, _ in said(as_conversation(cell) or ())}


def _sample(frame: pd.DataFrame, rows: int = _SAMPLE) -> pd.DataFrame:
    if len(frame) <= rows:
        return frame
    return frame.iloc[np.linspace(0, len(frame) - 1, rows).astype(int)]


def _guess_output(frame: pd.DataFrame, inputs: Sequence[str]) -> tuple[str, str]:
    free = [name for name in frame.columns if name not in inputs]
    if not free:
        raise FinetuneError("No column is left for the output.", hint="Choose fewer columns for the input.")
    leaves = _leaves(free)
    # What people answered before what a program suggested, and what varies before what is the same everywhere.
    answered = [name for name in leaves if SUGGESTED.isdisjoint(words(name))]
    varied = [name for name in answered if frame[name].map(cell_text).nunique() > 1]
    if name := named(varied, OUTPUTS) or named(answered, OUTPUTS) or named(leaves, OUTPUTS):
        return name, f"“{name}” is the output because of its name."
    known_inputs = {*INPUTS, "instruction", "context"}
    open_ = [name for name in leaves if plain(name) not in known_inputs] or leaves
    open_ = [name for name in open_ if plain(name) not in ASIDE] or open_
    open_ = [name for name in open_ if not is_identifier(frame[name])] or open_
    for name in reversed(open_):
        if len(open_) > 1 and repeats(frame[name]):
            return name, f"“{name}” is the output: it repeats a few short values, as labels do."
    # The last of the texts: a table is read from left to right.
    longest = max((length(frame[name]) for name in open_), default=0)
    name = [name for name in open_ if length(frame[name]) >= longest / 4][-1]
    return name, f"“{name}” is the output: the last column with text of its own."


def _guess_input(frame: pd.DataFrame, output: str) -> tuple[tuple[str, ...], str]:
    free = _leaves([name for name in frame.columns if name != output])
    for pair in TOGETHER:
        names = [name for name in (named(free, (part,), whole=True) for part in pair) if name]
        if len(names) == len(pair) and any(map(stripped, frame[names[1]].map(cell_text))):
            return tuple(names), f"{_listed(names)} are read together as the input because of their names."
    first, second = (named(free, part, whole=True) for part in TITLED)
    if first and second:
        return (first, second), f"{_listed((first, second))} are read together as the input because of their names."
    if name := named(free, ("instruction", *INPUTS)):
        return (name,), f"“{name}” is the input because of its name."
    name = max(
        free, key=lambda column: (plain(column) not in ASIDE, not is_identifier(frame[column]), length(frame[column]))
    )
    return (name,), f"“{name}” is the input: the longest text beside the output."


def _leaves(names: Sequence[str]) -> list[str]:
    """The columns without those that are the JSON text of others, whose names begin with theirs and a full stop."""
    parents = {name[:place] for name in names for place, letter in enumerate(name) if letter == "."}
    return [name for name in names if name not in parents] or list(names)


def _listed(names: Iterable[Any], limit: int = 12) -> str:
    names = list(names)
    return ", ".join(f"“{name}”" for name in names[:limit]) + (
        f" and {len(names) - limit} more" if len(names) > limit else ""
    )
