"""What the fine-tune made worse: the rows that the untrained base had right and the fine-tuned model has wrong."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.finding import plural
from finetune.evidence.systems import FINE_TUNED
from finetune.ui.findings import shorten
from finetune.ui.notice import escape

SHOWN = 50  # more are in «side by side»


def rows(numbers: Sequence[int], outputs: Sequence[dict], most: int = SHOWN) -> str:
    """HTML of test rows with what was expected, base and fine-tuned; those that are no test rows are named alone."""
    found = {line["row"]: line for line in outputs}
    lines = [found[number] for number in numbers if number in found]
    elsewhere = [number for number in numbers if number not in found]
    body = "".join(_row(line) for line in lines[:most])
    head = "<tr><th>#</th><th>input</th><th>expected</th><th>base</th><th>fine-tuned</th></tr>"
    told = f'<div class="scroll"><table class="beside few"><thead>{head}</thead><tbody>{body}</tbody></table></div>'
    told = told if lines else ""
    if len(lines) > most:
        told += f'<p class="quiet">The first {most} of {len(lines):,}; all of them are under “Side by side”.</p>'
    if elsewhere:
        named = ", ".join(f"{number:,}" for number in elsewhere[:most])
        rest = f" and {len(elsewhere) - most:,} more" if len(elsewhere) > most else ""
        told += f'<p class="quiet">Rows of your file: {named}{rest}.</p>'
    return told


def _row(line: dict) -> str:
    cells = [("input", line["input"]), ("expected", line["expected"])]
    cells += [
        (name, line["outputs"].get(system, "–")) for name, system in (("base", "base"), ("fine-tuned", FINE_TUNED))
    ]
    told = "".join(f'<td data-label="{name}">{escape(shorten(str(text), 240))}</td>' for name, text in cells)
    return f'<tr><td class="n">{line["row"]}</td>{told}</tr>'


def told(comparison: dict, outputs: Sequence[dict]) -> str:
    """The section, first among the details."""
    found = comparison.get("regressions")
    if found is None:
        return ""
    count, of = len(found["rows"]), found["of"]
    if not of:
        said = "The base had no test row fully right, so there was nothing to lose."
    elif not count:
        said = f"None: all {of:,} test rows that the untrained base had right are right still."
    else:
        said = (
            f"{count:,} of {of:,} {plural('row', 'rows', of)} that the untrained base had right "
            f"{plural('is', 'are', count)} wrong after the fine-tune."
        )
    listed = (
        f"<details><summary>see {plural('it', 'them', count)}</summary>{rows(found['rows'], outputs)}</details>"
        if count
        else ""
    )
    return f"<h3>What got worse</h3><p>{said}</p>{listed}"
