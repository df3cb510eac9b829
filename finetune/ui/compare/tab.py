"""The tab Compare: the verdict first, then the scores it rests on, the rows side by side, and a prompt of one's own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.evidence.money.payback import sentence as sentence_of_money
from finetune.runs import supervise
from finetune.runs.store import Run, Status, find_run
from finetune.ui.compare import (
    again,
    blind,
    calibration,
    causes,
    checks,
    classes,
    cost,
    forgetting,
    own_prompt,
    regressions,
    scores,
    sidebyside,
    takeaway,
    texts,
    verdict,
)
from finetune.ui.notice import calm
from finetune.ui.progress import bar
from finetune.ui.story import Story

WAITING = '<p class="empty">No comparison yet. It follows the training by itself.</p>'


@dataclass(frozen=True)
class Compare:
    """The components of the tab, and what they show of a run.

    Attributes:
        sections: what is shown of a run with a comparison; each has `shown()` and `view(story, comparison, outputs)`.
        again: of the sections the one that starts another comparison.
        own: the prompt of one's own, which needs no comparison.
    """

    root: Path
    banner: gr.HTML
    bar: gr.HTML
    now: gr.Button
    body: gr.Column
    scores: gr.HTML
    details: gr.HTML
    sections: tuple
    again: again.Again
    own: own_prompt.OwnPrompt

    def shown(self) -> list:
        """Every component that `view` and `live` may change."""
        return [
            self.banner, self.bar, self.now, self.body, self.scores, self.details,
            *(part for section in (*self.sections, self.own) for part in section.shown()),
        ]  # fmt: skip

    def live(self, story: Story, found: Status) -> dict:
        """What changes while a run is at work."""
        compared, adapter = _compared(story.run), story.run.adapter.exists()
        comparing = found.state == "comparing"
        updates = {
            self.bar: gr.HTML(bar(story, found) if comparing else "", visible=comparing),
            self.now: gr.Button(visible=adapter and not compared and (found.over or found.state == "created")),
        } | self.own.live(story.run, compared)
        if found.over:
            updates |= self.again.ready()
        if not compared:
            updates |= {self.banner: _waiting(found, adapter), self.body: gr.Column(visible=False)}
        return updates

    def view(self, story: Story) -> dict:
        """The whole comparison of a run, once there is one."""
        comparison = story.run.comparison()
        if comparison is None:
            return {}
        outputs = story.run.outputs()
        # What got worse comes first: a gain that is bought with losses is what nobody should miss.
        details = [
            regressions.told(comparison, outputs), causes.told(comparison, outputs), classes.told(comparison, outputs),
            calibration.told(comparison, outputs), texts.told(comparison), forgetting.told(comparison),
            scores.proof(comparison), scores.speed(comparison), scores.training(comparison),
        ]  # fmt: skip
        updates: dict = {
            self.banner: verdict.top(comparison, sentence_of_money(self.root, comparison)),
            self.body: gr.Column(visible=True),
            self.scores: scores.table(comparison) + scores.paired(comparison),
            self.details: "".join(details),
        }
        for section in (*self.sections, self.own):
            updates |= section.view(story, comparison, outputs)
        return updates

    def begin(self, run_id: str) -> dict:
        """Compare a run that has an adapter and no comparison."""
        supervise.start(find_run(run_id, self.root), phase="compare")
        return {self.now: gr.Button(visible=False)}


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
    notice = gr.HTML(visible=False)
    top = gr.HTML(WAITING, elem_id="verdict")
    progress = gr.HTML(visible=False, elem_id="compare-progress")
    now = gr.Button("Compare now", variant="primary", visible=False, elem_id="compare-now")
    with gr.Column(visible=False, elem_classes="body") as body:
        score_table = gr.HTML(elem_id="scores")
        details = gr.HTML(elem_id="details")
        sections = (
            cost.build(run, root),
            sidebyside.build(run, root),
            blind.build(run, root),
            checks.build(run, root),
            (other := again.build(run, root)),
            takeaway.build(run, root),
        )
    own = own_prompt.build(run, root)
    tab = Compare(root, top, progress, now, body, score_table, details, sections, other, own)
    now.click(
        calm(notice)(tab.begin), [run], [notice, now], concurrency_limit=None, api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip
    return tab
