"""The tab Compare: the verdict first, then the scores it rests on, the rows side by side, and a prompt of one's own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.errors import FinetuneError
from finetune.evidence.payback import sentence as sentence_of_money
from finetune.evidence.systems import SHORT, SYSTEMS
from finetune.runs import supervise
from finetune.runs.store import Run, Status, find_run
from finetune.ui import (
    again,
    calibration,
    causes,
    checks,
    classes,
    cost,
    forgetting,
    regressions,
    scores,
    sidebyside,
    takeaway,
    texts,
    verdict,
)
from finetune.ui.notice import calm, sentence
from finetune.ui.progress import bar
from finetune.ui.story import Story

WAITING = '<p class="empty">No comparison yet. It follows the training by itself.</p>'
SHOWN = ("base", "fine_tuned")


@dataclass(frozen=True)
class Compare:
    """The components of the tab, and what they show of a run."""

    root: Path
    run: gr.State
    page: gr.State
    notice: gr.HTML
    banner: gr.HTML
    bar: gr.HTML
    now: gr.Button
    body: gr.Column
    scores: gr.HTML
    details: gr.HTML
    sections: tuple
    outcome: gr.Radio
    search: gr.Textbox
    systems: gr.CheckboxGroup
    rows: gr.HTML
    before: gr.Button
    where: gr.HTML
    after: gr.Button
    box: gr.Column
    prompt: gr.Textbox
    ask: gr.Button
    base_answer: gr.Textbox
    tuned_answer: gr.Textbox

    def shown(self) -> list:
        """Every component that `view` and `live` may change."""
        return [
            self.page, self.banner, self.bar, self.now, self.body, self.scores, self.details, self.outcome, self.systems, self.rows,
            self.before, self.where, self.after, self.box, self.ask,
            *(part for section in self.sections for part in section.shown()),
        ]  # fmt: skip

    def live(self, story: Story, found: Status) -> dict:
        """What changes while a run is at work."""
        compared, adapter = _compared(story.run), story.run.adapter.exists()
        comparing = found.state == "comparing"
        updates = {
            self.bar: gr.HTML(bar(story, found) if comparing else "", visible=comparing),
            self.now: gr.Button(visible=adapter and not compared and (found.over or found.state == "created")),
            self.box: gr.Column(visible=adapter),
            self.ask: gr.Button(variant="primary" if compared else "secondary"),
        }
        if not compared:
            updates |= {self.banner: _waiting(found, adapter), self.body: gr.Column(visible=False)}
        return updates

    def view(self, story: Story) -> dict:
        """The whole comparison of a run, once there is one."""
        comparison = story.run.comparison()
        if comparison is None:
            return {}
        outputs = story.run.outputs()
        present = [system for system in SYSTEMS if any(system in line["outputs"] for line in outputs)]
        shown = [system for system in SHOWN if system in present]
        # What got worse comes first: a gain that is bought with losses is what nobody should miss.
        details = [
            regressions.told(comparison, outputs), causes.told(comparison, outputs), classes.told(comparison, outputs),
            calibration.told(comparison, outputs), texts.told(comparison), forgetting.told(comparison),
            scores.proof(comparison), scores.speed(comparison), scores.training(comparison),
        ]  # fmt: skip
        updates: dict = {}
        for section in self.sections:
            updates |= section.view(story, comparison, outputs)
        return (
            updates
            | {
                self.banner: verdict.top(comparison, sentence_of_money(self.root, comparison)),
                self.body: gr.Column(visible=True),
                self.scores: scores.table(comparison) + scores.paired(comparison),
                self.details: "".join(details),
                self.outcome: gr.Radio(choices=sidebyside.choices(outputs), value="all"),
                self.systems: gr.CheckboxGroup(
                    choices=[(SHORT.get(system, system), system) for system in present], value=shown
                ),
            }
            | self._paged(outputs, 0, shown)
        )

    def turn(self, run_id: str, page: int, outcome: str, search: str, systems: list[str], by: int = 0) -> dict:
        """Another page, or the first of another choice of rows."""
        found = sidebyside.chosen(find_run(run_id, self.root).outputs(), outcome, search)
        return self._paged(found, max(0, page + by) if by else 0, systems)

    def _paged(self, found: list[dict], page: int, systems: list[str]) -> dict:
        last = sidebyside.pages(found) - 1
        page = min(page, last)
        start = page * sidebyside.PAGE
        text = f"{start + 1:,} to {min(start + sidebyside.PAGE, len(found)):,} of {len(found):,}" if found else ""
        ordered = [system for system in SYSTEMS if system in systems]
        return {
            self.page: page,
            self.rows: sidebyside.table(found, ordered, page),
            self.where: f'<p class="quiet">{text}</p>',
            self.before: gr.Button(interactive=page > 0),
            self.after: gr.Button(interactive=page < last),
        }

    def begin(self, run_id: str) -> dict:
        """Compare a run that has an adapter and no comparison."""
        supervise.start(find_run(run_id, self.root), phase="compare")
        return {self.now: gr.Button(visible=False)}

    def answered(self, run_id: str, text: str) -> Iterator[dict]:
        """Both answers to a prompt of one's own, as they grow."""
        ready = {self.ask: gr.Button("Ask both", interactive=True)}
        quiet, cleared = gr.HTML("", visible=False), gr.Textbox("")
        if not (text or "").strip():
            told = sentence(FinetuneError("The prompt is empty.", hint="Write what the model should read."))
            yield {self.notice: gr.HTML(told, visible=True)}
            return
        yield {
            self.notice: quiet, self.base_answer: cleared, self.tuned_answer: cleared,
            self.ask: gr.Button("Loading the model…", interactive=False),
        }  # fmt: skip
        try:
            from finetune.evidence.answer import answer  # torch

            for base, tuned in answer(find_run(run_id, self.root), text):
                yield {
                    self.base_answer: base,
                    self.tuned_answer: tuned,
                    self.ask: gr.Button("Answering…", interactive=False),
                }
        except FinetuneError as error:
            yield {self.notice: gr.HTML(sentence(error), visible=True)}
        except Exception:
            yield ready
            raise
        yield ready


def _compared(run: Run) -> bool:
    return (run.directory / "comparison.json").exists()


def _waiting(found: Status, adapter: bool) -> str:
    if found.state == "comparing":
        return '<p class="empty">Comparing on the test rows: the verdict appears here.</p>'
    if adapter and found.over:
        return '<p class="empty">This run has an adapter that was not compared yet.</p>'
    return WAITING


def build(run: gr.State, root: Path) -> Compare:
    """The components and their events, inside the tab that is open."""
    page = gr.State(0)
    notice = gr.HTML(visible=False)
    top = gr.HTML(WAITING, elem_id="verdict")
    progress = gr.HTML(visible=False, elem_id="compare-progress")
    now = gr.Button("Compare now", variant="primary", visible=False, elem_id="compare-now")
    with gr.Column(visible=False, elem_classes="body") as body:
        score_table = gr.HTML(elem_id="scores")
        details = gr.HTML(elem_id="details")
        priced = cost.build(run, root)
        gr.HTML("<h3>Side by side</h3>")
        with gr.Row(elem_classes="sides"):
            outcome = gr.Radio(
                [(name, name) for name in sidebyside.OUTCOMES],
                value="all",
                label="Fine-tuned against base",
                elem_id="outcome-filter",
                min_width=300,
            )
            search = gr.Textbox(label="Search", placeholder="in inputs and outputs", elem_id="search", min_width=200)
        systems = gr.CheckboxGroup(label="Columns", elem_id="columns")
        rows = gr.HTML(elem_id="beside")
        with gr.Row(elem_classes="pager"):
            before = gr.Button("← earlier", size="sm", min_width=90, elem_id="before")
            where = gr.HTML(elem_id="where")
            after = gr.Button("later →", size="sm", min_width=90, elem_id="after")
        sections = (
            priced, checks.build(run, root), again.build(run, root), takeaway.build(run, root),
        )  # fmt: skip
    with gr.Column(visible=False, elem_classes="body") as box:
        gr.HTML("<h3>A prompt of your own</h3>")
        prompt = gr.Textbox(
            lines=3, show_label=False, placeholder="What the model should read", elem_id="prompt", max_length=20_000
        )
        ask = gr.Button("Ask both", elem_id="ask")
        with gr.Row(elem_classes="sides"):
            answers = [
                gr.Textbox(label=label, lines=4, interactive=False, buttons=["copy"], elem_id=name, min_width=300)
                for label, name in (("Base", "answer-base"), ("Fine-tuned", "answer-tuned"))
            ]

    tab = Compare(
        root, run, page, notice, top, progress, now, body, score_table, details, sections, outcome, search, systems, rows, before,
        where, after, box, prompt, ask, *answers,
    )  # fmt: skip
    private = {"api_visibility": "private", "show_progress": "hidden"}
    choice = [run, page, outcome, search, systems]
    outputs = [notice, page, rows, where, before, after]

    def turned(by: int):
        return lambda *values: tab.turn(*values, by=by)

    quietly = calm(notice)
    gr.on(
        [outcome.input, search.change, systems.input],
        quietly(turned(0)), choice, outputs, trigger_mode="always_last", concurrency_limit=None, **private,
    )  # fmt: skip
    before.click(quietly(turned(-1)), choice, outputs, concurrency_limit=None, **private)
    after.click(quietly(turned(1)), choice, outputs, concurrency_limit=None, **private)
    now.click(quietly(tab.begin), [run], [notice, now], concurrency_limit=None, **private)
    # The model answers one visitor at a time; the others wait in the queue.
    gr.on(
        [ask.click, prompt.submit],
        tab.answered, [run, prompt], [notice, ask, *answers], concurrency_id="gpu", concurrency_limit=1, **private,
    )  # fmt: skip
    return tab
