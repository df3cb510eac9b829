"""Which columns are the input and the output, what the task is, and the examples that follow from it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from finetune.dataset.conversation import exchange, spoken, stripped
from finetune.dataset.example import TASKS, Example, Task
from finetune.dataset.load import Table
from finetune.dataset.quality import Finding
from finetune.errors import FinetuneError

# fmt: off
# In order of preference; compared in lower case, with letters and digits alone.
MESSAGES = ("messages", "conversations", "conversation", "dialogue", "dialog", "turns", "chat", "chosen")
OUTPUTS = (
    "output", "completion", "answer", "response", "reply", "labeltext", "labelname", "category", "label", "intent",
    "class", "target", "sentiment", "topic", "tag", "chosen", "summary", "translation", "expected", "answers",
    "labels", "categories", "type", "rating", "score", "stars", "verdict",
)
INPUTS = (
    "prompt", "question", "query", "text", "input", "utterance", "sentence", "message", "body", "content", "document",
    "review", "description", "comment", "post", "tweet", "email", "ticket", "article", "passage", "source", "subject",
    "title", "headline", "clause", "request",
)
LABELS = frozenset({
    "labeltext", "labelname", "category", "label", "intent", "class", "target", "sentiment", "topic", "tag", "labels",
    "categories", "type", "rating", "score", "stars", "verdict",
})
# fmt: on
SYSTEMS = ("system", "systemprompt")
# Columns that are read together with the main input when both are there: (earlier, later).
TOGETHER = (("instruction", "input"), ("instruction", "context"), ("context", "question"), ("passage", "question"))
TITLED = (("subject", "title", "headline"), ("body", "text", "message", "content", "description", "review", "article"))
# A label is short: longer repeated answers are answers all the same.
_LABEL_CHARACTERS, _LABEL_WORDS = 50, 6
_MOJIBAKE = re.compile("[\ufffd\x80-\x9f]|Ã[\x80-\xbf]|Â[\xa0-\xbf]|â€")


@dataclass(frozen=True)
class Mapping:
    """Which columns are what.

    Attributes:
        input: columns joined by a blank line; empty for chat.
        output: column of the label or answer; None for chat.
        messages: column of the conversations, for chat alone.
        system: column with a system prompt, for chat alone.
        reasons: a sentence for each choice the program made itself.
    """

    task: Task
    input: tuple[str, ...]
    output: str | None
    messages: str | None = None
    system: str | None = None
    reasons: tuple[str, ...] = ()

    def as_json(self) -> dict[str, str | None]:
        """The "columns" of the inspect object; several inputs are written "instruction + input"."""
        if self.messages is not None:
            return {"input": self.messages, "output": self.messages}
        return {"input": " + ".join(self.input), "output": self.output}


def guess(
    table: Table, *, input: Sequence[str] | str | None = None, output: str | None = None, task: str | None = None
) -> Mapping:
    """The mapping of a table: the user's choices first, then the names of the columns, then what is in them.

    Raises:
        FinetuneError: an unknown task or column, or one column for both sides.
    """
    frame = table.frame
    inputs = (input,) if isinstance(input, str) else tuple(input or ())
    if task is not None and task not in TASKS:
        raise FinetuneError(f"There is no task “{task}”.", hint=f"Take one of: {', '.join(TASKS)}.")
    for name in (*inputs, *((output,) if output else ())):
        if name not in frame.columns:
            raise FinetuneError(f"There is no column “{name}”.", hint=f"The columns are: {_listed(frame.columns)}.")
    if output in inputs:
        raise FinetuneError("Input and output are the same column.", hint="Choose two.", column=output)

    messages = _messages_column(frame, (*inputs, *((output,) if output else ())))
    if task == "chat" or (task is None and messages and not output and (not inputs or inputs == (messages,))):
        if messages is None:
            raise FinetuneError(
                "No column holds conversations, so the task cannot be chat.",
                hint="A conversation is a list of turns with a role and a content; or take the task instruction.",
            )
        system = _named(frame.columns, SYSTEMS)
        reason = f"“{messages}” holds conversations: lists of turns with a role and a content."
        return Mapping("chat", (), None, messages, system, (reason,))
    if len(frame.columns) < 2:
        raise FinetuneError("The file has one column; training needs an input and an output.", column=frame.columns[0])

    reasons: list[str] = []
    if output is None:
        output, reason = _guess_output(frame, inputs)
        reasons.append(reason)
    if not inputs:
        inputs, reason = _guess_input(frame, output)
        reasons.append(reason)
    chosen: Task | None = task  # type: ignore[assignment]
    if chosen is None:
        chosen, reason = _guess_task(output, frame[output])
        reasons.append(reason)
    return Mapping(chosen, inputs, output, reasons=tuple(reasons))


def examples(table: Table, mapping: Mapping) -> tuple[list[Example], list[Finding]]:
    """The usable rows as examples, in order, and what is wrong with the others: kinds bad_row, empty, encoding.

    Cells are stripped at their ends and otherwise left as they are. Of a conversation, the output is the last turn of
    the assistant and the context all turns before it, up to the last one of the user.
    """
    made = _chat(table, mapping) if mapping.messages is not None else _pairs(table, mapping)
    kept = [example for example in made if example.input and example.output]
    findings: list[Finding] = []
    if table.bad_rows:
        first = table.bad_rows[0]
        rows = tuple(bad.row for bad in table.bad_rows)
        message = f"{_rows(rows)} cannot be read; row {first.row}: {first.reason}."
        fix = "They are left out. Mend them in the file to use them."
        findings.append(Finding("bad_row", "warning", rows, message, fix, mend="applied"))
    if empty := tuple(example.row for example in made if not (example.input and example.output)):
        if mapping.messages is not None:
            lacks = "no answer of the assistant to a turn of the user"
        else:
            no_input = sum(not example.input for example in made)
            no_output = sum(not example.output for example in made)
            lacks = f"nothing to learn from: {no_input:,} have no input, {no_output:,} no output"
        fix = "They are left out. Fill them in the file to use them."
        findings.append(Finding("empty", "warning", empty, f"{_rows(empty)} with {lacks}.", fix, mend="applied"))
    if broken := tuple(example.row for example in kept if _is_broken(example)):
        message = f"{_rows(broken)} with broken characters, such as “\ufffd” or “Ã©” for “é”."
        fix = "Save the file as UTF-8 from the program it comes from; or leave these rows out."
        findings.append(Finding("encoding", "warning", broken, message, fix, mend="drop_broken"))
    return kept, findings


def _pairs(table: Table, mapping: Mapping) -> list[Example]:
    assert mapping.output is not None
    parts = [[_text(cell) for cell in table.frame[name]] for name in mapping.input]
    if len(parts) == 1:
        inputs: Iterable[str] = parts[0]
    else:
        inputs = ("\n\n".join(filter(None, cells)) for cells in zip(*parts, strict=True))
    outputs = map(_text, table.frame[mapping.output])
    return list(map(Example, table.frame.index.to_list(), inputs, outputs))


def _chat(table: Table, mapping: Mapping) -> list[Example]:
    frame = table.frame
    systems = map(_text, frame[mapping.system]) if mapping.system else [""] * len(frame)
    made = []
    for row, cell, system in zip(frame.index.to_list(), frame[mapping.messages], systems, strict=True):
        context, answer = exchange([("system", system), *spoken(cell)] if system else spoken(cell))
        made.append(Example(row, context[-1][1], answer, context) if context else Example(row, "", ""))
    return made


def _text(cell: Any) -> str:
    if isinstance(cell, str):
        return stripped(cell)
    return "\n\n".join(content for _, content in spoken(cell))


def _is_broken(example: Example) -> bool:
    texts = [example.output, *(content for _, content in example.context or (("user", example.input),))]
    return any(not text.isascii() and _MOJIBAKE.search(text) for text in texts)


def _messages_column(frame: pd.DataFrame, chosen: Sequence[str]) -> str | None:
    named = [_named(frame.columns, (name,)) for name in MESSAGES]
    candidates = [*chosen, *filter(None, named), *frame.columns]
    return next((name for name in candidates if any(map(_is_answered, frame[name].head(20)))), None)


def _is_answered(cell: Any) -> bool:
    """A conversation with both sides in it: where prompt and completion are lists of turns, each has one side alone."""
    return {"user", "assistant"} <= {role for role, _ in spoken(cell)}


def _guess_output(frame: pd.DataFrame, inputs: Sequence[str]) -> tuple[str, str]:
    free = [name for name in frame.columns if name not in inputs]
    if not free:
        raise FinetuneError("No column is left for the output.", hint="Choose fewer columns for the input.")
    if name := _named(free, OUTPUTS):
        return name, f"“{name}” is the output because of its name."
    known_inputs = {_plain(name) for name in (*INPUTS, "instruction", "context")}
    open_ = [name for name in free if _plain(name) not in known_inputs] or free
    open_ = [name for name in open_ if not _is_identifier(frame[name])] or open_
    for name in reversed(open_):
        if len(open_) > 1 and _guess_task("", frame[name])[0] == "classification" and frame[name].nunique() > 1:
            return name, f"“{name}” is the output: it repeats a few short values, as labels do."
    # The last of the texts: a table is read from left to right.
    longest = max((_length(frame[name]) for name in open_), default=0)
    name = [name for name in open_ if _length(frame[name]) >= longest / 4][-1]
    return name, f"“{name}” is the output: the last column with text of its own."


def _guess_input(frame: pd.DataFrame, output: str) -> tuple[tuple[str, ...], str]:
    free = [name for name in frame.columns if name != output]
    for pair in TOGETHER:
        names = [_named(free, (part,), whole=True) for part in pair]
        if all(names) and any(map(stripped, frame[names[1]].map(_text))):
            return tuple(
                filter(None, names)
            ), f"{_listed(names)} are read together as the input because of their names."
    first, second = (_named(free, part, whole=True) for part in TITLED)
    if first and second:
        return (first, second), f"{_listed((first, second))} are read together as the input because of their names."
    if name := _named(free, ("instruction", *INPUTS)):
        return (name,), f"“{name}” is the input because of its name."
    name = max(free, key=lambda column: (not _is_identifier(frame[column]), _length(frame[column])))
    return (name,), f"“{name}” is the input: the longest text beside the output."


def _guess_task(name: str, column: pd.Series) -> tuple[Task, str]:
    """Classification when the column repeats a few short values; its name lowers or raises the bar."""
    values = [value for value in map(_text, column) if value]
    counts = Counter(values)
    labels, rows = len(counts), len(values)
    if not rows:
        return "instruction", f"“{name}” is empty throughout."
    short = sum(
        n for value, n in counts.items() if len(value) <= _LABEL_CHARACTERS and len(value.split()) <= _LABEL_WORDS
    )
    again = sum(n for n in counts.values() if n > 1)
    each = rows / labels
    labelled = _plain(name) in LABELS or bool(set(_words(name)) & LABELS)
    enough = each >= 1.5 if labelled else each >= (3 if labels <= 20 else 10) and again >= 0.9 * rows
    if short >= 0.95 * rows and enough:
        return "classification", f"The task is classification: {labels:,} short values over {rows:,} rows in “{name}”."
    reason = (
        f"{labels:,} different values in {rows:,} rows" if short >= 0.95 * rows else "its texts are longer than labels"
    )
    return "instruction", f"The task is instruction: “{name}” is free text ({reason})."


def _is_identifier(column: pd.Series) -> bool:
    """Numbers, dates, codes: short, without a space, and hardly one twice; or the same everywhere."""
    values = list(map(_text, column.head(2000)))
    distinct = len(set(values))
    plain = sum(" " not in value or bool(re.fullmatch(r"[\d\s:./+TZ-]+", value)) for value in values)
    numeric = sum(bool(re.fullmatch(r"[\d\s:.,/+TZ-]*\d[\d\s:.,/+TZ-]*", value)) for value in values)
    return distinct <= 1 or (
        distinct > 0.9 * len(values)
        and plain > 0.95 * len(values)
        and (numeric > 0.95 * len(values) or len(values) > 20)
    )


def _length(column: pd.Series) -> float:
    return float(column.head(2000).map(_text).str.len().mean())


def _named(columns: Iterable[str], wanted: Sequence[str], whole: bool = False) -> str | None:
    """The column whose name is one of `wanted`, the first of these first; else one that ends with such a word."""
    columns = list(columns)
    plain = {_plain(name): name for name in reversed(columns)}
    if found := next((plain[name] for name in wanted if name in plain), None):
        return found
    if whole:
        return None
    last = {_words(name)[-1]: name for name in reversed(columns) if _words(name)}
    return next((last[name] for name in wanted if name in last), None)


def _plain(name: str) -> str:
    return "".join(_words(name))


def _words(name: str) -> list[str]:
    """Words of a name: "ticketText", "ticket_text" and "Ticket text" are the same two."""
    return re.findall(r"[a-z0-9]+", re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower())


def _listed(names: Iterable[Any], limit: int = 12) -> str:
    names = list(names)
    return ", ".join(f"“{name}”" for name in names[:limit]) + (
        f" and {len(names) - limit} more" if len(names) > limit else ""
    )


def _rows(rows: Sequence[int]) -> str:
    return "1 row" if len(rows) == 1 else f"{len(rows):,} rows"
