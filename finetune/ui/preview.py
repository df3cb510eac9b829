"""The tab Preview: whether training makes sense, what is wrong with the rows, their split, what is trained on."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import gradio as gr

from finetune.dataset.checks.likeness import THRESHOLD
from finetune.ui import ask, exact, findings, keep, pictures, splitting, waiting
from finetune.ui.look import MORE, WAITING, Preview
from finetune.ui.work import Jobs

__all__ = ["MORE", "build", "connect"]


def build(data: gr.State, models: Path) -> Preview:
    """The components, inside the tab that is open; `connect` adds the events."""
    bar = waiting.build()
    notice = gr.HTML(visible=False)
    verdict = gr.HTML(WAITING, elem_id="readiness")
    again = gr.Button("Look again", visible=False, elem_id="look-again")
    with gr.Column(visible=False, elem_classes="body") as body:
        with gr.Accordion("Four questions that your data cannot answer", open=False, elem_id="questions") as questions:
            asked = ask.build()
        found = findings.build()
        near = gr.Slider(
            0.5, 1, THRESHOLD, step=0.05, label="Near-duplicates from", buttons=[], elem_id="near",
            info="the share of their words that two inputs must have in common",
        )  # fmt: skip
        with gr.Column(elem_classes="body") as rest:
            kept = keep.build()
            parts = splitting.build()
            drawn = pictures.build()
            seen = exact.build()
            go = gr.Button("Train →", variant="primary", elem_id="to-train")
    return Preview(
        models, Jobs(), data, gr.State(None), gr.State(None), notice, bar, again, verdict, body,
        questions, rest, asked, found, near, kept, parts, drawn, seen, go,
    )  # fmt: skip


def connect(tab: Preview, shown: Sequence[Callable], form: Sequence[gr.components.Component]) -> None:
    """The events of the tab.

    Args:
        tab: the components.
        shown: events at which the tab comes into sight.
        form: of the form of the tab Train base, other base and what MORE names.
    """
    private = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
    last = private | {"trigger_mode": "always_last"}
    form, outputs, data = list(form), tab.outputs(), tab.data
    one_row = [tab.exact.row, tab.exact.view]

    def then_finish(event) -> None:
        inputs = [data, tab.shown, tab.counted, tab.pictures.drawn, tab.findings.offered, tab.exact.row, *form]
        event.then(_known(tab.finish), inputs, outputs, **private)

    for event in (*shown, tab.again.click):
        then_finish(event(_known(tab.look), [data, tab.shown, *form], outputs, **last))
    adjusting = {"fn": _known(tab.adjust), "inputs": [*tab.settings(), *form], "outputs": outputs}
    then_finish(gr.on(tab.changes(), **adjusting, **last))
    shares = [tab.splitting.validation, tab.splitting.test]
    then_finish(tab.splitting.advised.click(tab.advised, [data, *form], shares, **private).then(**adjusting, **private))
    # Another file: what is under way about the old one is not wanted any more.
    data.change(_known(tab.jobs.only), [data], None, queue=False, **private)
    tab.waiting.cancel.click(_known(tab.jobs.cancel), None, None, queue=False, **private)
    walking = [data, tab.exact.walk, tab.exact.row, *form]
    tab.exact.walk.input(partial(tab.step, 0), walking, one_row, **last)
    tab.exact.back.click(partial(tab.step, -1), walking, one_row, **private)
    tab.exact.on.click(partial(tab.step, 1), walking, one_row, **private)
    tab.exact.row.input(tab.exactly, [data, tab.exact.row, *form], [tab.exact.view], **last)
    gr.on([text.select for text in tab.findings.texts], _opened, None, [tab.exact.row], **last).then(
        tab.exactly, [data, tab.exact.row, *form], [tab.exact.view], **private
    )
    tab.keep.make.click(_known(tab.save), [data, *form], tab.keep.outputs(), **private)


def _known(handler: Callable) -> Callable:
    """The handler, told which visitor it works for."""
    if inspect.isgeneratorfunction(handler):

        def following(request: gr.Request, *values):
            # Of a generator that yields nothing Gradio empties every output.
            yield gr.skip()
            yield from handler(*values, visitor=request.session_hash or "")

        return following

    def known(request: gr.Request, *values):
        return handler(*values, visitor=request.session_hash or "")

    return known


def _opened(event: gr.EventData) -> int:
    """The row whose number was clicked in a finding."""
    return event.row
