"""Any row exactly as the model will see it, found by its number or by what is wrong with it."""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass

import gradio as gr

from finetune.dataset.examine import Examined
from finetune.dataset.example import Example
from finetune.dataset.finding import Finding
from finetune.dataset.report import Report
from finetune.errors import FinetuneError
from finetune.ui import desk
from finetune.ui.desk import Whose
from finetune.ui.findings import ordered, shorten
from finetune.ui.notice import escape, sentence
from finetune.ui.source import Rows, at, from_row
from finetune.ui.tokens import exact_view

ALL, LONGEST, LEFT_OUT = "every row", "longest", "left out"
LONGEST_ROWS = 100
READING = '<p class="quiet">Reading the tokenizer…</p>'
# What the rows of a finding are called in the list of what to walk through.
NAMES = {
    "exact_duplicate": "exact duplicates",
    "near_duplicate": "near-duplicates",
    "same_input": "same input, another output",
    "near_input": "nearly the same input, another output",
    "suspect_label": "suspect labels",
    "label_spelling": "other spellings of a label",
    "input_cut": "rows whose input is cut",
    "answer_does_not_fit": "rows whose answer does not fit",
    "personal_data": "personal data",
    "rare_class": "rare labels",
}
PLACES = {
    "train": "in training",
    "validation": "in validation: it chooses, and is not trained on",
    "test": "in the test part: nobody trains on it",
}


@dataclass(frozen=True)
class Exact:
    """The components, and what they show of a row.

    Attributes:
        seen: what is to be drawn: the row that was in the field when it was asked for, the one to put there, and HTML.
    """

    walk: gr.Dropdown
    row: gr.Number
    back: gr.Button
    on: gr.Button
    seen: gr.JSON
    view: gr.HTML

    def outputs(self) -> list:
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def start(self, report: Report) -> dict:
        """The first row that is used."""
        first = min(part[0].row for part in report.split.parts().values() if part)
        return {self.walk: gr.Dropdown(value=ALL), self.row: first}

    def show(self, report: Report, examined: Examined) -> dict:
        """What can be walked through. What is chosen stays, and so does the row.

        What a tick has taken away stays in the list, with no rows: it may be what is chosen.
        """
        choices = [(f"{ALL} ({len(examined.examples):,})", ALL)]
        there = [one for one in ordered(report.findings) if _walkable(one, examined)]
        rows = {one.check or one.kind: len(one.rows) for one in reversed(there)}
        gone = [one.check or one.kind for one in ordered(examined.findings) if _walkable(one, examined)]
        for key in dict.fromkeys([*(one.check or one.kind for one in there), *gone]):
            choices.append((f"{NAMES.get(key) or key.replace('_', ' ')} ({rows.get(key, 0):,})", key))
        choices.append((f"rows left out ({len(report.removed):,})", LEFT_OUT))
        choices.append((f"the longest ({min(LONGEST_ROWS, len(examined.examples)):,})", LONGEST))
        return {self.walk: gr.Dropdown(choices)}


def _walkable(finding: Finding, examined: Examined) -> bool:
    """Whether it names rows, and such as could be read."""
    return bool(finding.rows) and at(examined.examples, finding.rows[0]) is not None


def step(report: Report, examined: Examined, walk: str | None, row: int | None, by: int) -> int | None:
    """The next row (by = 1) or the one before (by = -1) of what is walked through; its first for 0."""
    rows = walked(report, examined, walk or ALL)
    if not rows:
        return row
    if by == 0:
        return rows[0]
    if walk == LONGEST:  # not in the order of their numbers
        place = rows.index(row) + by if row in rows else 0
    else:
        place = bisect_left(rows, row or 0)
        if by < 0 or (place < len(rows) and rows[place] == row):
            place += by
    return rows[place % len(rows)]


def walked(report: Report, examined: Examined, walk: str) -> Sequence[int]:
    """The source rows of what is walked through, ascending; the longest ones by length."""
    if walk == LONGEST:
        sizes = ((_characters(one), -one.row) for one in examined.examples)
        return [-row for _, row in heapq.nlargest(LONGEST_ROWS, sizes)]
    if walk == LEFT_OUT:
        return [removed.row for removed in report.removed]
    if walk == ALL:
        return _Rows(examined.examples)
    found = next((one.rows for one in report.findings if walk in (one.check, one.kind)), ())
    return found


def _characters(example: Example) -> int:
    return len(example.input) + len(example.output) + sum(len(text) for _, text in example.context)


class _Rows(Sequence):
    """The rows of examples, without a list of a million numbers."""

    def __init__(self, examples: Sequence[Example]) -> None:
        self._examples = examples

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, place):
        return self._examples[place].row


def view(report: Report, examined: Examined, row: int | None, whose: Whose) -> str:
    """HTML of one row: where it stands, what was changed, and its tokens.

    Raises:
        FinetuneError: the tokenizer of the base cannot be had.
    """
    if row is None:
        return '<p class="quiet">Which row?</p>'
    row = int(row)
    example = at(report.mended.examples, row)
    gone = at(report.removed, row)
    removed = gone.reason if gone else None
    if example is None:
        example = at(examined.examples, row)
    if example is None:
        return _unusable(report, examined, row, removed)
    tokens, refused = (), None
    try:
        tokens = desk.tokens_of(whose, report, example)
    except FinetuneError as error:
        if error.row is None:
            raise
        refused = error
    told = f'<p class="facts">{"".join(f"<span>{fact}</span>" for fact in _facts(report, row, removed))}</p>'
    if refused is not None:
        body = (
            f"{sentence(refused)}<p class='quiet'>So this row is not trained on. Its answer begins: "
            f"{escape(shorten(example.output, 300))}</p>"
        )
    else:
        body = _cut(sum(token.part == "cut" for token in tokens)) + exact_view(tokens)
    return f'{told}{body}<p class="quiet">Tokens of {escape(whose.base)}, at most {whose.limit:,} a row.</p>'


def _cut(tokens: int) -> str:
    if not tokens:
        return ""
    return (
        f'<p class="quiet">The end of the input does not fit: {tokens:,} tokens of it are cut. The answer is whole.</p>'
    )


def _facts(report: Report, row: int, removed: str | None) -> list[str]:
    facts = [f"<b>{escape(report.table.place(row).capitalize())}</b>"]
    if removed is not None:
        facts.append(f"left out: {escape(removed)}")
    else:
        facts += [PLACES[name] for name, part in report.split.parts().items() if at(part, row)]
    changed = (escape(change.reason) for change in from_row(report.mended.changes, row))
    return facts + list(dict.fromkeys(changed))


def _unusable(report: Report, examined: Examined, row: int, removed: str | None) -> str:
    """A row that no example could be made of, or none at all."""
    text, reason = Rows(examined).raw(row)
    if reason := removed or reason or ("the input or the output is empty" if text else ""):
        place, cells = escape(report.table.place(row).capitalize()), escape(shorten(text, 300))
        return f'<p class="facts"><span><b>{place}</b></span><span>left out: {escape(reason)}</span></p><p>{cells}</p>'
    last = report.table.sources[-1].last if report.table.sources else examined.examples[-1].row
    return f'<p class="quiet">There is no row {row:,}: they are numbered from 1 to {last:,}.</p>'


def build() -> Exact:
    """The section, in the column that is open."""
    gr.HTML("<h3>One row, exactly as it is trained</h3>")
    with gr.Row(elem_classes="walk"):
        walk = gr.Dropdown(
            [(ALL, ALL)], value=ALL, label="Walk through", filterable=False, elem_id="walk", min_width=220
        )
        row = gr.Number(1, label="Row", precision=0, elem_id="row", min_width=110)
        back = gr.Button("←", size="sm", elem_id="row-back", min_width=44)
        on = gr.Button("→", size="sm", elem_id="row-on", min_width=44)
        seen = gr.JSON(elem_classes="carrier")
    shown = gr.HTML(READING, elem_id="exact")
    return Exact(walk, row, back, on, seen, shown)
