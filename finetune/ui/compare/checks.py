"""“Does it still hold?”: fresh labelled rows against a finished run, what the last check said, and all checks over time."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from finetune.dataset.mapping.columns import guess
from finetune.dataset.tell import Tell
from finetune.errors import Cancelled, FinetuneError
from finetune.evidence.later.check import check, history
from finetune.evidence.later.fresh import fresh_mapping, read
from finetune.runs.store import Run, find_run
from finetune.ui.compare import checkpage
from finetune.ui.notice import calm, sentence
from finetune.ui.sources import ENDINGS, TRIED
from finetune.ui.work import Job, bar

BEAT_SECONDS = 1.0
GO = "Check these rows"
LEAD = (
    "<h3>Does it still hold?</h3><p>What people write changes with time. Now and then, give the model rows that were "
    "answered by hand since its training: this says whether it still does as well on them.</p>"
)


class AtWork:
    """The checks under way, one a run. They belong to no visitor: a page that is loaded again finds them here."""

    def __init__(self) -> None:
        self._jobs: dict[Path, Job] = {}
        self._lock = threading.Lock()

    def begin(self, run: Run, make: Callable[[Tell], Any]) -> None:
        """Raises FinetuneError where this run is checked already."""
        with self._lock:
            found = self._jobs.get(run.directory)
            if found is not None and not found.over:
                raise FinetuneError("This run is being checked already.", hint="Wait for its end, or stop it.")
            self._jobs[run.directory] = Job(make, run.directory)

    def of(self, run: Run) -> Job | None:
        return self._jobs.get(run.directory)

    def drop(self, run: Run, job: Job) -> None:
        """What it came to is known."""
        with self._lock:
            if self._jobs.get(run.directory) is job:
                del self._jobs[run.directory]


@dataclass(frozen=True)
class Checks:
    """The components."""

    root: Path
    at_work: AtWork
    last: gr.HTML
    file: gr.File
    limit: gr.Number
    columns: gr.Row
    input: gr.Dropdown
    output: gr.Dropdown
    notice: gr.HTML
    go: gr.Button
    stop: gr.Button
    bar: gr.HTML
    past: gr.HTML
    timer: gr.Timer

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [
            self.last, self.file, self.limit, self.columns, self.input, self.output, self.notice, self.go, self.stop,
            self.bar, self.past, self.timer,
        ]  # fmt: skip

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """The checks of a run, and the one that is under way."""
        run = story.run
        told = self._told(run)
        limit = next((one.get("limit") for one in reversed(history(run))), None)
        return told | {
            self.file: None,
            self.limit: round(100 * limit["below"], 2) if limit else None,
            self.columns: gr.Row(visible=False),
            self.input: gr.Dropdown(choices=[], value=[], multiselect=True),
            self.output: gr.Dropdown(choices=[], value=None),
        } | self._standing(run)  # fmt: skip

    def taken(self, run_id: str, path: str | None) -> dict:
        """A file: where it has the columns of the run nothing is asked, else they are chosen by hand."""
        closed = {
            self.columns: gr.Row(visible=False),
            self.input: gr.Dropdown(choices=[], value=[], multiselect=True),
            self.output: gr.Dropdown(choices=[], value=None),
        }
        if not path:
            return closed
        run, table = find_run(run_id, self.root), read(path)
        try:
            fresh_mapping(run, table)
        except FinetuneError as error:
            names = list(table.frame.columns)
            try:
                likely = guess(table)
            except FinetuneError:
                likely = None
            return {
                self.columns: gr.Row(visible=True),
                self.input: gr.Dropdown(choices=names, value=list(likely.input) if likely else [], multiselect=True),
                self.output: gr.Dropdown(choices=names, value=likely.output if likely else None),
                self.notice: gr.HTML(sentence(error), visible=True),
            }
        return closed

    def begin(
        self, run_id: str, path: str | None, limit: float | None, input: list[str] | None, output: str | None
    ) -> dict:
        """Start the check. Raises FinetuneError."""
        run = find_run(run_id, self.root)
        if not path:
            raise FinetuneError("There is no file yet.", hint="Drop one with new rows and their right answers.")
        if limit is not None and not 0 < limit < 100:
            raise FinetuneError("The limit is no score.", hint="Write a number such as 85, or leave it empty.")

        def make(tell: Tell) -> dict | None:
            return check(
                run, path, input=input or None, output=output or None, below=limit / 100 if limit else None, tell=tell
            )

        self.at_work.begin(run, make)
        return self._standing(run)

    def beat(self, run_id: str) -> dict:
        """How far it is; at its end what it came to."""
        run = find_run(run_id, self.root)
        job = self.at_work.of(run)
        return self._standing(run) if job is not None and not job.over else self._told(run) | self._standing(run)

    def end(self, run_id: str) -> dict:
        """The button Stop."""
        run = find_run(run_id, self.root)
        if (job := self.at_work.of(run)) is not None:
            job.cancel()
        return self._told(run) | self._standing(run)

    def _standing(self, run: Run) -> dict:
        """Bar and buttons."""
        job = self.at_work.of(run)
        alive = job is not None and not job.over
        return {
            self.bar: gr.HTML(bar(job.text, job.share, job.began) if alive else "", visible=alive),
            self.go: gr.Button("Checking…" if alive else GO, interactive=not alive),
            self.stop: gr.Button(visible=alive),
            self.timer: gr.Timer(active=alive),
        }

    def _told(self, run: Run) -> dict:
        """The last check and those before it, and how one that has just ended went wrong."""
        notice = gr.HTML("", visible=False)
        job = self.at_work.of(run)
        if job is not None and job.over:
            self.at_work.drop(run, job)
            try:
                job.result()
            except Cancelled:
                notice = gr.HTML('<p class="quiet">Stopped; nothing was kept of it.</p>', visible=True)
            except FinetuneError as error:
                notice = gr.HTML(sentence(error), visible=True)
        past = history(run)
        return {self.last: checkpage.last(past), self.past: checkpage.past(past), self.notice: notice}


def build(run: gr.State, root: Path) -> Checks:
    """The components and their events, inside the tab."""
    gr.HTML(LEAD, elem_id="checks-lead")
    last = gr.HTML(checkpage.last([]), elem_id="checks-last")
    with gr.Row(elem_classes="sides"):
        file = gr.File(
            label="New rows with their right answers", file_types=[*ENDINGS, *TRIED], height=150, elem_id="checks-file"
        )
        limit = gr.Number(
            label="Train again when the score falls below", info="in percent; may be left empty", minimum=0,
            maximum=100, value=None, elem_id="checks-limit",
        )  # fmt: skip
    notice = gr.HTML(visible=False, elem_id="checks-notice")
    with gr.Row(visible=False, elem_classes="sides", elem_id="checks-columns") as columns:
        input = gr.Dropdown(label="Column of the input", choices=[], value=[], multiselect=True)
        output = gr.Dropdown(label="Column of the right answer", choices=[], value=None)
    with gr.Row(elem_classes="actions"):
        go = gr.Button(GO, min_width=120, elem_id="checks-go")
        stop = gr.Button("Stop", variant="stop", min_width=80, visible=False, elem_id="checks-stop")
    progress = gr.HTML(visible=False, elem_id="checks-bar")
    past = gr.HTML(elem_id="checks-past")
    timer = gr.Timer(BEAT_SECONDS, active=False)

    tab = Checks(root, AtWork(), last, file, limit, columns, input, output, notice, go, stop, progress, past, timer)
    private = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
    quietly = calm(notice)
    gr.on(
        [file.upload, file.clear, file.delete], quietly(tab.taken), [run, file], [columns, input, output, notice],
        trigger_mode="always_last", **private,
    )  # fmt: skip
    standing = [progress, go, stop, timer]
    go.click(quietly(tab.begin), [run, file, limit, input, output], [notice, *standing], **private)
    timer.tick(tab.beat, [run], [last, past, notice, *standing], queue=False, **private)
    stop.click(quietly(tab.end), [run], [last, past, notice, *standing], **private)
    return tab
