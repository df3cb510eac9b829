"""The few questions that the data cannot answer, made from the fields of `Questions`."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from finetune.dataset.readiness.questions import Questions


@dataclass(frozen=True)
class Ask:
    """The components, by the name of the question."""

    fields: dict[str, gr.components.Component]

    def parts(self) -> list[gr.components.Component]:
        return list(self.fields.values())

    def changes(self) -> list:
        """The events at which an answer is given."""
        events = []
        for part in self.parts():
            events += [part.input] if isinstance(part, gr.Dropdown) else [part.submit, part.blur]
        return events

    def show(self, questions: Questions) -> dict:
        """The answers, put into the form."""
        return {
            self.fields[entry.name]: _shown(entry, getattr(questions, entry.name))
            for entry in dataclasses.fields(questions)
        }

    def answers(self, values: Sequence[object]) -> Questions:
        """What the form says; an emptied field takes its default. Raises FinetuneError."""
        entries = dataclasses.fields(Questions)
        told = zip(entries, values, strict=True)
        # Points come as they are read on the page: 5 and not 0.05.
        return Questions(
            **{
                entry.name: value / 100 if entry.metadata["share"] else value
                for entry, value in told
                if value not in (None, "")
            }
        )


def _shown(entry: dataclasses.Field, value: object) -> object:
    return round(100 * value, 2) if entry.metadata["share"] else value


def build() -> Ask:
    """The form, in the column that is open."""
    with gr.Row(elem_classes="grid"):
        return Ask({entry.name: _field(entry) for entry in dataclasses.fields(Questions)})


def _field(entry: dataclasses.Field) -> gr.components.Component:
    told = entry.metadata
    shared = {"label": told["label"], "info": told["help"], "min_width": 200, "elem_id": f"ask-{entry.name}"}
    if choices := told["choices"]:
        named = [(words, value) for value, words in choices.items()]
        return gr.Dropdown(named, value=entry.default, filterable=False, **shared)
    if told["share"]:
        shared |= {
            "label": f"{told['label']}, in points",
            "info": told["help"].replace(", as a share of the answers", ""),
        }
        return gr.Number(_shown(entry, entry.default), **shared)
    return gr.Number(entry.default, precision=0, **shared)  # its bounds are told by `Questions`, as a sentence
