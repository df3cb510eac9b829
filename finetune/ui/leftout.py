"""The rows that cannot be used: which, why, and all of them as a file."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np
import pandas
from gradio.processing_utils import save_bytes_to_cache

from finetune.dataset.example import Example
from finetune.dataset.finding import Removed, rows_text
from finetune.dataset.mapping.columns import Mapping
from finetune.dataset.mapping.template import cell_text
from finetune.dataset.reading.load import Table
from finetune.errors import FinetuneError
from finetune.ui import desk
from finetune.ui.desk import Data

SHOWN = 1000  # more lines than these nobody reads, and the browser has to hold them
# A spreadsheet takes a cell that begins so for a formula and works it out.
FORMULA = ("=", "+", "-", "@", "\t", "\r")


@dataclass(frozen=True)
class Counted:
    """What can be used of the rows, and what cannot.

    Attributes:
        usable: rows with an input and an output.
        lost: the others.
        first: the first of these, by row.
        file: path of the CSV of all of them; None where there are none.
    """

    usable: int
    lost: int
    first: tuple[Removed, ...]
    file: str | None


@dataclass(frozen=True)
class LeftOut:
    """The components."""

    fold: gr.Accordion
    table: gr.Dataframe
    rest: gr.HTML
    download: gr.DownloadButton

    def outputs(self) -> list:
        return [self.fold, self.table, self.rest, self.download]

    def show(self, table: Table, rows: Counted) -> dict:
        if not rows.lost:
            return self.nothing()
        lines = [(table.place(entry.row).removeprefix("row "), entry.reason) for entry in rows.first]
        rest = f'<p class="quiet">The first {SHOWN:,} of {rows.lost:,}; all of them are in the file.</p>'
        which = "which row, and why" if rows.lost == 1 else f"which {rows_text(rows.lost)}, and why"
        return {
            self.fold: gr.Accordion(label=which, visible=True),
            self.table: pandas.DataFrame(lines, columns=["row", "why it is left out"]),
            self.rest: gr.HTML(rest, visible=rows.lost > SHOWN),
            self.download: gr.DownloadButton(value=rows.file, visible=True),
        }

    def nothing(self) -> dict:
        return {
            self.fold: gr.Accordion(visible=False),
            self.table: None,
            self.download: gr.DownloadButton(value=None, visible=False),
        }

    def count(self, data: Data) -> Counted:
        """Counts the rows, and writes those that are left out into Gradio's cache. Raises FinetuneError."""
        table, mapping = desk.table(data), desk.mapping_of(data)
        usable, _ = desk.read_rows(data)
        if not usable:
            raise FinetuneError("No row has both an input and an output.", hint="Choose other columns.")
        lost = left_out(table, mapping, usable)
        if not lost:
            return Counted(len(usable), 0, (), None)
        written = as_csv(table, mapping, lost).encode("utf-8-sig", "replace")  # with the mark that Excel wants
        file = save_bytes_to_cache(written, f"{data.title}-left-out.csv", self.download.GRADIO_CACHE)
        return Counted(len(usable), len(lost), tuple(lost[:SHOWN]), file)


def build() -> LeftOut:
    """The components, inside the tab that is open."""
    with gr.Accordion("which, and why", open=False, visible=False, elem_id="left-out") as fold:
        table = gr.Dataframe(
            interactive=False,
            wrap=True,
            max_height=260,
            show_label=False,
            column_widths=["22%", "78%"],
            buttons=[],
        )
        rest = gr.HTML(visible=False)
        download = gr.DownloadButton(
            "Download them as CSV", size="sm", visible=False, elem_id="left-out-file", min_width=180
        )
    return LeftOut(fold, table, rest, download)


def left_out(table: Table, mapping: Mapping, usable: Sequence[Example]) -> list[Removed]:
    """Every row that is no example, by row, with the reason in a few words."""
    frame = table.frame
    used = np.fromiter((example.row for example in usable), dtype=np.int64, count=len(usable))
    empty = frame.index[~np.isin(frame.index.to_numpy(), used, assume_unique=True)]
    why = _why_empty(frame.loc[empty], mapping)
    lost = [Removed(bad.row, bad.reason) for bad in table.bad_rows]
    lost += map(Removed, empty.to_list(), why)
    return sorted(lost, key=lambda entry: entry.row)


def as_csv(table: Table, mapping: Mapping, lost: Sequence[Removed]) -> str:
    """Row, file where there are several, reason, and the text of the columns that are read where it can be had."""
    named = [*mapping.input, *filter(None, (mapping.messages, mapping.output))]
    names = list(dict.fromkeys(named))
    several = len(table.sources) > 1
    known = table.frame.index.intersection([entry.row for entry in lost])
    cells = dict(zip(known.to_list(), table.frame.loc[known, names].itertuples(index=False, name=None), strict=True))
    nothing = ("",) * len(names)
    written = io.StringIO()
    writer = csv.writer(written)
    writer.writerow(["row", *(["place"] if several else []), "why it is left out", *map(_plain, names)])
    for entry in lost:
        place = [_plain(table.place(entry.row))] if several else []
        writer.writerow([entry.row, *place, _plain(entry.reason), *map(_plain, cells.get(entry.row, nothing))])
    return written.getvalue()


def _why_empty(frame: pandas.DataFrame, mapping: Mapping) -> list[str]:
    if mapping.messages is not None:
        return ["no answer of the assistant to a turn of the user"] * len(frame)
    asked = _filled(frame, mapping.input)
    answered = _filled(frame, [mapping.output] if mapping.output else [])
    both = {True: "the output is empty", False: "the input and the output are empty"}
    return [
        both[has] if has or not answer else "the input is empty" for has, answer in zip(asked, answered, strict=True)
    ]


def _filled(frame: pandas.DataFrame, names: Sequence[str]) -> list[bool]:
    """Of each row, whether any of the columns holds something."""
    columns = [map(cell_text, frame[name]) for name in names]
    return [any(cells) for cells in zip(*columns, strict=True)] if columns else [False] * len(frame)


def _plain(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"'{text}" if text.startswith(FORMULA) else text
