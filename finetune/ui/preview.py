"""The tab Preview: whether training makes sense, what is wrong with the rows, their split, what is trained on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
import pandas

from finetune.dataset.quality import DEFAULT_MENDS, MENDS
from finetune.errors import FinetuneError
from finetune.ui import banner, charts, desk
from finetune.ui.desk import Data, Lengths
from finetune.ui.findings import findings, shorten
from finetune.ui.notice import calm, escape, sentence
from finetune.ui.tokens import exact_view

CHOICES = 500  # rows that the chooser of the exact view offers
WAITING = '<p class="empty">Nothing to look at yet: drop a file or pick an example on the tab Upload.</p>'


@dataclass(frozen=True)
class Preview:
    """The components of the tab, and what they show of the data. `models` is the folder of fetched models."""

    models: Path
    data: gr.State
    notice: gr.HTML
    banner: gr.HTML
    body: gr.Column
    bars: gr.BarPlot
    table: gr.Dataframe
    validation: gr.Slider
    test: gr.Slider
    seed: gr.Number
    findings: gr.HTML
    mends: gr.CheckboxGroup
    removed: gr.Accordion
    removed_rows: gr.Dataframe
    row: gr.Dropdown
    exact: gr.HTML
    go: gr.Button

    def outputs(self) -> list:
        return [getattr(self, name) for name in self.__dataclass_fields__ if name != "models"]

    def lengths(self, base: str, other: str | None, max_tokens: float | None, instruction: str | None) -> Lengths:
        """Whose tokens: the form of the tab Train says it."""
        return Lengths((other or "").strip() or base, self.models, int(max_tokens or 512), instruction or "")

    def show(self, data: Data | None) -> dict:
        """The whole tab, without the tokens: those need the tokenizer of the base, which may have to be fetched."""
        if data is None:
            return {self.banner: WAITING, self.body: gr.Column(visible=False)}
        try:
            report = desk.report_of(data)
        except FinetuneError as error:
            return self.failed(error)
        split = report.split
        rows = sorted((example for part in split.parts().values() for example in part), key=lambda example: example.row)
        rows = rows[:CHOICES]
        choices = [(f"row {example.row} · {shorten(example.input, 70)}", example.row) for example in rows]
        return {
            self.body: gr.Column(visible=True),
            self.bars: gr.BarPlot(charts.balance(split, report.labels), y_title="rows", x_title=" "),
            self.table: charts.balance_table(split, report.labels),
            self.validation: data.validation,
            self.test: data.test,
            self.seed: data.seed,
            self.row: gr.Dropdown(choices=choices, value=choices[0][1]),
            self.go: gr.Button(interactive=True),
        } | self.judged(data, report)

    def judged(self, data: Data, report) -> dict:
        """The parts that change once the tokens are counted."""
        table_rows = {example.row: example for example in desk.read_rows(data)[0]}
        offered = {finding.mend for finding in report.findings} | set(data.mends) - set(DEFAULT_MENDS)
        choices = [(label, name) for name, label in MENDS.items() if name in offered]
        lost = pandas.DataFrame(
            [(entry["row"], entry["reason"]) for entry in report.as_json()["left_out"]],
            columns=["row", "why it is left out"],
        )
        return {
            self.banner: banner.readiness(report),
            self.findings: findings(report.findings, table_rows),
            self.mends: gr.CheckboxGroup(
                choices=choices, value=[name for _, name in choices if name in data.mends], visible=bool(choices)
            ),
            self.removed: gr.Accordion(
                label="1 row left out" if len(lost) == 1 else f"{len(lost):,} rows left out", visible=len(lost) > 0
            ),
            self.removed_rows: lost,
        }

    def failed(self, error: FinetuneError) -> dict:
        """The sliders stay: they may be the very thing to put right."""
        return {
            self.notice: gr.HTML(sentence(error), visible=True),
            self.banner: "",
            self.go: gr.Button(interactive=False),
        }

    def adjust(self, data: Data | None, validation: float, test: float, seed: float | None, mends: list[str]) -> dict:
        """Other shares, another seed, other mends."""
        if data is None:
            return self.show(None)
        data = replace(data, validation=validation, test=test, seed=int(seed or 0), mends=tuple(mends or ()))
        return {self.data: data} | self.show(data)

    def measure(self, data: Data | None, row: int | None, *whose) -> dict:
        """The tokens of one row, and the findings with the rows that would be cut."""
        if data is None:
            return {self.exact: ""}
        try:
            report = desk.report_of(data)
        except FinetuneError:
            return {self.exact: ""}  # `show` has told it already
        lengths = self.lengths(*whose)
        try:
            view = _view(report, row, lengths)
            measured = desk.report_of(data, lengths)
        except FinetuneError as error:
            kept = '<p class="quiet">Everything else works; rows that would be cut are not counted.</p>'
            return {self.exact: sentence(error) + kept}
        return {self.exact: view} | self.judged(data, measured)

    def exactly(self, data: Data | None, row: int | None, *whose) -> dict:
        """The tokens of another row."""
        if data is None:
            return {self.exact: ""}
        lengths = self.lengths(*whose)
        try:
            return {self.exact: _view(desk.report_of(data), row, lengths)}
        except FinetuneError as error:
            return {self.exact: sentence(error)}


def _view(report, row: int | None, lengths: Lengths) -> str:
    told = f'<p class="quiet">Tokens of {escape(lengths.base)}, at most {lengths.max_tokens:,} a row.</p>'
    return exact_view(desk.tokens_of(lengths, report, row)) + told


def build(data: gr.State, models: Path) -> Preview:
    """The components, inside the tab that is open; `connect` adds the events."""
    notice = gr.HTML(visible=False)
    verdict = gr.HTML(WAITING, elem_id="readiness")
    with gr.Column(visible=False, elem_classes="body") as body:
        found = gr.HTML(elem_id="findings")
        mends = gr.CheckboxGroup(label="Mend", info="applied at once, to every part", elem_id="mends")
        with gr.Accordion("rows left out", open=False, visible=False, elem_id="removed") as removed:
            removed_rows = gr.Dataframe(interactive=False, wrap=True, max_height=260, show_label=False)
        gr.HTML("<h3>Balance and split</h3>")
        with gr.Row(elem_classes="sides"):
            with gr.Column(min_width=300):
                bars = gr.BarPlot(
                    x="label",
                    y="rows",
                    color="part",
                    color_map=charts.PART_COLOURS,
                    x_title=" ",
                    color_title=" ",
                    sort="-y",
                    height=300,
                    x_label_angle=-30,
                    show_label=False,
                    buttons=[],
                    elem_id="balance",
                )
            with gr.Column(min_width=300):
                table = gr.Dataframe(interactive=False, max_height=290, show_label=False, buttons=[], elem_id="split")
        with gr.Row(elem_classes="trio"):
            validation = gr.Slider(0.02, 0.45, 0.15, step=0.01, label="Validation share", min_width=200, buttons=[])
            test = gr.Slider(0.02, 0.6, 0.15, step=0.01, label="Test share", min_width=200, buttons=[])
            seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, min_width=100)
        gr.HTML("<h3>One row, exactly as it is trained</h3>")
        row = gr.Dropdown(label="Row", filterable=True, elem_id="row")
        exact = gr.HTML('<p class="quiet">Reading the tokenizer…</p>', elem_id="exact")
        go = gr.Button("Train →", variant="primary", elem_id="to-train")
    return Preview(
        models, data, notice, verdict, body, bars, table, validation, test, seed, found, mends, removed, removed_rows,
        row, exact, go,
    )  # fmt: skip


def connect(tab: Preview, shown: Sequence[Callable], whose: Sequence[gr.components.Component]) -> None:
    """The events of the tab.

    Args:
        tab: the components.
        shown: events at which the tab comes into sight.
        whose: of the form of the tab Train the base, the other base, the longest row and the instruction, which
            decide what the model reads.
    """
    private = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
    whose = [tab.row, *whose]
    outputs = tab.outputs()
    quietly = calm(tab.notice)

    def then_measure(event):
        event.then(tab.measure, [tab.data, *whose], outputs, **private)

    for event in shown:
        then_measure(event(quietly(tab.show), [tab.data], outputs, **private))
    settings = [tab.data, tab.validation, tab.test, tab.seed, tab.mends]
    for event in (tab.validation.release, tab.test.release, tab.seed.submit, tab.seed.blur, tab.mends.input):
        then_measure(event(quietly(tab.adjust), settings, outputs, trigger_mode="always_last", **private))
    tab.row.input(tab.exactly, [tab.data, *whose], [tab.exact], **private)
