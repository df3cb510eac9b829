"""What the tab Upload shows of the rows: the line of numbers, what was noticed in reading, the first of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import gradio as gr
import pandas

from finetune.dataset.finding import rows_text
from finetune.dataset.reading.load import Table, preview
from finetune.errors import FinetuneError
from finetune.ui.leftout import Counted
from finetune.ui.notice import escape

ROWS = 200
SEEN_AT_ONCE = 6  # columns
COLUMNS = 60  # more are not shown: two hundred rows of them would keep the browser busy
WIDTH = 940  # pixels for the columns of the first rows, the row number apart
NOTES = 3  # shown at once, the others under a fold
FILES = 6  # named with their rows
FORMATS = {"csv": "CSV", "json": "JSON", "jsonl": "JSON lines", "parquet": "Parquet", "hub": "the Hub"}


@dataclass(frozen=True)
class Seen:
    """What the rows are under a mapping.

    Attributes:
        rows: None where the mapping does not fit; `problem` says why.
    """

    table: Table
    rows: Counted | None = None
    problem: FinetuneError | None = None


def counts(name: str, seen: Seen) -> str:
    """HTML of the one line of numbers, the files where there are several, and the notes."""
    table, rows = seen.table, seen.rows
    assert rows is not None
    several = len(table.sources) > 1
    facts = [f"{len(table.sources)} files as one table" if several else escape(name)]
    facts += [f"<b>{rows_text(rows.usable)}</b>", f"{rows.lost:,} left out" if rows.lost else "none left out"]
    if table.blank_lines:
        facts.append("1 blank line" if table.blank_lines == 1 else f"{table.blank_lines:,} blank lines")
    forms = dict.fromkeys(FORMATS.get(source.format, source.format) for source in table.sources)
    facts.append(escape(f"{' and '.join(forms) or table.format}, {table.encoding}"))
    shown = "".join(f"<span>{fact}</span>" for fact in facts)
    return f'<p class="facts">{shown}</p>{_lines([*_files(table), *table.notes])}'


def _files(table: Table) -> list[str]:
    if len(table.sources) < 2:
        return []
    files = [
        f"{source.name} {rows_text(source.last - source.first + 1)}{', the test set' if source.test else ''}"
        for source in table.sources
    ]
    more = [f"and {len(files) - FILES} more files"] if len(files) > FILES else []
    return [" · ".join(files[:FILES] + more)]


def _lines(lines: list[str]) -> str:
    told = [f'<p class="quiet">{escape(line)}</p>' for line in lines]
    folded = len(told) - NOTES
    if folded < 2:
        return "".join(told)
    rest = f"<details><summary>{folded:,} more notes</summary>{''.join(told[NOTES:])}</details>"
    return "".join(told[:NOTES]) + rest


def first_rows(table: Table, chosen: Sequence[str]) -> gr.Dataframe:
    """The first rows, with widths that give every column its share: the longest would push the others out.

    Args:
        chosen: columns that stand first where there are too many to see at once.
    """
    count, columns = len(table.frame), len(table.frame.columns)
    names = list(table.frame.columns)
    if columns > SEEN_AT_ONCE:
        names = [*chosen, *(name for name in names if name not in chosen)]
    frame: pandas.DataFrame = preview(replace(table, frame=table.frame.head(ROWS)[names[:COLUMNS]]), rows=ROWS)
    label = f"The first {ROWS} of {rows_text(count)}" if count > ROWS else rows_text(count)
    if table.bad_rows:
        label += " that can be read"
    if columns > COLUMNS:
        label += f", {COLUMNS} of {columns:,} columns"
    if columns > SEEN_AT_ONCE:
        label += "; input and output stand first"
    lengths = [
        min(90, max(10, frame.iloc[:, place].astype(str).str.len().mean())) for place in range(1, len(frame.columns))
    ]
    widths = [max(110, round(min(300, 5 * length)), round(WIDTH * length / sum(lengths))) for length in lengths]
    return gr.Dataframe(frame, label=label, column_widths=["64px", *(f"{width}px" for width in widths)])
