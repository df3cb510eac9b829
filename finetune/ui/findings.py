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
    """A fixed pool of texts, unused ones invisible, and one box for each mend.

    Findings come and go with what is ticked, so a box belongs to its mend alone: no answer ever has to fill one anew,
    and none can undo a tick that was made while it was on its way. Where a box stands, and whether it is seen, is a
    matter of style.
    """

    head: gr.HTML
    texts: tuple[gr.HTML, ...]
    ticks: dict[str, gr.Checkbox]
    rest: gr.HTML

    def boxes(self) -> list[gr.Checkbox]:
        return list(self.ticks.values())

    def outputs(self) -> list:
        return [self.head, *self.texts, *self.boxes(), self.rest]

    def show(self, found: Sequence[Finding], rows: Rows, mends: Sequence[str]) -> dict:
        """All findings, and where the boxes stand; `mends` are ticked."""
        found = ordered(found)
        mine = offers(found[:SLOTS])
        spent = [name for name in mends if name not in DEFAULT_MENDS and not any(name in names for names in mine)]
        updates: dict = {self.head: _head(found) + _places(mine, spent)}
        for place, (text, finding) in enumerate(zip_longest(self.texts, found[:SLOTS])):
            updates[text] = gr.HTML(one(finding, rows, mine[place]) if finding else "", visible=finding is not None)
        beyond = "".join(one(finding, rows) for finding in found[SLOTS:])
        beyond += '<p class="spent">Applied, and no longer found</p>' if spent else ""
        return updates | {self.rest: gr.HTML(beyond, visible=bool(beyond))}

    def tick(self, mends: Sequence[str]) -> dict:
        """These mends, put into the form."""
        return {box: name in mends for name, box in self.ticks.items()}

    def ticked(self, values: Sequence[bool]) -> tuple[str, ...]:
        """The mends that the form says."""
        return tuple(name for name, on in zip(self.ticks, values, strict=True) if on)


def offers(found: Sequence[Finding]) -> list[list[str]]:
    """The mends whose boxes stand under each finding: one that several offer stands under the first."""
    known: set[str] = set()
    mine = []
    for finding in found:
        mine.append([name for name in finding.mends if name in MENDS and name not in known])
        known.update(finding.mends)
    return mine


def build() -> Findings:
    """The list, in the column that is open."""
    with gr.Column(elem_id="findings", elem_classes="findings"):
        head = gr.HTML()
        texts = tuple(gr.HTML(visible=False, js_on_load=OPEN_ROW, elem_id=f"finding-{place}") for place in range(SLOTS))
        rest = gr.HTML(visible=False, elem_id=f"finding-{SLOTS}")
        ticks = {
            name: gr.Checkbox(
                name in DEFAULT_MENDS, label=mend.label, container=False, elem_id=f"mend-{name}", elem_classes="mend",
                min_width=0,
            )
            for name, mend in MENDS.items()
        }  # fmt: skip
    return Findings(head, texts, ticks, rest)


def _places(mine: Sequence[Sequence[str]], spent: Sequence[str]) -> str:
    """The style that puts every box right after its finding, and those of no finding last; all others are not seen."""
    rules = [f"#finding-{place}{{order:{place}}}" for place in range(SLOTS + 1)]
    for place, names in (*enumerate(mine), (SLOTS, spent)):
        rules += [f"#mend-{name}{{order:{place};display:block}}" for name in names]
    return f"<style>{''.join(rules)}</style>"


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


def one(finding: Finding, rows: Rows, mine: Sequence[str] | None = None) -> str:
    """HTML of one finding. `mine`: the mends whose boxes stand under it; None is all that it offers."""
    mark, spoken = MARKS[finding.severity]
    seen = ""
    if finding.examined is not None and finding.examined < len(rows):
        seen = f'<p class="quiet">Seen in a sample: {finding.examined:,} of {len(rows):,} rows were looked at.</p>'
    applied = '<p class="applied">left out already</p>' if APPLIED in finding.mends else ""
    mine = finding.mends if mine is None else mine
    if above := [f"“{MENDS[name].label}”" for name in finding.mends if name in MENDS and name not in mine]:
        applied += f'<p class="quiet">{" and ".join(above)} above: for these rows too</p>'
    # The boxes stand elsewhere in the document; who hears the page is told that they belong here.
    owns = " ".join(f"mend-{name}" for name in mine if name in MENDS)
    owned = f' role="group" aria-owns="{owns}"' if owns else ""
    return (
        f'<div class="finding {finding.severity}"{owned}><span class="mark" role="img" aria-label="{spoken}" title="{spoken}">'
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
