"""What is wrong with the data, as a list: severity, sentence, what to do, and the rows themselves under a fold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finetune.dataset.example import Example
from finetune.dataset.quality import Finding
from finetune.ui.notice import escape

MARKS = {"error": ("!", "Must be mended"), "warning": ("!", "Warning"), "note": ("·", "Note")}
ORDER = ("error", "warning", "note")
SHOWN = 12  # rows of one finding shown with their text; all the others are named by number
NUMBERS = 200


def shorten(text: str, length: int = 160) -> str:
    """One line of a long text, with an ellipsis where it is cut."""
    line = " ".join(text.split())
    return line if len(line) <= length else line[: length - 1].rstrip() + "…"


def findings(found: Sequence[Finding], rows: Mapping[int, Example]) -> str:
    """HTML of the findings, the gravest first.

    Args:
        found: the findings of a report.
        rows: examples by source row, for the text of the rows that a finding names.
    """
    if not found:
        return '<h3>What was found</h3><p class="quiet">Nothing. The rows look usable as they are.</p>'
    ordered = sorted(found, key=lambda finding: ORDER.index(finding.severity))
    return f'<h3>What was found</h3><ul class="findings">{"".join(_finding(finding, rows) for finding in ordered)}</ul>'


def _finding(finding: Finding, rows: Mapping[int, Example]) -> str:
    mark, spoken = MARKS[finding.severity]
    shown = _rows(finding, rows)
    return (
        f'<li class="{finding.severity}"><span class="mark" role="img" aria-label="{spoken}" title="{spoken}">{mark}'
        f"</span><div><p>{escape(finding.message)}</p><p class='fix'>{escape(finding.fix)}</p>{shown}</div></li>"
    )


def _rows(finding: Finding, rows: Mapping[int, Example]) -> str:
    if not finding.rows:
        return ""
    groups = [list(cluster) for cluster in finding.clusters] or [[row] for row in finding.rows]
    lines, left = [], SHOWN
    for group in groups:
        if left <= 0:
            break
        for row in group[:left]:
            example = rows.get(row)
            text, output = (shorten(example.input), shorten(example.output, 60)) if example else ("", "")
            lines.append(f"<tr><td>{row}</td><td>{escape(text)}</td><td>{escape(output)}</td></tr>")
        left -= len(group)
        if len(group) > 1:
            lines.append('<tr class="gap"><td colspan="3"></td></tr>')
    total = len(finding.rows)
    rest = ""
    if total > SHOWN:
        numbers = ", ".join(str(row) for row in finding.rows[:NUMBERS])
        rest = f'<p class="quiet">All {total:,}: rows {numbers}{" …" if total > NUMBERS else ""}</p>'
    label = "show the row" if total == 1 else f"show the {total:,} rows"
    table = f'<div class="scroll"><table class="rows"><tbody>{"".join(lines)}</tbody></table></div>'
    return f"<details><summary>{label}</summary>{table}{rest}</details>"
