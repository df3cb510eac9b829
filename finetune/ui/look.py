"""What the tab Preview does: it looks at the rows, applies what is ticked and chosen, and shows what follows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import gradio as gr

from finetune.dataset.report import Report
from finetune.errors import Cancelled, FinetuneError
from finetune.ui import banner, desk, exact, keep, work
from finetune.ui.ask import Ask
from finetune.ui.desk import Data, Whose
from finetune.ui.exact import Exact
from finetune.ui.findings import Findings
from finetune.ui.keep import Keep
from finetune.ui.notice import sentence
from finetune.ui.pictures import Pictures
from finetune.ui.source import Rows
from finetune.ui.splitting import Splitting
from finetune.ui.waiting import Waiting
from finetune.ui.work import Jobs

WAITING = '<p class="empty">Nothing to look at yet: drop a file or pick an example on the tab Upload.</p>'
STOPPED = '<p class="empty">Stopped: the data was not looked at to the end.</p>'
# Of the form of the tab Train: after base and other base these fields of the recipe.
MORE = ("max_tokens", "instruction", "compare_rows")
FORM = 2 + len(MORE)


@dataclass(frozen=True)
class Preview:
    """The components of the tab, and what they show of the data. `models` is the folder of fetched models.

    Attributes:
        jobs: what is under way for each visitor.
        shown: the Data, and the test rows compared at most, that the tab shows now; None before and after a failure.
        counted: the same with whose tokens the tab shows.
    """

    models: Path
    jobs: Jobs
    data: gr.State
    shown: gr.State
    counted: gr.State
    notice: gr.HTML
    waiting: Waiting
    again: gr.Button
    banner: gr.HTML
    body: gr.Column
    questions: gr.Accordion
    rest: gr.Column
    ask: Ask
    findings: Findings
    near: gr.Slider
    keep: Keep
    splitting: Splitting
    pictures: Pictures
    exact: Exact
    go: gr.Button

    def outputs(self) -> list:
        own = [
            self.data, self.shown, self.counted, self.notice, self.again, self.banner, self.body,
            self.questions, self.rest, self.near, self.go,
        ]  # fmt: skip
        parts = (self.waiting, self.findings, self.keep, self.splitting, self.pictures, self.exact)
        return [*own, *self.ask.parts(), *(output for part in parts for output in part.outputs())]

    def settings(self) -> list:
        """All that `adjust` reads, in its order."""
        return [
            self.data, self.shown, self.near, *self.splitting.settings(), *self.ask.parts(), *self.findings.boxes(),
        ]  # fmt: skip

    def changes(self) -> list:
        """The events at which `adjust` is called for."""
        split = self.splitting
        return [
            self.near.release, split.validation.release, split.test.release, split.seed.submit, split.seed.blur,
            split.taken.change, *self.ask.changes(), *(box.input for box in self.findings.boxes()),
        ]  # fmt: skip

    def whose(self, base: str, other: str | None, max_tokens: float | None, instruction: str | None, *rest) -> Whose:
        """Whose tokens."""
        return Whose((other or "").strip() or base, self.models, int(max_tokens or 0), instruction or "")

    def report(self, data: Data, form: Sequence, tell: desk.Tell = work.silent) -> Report:
        """The report, with the tokens where they are known already."""
        whose = self.whose(*form)
        return desk.report_of(data, whose if desk.is_counted(data, whose) else None, int(form[-1] or 0), tell)

    # Handlers. Those that look at all rows are generators: they tell how far they are, and end when the visitor goes.

    def look(self, data: Data | None, shown: tuple | None, *form, visitor: str) -> Iterator[dict]:
        """The whole tab, without the tokens: those need the tokenizer of the base, which may have to be fetched."""
        if data is None:
            yield {self.banner: WAITING, self.body: gr.Column(visible=False), self.again: gr.Button(visible=False)}
            return
        now = (data, int(form[-1] or 0))
        # Of rows that are shown already the form is the user's: what is being changed there goes before.
        same = shown is not None and desk.same_rows(shown[0], data)
        if shown == now or (same and self.jobs.passed(data, visitor=visitor)):
            return
        gone = {self.body: gr.Column(visible=False), self.banner: "", self.shown: None, self.counted: None}
        with self.jobs.begin(visitor, data, lambda tell: self.report(data, form, tell)) as job:
            try:
                report = yield from self.waiting.watch(job, self.silence() if same else gone | self.silence())
            except Cancelled:
                if not job.superseded:
                    yield gone | {self.banner: STOPPED, self.again: gr.Button(visible=True)}
                return
            except FinetuneError as error:
                yield gone | {self.banner: banner.refused(error)} | self.alone(data)
                return
        begun = {self.counted: None} if same else self.form(data) | self.begun(report)
        updates = {self.shown: now} | begun | self.view(data, report)
        if not self.jobs.passed(data, visitor=visitor):
            yield updates

    def adjust(
        self, data: Data | None, shown: tuple | None, near: float, validation: float, test: float, seed: float | None,
        *rest, visitor: str,
    ) -> Iterator[dict]:  # fmt: skip
        """Other mends, shares or answers, another seed or threshold, applied at once; where that fails, all stays.

        What the user sets is read here and not sent back: it may be another thing by then, and the next call has it.
        """
        if data is None or (shown is not None and not desk.same_rows(shown[0], data)):
            return  # the form still shows other rows
        asked = len(self.ask.fields)
        answers, ticked, form = rest[:asked], rest[asked:-FORM], rest[-FORM:]
        try:
            changed = replace(
                data, validation=validation, test=test, seed=int(seed or 0), near=near,
                questions=self.ask.answers(answers), mends=self.findings.ticked(ticked),
            )  # fmt: skip
        except FinetuneError as error:
            yield self.failed(error)
            return
        now = (changed, int(form[-1] or 0))
        if now == shown:
            yield {self.notice: gr.HTML("", visible=False)}  # what was wrong has been taken back
            return
        was, wanted = self.form(data), self.form(changed)
        with self.jobs.begin(visitor, changed, lambda tell: self.report(changed, form, tell)) as job:
            try:
                report = yield from self.waiting.watch(job, self.silence())
            except Cancelled:
                if not job.superseded:
                    told = gr.HTML('<p class="quiet">Stopped: nothing was changed.</p>', visible=True)
                    yield {field: was[field] for field in was if was[field] != wanted[field]} | {self.notice: told}
                return
            except FinetuneError as error:
                yield self.failed(error)  # the form stays: it may be the very thing to put right
                return
        updates = {self.data: changed, self.shown: now}
        if shown is None:
            seen = {self.near, *self.findings.boxes()}
            hidden = {field: value for field, value in wanted.items() if field not in seen}
            updates |= hidden | self.begun(report) | self.view(changed, report)
        elif replace(changed, questions=data.questions) == shown[0]:  # the rows are the same
            updates |= {self.banner: banner.readiness(report)} | self.silence() | self.splitting.advise(report)
        else:
            updates |= {self.counted: None} | self.view(changed, report)
        if not self.jobs.passed(changed, visitor=visitor):
            yield updates

    def finish(
        self, data: Data | None, shown: tuple | None, counted: tuple | None, drawn: tuple | None, row: int | None,
        *form, visitor: str,
    ) -> Iterator[dict]:  # fmt: skip
        """What takes longer than the rest: the tokens of one row, the map, and the tokens of all rows."""
        whose = self.whose(*form)
        if data is None or shown is None or shown[0] != data:
            return
        seen: dict = {}
        try:
            with self.jobs.begin(visitor, data, lambda tell: self.exactly(data, row, *form), behind=True) as job:
                seen = yield from self.waiting.watch(job)
                yield seen
            with self.jobs.begin(visitor, data, lambda tell: self.pictures.draw(data, drawn), behind=True) as job:
                yield (yield from self.waiting.watch(job))
            if counted == (*shown, whose):
                return
            count = partial(desk.report_of, data, whose, shown[1])
            with self.jobs.begin(visitor, data, count, behind=True) as job:
                report = yield from self.waiting.watch(job)
            updates = {self.counted: (*shown, whose)} | self.view(data, report, same_rows=True)
            if not self.jobs.passed(data, visitor=visitor):
                yield updates
        except Cancelled:
            return
        except FinetuneError:
            kept = '<p class="quiet">Everything else works; rows that would be cut are not counted.</p>'
            asked, put, html = seen[self.exact.seen]
            estimate = self.pictures.estimate(desk.examined_of(data), whose.limit)
            yield {self.exact.seen: [asked, put, html + kept]} | estimate

    def moved(self, data: Data | None, *, visitor: str) -> None:
        """Other rows, or another file: what is under way about the old ones is not wanted any more."""
        self.jobs.only(lambda about: data is not None and desk.same_rows(about, data), visitor=visitor)

    def exactly(self, data: Data | None, row: int | None, *form) -> dict:
        """The tokens of one row."""
        return {self.exact.seen: [row, row, self._tokens(data, row, form)]}

    def step(self, by: int, data: Data | None, walk: str, row: int | None, *form) -> dict:
        """Another row of what is walked through."""
        to = row
        if data is not None:
            try:
                to = exact.step(self.report(data, form), desk.examined_of(data), walk, row, by)
            except FinetuneError as error:
                return {self.exact.seen: [row, row, sentence(error)]}
        return {self.exact.seen: [row, to, self._tokens(data, to, form)]}

    def _tokens(self, data: Data | None, row: int | None, form: Sequence) -> str:
        if data is None:
            return ""
        try:
            return exact.view(self.report(data, form), desk.examined_of(data), row, self.whose(*form))
        except FinetuneError as error:
            return sentence(error)

    def save(self, data: Data | None, *form, visitor: str) -> Iterator[dict]:
        """The mended rows and the list of changes as files."""
        if data is None:
            return

        def make(tell: desk.Tell) -> dict:
            return self.keep.made(self.report(data, form, tell))

        try:
            with self.jobs.begin(visitor, data, make, behind=True) as job:
                yield {self.keep.make: gr.Button("Writing…", interactive=False)}
                yield job.result()
        except Cancelled:
            yield {self.keep.make: gr.Button(keep.MAKE, interactive=True)}

    # What they show.

    def view(self, data: Data, report: Report, same_rows: bool = False) -> dict:
        """All that follows from a report. With `same_rows` only their tokens are new."""
        examined = desk.examined_of(data)
        updates = {self.banner: banner.readiness(report)}
        updates |= self.findings.show(report.findings, Rows(examined), data.mends)
        updates |= self.pictures.measure(report) | self.exact.show(report, examined)
        if same_rows:
            return updates
        return updates | self.silence() | self.keep.show(report) | self.splitting.show(report)

    def begun(self, report: Report) -> dict:
        """What is set once, before the rows of this file are shown for the first time."""
        return self.exact.start(report) | {
            self.body: gr.Column(visible=True),
            self.questions: gr.Accordion(visible=True),
            self.rest: gr.Column(visible=True),
            self.go: gr.Button(interactive=True),
            self.counted: None,
            self.pictures.drawn: None,
            self.exact.view: exact.READING,
        }

    def alone(self, data: Data) -> dict:
        """Only what is wrong with the rows, where nothing more can be made of them: a tick may help."""
        try:
            examined = desk.examined_of(data)
        except FinetuneError:
            return {}  # it is what has been told
        return self.findings.show(examined.findings, Rows(examined), data.mends) | self.form(data) | {
            self.body: gr.Column(visible=bool(examined.findings)),
            self.questions: gr.Accordion(visible=False),
            self.rest: gr.Column(visible=False),
        }  # fmt: skip

    def form(self, data: Data) -> dict:
        """The choices, as the form shows them."""
        return self.ask.show(data.questions) | self.findings.tick(data.mends) | {
            self.near: data.near,
            self.splitting.validation: data.validation,
            self.splitting.test: data.test,
            self.splitting.seed: data.seed,
        }  # fmt: skip

    def silence(self) -> dict:
        """Neither a word of what went wrong nor the offer to look again."""
        return {self.notice: gr.HTML("", visible=False), self.again: gr.Button(visible=False)}

    def failed(self, error: FinetuneError) -> dict:
        return {self.notice: gr.HTML(sentence(error), visible=True)}
