"""The bar of a job that takes its time, with the button that ends it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any

import gradio as gr

from finetune.ui.work import Job, bar


@dataclass(frozen=True)
class Waiting:
    """The components, seen only while a job is at work."""

    row: gr.Row
    bar: gr.HTML
    cancel: gr.Button

    def outputs(self) -> list:
        return [self.row, self.bar]

    def watch(self, job: Job, meanwhile: dict | None = None) -> Generator[dict, None, Any]:
        """Yields the bar while the job is at work, and hides it at its end.

        Args:
            meanwhile: more updates, once a bar is there.

        Returns:
            What the job made. Raises what it raised.
        """
        seen = False
        for text, share in job.beats():
            beat = {self.row: gr.Row(visible=True), self.bar: bar(text, share, job.began)}
            yield beat if seen else beat | (meanwhile or {})
            seen = True
        if seen:
            yield {self.row: gr.Row(visible=False)}
        return job.result()


def build() -> Waiting:
    """The components, where the tab is open."""
    with gr.Row(visible=False, elem_classes="working", elem_id="working") as row:
        shown = gr.HTML()
        cancel = gr.Button("Cancel", size="sm", min_width=80, elem_id="cancel-look")
    return Waiting(row, shown, cancel)
