"""Label by label: how well base and fine-tuned do, what they take for what, and which pairs moved."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.evidence.systems import FINE_TUNED, SHORT
from finetune.ui.compare.regressions import rows
from finetune.ui.findings import shorten
from finetune.ui.notice import escape

MATRIX = 30  # labels; a larger matrix is no longer read, and the pairs that moved tell its news
LISTED = 200  # labels in the table
PAIRS = 12
OUTCOMES = {"mended": "mended", "broken": "broken", "still_wrong": "wrong both times"}


def told(comparison: dict, outputs: Sequence[dict]) -> str:
    """The section; empty for tasks without labels and for comparisons of before."""
    found = {
        system: comparison["systems"][system]["classes"]
        for system in ("base", FINE_TUNED)
        if comparison["systems"].get(system, {}).get("classes")
    }
    if FINE_TUNED not in found:
        return ""
    return (
        f"<h3>Label by label</h3>{_sentence(found[FINE_TUNED])}"
        f"<details><summary>every label</summary>{_table(found)}</details>"
        f"<details><summary>what is taken for what</summary>{_matrices(found)}</details>"
        f"{_moved(comparison.get('moved') or [], outputs)}"
    )


def _sentence(tuned: dict) -> str:
    seen = [entry for entry in tuned["classes"] if entry["rows"]]
    if not seen:
        return ""
    weakest = min(seen, key=lambda entry: entry["f1"])
    best = max(seen, key=lambda entry: entry["f1"])
    if weakest is best:
        return ""
    return (
        f"<p>It is best at “{escape(shorten(best['label'], 60))}” and weakest at "
        f"“{escape(shorten(weakest['label'], 60))}”, where it finds {100 * weakest['recall']:.0f} of 100.</p>"
    )


def _table(found: dict[str, dict]) -> str:
    base = {entry["label"]: entry for entry in found.get("base", {}).get("classes", ())}
    lines = []
    for entry in sorted(found[FINE_TUNED]["classes"], key=lambda one: one["f1"])[:LISTED]:
        before = base.get(entry["label"])
        gain = f"{100 * (entry['f1'] - before['f1']):+z.0f}" if before else ""
        cells = [f"{entry['rows']:,}", *(f"{100 * entry[name]:.0f}%" for name in ("precision", "recall", "f1"))]
        cells += [f"{100 * before['f1']:.0f}%" if before else "–", gain]
        told = "".join(f'<td class="n">{cell}</td>' for cell in cells)
        lines.append(f'<tr><th scope="row">{escape(entry["label"])}</th>{told}</tr>')
    count = len(found[FINE_TUNED]["classes"])
    rest = f'<p class="quiet">The {LISTED} weakest of {count:,} labels.</p>' if count > LISTED else ""
    head = "".join(f'<th class="n">{name}</th>' for name in ("rows", "precision", "recall", "F1", "F1 of base", "gain"))
    return (
        f'<div class="scroll"><table class="plain"><thead><tr><th>label, weakest first</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{rest}"
        '<p class="quiet">Precision: of the rows it gave this label, how many have it. Recall: of the rows that have '
        "this label, how many it found. F1 is their harmonic mean.</p>"
    )


def _matrices(found: dict[str, dict]) -> str:
    count = len(found[FINE_TUNED]["classes"])
    if count > MATRIX:
        return f'<p class="quiet">{count:,} labels are too many for a picture: see the pairs that moved.</p>'
    drawn = "".join(_matrix(system, entry) for system, entry in found.items())
    names = "".join(f"<li>{escape(entry['label'])}</li>" for entry in found[FINE_TUNED]["classes"])
    return (
        f'<div class="matrices">{drawn}</div><p class="quiet">A line is the true label, a column the answer; the '
        f'diagonal is right. The numbers stand for:</p><ol class="quiet names">{names}</ol>'
    )


def _matrix(system: str, entry: dict) -> str:
    labels = [one["label"] for one in entry["classes"]]
    numbers = "".join(f'<th title="{escape(label)}">{place}</th>' for place, label in enumerate(labels, start=1))
    lines = []
    for place, counts in enumerate(entry["confusion"]):
        whole = sum(counts) or 1
        cells = "".join(
            f'<td class="{"hit" if place == other else "miss"}" style="--share:{100 * count / whole:.0f}%" '
            f'title="{escape(labels[place])} → {escape(labels[other])}: {count}">{count or ""}</td>'
            for other, count in enumerate(counts)
        )
        lines.append(f'<tr><th title="{escape(labels[place])}">{place + 1}</th>{cells}</tr>')
    other = f'<p class="quiet">{entry["other"]:,} answers were no label.</p>' if entry.get("other") else ""
    return (
        f'<figure><figcaption>{escape(SHORT.get(system, system))}</figcaption><div class="scroll">'
        f'<table class="matrix"><thead><tr><th></th>{numbers}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
        f"{other}</figure>"
    )


def _moved(moved: Sequence[dict], outputs: Sequence[dict]) -> str:
    if not moved:
        return ""
    lines = "".join(_pair(pair, outputs) for pair in moved[:PAIRS])
    rest = f'<p class="quiet">The {PAIRS} most frequent of {len(moved):,}.</p>' if len(moved) > PAIRS else ""
    return (
        f"<details><summary>{len(moved):,} kinds of answers changed</summary>"
        f'<ul class="moved">{lines}</ul>{rest}</details>'
    )


def _pair(pair: dict, outputs: Sequence[dict]) -> str:
    outcome = pair["outcome"]
    tone = {"mended": "good", "broken": "bad"}.get(outcome, "plain")
    count = len(pair["rows"])
    return (
        f'<li><details><summary><b class="{tone}">{count:,} {OUTCOMES.get(outcome, outcome)}</b> · '
        f"“{escape(shorten(pair['expected'], 60))}”: base said “{escape(shorten(pair['base'], 60))}”, fine-tuned "
        f"“{escape(shorten(pair['fine_tuned'], 60))}”</summary>{rows(pair['rows'], outputs)}</details></li>"
    )
