"""Balance and split: how the rows are dealt, whether the test part is like the whole, and what it can show."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from finetune.dataset.report import Report
from finetune.dataset.splitting.advice import Advice, advise
from finetune.ui import charts
from finetune.ui.notice import escape

VALIDATION, TEST = (0.02, 0.45), (0.02, 0.6)


@dataclass(frozen=True)
class Splitting:
    """The components of the section, and what they show of a report.

    Attributes:
        shares: those that are advised, kept in the browser: a press puts them into the form there and then.
        taken: when they were.
    """

    said: gr.HTML
    bars_said: gr.HTML
    bars: gr.BarPlot
    table: gr.Dataframe
    validation: gr.Slider
    test: gr.Slider
    seed: gr.Number
    advice: gr.HTML
    advised: gr.Button
    shares: gr.JSON
    taken: gr.Number

    def outputs(self) -> list:
        drawn = [self.said, self.bars_said, self.bars, self.table, self.advice, self.advised, self.shares]
        return [*drawn, *self.settings()]

    def settings(self) -> list:
        return [self.validation, self.test, self.seed]

    def show(self, report: Report) -> dict:
        """The whole section."""
        split, labels = report.split, report.labels
        return self.advise(report) | {
            self.said: _said(report),
            self.bars_said: f"<p>{escape(charts.balance_sentence(split, labels))}</p>",
            self.bars: gr.BarPlot(charts.balance(split, labels), y_title="rows", x_title=" "),
            self.table: charts.balance_table(split, labels),
            self.test: gr.Slider(visible=not report.table.test_rows),
        }

    def advise(self, report: Report) -> dict:
        """The shares for the smallest gain that counts; none where the test part is a file of the user's own."""
        if report.table.test_rows:
            return {self.advice: "", self.advised: gr.Button(visible=False)}
        advice = advice_of(report)
        usable = advice.test > 0 and (advice.validation, advice.test) != (
            report.choices.validation,
            report.choices.test,
        )
        percent = f"{advice.test:.0%} for the test, {advice.validation:.0%} for validation"
        return {
            self.advice: f'<p class="quiet">{escape(advice.sentence)}</p>',
            self.advised: gr.Button(f"Take {percent}", visible=usable),
            self.shares: [advice.validation, advice.test],
        }


def advice_of(report: Report) -> Advice:
    """The shares for the smallest gain that counts."""
    return advise(report.rows, report.choices.questions.want, labels=max(1, len(report.labels)))


def _said(report: Report) -> str:
    """How the parts were made, what there is to know of them, and how the test part differs from the rest."""
    split, like = report.split, report.representative
    notes = "".join(f"<li>{escape(note)}</li>" for note in split.notes)
    differs = "".join(f'<li class="warn">{escape(warning)}</li>' for warning in like.warnings)
    seen = f" ({like.examined:,} rows were compared)" if like.examined else ""
    alike = "" if differs else f"<li>The test rows are like the rest in labels, lengths and words{seen}.</li>"
    if report.task != "classification":
        alike = alike.replace("labels, lengths and words", "lengths and words")
    return f'<h3>Balance and split</h3><p class="quiet">{escape(split.how)}</p><ul class="notes">{differs}{notes}{alike}</ul>'


def build() -> Splitting:
    """The section, in the column that is open."""
    said = gr.HTML("<h3>Balance and split</h3>", elem_id="how-split")
    bars_said = gr.HTML(elem_classes="says")
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
            table = gr.Dataframe(
                interactive=False, max_height=290, show_label=False, buttons=[], elem_id="split",
                column_widths=["150px", "84px", "106px", "84px", "72px"],
            )  # fmt: skip
    with gr.Row(elem_classes="trio"):
        validation = gr.Slider(*VALIDATION, 0.15, step=0.01, label="Validation share", min_width=200, buttons=[])
        test = gr.Slider(*TEST, 0.15, step=0.01, label="Test share", min_width=200, buttons=[])
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, maximum=2**31 - 1, min_width=100)
    with gr.Row(elem_classes="actions advise"):
        advice = gr.HTML(elem_id="advice")
        advised = gr.Button("Take these shares", size="sm", visible=False, elem_id="advised")
        shares, taken = gr.JSON(elem_classes="carrier"), gr.Number(elem_classes="carrier")
    return Splitting(said, bars_said, bars, table, validation, test, seed, advice, advised, shares, taken)
