"""The whole comparison as a file to take away: one that opens anywhere, and one to paste into a text."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.errors import FinetuneError
from finetune.runs.store import find_run
from finetune.ui.notice import calm


@dataclass(frozen=True)
class Takeaway:
    """The components."""

    root: Path
    make: gr.Button
    page: gr.DownloadButton
    text: gr.DownloadButton
    notice: gr.HTML

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [self.make, self.page, self.text, self.notice]

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """Files of another comparison go."""
        return {
            self.make: gr.Button(visible=True),
            self.page: gr.DownloadButton(value=None, visible=False),
            self.text: gr.DownloadButton(value=None, visible=False),
            self.notice: gr.HTML("", visible=False),
        }

    def made(self, run_id: str) -> dict:
        """Write both into the run's directory, and copies into Gradio's own folder, which the browser may read."""
        from finetune.evidence import document

        run = find_run(run_id, self.root)
        copies = Path(self.page.GRADIO_CACHE) / "report" / secrets.token_hex(16)
        copies.mkdir(parents=True)
        updates = {self.make: gr.Button(visible=False)}
        for button, name, write in (
            (self.page, "report.html", document.html),
            (self.text, "report.md", document.markdown),
        ):
            path = run.directory / name
            try:
                path.write_text(write(run), encoding="utf-8")
                copy = shutil.copy(path, copies / name)
            except OSError as error:
                raise FinetuneError(f"{path} cannot be written: {error.strerror}.", hint="Make room.") from error
            updates[button] = gr.DownloadButton(value=str(copy), visible=True)
        return updates


def build(run: gr.State, root: Path) -> Takeaway:
    """The components and their event."""
    with gr.Row(elem_classes="actions"):
        make = gr.Button("Make a report of it", size="sm", elem_id="make-report")
        page = gr.DownloadButton("report.html", size="sm", visible=False, elem_id="report-html")
        text = gr.DownloadButton("report.md", size="sm", visible=False, elem_id="report-md")
    notice = gr.HTML(visible=False)
    tab = Takeaway(root, make, page, text, notice)
    make.click(
        calm(notice)(tab.made), [run], [notice, make, page, text], concurrency_limit=None, api_visibility="private",
        show_progress="hidden",
    )  # fmt: skip
    return tab
