"""The form of the mapping: which columns are what, with the reason of each guess, and under “more” what few need."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import gradio as gr

from finetune.dataset.example import TASKS
from finetune.dataset.mapping.columns import guess, suggest_group, suggest_time, template_preview
from finetune.dataset.mapping.template import template_columns
from finetune.dataset.reading.load import Table
from finetune.errors import FinetuneError
from finetune.ui import desk, sources
from finetune.ui.desk import Data
from finetune.ui.notice import escape

TASK_NAMES = {
    "classification": "classification: a text gets one of a few labels",
    "instruction": "instruction: a text gets an answer",
    "chat": "chat: a conversation gets its next turn",
}
INPUT = "what the model reads"
TEMPLATED = "as the template names them"
MORE = "more: a template, groups, a split by time"
TEMPLATE = "the input written over several columns, each named in braces"
GROUP = "a customer, a document: its rows are never on both sides of the split"
TIME = "a column with dates: the earliest rows are trained on, the latest are the test"
SAMPLES = 3
SAMPLE_CHARACTERS = 400


@dataclass(frozen=True)
class Form:
    """The components."""

    column: gr.Column
    input: gr.Dropdown
    output: gr.Dropdown
    task: gr.Dropdown
    why: gr.HTML
    more: gr.Accordion
    template: gr.Textbox
    sample: gr.HTML
    group: gr.Dropdown
    time: gr.Dropdown

    def asked(self) -> list:
        """What the user sets."""
        return [self.input, self.output, self.task, self.template, self.group, self.time]

    def outputs(self) -> list:
        return [self.column, *self.asked(), self.why, self.more, self.sample]

    def show(self, data: Data, first: Data, table: Table, *, anew: bool = False) -> dict:
        """What follows from the choices: the reasons of those that were guessed, and advice where nothing is chosen.

        Args:
            first: the data as they were guessed.
            anew: the table is another one: the fields are filled as well.
        """
        groups, times = suggestions(sources.of(data))
        groups, times = () if data.group else groups, () if data.time else times
        chosen = [data.template and "template", data.group and f"group {data.group}", data.time and f"time {data.time}"]
        label = " · ".join(["more", *filter(None, chosen)]) if any(chosen) else MORE
        input: dict = {"info": TEMPLATED if data.template else INPUT, "interactive": not data.template}
        group: dict = {"info": _group_hint(groups)}
        time: dict = {"info": _time_hint(times)}
        updates: dict = {}
        if anew:
            columns = [str(name) for name in table.frame.columns]
            none = [("none", ""), *((name, name) for name in columns)]
            input |= {"choices": columns, "value": list(data.input)}
            group |= {"choices": none, "value": data.group or ""}
            time |= {"choices": none, "value": data.time or ""}
            updates = {
                self.column: gr.Column(visible=True),
                self.output: gr.Dropdown(choices=columns, value=data.output),
                self.task: data.task,
                self.template: gr.Textbox(data.template, placeholder=_example_of(columns, data)),
                self.sample: self.typed(data, data.template)[1],
            }
        if data.template:
            input["value"] = list(template_columns(data.template, table.frame.columns))
        return updates | {
            self.why: _reasons(data, first, table, groups, times),
            self.more: gr.Accordion(label=label, **({"open": any(chosen)} if anew else {})),
            self.input: gr.Dropdown(**input),
            self.group: gr.Dropdown(**group),
            self.time: gr.Dropdown(**time),
        }

    def typed(self, data: Data, template: str) -> tuple[Data, str]:
        """The data with a template that fits, or as they were; and HTML for below the field: sample or sentence."""
        if not template.strip():
            return replace(data, template=""), ""
        try:
            samples = template_preview(desk.table(data), template, rows=SAMPLES)
            changed = replace(data, template=template)
            desk.mapping_of(changed)
        except FinetuneError as error:
            stays = "the columns stay the input" if not data.template else "the last one that fits stays in use"
            return data, f'<p class="fault">{escape(error)} <span>Until then {stays}.</span></p>'
        return changed, _samples(samples)

    def nothing(self) -> dict:
        return {self.column: gr.Column(visible=False), self.sample: ""}


@lru_cache(maxsize=64)
def suggestions(source: Data) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns that look like a group, and columns with dates; remembered, for looking takes up to a second."""
    table = desk.table(source)
    return suggest_group(table), suggest_time(table)


def chosen(
    data: Data, input: Sequence[str] | None, output: str | None, task: str, group: str | None, time: str | None
) -> Data:
    """The data under what the form says."""
    return replace(
        data, input=tuple(input or ()), output=output or None, task=task, group=group or None, time=time or None
    )


def build() -> Form:
    """The components, inside the column that is open."""
    with gr.Column(visible=False, elem_id="mapping") as column:
        input = gr.Dropdown(label="Input", info=INPUT, multiselect=True, elem_id="input")
        output = gr.Dropdown(label="Output", info="what it should answer", elem_id="output")
        task = gr.Dropdown(
            label="Task", choices=[(TASK_NAMES[name], name) for name in TASKS], value=TASKS[0], elem_id="task"
        )
        why = gr.HTML(elem_id="why")
        with gr.Accordion("more", open=False, elem_id="mapping-more") as more:
            template = gr.Textbox(
                label="Template", info=TEMPLATE, lines=2, max_lines=8, elem_id="template", elem_classes="mono"
            )
            sample = gr.HTML(elem_id="sample")
            group = gr.Dropdown([("none", "")], value="", label="Group", info=GROUP, elem_id="group")
            time = gr.Dropdown([("none", "")], value="", label="Time", info=TIME, elem_id="time")
    return Form(column, input, output, task, why, more, template, sample, group, time)


def _reasons(data: Data, first: Data, table: Table, groups: Sequence[str], times: Sequence[str]) -> str:
    """HTML: why what still stands as it was guessed was guessed so, and the columns worth a look."""
    lines: list[str] = []
    try:
        found = guess(
            table,
            input=None if data.input == first.input else data.input,
            output=None if data.output == first.output else data.output,
            task=None if data.task == first.task else data.task,
            template=data.template,
            group=data.group,
            time=data.time,
        )
        columns = found.input or tuple(filter(None, [found.messages]))
        # What was set by hand may turn the other guesses: those would be reasons for something else.
        if data.template or (columns, found.output, found.task) == (data.input, data.output, data.task):
            lines += found.reasons
    except FinetuneError:
        pass  # the choices do not fit; that is told in its place, and no guess stands behind them
    if groups:
        lines.append(f"“{groups[0]}” may be a group whose rows belong on one side of the split: see “more”.")
    if times:
        lines.append(f"“{times[0]}” holds dates: under “more” it can put the split in the order of time.")
    return "".join(f'<p class="quiet">{escape(line)}</p>' for line in lines)


def _group_hint(names: Sequence[str]) -> str:
    if not names:
        return GROUP
    return f"“{names[0]}” looks like a customer or a document: choose it and none of them stands on both sides"


def _time_hint(names: Sequence[str]) -> str:
    if not names:
        return TIME
    return f"“{names[0]}” holds dates: choose it to train on the earliest rows and to test on the latest"


def _example_of(columns: Sequence[str], data: Data) -> str:
    """A template that would work here, as the placeholder."""
    free = [name for name in columns if name != data.output and "{" not in name and "}" not in name]
    return "\n".join(f"{{{name}}}" for name in free[:2]) or "{text}"


def _samples(samples: Sequence[tuple[int, str]]) -> str:
    shown = []
    for row, text in samples:
        cut = text if len(text) <= SAMPLE_CHARACTERS else text[: SAMPLE_CHARACTERS - 1] + "…"
        said = escape(cut) if cut else "<i>nothing: every column it names is empty here</i>"
        shown.append(f"<dt>row {row:,}</dt><dd>{said}</dd>")
    return f'<dl class="sample">{"".join(shown)}</dl>'
