"""The line above all tabs: which run this is and where it stands, from everywhere."""

from __future__ import annotations

from dataclasses import dataclass

import gradio as gr

from finetune.evidence.report.plain import VERDICT
from finetune.runs.queue import place_words
from finetune.runs.store import Status
from finetune.ui.notice import escape
from finetune.ui.story import Story, where

STATES = {
    "created": "not started yet",
    "queued": "waiting",
    "running": "starting",
    "comparing": "comparing",
    "stopping": "stopping",
    "stopped": "stopped",
    "finished": "finished",
    "failed": "failed",
    "lost": "lost",
}
NOTHING = '<span class="quiet">no run yet</span>'

# A plain click stays on the page and changes the tab; the middle button opens the run in a new one.
_ON_LOAD = """
element.addEventListener('click', (event) => {
  if (!event.target.closest('a') || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  trigger('click');
});
"""


@dataclass(frozen=True)
class Strip:
    line: gr.HTML

    def view(self, story: Story, found: Status) -> dict:
        """The strip of a run."""
        facts = _facts(story, found)
        tone = {"failed": "bad", "lost": "bad", "finished": "good", "stopped": "warn"}.get(found.state, "live")
        address = f"?run={escape(story.run.id)}"
        text = " · ".join(escape(fact) for fact in [story.name, *facts])
        return {self.line: f'<a class="strip {tone}" href="{address}"><i></i>{text}</a>'}


def build() -> Strip:
    return Strip(gr.HTML(NOTHING, elem_id="strip", min_width=0, js_on_load=_ON_LOAD))


def _facts(story: Story, found: Status) -> list[str]:
    if found.state == "queued" and found.behind:
        return [f"waiting, {words}" if (words := place_words(found.place, found.of)) else f"waiting for {found.behind}"]
    if found.state in ("running", "stopping", "comparing"):
        numbers = where(story, found)
        word = [] if found.state == "running" and numbers else [STATES[found.state]]
        return word + numbers
    if found.state == "finished":
        comparison = story.run.comparison()
        if comparison:
            return [VERDICT.get(comparison["verdict"]["decision"], ("finished",))[0].lower()]
    return [STATES.get(found.state, found.state)]
