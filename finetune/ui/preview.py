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

# In the browser, at once: what is asked of the server comes back later, when the user may have changed the field anew.
TAKE = "(shares) => shares ? [...shares, Date.now()] : []"
# Of a row that is not in the field any more nothing is drawn: the one that was typed meanwhile comes next.
DRAW = "(seen, row, view) => seen && seen[0] === row ? [seen[1], seen[2], null] : [row, view, null]"


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
    shares, row, seen = tab.splitting, tab.exact.row, tab.exact.seen

    def then_finish(event) -> None:
        inputs = [data, tab.shown, tab.counted, tab.pictures.drawn, row, *form]
        event.then(_known(tab.finish), inputs, outputs, **last)

    for event in (*shown, tab.again.click):
        then_finish(event(_known(tab.look), [data, tab.shown, *form], outputs, **last))
    taking = [[shares.shares], [shares.validation, shares.test, shares.taken]]
    shares.advised.click(None, *taking, js=TAKE, api_visibility="private")
    # Events of one listener wait for each other, those of two do not: here every change finds the one before applied.
    then_finish(gr.on(tab.changes(), _known(tab.adjust), [*tab.settings(), *form], outputs, **last))
    data.change(_known(tab.moved), [data], None, queue=False, **private)
    tab.waiting.cancel.click(_known(tab.jobs.cancel), None, None, queue=False, **private)
    for event, by in ((tab.exact.walk.input, 0), (tab.exact.back.click, -1), (tab.exact.on.click, 1)):
        event(partial(tab.step, by), [data, tab.exact.walk, row, *form], [seen], **last)
    row.input(tab.exactly, [data, row, *form], [seen], **last)
    drawing = [[seen, row, tab.exact.view], [row, tab.exact.view, seen]]
    seen.change(None, *drawing, js=DRAW, api_visibility="private")
    # Not the last alone: of an event that waits Gradio forgets which row it named.
    gr.on([text.select for text in tab.findings.texts], _opened, None, [row], trigger_mode="multiple", **private).then(
        tab.exactly, [data, row, *form], [seen], **last
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
