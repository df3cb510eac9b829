"""What is wrong with the data, as a list: severity, sentence, what to do, the rows under a fold, and the mends to tick."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest

import gradio as gr

from finetune.dataset.finding import APPLIED, Finding, plural
from finetune.dataset.mending import DEFAULT_MENDS, MENDS
from finetune.ui.notice import escape
from finetune.ui.source import Rows

MARKS = {"error": ("✕", "Must be mended"), "warning": ("!", "Warning"), "note": ("i", "Note")}
ORDER = tuple(MARKS)
SLOTS = 24  # findings with ticks of their own; there are about as many checks
FIRST, MORE, NUMBERS = 12, 48, 200  # rows shown at once, under a second fold, and named by number alone
OF_CLUSTER = 6  # rows of one cluster; it may have thousands

# A row number opens that row in the exact view.
OPEN_ROW = """
element.addEventListener('click', (event) => {
  const link = event.target.closest('a[data-row]');
  if (!link) return;
  event.preventDefault();
  trigger('select', {row: Number(link.dataset.row)});
});
"""


def shorten(text: str, length: int = 160) -> str:
    """One line of a long text, with an ellipsis where it is cut."""
    line = " ".join(text[: 8 * length].split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def ordered(found: Sequence[Finding]) -> list[Finding]:
    """The gravest first."""
    return sorted(found, key=lambda finding: ORDER.index(finding.severity))


@dataclass(frozen=True)
class Findings:
    """A fixed pool of components: one HTML and one group of ticks for each finding, unused ones invisible.

    Attributes:
        spent: ticks of mends that no finding offers any more, because they have done their work.
        offered: of each group of ticks the names that it offers, for `ticked`.
    """

    head: gr.HTML
    texts: tuple[gr.HTML, ...]
    ticks: tuple[gr.CheckboxGroup, ...]
    rest: gr.HTML
    spent: gr.CheckboxGroup
    offered: gr.State

    def groups(self) -> list[gr.CheckboxGroup]:
        return [*self.ticks, self.spent]

    def outputs(self) -> list:
        return [self.head, *self.texts, *self.groups(), self.rest, self.offered]

    def show(
        self,
        found: Sequence[Finding],
        rows: Rows,
        mends: Sequence[str],
        before: Sequence[Sequence[str]] = (),
        sent: Sequence[list[str]] = (),
    ) -> dict:
        """All findings, with the mends that are ticked.

        Ticks that are in the browser already are not sent again: they would undo one that was made meanwhile.

        Args:
            before: what each slot offered until now.
            sent: the ticks as the browser has them; () where they are as they were shown.
        """
        found = ordered(found)
        offered = [finding.mends for finding in found[:SLOTS]]
        spent = tuple(
            name for name in mends if name not in DEFAULT_MENDS and not any(name in names for names in offered)
        )
        offered += [()] * (SLOTS - len(offered)) + [spent]
        updates: dict = {self.head: _head(found), self.offered: tuple(offered)}
        for text, finding in zip_longest(self.texts, found[:SLOTS]):
            updates[text] = gr.HTML(one(finding, rows) if finding else "", visible=finding is not None)
        for place, (group, names) in enumerate(zip(self.groups(), offered, strict=True)):
            choices = [(MENDS[name].label, name) for name in names if name in MENDS]
            value = [name for _, name in choices if name in mends]
            same = place < len(before) and tuple(before[place]) == tuple(names)
            if not same or (sent and set(sent[place] or ()) != set(value)):
                updates[group] = gr.CheckboxGroup(choices, value=value, visible=bool(choices))
        beyond = "".join(one(finding, rows) for finding in found[SLOTS:])
        return updates | {self.rest: gr.HTML(beyond, visible=bool(beyond))}

    def tick(self, offered: Sequence[Sequence[str]], mends: Sequence[str]) -> dict:
        """The ticks as they were, where a change of them came to nothing."""
        return {
            group: [name for name in names if name in mends]
            for names, group in zip(offered, self.groups(), strict=False)
            if any(name in MENDS for name in names)
        }

    def ticked(self, offered: Sequence[Sequence[str]], values: Sequence[list[str]], mends: Sequence[str]) -> tuple:
        """The mends that are ticked now. A mend that several findings offer is one: the tick that was changed counts.

        Args:
            offered, values: of each slot the names that it offers, and those that are ticked there.
            mends: names that were ticked before.
        """
        changed = {
            name
            for names, ticked in zip(offered, values, strict=False)
            for name in names
            if name in MENDS and (name in (ticked or ())) != (name in mends)
        }
        return tuple(name for name in MENDS if name in set(mends) ^ changed)


def build() -> Findings:
    """The list, in the column that is open."""
    with gr.Column(elem_id="findings", elem_classes="findings"):
        head = gr.HTML()
        texts, ticks = [], []
        for _ in range(SLOTS):
            texts.append(gr.HTML(visible=False, js_on_load=OPEN_ROW))
            ticks.append(
                gr.CheckboxGroup(
                    [], visible=False, show_label=False, container=False, elem_classes="mends", min_width=0
                )
            )
        rest = gr.HTML(visible=False)
        spent = gr.CheckboxGroup([], visible=False, label="Applied, and no longer found", elem_classes="mends")
    return Findings(head, tuple(texts), tuple(ticks), rest, spent, gr.State(()))


def _head(found: Sequence[Finding]) -> str:
    if not found:
        return '<h3>What was found</h3><p class="quiet">Nothing. The rows look usable as they are.</p>'
    counts = [
        f"{number} {plural(one, many, number)}"
        for severity, one, many in (
            ("error", "must be mended", "must be mended"),
            ("warning", "warning", "warnings"),
            ("note", "note", "notes"),
        )
        if (number := sum(finding.severity == severity for finding in found))
    ]
    return f'<h3>What was found</h3><p class="quiet">{" · ".join(counts)}. A tick is applied at once.</p>'


def one(finding: Finding, rows: Rows) -> str:
    """HTML of one finding."""
    mark, spoken = MARKS[finding.severity]
    seen = ""
    if finding.examined is not None and finding.examined < len(rows):
        seen = f'<p class="quiet">Seen in a sample: {finding.examined:,} of {len(rows):,} rows were looked at.</p>'
    applied = '<p class="applied">left out already</p>' if APPLIED in finding.mends else ""
    return (
        f'<div class="finding {finding.severity}"><span class="mark" role="img" aria-label="{spoken}" title="{spoken}">'
        f'{mark}</span><div><p>{escape(finding.message)}</p><p class="fix">{escape(finding.fix)}</p>{seen}{applied}'
        f"{_rows(finding, rows)}</div></div>"
    )


def _rows(finding: Finding, rows: Rows) -> str:
    if not finding.rows:
        return ""
    total = len(finding.rows)
    lines = list(_lines(finding, rows, FIRST + MORE))
    first, more = lines[:FIRST], lines[FIRST:]
    told = f"<ol class='rows'>{''.join(first)}</ol>"
    if more:
        told += f"<details><summary>show {len(more)} more</summary><ol class='rows'>{''.join(more)}</ol></details>"
    if total > len(lines):
        numbers = ", ".join(f"{row:,}" for row in finding.rows[:NUMBERS])
        said = f"{plural('row', 'rows', total)} {numbers}{' …' if total > NUMBERS else ''}"
        told += f"<details><summary>the numbers of all {total:,}</summary><p class='quiet'>{said}</p></details>"
    label = "show the row" if total == 1 else f"show the {total:,} rows"
    if finding.clusters:
        number = len(finding.clusters)
        label += f" in {number:,} {plural('group', 'groups', number)}"
    return f"<details><summary>{label}</summary>{told}</details>"


def _lines(finding: Finding, rows: Rows, most: int) -> Iterator[str]:
    """A line a row; rows of a cluster together, and of a large one the first."""
    if not finding.clusters:
        for row in finding.rows[:most]:
            yield _line(row, finding, rows)
        return
    for cluster in finding.clusters:
        if most <= 0:
            return
        shown = cluster[: min(OF_CLUSTER, most)]
        most -= len(shown)
        for place, row in enumerate(shown):
            left = len(cluster) - len(shown) if place == len(shown) - 1 else 0
            yield _line(row, finding, rows, "head" if place == 0 else "", left)


def _line(row: int, finding: Finding, rows: Rows, css: str = "", left: int = 0) -> str:
    example = rows.example(row)
    raw, why = ("", "") if example else rows.raw(row)
    text, output = (example.input, example.output) if example else (raw, "")
    reason, written = finding.reasons.get(row, why), finding.outputs.get(row)
    if written is not None and written not in reason:
        reason = f"{reason}; suggested: {shorten(written, 60)}" if reason else f"suggested: {shorten(written, 60)}"
    said = f"<small>{escape(reason)}</small>" if reason else ""
    rest = f"<small>and {left:,} more like {plural('it', 'them', left)}</small>" if left else ""
    return (
        f'<li class="{css}"><b><a href="#exact" data-row="{row}" title="see this row exactly">{row:,}</a></b>'
        f"<p>{escape(shorten(text))}{said}{rest}</p>"
        f"{f'<em>{escape(shorten(output, 60))}</em>' if output else ''}</li>"
    )
