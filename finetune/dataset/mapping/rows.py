"""The rows of a table become examples under a mapping; what cannot be one is told."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pandas as pd

from finetune.dataset.example import Example
from finetune.dataset.finding import APPLIED, Finding, rows_text
from finetune.dataset.mapping.mapping import Mapping
from finetune.dataset.mapping.template import cell_text, render_rows
from finetune.dataset.reading.collector import paused
from finetune.dataset.reading.conversation import (
    TOOL_COLUMNS,
    as_conversation,
    ends_in_silence,
    exchange,
    ignored,
    said,
    stripped,
)
from finetune.dataset.reading.table import Table

# Cells beside a conversation that describe no tool.
_NOTHING = ("", "[]", "{}", "null", "true", "false")


def examples(table: Table, mapping: Mapping) -> tuple[list[Example], list[Finding]]:
    """The usable rows as examples, in order, and what is wrong with the others: kinds bad_row and empty.

    Cells are stripped at their ends and otherwise left as they are. Of a conversation, the output is the last turn of
    the assistant and the context all turns before it, up to the last one of the user. Two more findings tell what of a
    conversation is not learned though its row is used: kind empty, check "tool_turns" and "media_parts", severity note.
    """
    dropped: list[Finding] = []
    with paused():
        if mapping.messages is not None:
            made, dropped = _chat(table, mapping)
        else:
            made = _pairs(table, mapping)
        kept = [example for example in made if example.input and example.output]
    findings: list[Finding] = []
    if table.bad_rows:
        first = table.bad_rows[0]
        rows = tuple(bad.row for bad in table.bad_rows)
        message = f"{rows_text(len(rows))} cannot be read; {table.place(first.row)}: {first.reason}."
        fix = "They are left out. Mend them in the file to use them."
        findings.append(Finding("bad_row", "warning", rows, message, fix, mends=(APPLIED,)))
    if len(kept) < len(made):
        empty = [example for example in made if not (example.input and example.output)]
        if mapping.messages is not None:
            lacks = "no answer of the assistant to a turn of the user"
        else:
            no_input = sum(not example.input for example in empty)
            no_output = sum(not example.output for example in empty)
            lacks = f"nothing to learn from: {no_input:,} have no input, {no_output:,} no output"
        message = f"{rows_text(len(empty))} with {lacks}."
        fix = "They are left out. Fill them in the file to use them."
        rows = tuple(example.row for example in empty)
        findings.append(Finding("empty", "warning", rows, message, fix, mends=(APPLIED,)))
    return kept, findings + dropped


def _pairs(table: Table, mapping: Mapping) -> list[Example]:
    assert mapping.output is not None
    parts = [texts(table.frame[name]) for name in mapping.input]
    if mapping.template:
        inputs = render_rows(mapping.template, dict(zip(mapping.input, parts, strict=True)))
    elif len(parts) == 1:
        inputs = parts[0]
    else:
        inputs = ["\n\n".join(filter(None, cells)) for cells in zip(*parts, strict=True)]
    del parts
    outputs = texts(table.frame[mapping.output])
    return list(map(Example, table.frame.index.to_list(), inputs, outputs))


def texts(column: pd.Series) -> list[str]:
    """The cells of a column as text, stripped at their ends; text that needs no stripping is the same object."""
    cells = column.to_list()
    if set(map(type, cells)) <= {str}:
        found = list(map(str.strip, cells))
        if all(map(str.isascii, found)):
            return found
        return [text if text.isascii() else stripped(text) for text in found]
    return [cell_text(cell) for cell in cells]


def _chat(table: Table, mapping: Mapping) -> tuple[list[Example], list[Finding]]:
    """The examples of conversations, and notes on what of them is not learned."""
    frame = table.frame
    assert mapping.messages is not None
    systems = texts(frame[mapping.system]) if mapping.system else [""] * len(frame)
    answers: Sequence[Any] = frame[mapping.output].to_list() if mapping.output else [None] * len(frame)
    made: list[Example] = []
    tools: list[int] = []
    parts: list[int] = []
    turns_of_tools = parts_left = 0
    for row, cell, answer, system in zip(
        frame.index.to_list(), frame[mapping.messages].to_list(), answers, systems, strict=True
    ):
        turns = (as_conversation(cell) or []) + _answer_turns(answer)
        spoken = said(turns)
        context, reply = exchange([("system", system), *spoken] if system else spoken)
        if ends_in_silence(turns):
            context, reply = (), ""
        made.append(Example(row, context[-1][1], reply, context) if context else Example(row, "", ""))
        left = ignored(turns)
        if left.tools:
            tools.append(row)
            turns_of_tools += left.tools
        if left.parts:
            parts.append(row)
            parts_left += left.parts
    findings = _about_tools(table, tools, turns_of_tools)
    if parts:
        message = f"{rows_text(len(parts))} with {parts_left:,} images or other parts that are no text."
        fix = "Those parts are left out of the turns: the model learns and reads text alone."
        findings.append(Finding("empty", "note", tuple(parts), message, fix, check="media_parts"))
    return made, findings


def _answer_turns(answer: Any) -> list[dict]:
    """The turns of the column of answers; plain text is one turn of the assistant."""
    if answer is None or answer == "":
        return []
    found = as_conversation(answer)
    return found if found is not None else [{"role": "assistant", "content": answer}]


def _about_tools(table: Table, rows: Sequence[int], turns: int) -> list[Finding]:
    numbers = table.frame.index.to_list()
    described: set[int] = set()
    columns = []
    for name in table.frame.columns:
        if _plain(name) in TOOL_COLUMNS:
            filled = {row for row, cell in zip(numbers, table.frame[name], strict=True) if cell not in _NOTHING}
            described |= filled
            columns += [name] if filled else []
    found = tuple(sorted(described | set(rows)))
    if not found:
        return []
    what = [f"{turns:,} {'turn that calls a tool or is' if turns == 1 else 'turns that call a tool or are'} its result"]
    what = what if turns else []
    if described:
        what.append(f"descriptions of tools in {', '.join(f'“{name}”' for name in columns)}")
    fix = "They are left out: calling tools is not learned, and an answer that rests on a result stands without it."
    message = f"{rows_text(len(found))} with {' and '.join(what)}."
    return [Finding("empty", "note", found, message, fix, check="tool_turns")]


def _plain(name: str) -> str:
    """The last part of a path, in lower case, letters and digits alone."""
    return "".join(filter(str.isalnum, name.rpartition(".")[2].lower()))
