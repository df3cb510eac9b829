"""The tab Upload: rows come in one way or another; their columns map themselves and are corrected by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import gradio as gr

from finetune.dataset.tell import Tell
from finetune.errors import Cancelled, FinetuneError
from finetune.ui import desk, leftout, mapping, overview, sources
from finetune.ui.desk import Data
from finetune.ui.leftout import Counted, LeftOut
from finetune.ui.mapping import Form
from finetune.ui.notice import escape, sentence
from finetune.ui.overview import Seen
from finetune.ui.sources import Sources, Way
from finetune.ui.work import Jobs

COUNTING = "Counting the rows that can be used"


@dataclass(frozen=True)
class Upload:
    """The components of the tab, and what it shows of the data.

    Attributes:
        first: the data as they were guessed; what still stands so has a reason.
        opening, counting: what is being done for each visitor.
        count: `LeftOut.count`, which remembers.
    """

    data: gr.State
    first: gr.State
    ways: Sources
    form: Form
    lost: LeftOut
    notice: gr.HTML
    lead: gr.HTML
    counts: gr.HTML
    found: gr.Column
    rows: gr.Dataframe
    go: gr.Button
    opening: Jobs
    counting: Jobs
    count: Callable[[Data], Counted]

    def outputs(self) -> list:
        own = [self.data, self.first, self.notice, self.lead, self.counts, self.found, self.rows, self.go]
        return [*own, *self.ways.outputs(), *self.form.outputs(), *self.lost.outputs()]

    # The ways in. Each of these is a generator: at first how far the reading is, at last the tab with the data.

    def dropped(self, paths: list[str] | None, test: str | None, data: Data | None, visitor: gr.Request):
        """Files, or none when they were taken away again."""
        if paths:
            yield from self._open(sources.files(paths, test), data, visitor)
        else:
            self._end(visitor)
            yield self.nothing()

    def example(self, path: Path) -> Callable:
        def pick(test: str | None, data: Data | None, visitor: gr.Request):
            yield from self._open(sources.files([str(path)], test), data, visitor)

        return pick

    def pasted(self, text: str | None, test: str | None, data: Data | None, visitor: gr.Request):
        yield from self._open(self.ways.pasted(text, test), data, visitor)

    def fetched(self, name: str | None, test: str | None, data: Data | None, visitor: gr.Request):
        yield from self._open(sources.hub(name, test), data, visitor)

    def tested(self, test: str | None, data: Data | None, first: Data | None, visitor: gr.Request):
        """A test file, or none any more. Without data it waits for them."""
        if data is None:
            yield self.ways.still()
        else:
            yield from self._open(sources.beside(data, test), data, visitor, first)

    def _open(self, way: Way, before: Data | None, visitor: gr.Request, first: Data | None = None) -> Iterator[dict]:
        """Reads and shows; where that fails, what was open before stays and the sentence says so."""
        session = str(visitor.session_hash)
        self.counting.cancel(visitor=session)

        def make(tell: Tell) -> tuple[Data, Seen]:
            data = way.read(lambda text, share: tell(f"Reading {way.name}", 0.8 * share))
            tell(COUNTING, 0.8)
            return data, self._look(data)

        with self.opening.begin(session, object(), make) as job:
            try:
                for text, share in job.beats():
                    yield self.ways.going(text or f"Reading {way.name}", share, job.began)
                data, seen = job.result()
            except Cancelled:  # by a later way in, or by the button, which says so
                yield gr.skip()  # a generator that yields nothing would empty every output
                return
            except FinetuneError as error:
                told = self.ways.told(sentence(_still_open(error, before)))
                yield self.ways.still() | self.ways.named(before) | told
                return
        self.counting.cancel(visitor=session)
        shown = {
            self.first: first or data,
            self.lead: gr.HTML(visible=False),
            self.found: gr.Column(visible=True),
            self.rows: overview.first_rows(seen.table, [*data.input, *([data.output] if data.output else [])]),
        }
        yield shown | self.ways.named(data) | self._described(data, first or data, seen, anew=True)

    def stopped(self, data: Data | None, first: Data | None, visitor: gr.Request) -> dict:
        """The button Cancel: the form goes back to the data that are open."""
        self._end(visitor)
        updates = self.ways.still() | self.ways.named(data)
        if data is None or first is None:
            return updates | self.ways.told('<p class="quiet">Cancelled.</p>')
        told = self.ways.told(f'<p class="quiet">Cancelled; {escape(data.name)} is still open.</p>')
        try:
            return updates | self.form.show(data, first, desk.table(data), anew=True) | told
        except FinetuneError as error:  # the file itself is gone
            return updates | self.ways.told(sentence(error))

    # The mapping as the user wants it.

    def typed(self, template: str, data: Data | None) -> dict:
        """The template as it is written: a sample at once; the rows are counted when the field is left."""
        if data is None:
            return {self.form.sample: ""}
        changed, below = self.form.typed(data, template)
        return {self.data: changed, self.form.sample: below}

    def remap(
        self,
        data: Data | None,
        first: Data | None,
        input: list[str] | None,
        output: str | None,
        task: str,
        template: str | None,
        group: str | None,
        time: str | None,
        visitor: gr.Request,
    ):
        """Other choices. Those that do not fit are kept and told, here and on the next tab; a wrong template is not."""
        if data is None or first is None:
            yield gr.skip()
            return
        data, below = self.form.typed(mapping.chosen(data, input, output, task, group, time), template or "")
        with self.counting.begin(str(visitor.session_hash), object(), lambda tell: self._look(data)) as job:
            try:
                for _ in job.beats():
                    yield self.ways.going(COUNTING, job.share, job.began)
                seen = job.result()
            except Cancelled:
                yield gr.skip()
                return
            except FinetuneError as error:  # the file itself is gone
                yield self.ways.still() | self.ways.told(sentence(error))
                return
        yield self._described(data, first, seen) | {self.form.sample: below}

    def _look(self, data: Data) -> Seen:
        table = desk.table(data)
        mapping.suggestions(sources.of(data))  # here, where the visitor sees that something is being done
        # Of all choices these alone decide what can be used: on a million rows the counting takes seconds.
        rows = Data(data.paths, data.name, data.input, data.output, data.task, data.test_path, data.hub, data.template)
        try:
            desk.mapping_of(data)
            return Seen(table, self.count(rows))
        except FinetuneError as error:
            return Seen(table, problem=error)

    def _described(self, data: Data, first: Data, seen: Seen, *, anew: bool = False) -> dict:
        """What the mapping makes of the rows: how many can be used, which cannot and why."""
        updates = self.ways.still() | self.form.show(data, first, seen.table, anew=anew) | {self.data: data}
        if seen.rows is None:
            return updates | self.lost.nothing() | {
                self.notice: gr.HTML(sentence(seen.problem), visible=True),
                self.counts: gr.HTML("", visible=False),
                self.go: gr.Button(interactive=False),
            }  # fmt: skip
        return updates | self.lost.show(seen.table, seen.rows) | {
            self.notice: gr.HTML("", visible=False),
            self.counts: gr.HTML(overview.counts(data.name, seen), visible=True),
            self.go: gr.Button(interactive=True),
        }  # fmt: skip

    def _end(self, visitor: gr.Request) -> None:
        for jobs in (self.opening, self.counting):
            jobs.cancel(visitor=str(visitor.session_hash))

    def nothing(self) -> dict:
        """The tab before any data."""
        return self.ways.still() | self.form.nothing() | self.lost.nothing() | {
            self.data: None,
            self.first: None,
            self.notice: gr.HTML("", visible=False),
            self.lead: gr.HTML(visible=True),
            self.found: gr.Column(visible=False),
            self.counts: gr.HTML("", visible=False),
            self.rows: None,
        }  # fmt: skip


def build(data: gr.State, examples: Path = desk.EXAMPLES) -> Upload:
    """The components and their events, inside the tab that is open."""
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=300):
            ways = sources.build(examples)
        with gr.Column(min_width=300):
            lead = gr.HTML(
                '<p class="lead">Drop the rows you have: what the model reads, and what it should answer. '
                "At the end you know whether a fine-tune beats a good prompt on them.</p>",
                elem_id="lead",
            )
            form = mapping.build()
    notice = gr.HTML(visible=False)
    counts = gr.HTML(visible=False, elem_id="counts")
    lost = leftout.build()
    with gr.Column(visible=False) as found:
        rows = gr.Dataframe(interactive=False, wrap=True, max_height=420, elem_id="rows", buttons=["fullscreen"])
        go = gr.Button("Look at the data →", variant="primary", elem_id="look")
    count = lru_cache(maxsize=64)(lost.count)
    tab = Upload(
        data, gr.State(None), ways, form, lost, notice, lead, counts, found, rows, go, Jobs(), Jobs(), count
    )  # fmt: skip
    _connect(tab)
    return tab


def _connect(tab: Upload) -> None:
    ways, form, outputs = tab.ways, tab.form, tab.outputs()
    private = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
    # A later way in ends the one before, so none of them may wait for another.
    opens = private | {"trigger_mode": "multiple"}
    beside = [ways.test, tab.data]
    for event in (ways.file.upload, ways.file.delete, ways.file.clear):
        event(tab.dropped, [ways.file, *beside], outputs, **opens)
    for button, path in ways.examples:
        button.click(tab.example(path), beside, outputs, **opens)
    ways.read.click(tab.pasted, [ways.text, *beside], outputs, **opens)
    for event in (ways.fetch.click, ways.hub.submit):
        event(tab.fetched, [ways.hub, *beside], outputs, **opens)
    for event in (ways.test.upload, ways.test.clear):
        event(tab.tested, [*beside, tab.first], outputs, **opens)
    ways.cancel.click(tab.stopped, [tab.data, tab.first], outputs, **opens)
    latest = private | {"trigger_mode": "always_last"}
    form.template.input(tab.typed, [form.template, tab.data], [tab.data, form.sample], **latest)
    choices = [tab.data, tab.first, *form.asked()]
    left = [form.template.blur, form.template.submit]
    # One listener for all: of two, the later one to answer would undo what the other was told.
    fields = [field.input for field in form.asked() if field is not form.template]
    gr.on(fields + left, tab.remap, choices, outputs, **latest)


def _still_open(error: FinetuneError, before: Data | None) -> FinetuneError:
    if before is None:
        return error
    hint = f"{error.hint} {before.name} is still open.".strip()
    return FinetuneError(error.message, hint=hint, row=error.row, column=error.column)
