"""The whole comparison as a file to take away: a page that opens anywhere, and a text to paste into another."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.runs.store import find_run
from finetune.ui.notice import calm

SUFFIXES = (".html", ".md")


@dataclass(frozen=True)
class Takeaway:
    """The components: one button that makes the files, one for each file, and the command that repeats the run."""

    root: Path
    make: gr.Button
    page: gr.DownloadButton
    text: gr.DownloadButton
    command: gr.Textbox
    note: gr.HTML
    notice: gr.HTML

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [self.make, self.page, self.text, self.command, self.note, self.notice]

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """Files of another comparison go."""
        return {
            self.make: gr.Button(visible=True),
            self.page: gr.DownloadButton(value=None, visible=False),
            self.text: gr.DownloadButton(value=None, visible=False),
            self.command: gr.Textbox(value="", visible=False),
            self.note: gr.HTML("", visible=False),
            self.notice: gr.HTML("", visible=False),
        }

    def made(self, run_id: str) -> dict:
        """Writes both into Gradio's own folder, which the browser may read and which is emptied in time."""
        from finetune.evidence.report import document
        from finetune.evidence.report.repeat import repeat
        from finetune.ui.notice import escape

        run = find_run(run_id, self.root)
        folder = Path(self.page.GRADIO_CACHE) / "report" / secrets.token_hex(16)
        updates = {self.make: gr.Button(visible=False)}
        for button, suffix in zip((self.page, self.text), SUFFIXES, strict=True):
            path = document.write(run, folder / f"{run.id}{suffix}")
            updates[button] = gr.DownloadButton(value=str(path), visible=True)
        again = repeat(run)
        told = " ".join(escape(note) for note in again.notes)
        return updates | {
            self.command: gr.Textbox(value=again.command, visible=bool(again.command)),
            self.note: gr.HTML(f'<p class="quiet">{told}</p>', visible=True),
        }


def build(run: gr.State, root: Path) -> Takeaway:
    """The components and their event, inside the tab that is open."""
    with gr.Row(elem_classes="actions takeaway"):
        make = gr.Button("Make a report", size="sm", elem_id="make-report")
        page = gr.DownloadButton("Report (.html)", size="sm", visible=False, elem_id="report-html")
        text = gr.DownloadButton("Report (.md)", size="sm", visible=False, elem_id="report-md")
    command = gr.Textbox(
        label="To make this run again",
        lines=2,
        interactive=False,
        buttons=["copy"],
        visible=False,
        elem_id="again-command",
    )
    note = gr.HTML(visible=False, elem_id="again-note")
    notice = gr.HTML(visible=False)
    tab = Takeaway(root, make, page, text, command, note, notice)
    make.click(
        calm(notice)(tab.made), [run], [notice, make, page, text, command, note], concurrency_limit=None,
        api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    return tab
