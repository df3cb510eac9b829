"""The held-out rows one under the other: what went in, what was expected, and what each system answered."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from finetune.ui.findings import shorten
from finetune.ui.notice import escape
from finetune.ui.scores import SHORT

PAGE = 10
OUTCOMES = ("all", "better", "worse", "same")
LONG = 600  # characters of a cell; the rest is under a fold


def choices(outputs: Sequence[dict]) -> list[tuple[str, str]]:
    """The filter with the number of rows behind each choice."""
    counts = Counter(line.get("outcome") for line in outputs) | Counter({"all": len(outputs)})
    return [(f"{name} {counts[name]:,}", name) for name in OUTCOMES]


def chosen(outputs: Sequence[dict], outcome: str, search: str) -> list[dict]:
    """The rows with that outcome that contain the text, case ignored, in input, expected or any output."""
    wanted = (search or "").strip().casefold()
    return [
        line
        for line in outputs
        if (outcome in ("all", None) or line.get("outcome") == outcome)
        and (not wanted or any(wanted in str(text).casefold() for text in _texts(line)))
    ]


def _texts(line: dict) -> list[str]:
    return [line["input"], line["expected"], *line["outputs"].values(), *line.get("generated", {}).values()]


def pages(found: Sequence[dict]) -> int:
    return max(1, -(-len(found) // PAGE))


def table(found: Sequence[dict], systems: Sequence[str], page: int) -> str:
    """HTML of one page of rows.

    Args:
        found: the rows that were chosen.
        systems: whose outputs are shown, as columns.
        page: counted from 0.
    """
    if not found:
        return '<p class="empty">No row is like that.</p>'
    head = "".join(f"<th>{escape(SHORT.get(system, system))}</th>" for system in systems)
    lines = "".join(_row(line, systems) for line in found[page * PAGE : (page + 1) * PAGE])
    return (
        '<div class="scroll"><table class="beside"><thead><tr><th>#</th><th>input</th><th>expected</th>'
        f"{head}</tr></thead><tbody>{lines}</tbody></table></div>"
    )


def _row(line: dict, systems: Sequence[str]) -> str:
    cells = "".join(_output(line, system) for system in systems)
    return (
        f'<tr class="{escape(line.get("outcome", ""))}"><td class="n">{line["row"]}</td>'
        f'<td data-label="input">{_text(line["input"])}</td>'
        f'<td data-label="expected">{_text(line["expected"])}</td>{cells}</tr>'
    )


def _output(line: dict, system: str) -> str:
    text, score = line["outputs"].get(system), line["scores"].get(system)
    label = f'data-label="{escape(SHORT.get(system, system))}"'
    if text is None:
        return f"<td {label}>–</td>"
    if score is None:
        return f"<td {label}>{_text(text)}</td>"
    tone, mark = ("right", "✓") if score >= 0.999 else ("wrong", "✗") if score <= 0.001 else ("partly", f"{score:.2f}")
    spoken = {"right": "right", "wrong": "wrong", "partly": f"score {score:.2f}"}[tone]
    shown = f'<i aria-label="{spoken}" title="{spoken}">{mark}</i> {_text(text)}{_beside(line, system, text)}'
    return f'<td class="{tone}" {label}>{shown}</td>'


def _beside(line: dict, system: str, text: str) -> str:
    """For a label that was scored: how likely it was, and what the model writes when it is left to write freely."""
    notes = []
    if (share := line.get("probabilities", {}).get(system, {}).get(text)) is not None:
        notes.append(f"{share:.0%} likely")
    if (written := line.get("generated", {}).get(system)) is not None and written.strip() != text.strip():
        notes.append(f"writes “{escape(shorten(written, 120))}”")
    return f"<small>{', '.join(notes)}</small>" if notes else ""


def _text(text: str) -> str:
    text = str(text)
    if len(text) <= LONG:
        return escape(text) or '<span class="quiet">empty</span>'
    more = f"<details><summary>{len(text) - LONG:,} more characters</summary>{escape(text[LONG:])}</details>"
    return escape(text[:LONG]) + more
