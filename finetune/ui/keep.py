"""What was mended, and the mended rows to take away: a file like the upload, and the list of what changed."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from pathlib import Path

import gradio as gr
import pandas

from finetune.dataset.cleaned import save_cleaned
from finetune.dataset.mending import counts
from finetune.dataset.report import Report
from finetune.ui.notice import escape

MAKE = "Make the mended file"
SHOWN = 500  # rows left out that are listed on the page; the list of changes has them all


@dataclass(frozen=True)
class Keep:
    """The components: one line, the rows left out, the button that makes the files, and the files."""

    said: gr.HTML
    removed: gr.Accordion
    removed_rows: gr.Dataframe
    make: gr.Button
    rows: gr.DownloadButton
    changes: gr.DownloadButton

    def outputs(self) -> list:
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def show(self, report: Report) -> dict:
        """What the mends did; files that were made of something else go."""
        lost = pandas.DataFrame(
            [(removed.row, removed.reason) for removed in report.removed[:SHOWN]], columns=["row", "why it is left out"]
        )
        number = len(report.removed)
        label = "1 row left out" if number == 1 else f"{number:,} rows left out"
        if number > SHOWN:
            label += f", the first {SHOWN} of them"
        return {
            self.said: _said(report),
            self.removed: gr.Accordion(label=label, visible=number > 0),
            self.removed_rows: lost,
            self.make: gr.Button(MAKE, visible=True, interactive=True),
            self.rows: gr.DownloadButton(visible=False),
            self.changes: gr.DownloadButton(visible=False),
        }

    def made(self, report: Report) -> dict:
        """Writes the files into Gradio's own folder, which is emptied in time."""
        folder = Path(self.rows.GRADIO_CACHE) / "cleaned" / secrets.token_hex(16)
        rows, changes = save_cleaned(report, folder)
        return {
            self.make: gr.Button(visible=False),
            self.rows: gr.DownloadButton(_named(rows), value=rows, visible=True),
            self.changes: gr.DownloadButton(_named(changes), value=changes, visible=True),
        }


def build() -> Keep:
    """The components, in the column that is open."""
    with gr.Row(elem_classes="actions keep"):
        said = gr.HTML(elem_id="mended")
        make = gr.Button(MAKE, size="sm", elem_id="make-cleaned")
        rows = gr.DownloadButton("rows", size="sm", visible=False, elem_id="cleaned-rows")
        changes = gr.DownloadButton("changes", size="sm", visible=False, elem_id="cleaned-changes")
    with gr.Accordion("rows left out", open=False, visible=False, elem_id="removed") as removed:
        removed_rows = gr.Dataframe(interactive=False, wrap=True, max_height=260, show_label=False)
    return Keep(said, removed, removed_rows, make, rows, changes)


def _said(report: Report) -> str:
    """`12 masked, 5 left out`, by reason."""
    done = counts(report.mended)
    if not done:
        return '<p class="facts"><span>Nothing was mended: the rows are as they came.</span></p>'
    facts = [f"{number:,} × {escape(reason)}" for reason, number in done.items()]
    return f'<p class="facts"><b>Mended</b>&ensp;{"".join(f"<span>{fact}</span>" for fact in facts)}</p>'


def _named(path: Path) -> str:
    size = path.stat().st_size
    return f"{path.name} · {size / 1e6:.1f} MB" if size >= 1e6 else f"{path.name} · {max(1, round(size / 1e3)):,} kB"
