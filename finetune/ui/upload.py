"""The tab Upload: a file is dropped or an example picked; its columns map themselves and are corrected by hand."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import gradio as gr
import pandas

from finetune.dataset.example import TASKS
from finetune.dataset.load import preview
from finetune.errors import FinetuneError
from finetune.ui import desk
from finetune.ui.desk import Data
from finetune.ui.notice import calm, escape, sentence

ROWS = 200
WIDTH = 940  # pixels for the columns of the first rows, the row number apart
TASK_NAMES = {
    "classification": "classification: a text gets one of a few labels",
    "instruction": "instruction: a text gets an answer",
    "chat": "chat: a conversation gets its next turn",
}


@dataclass(frozen=True)
class Upload:
    """The components of the tab, and what it shows of the data."""

    data: gr.State
    file: gr.File
    notice: gr.HTML
    lead: gr.HTML
    mapping: gr.Column
    input: gr.Dropdown
    output: gr.Dropdown
    task: gr.Dropdown
    counts: gr.HTML
    left_out: gr.Accordion
    left_out_rows: gr.Dataframe
    found: gr.Column
    rows: gr.Dataframe
    go: gr.Button

    def outputs(self) -> list:
        return [getattr(self, name) for name in self.__dataclass_fields__ if name != "file"]

    def read(self, path: str | None) -> dict:
        """A dropped file, or none when it was taken away again."""
        if not path:
            return self.nothing()
        return self.opened(path, Path(path).name)

    def opened(self, path: str, name: str) -> dict:
        """The file with its guessed mapping; a file that cannot be used leaves an empty tab and a sentence."""
        try:
            data = desk.open_file(path, name)
        except FinetuneError as error:
            return self.nothing() | {self.notice: gr.HTML(sentence(error), visible=True)}
        table = desk.table(path)
        columns = [str(column) for column in table.frame.columns]
        return self.described(data) | {
            self.mapping: gr.Column(visible=True),
            self.input: gr.Dropdown(choices=columns, value=list(data.input)),
            self.output: gr.Dropdown(choices=columns, value=data.output),
            self.task: data.task,
            self.found: gr.Column(visible=True),
            self.rows: _first_rows(preview(table, rows=ROWS)),
            self.lead: gr.HTML(visible=False),
        }

    def remap(self, data: Data | None, input: list[str], output: str | None, task: str) -> dict:
        """The mapping as the user wants it. One that does not fit is kept and told, here and on the next tab."""
        if data is None:
            return self.nothing()
        return self.described(replace(data, input=tuple(input or ()), output=output or None, task=task))

    def described(self, data: Data) -> dict:
        """What the mapping makes of the rows: how many can be used, which cannot and why."""
        table = desk.table(data.path)
        updates = {self.data: data, self.go: gr.Button(interactive=True)}
        try:
            usable, findings = desk.read_rows(data)
        except FinetuneError as error:
            return updates | {
                self.notice: gr.HTML(sentence(error), visible=True),
                self.counts: gr.HTML("", visible=False),
                self.left_out: gr.Accordion(visible=False),
                self.go: gr.Button(interactive=False),
            }
        reasons = {bad.row: bad.reason for bad in table.bad_rows}
        used = {example.row for example in usable}
        for finding in findings:
            for row in finding.rows:
                if row not in used:
                    reasons.setdefault(row, finding.message)
        lost = pandas.DataFrame(sorted(reasons.items()), columns=["row", "why it is left out"])
        return updates | {
            self.notice: gr.HTML("", visible=False),
            self.counts: gr.HTML(_counts(data, table, len(usable), len(lost)), visible=True),
            self.left_out: gr.Accordion(label=_which(len(lost)), visible=len(lost) > 0),
            self.left_out_rows: lost,
        }

    def nothing(self) -> dict:
        """The tab before any file."""
        return {
            self.data: None,
            self.lead: gr.HTML(visible=True),
            self.notice: gr.HTML("", visible=False),
            self.mapping: gr.Column(visible=False),
            self.found: gr.Column(visible=False),
            self.counts: gr.HTML("", visible=False),
            self.left_out: gr.Accordion(visible=False),
            self.rows: None,
        }


def build(data: gr.State, examples: Path = desk.EXAMPLES) -> Upload:
    """The components and their events, inside the tab that is open."""
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=300):
            file = gr.File(
                label="Your rows: CSV, JSON or JSONL",
                file_types=[".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson"],
                height=190,
                elem_id="file",
            )
            gr.HTML('<p class="quiet">or an example</p>')
            with gr.Row(elem_classes="chips"):
                buttons = [
                    (gr.Button(name, size="sm", min_width=60, elem_id=f"example-{name}"), examples / file_name)
                    for name, file_name in desk.EXAMPLE_FILES.items()
                    if (examples / file_name).exists()
                ]
        with gr.Column(min_width=300):
            lead = gr.HTML(
                '<p class="lead">Drop the rows you have: what the model reads, and what it should answer. '
                "At the end you know whether a fine-tune beats a good prompt on them.</p>",
                elem_id="lead",
            )
            with gr.Column(visible=False, elem_id="mapping") as mapping:
                input = gr.Dropdown(label="Input", info="what the model reads", multiselect=True, elem_id="input")
                output = gr.Dropdown(label="Output", info="what it should answer", elem_id="output")
                task = gr.Dropdown(
                    label="Task", choices=[(TASK_NAMES[name], name) for name in TASKS], value=TASKS[0], elem_id="task"
                )
    notice = gr.HTML(visible=False)
    counts = gr.HTML(visible=False, elem_id="counts")
    with gr.Accordion("which, and why", open=False, visible=False, elem_id="left-out") as left_out:
        left_out_rows = gr.Dataframe(interactive=False, wrap=True, max_height=260, show_label=False)
    with gr.Column(visible=False) as found:
        rows = gr.Dataframe(
            label=f"The first {ROWS} rows",
            interactive=False,
            wrap=True,
            max_height=420,
            elem_id="rows",
            buttons=["fullscreen"],
        )
        go = gr.Button("Look at the data →", variant="primary", elem_id="look")

    tab = Upload(
        data, file, notice, lead, mapping, input, output, task, counts, left_out, left_out_rows, found, rows, go
    )
    outputs = tab.outputs()
    _listen(file.upload, tab.read, [file], outputs, notice)
    _listen(file.clear, tab.nothing, None, outputs, notice)
    for button, path in buttons:
        _listen(button.click, partial(tab.opened, str(path), path.name), None, outputs, notice)
    for choice in (input, output, task):
        _listen(choice.input, tab.remap, [data, input, output, task], outputs, notice)
    return tab


def _listen(event: Callable, handler: Callable, inputs: list | None, outputs: list, notice: gr.HTML) -> None:
    event(
        calm(notice)(handler),
        inputs,
        outputs,
        api_visibility="private",
        concurrency_limit=None,
        show_progress="hidden",
        trigger_mode="always_last" if inputs and len(inputs) > 1 else "once",
    )


def _counts(data: Data, table, usable: int, lost: int) -> str:
    """The one line of numbers above the rows."""
    form = {"csv": "CSV", "json": "JSON", "jsonl": "JSONL"}.get(table.format, table.format)
    facts = [f"<b>{usable:,} rows</b>", f"{lost:,} left out" if lost else "none left out"]
    if table.blank_lines:
        facts.append(f"{table.blank_lines:,} blank lines")
    facts.append(escape(f"{form}, {table.encoding}"))
    notes = "".join(f'<p class="quiet">{escape(note)}</p>' for note in table.notes)
    shown = "".join(f"<span>{fact}</span>" for fact in [escape(data.name), *facts])
    return f'<p class="facts">{shown}</p>{notes}'


def _first_rows(frame: pandas.DataFrame) -> gr.Dataframe:
    """The rows with widths that give every column its share: left to itself the longest pushes the others out."""
    lengths = [min(90, max(10, frame[name].astype(str).str.len().mean())) for name in frame.columns[1:]]
    widths = [f"{max(110, round(WIDTH * length / sum(lengths)))}px" for length in lengths]
    return gr.Dataframe(frame, column_widths=["64px", *widths])


def _which(lost: int) -> str:
    return "which row, and why" if lost == 1 else f"which {lost:,} rows, and why"
