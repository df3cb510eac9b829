"""The held-out rows one under the other: what went in, what was expected, and what each system answered."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.evidence.systems import FINE_TUNED, SHORT
from finetune.runs.store import Run, find_run
from finetune.ui.compare import cells, fullrow, rows
from finetune.ui.compare.rows import Choice
from finetune.ui.notice import calm, escape

HINT = (
    "<span>A row’s number opens it in full.</span> <span class=press>Click a row: then <kbd>j</kbd> and <kbd>k</kbd> or the "
    "arrow keys go from row to row, and <kbd>Enter</kbd> opens one.</span>"
)
MARKS = "<ins>Underlined</ins>: not in the expected answer. <del>Struck through</del>: expected, and missing."

# The keys count only while a row has the focus, so they can never take a letter from a text that is being written.
# A new page or an opened row is drawn anew by the server; `wanted` says where the focus goes then.
KEYS = """
const buttons = () => [...element.querySelectorAll('button.open')];
let wanted = null;
const take = (button) => {
  if (!button) return;
  button.focus({preventScroll: true});
  button.closest('tr').scrollIntoView({block: 'nearest'});
};
watch('value', () => {
  if (wanted === null) return;
  const all = buttons();
  take(wanted === 'first' ? all[0] : wanted === 'last' ? all.at(-1) : all.find((one) => one.dataset.row === wanted));
  wanted = null;
});
const open = (button) => {
  wanted = button.dataset.row;
  trigger('select', {row: Number(wanted)});
};
element.addEventListener('click', (event) => {
  const button = event.target.closest('tr.row')?.querySelector('button.open');
  if (!button) return;
  if (event.target.closest('button.open')) return open(button);
  // A click that ended a selection of text, or that opened a fold, is not for the row.
  if (!event.target.closest('summary, a, button') && getSelection().isCollapsed) button.focus({preventScroll: true});
});
element.addEventListener('keydown', (event) => {
  if (event.ctrlKey || event.altKey || event.metaKey || event.target.closest('input, textarea, select')) return;
  const step = {j: 1, ArrowDown: 1, k: -1, ArrowUp: -1}[event.key];
  const all = buttons();
  const row = event.target.closest('tr');
  let at = all.indexOf((row?.classList.contains('full') ? row.previousElementSibling : row)?.querySelector('button.open'));
  if (at < 0) return;
  if (event.key === 'Escape') {
    if (element.querySelector('button.open[aria-expanded=true]')) open(element.querySelector('button.open[aria-expanded=true]'));
    return;
  }
  if (!step) return;
  event.preventDefault();
  if (all[at + step]) return take(all[at + step]);
  const turn = document.querySelector(step > 0 ? '#after' : '#before');
  if (turn && !turn.disabled) {
    wanted = step > 0 ? 'first' : 'last';
    turn.click();
  }
});
"""


@dataclass(frozen=True)
class SideBySide:
    """The components."""

    root: Path
    page: gr.State
    opened: gr.State
    choice: gr.State  # a Choice and the systems beside it, as they were drawn last
    notice: gr.HTML
    against: gr.Dropdown
    kind: gr.Radio
    label: gr.Dropdown
    search: gr.Textbox
    also: gr.CheckboxGroup
    key: gr.HTML
    rows: gr.HTML
    before: gr.Button
    where: gr.HTML
    after: gr.Button

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [
            self.page, self.opened, self.choice, self.notice, self.against, self.kind, self.label, self.search, self.also, self.key,
            self.rows, self.before, self.where, self.after,
        ]  # fmt: skip

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """All rows of a comparison, fine-tuned against base."""
        others = [system for system in rows.present(outputs) if system != FINE_TUNED]
        choice = Choice("base" if "base" in others else others[0] if others else "")
        labelled = story.run.record()["task"] == "classification"
        return {
            self.notice: gr.HTML("", visible=False),
            self.against: gr.Dropdown(choices=[(SHORT.get(name, name), name) for name in others], value=choice.against),
            self.search: "",
            self.key: gr.HTML(f'<p class="quiet key">{HINT}{"" if labelled else f"<br>{MARKS}"}</p>'),
        } | self._drawn(story.run, outputs, choice, [], 0)

    def turn(
        self, run_id: str, page: int, drawn: tuple[Choice, list[str]], against: str | None, kind: str, label: str | None,
        search: str, also: list[str], by: int = 0,
    ) -> dict:  # fmt: skip
        """Another page, or the first of another choice of rows; nothing where the choice is the one that is drawn.

        What the user chooses by is read here and not sent back: it may be another choice by then, and the next call has it.
        """
        run = find_run(run_id, self.root)
        choice = _read(drawn, against, kind, label, search)
        if not by and (choice, set(also)) == (drawn[0], set(drawn[1])):
            return {}
        updates = self._drawn(run, rows.lines_of(run), choice, also, max(0, page + by) if by else 0)
        again = [self.kind, self.label]
        if choice.against == drawn[0].against:
            again.append(self.also)  # else what is ticked may not be offered any more
        return updates | {field: gr.update(choices=updates[field].choices) for field in again}

    def open(
        self, event: gr.EventData, run_id: str, page: int, drawn: tuple[Choice, list[str]], opened: int | None
    ) -> dict:
        """The row that was pressed in full, or closed again where it was open."""
        run = find_run(run_id, self.root)
        choice, also = drawn
        row = None if event.row == opened else event.row
        found = rows.chosen(rows.lines_of(run), choice)
        return {self.opened: row, self.rows: _table(run, found, choice.against, also, page, row)}

    def _drawn(self, run: Run, lines: Sequence[dict], choice: Choice, also: Sequence[str], page: int) -> dict:
        found = rows.chosen(lines, choice)
        last = rows.pages(found) - 1
        page = min(page, last)
        start = page * rows.PAGE
        text = f"{start + 1:,} to {min(start + rows.PAGE, len(found)):,} of {len(found):,}" if found else "no rows"
        record = run.record()
        names = record["labels"] if record["task"] == "classification" else []
        others = [name for name in rows.present(lines) if name not in (choice.against, FINE_TUNED)]
        also = [name for name in others if name in also]
        return {
            self.page: page,
            self.opened: None,
            self.choice: (choice, also),
            self.kind: gr.Radio(choices=rows.kinds(lines, choice), value=choice.kind),
            self.label: gr.Dropdown(choices=rows.labels(lines, choice, names), value=choice.label, visible=bool(names)),
            self.also: gr.CheckboxGroup(
                choices=[(SHORT.get(name, name), name) for name in others], value=also, visible=bool(others)
            ),
            self.rows: _table(run, found, choice.against, also, page, None),
            self.where: f'<p class="quiet">{text}</p>',
            self.before: gr.Button(interactive=page > 0),
            self.after: gr.Button(interactive=page < last),
        }


def _read(drawn: tuple[Choice, list[str]], against: str | None, kind: str, label: str | None, search: str) -> Choice:
    """The choice on the page. A dropdown that was left without a choice says None, and what it shows still holds."""
    before = drawn[0]
    return Choice(
        before.against if against is None else against,
        kind or "all",
        before.label if label is None else label,
        search or "",
    )


def _table(run: Run, found: Sequence[dict], against: str, also: Sequence[str], page: int, opened: int | None) -> str:
    """HTML of one page of rows.

    Args:
        found: the rows that were chosen.
        also: systems that are shown beside the two.
        page: counted from 0.
        opened: the row that stands in full below its line.
    """
    if not found:
        return '<p class="empty">No row is like that.</p>'
    labelled = run.record()["task"] == "classification"
    # The two that are compared stand first: of many columns the last ones are reached by scrolling.
    systems = [name for name in rows.ordered(rows.present(found), against) if name in (against, FINE_TUNED, *also)]
    head = "".join(f"<th>{escape(SHORT.get(system, system))}</th>" for system in systems)
    lines = []
    for line in found[page * rows.PAGE : (page + 1) * rows.PAGE]:
        lines.append(cells.row(line, systems, against, labelled=labelled, opened=line["row"] == opened))
        if line["row"] == opened:
            whole = fullrow.whole(run, line, against, labelled=labelled)
            lines.append(f'<tr class="full"><td colspan="{3 + len(systems)}">{whole}</td></tr>')
    return (
        '<div class="scroll"><table class="beside"><thead><tr><th>#</th><th>input</th><th>expected</th>'
        f"{head}</tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def build(run: gr.State, root: Path) -> SideBySide:
    """The components and their events, inside the tab."""
    page, opened, drawn = gr.State(0), gr.State(None), gr.State((Choice(), []))
    gr.HTML("<h3>Side by side</h3>")
    notice = gr.HTML(visible=False)
    with gr.Row(elem_classes="sides"):
        against = gr.Dropdown(label="Fine-tuned against", elem_id="against", min_width=150)
        label = gr.Dropdown(
            label="Label, expected or answered", elem_id="label-filter", min_width=200, num_choices_shown=None
        )
        search = gr.Textbox(label="Search", placeholder="in inputs and outputs", elem_id="search", min_width=200)
    kind = gr.Radio(
        [(name, kind) for kind, name in rows.KINDS.items()], value="all", label="Rows",
        elem_id="outcome-filter",
    )  # fmt: skip
    also = gr.CheckboxGroup(label="Also show", elem_id="columns")
    key = gr.HTML()
    table = gr.HTML(elem_id="beside", js_on_load=KEYS)
    with gr.Row(elem_classes="pager"):
        before = gr.Button("← earlier", size="sm", min_width=90, elem_id="before")
        where = gr.HTML(elem_id="where")
        after = gr.Button("later →", size="sm", min_width=90, elem_id="after")
    tab = SideBySide(
        root, page, opened, drawn, notice, against, kind, label, search, also, key, table, before, where, after
    )  # fmt: skip
    private = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
    inputs = [run, page, drawn, against, kind, label, search, also]
    outputs = [notice, page, opened, drawn, kind, label, also, table, where, before, after]
    quietly = calm(notice)

    def turned(by: int):
        return quietly(lambda *values: tab.turn(*values, by=by))

    gr.on(
        # A paste or a cleared field is a change of a text, and not always an input.
        [against.input, kind.input, label.input, search.change, also.input],
        turned(0), inputs, outputs, trigger_mode="always_last", **private,
    )  # fmt: skip
    before.click(turned(-1), inputs, outputs, **private)
    after.click(turned(1), inputs, outputs, **private)

    def open_row(event: gr.EventData, *values):
        return quietly(tab.open)(event, *values)

    table.select(open_row, [run, page, drawn, opened], [notice, opened, table], **private)
    return tab
