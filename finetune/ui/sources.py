"""The ways in: files, an example, pasted text, a data set of the Hub, and a test file of one's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr
from gradio.processing_utils import save_bytes_to_cache

from finetune.dataset.reading.load import limits_text
from finetune.dataset.tell import Tell
from finetune.errors import FinetuneError
from finetune.ui import desk
from finetune.ui.desk import Data
from finetune.ui.notice import escape
from finetune.ui.work import bar

ENDINGS = [".csv", ".tsv", ".txt", ".json", ".jsonl", ".ndjson", ".parquet", ".gz", ".zst"]
# These cannot be read either, but people have them: let in, they get a sentence that says what to do.
TRIED = [".xlsx", ".xls", ".ods", ".docx", ".pdf", ".zip", ".xml", ".html"]
PASTED = "pasted text"
BESIDE_HUB = "A test file goes with files and not with a data set of the Hub."
LIMITS = f"CSV, TSV, JSON, JSON lines or Parquet, also as .gz or .zst: {limits_text()}."


@dataclass(frozen=True)
class Way:
    """One way in that was taken: what is read, as the page calls it, and how; `read` raises FinetuneError."""

    name: str
    read: Callable[[Tell], Data]


@dataclass(frozen=True)
class Sources:
    """The components of the ways in."""

    file: gr.File
    examples: tuple[tuple[gr.Button, Path], ...]
    text: gr.Textbox
    read: gr.Button
    hub: gr.Textbox
    fetch: gr.Button
    test: gr.File
    notice: gr.HTML
    busy: gr.Row
    progress: gr.HTML
    cancel: gr.Button

    def named(self, data: Data | None) -> dict:
        """The two boxes as they belong to the data that is open: what they name is what is read."""
        own = data is not None and not data.hub and data.name != PASTED
        files = [path for path in data.paths if Path(path).is_relative_to(self.file.GRADIO_CACHE)] if own else []
        return {self.file: files or None, self.test: data.test_path if data else None}

    def outputs(self) -> list:
        return [self.file, self.test, self.notice, self.busy, self.progress]

    def going(self, text: str, share: float, since: float) -> dict:
        """How far it is. `since`: `time.monotonic()` of the start."""
        return {self.busy: gr.Row(visible=True), self.progress: bar(text, share, since)} | self.told("")

    def told(self, html: str) -> dict:
        return {self.notice: gr.HTML(html, visible=bool(html))}

    def still(self) -> dict:
        """Nothing is being read, and nothing is wrong."""
        return {self.busy: gr.Row(visible=False)} | self.told("")

    def pasted(self, text: str | None, test: str | None) -> Way:
        """Text as a file of Gradio's cache, which the page clears as it clears uploads."""

        def read(tell: Tell) -> Data:
            if not text or not text.strip():
                raise FinetuneError("There is no text to read.", hint="Paste rows with a header, or JSON lines.")
            # No ending that promises a format: the content decides.
            path = save_bytes_to_cache(text.encode("utf-8", "replace"), f"{PASTED}.txt", self.text.GRADIO_CACHE)
            self.text.temp_files.add(path)
            return desk.open_files([path], PASTED, test_path=test, tell=tell)

        return Way("the text", read)


def of(data: Data) -> Data:
    """The data without any choice: where they come from."""
    return Data(data.paths, data.name, test_path=data.test_path, hub=data.hub)


def name_of(paths: Sequence[str]) -> str:
    """What the page calls files: the first, and how many more."""
    first = Path(paths[0]).name
    return first if len(paths) == 1 else f"{first} and {len(paths) - 1} more"


def files(paths: Sequence[str], test: str | None) -> Way:
    """One file, or several that become one table."""
    name = name_of(paths)
    return Way(name, lambda tell: desk.open_files(list(paths), name, test_path=test, tell=tell))


def hub(name: str | None, test: str | None) -> Way:
    """A data set of the Hub."""
    name = (name or "").strip()

    def read(tell: Tell) -> Data:
        if not name:
            raise FinetuneError("No data set is named.", hint="Write it as the Hub does: owner/name.")
        if test:
            raise FinetuneError(BESIDE_HUB, hint="Take the test file away, or load both as files.")
        return desk.open_hub(name, tell)

    return Way(name or "the data set", read)


def beside(data: Data, test: str | None) -> Way:
    """The same data with another test file, or without one; what was chosen stays."""

    def read(tell: Tell) -> Data:
        if test and data.hub:
            raise FinetuneError(BESIDE_HUB, hint="Load both as files.")
        changed = replace(data, test_path=test)
        desk.table(changed, tell)
        return changed

    return Way(Path(test).name if test else data.name, read)


def build(examples: Path) -> Sources:
    """The components, inside the column that is open."""
    file = gr.File(
        label="Your rows, in one file or several",
        file_count="multiple",
        file_types=[*ENDINGS, *TRIED],
        height=190,
        elem_id="file",
    )
    gr.HTML(f'<p class="quiet">{escape(LIMITS)}</p><p class="quiet">Or an example:</p>', elem_id="limits")
    with gr.Row(elem_classes="chips"):
        buttons = tuple(
            (gr.Button(name, size="sm", min_width=60, elem_id=f"example-{name}"), examples / file_name)
            for name, file_name in desk.EXAMPLE_FILES.items()
            if (examples / file_name).exists()
        )
    with gr.Accordion("more ways in: paste, the Hub, a test file", open=False, elem_id="ways"):
        text = gr.Textbox(
            label="Paste rows",
            info="a table with a header, or one JSON object a line",
            placeholder="text,label\nWhere is my invoice?,billing",
            lines=4,
            max_lines=12,
            elem_id="paste",
            elem_classes="mono",
        )
        read = gr.Button("Read it", size="sm", min_width=100, elem_id="read")
        with gr.Row(elem_classes="field"):
            hub = gr.Textbox(
                label="A data set of the Hub",
                info="its part “train” is read; needs the internet",
                placeholder="owner/name",
                max_lines=1,
                min_width=160,
                elem_id="hub",
            )
            fetch = gr.Button("Fetch it", size="sm", min_width=100, scale=0, elem_id="fetch")
        test = gr.File(label="A test file of your own", file_types=[*ENDINGS, *TRIED], height=155, elem_id="test-file")
        gr.HTML(
            '<p class="quiet">Its rows become the whole test set: no other row is set aside for it, '
            "and no row that is like one of them is trained on.</p>"
        )
    notice = gr.HTML(visible=False)
    with gr.Row(visible=False, elem_id="busy") as busy:
        progress = gr.HTML()
        cancel = gr.Button("Cancel", size="sm", min_width=90, scale=0, elem_id="cancel")
    return Sources(file, buttons, text, read, hub, fetch, test, notice, busy, progress, cancel)
