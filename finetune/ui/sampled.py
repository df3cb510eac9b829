"""The answers to the same few validation rows, look after look, as a small table: so that one sees what is learned."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.finding import plural
from finetune.ui.notice import escape

LOOKS = 7  # lines of the table: the first look, and the latest
EMPTY = "(nothing)"


def table(looks: Sequence[tuple[int, list[dict]]]) -> str:
    """HTML of the sampled answers.

    Args:
        looks: step and answers, ascending; each answer with row, prompt, expected and answer. None where a look did not ask.
    """
    unasked, looks = sum(1 for _, answers in looks if not answers), [look for look in looks if look[1]]
    if not looks:
        return ""
    shown = list(looks) if len(looks) <= LOOKS else [looks[0], *looks[1 - LOOKS :]]
    # A resumed run may have chosen other rows, if its recipe was changed: those of the last look head the table.
    rows = [entry["row"] for entry in looks[-1][1]]
    head = "".join(
        f"<th><span>{escape(entry['prompt'])}</span><small>expected: <b>{escape(entry['expected'])}</b></small></th>"
        for entry in looks[-1][1]
    )
    lines = []
    for step, answers in shown:
        of = {entry["row"]: entry for entry in answers}
        cells = "".join(_cell(of.get(row)) for row in rows)
        lines.append(f'<tr><th scope="row">{"before" if step == 0 else f"step {step:,}"}</th>{cells}</tr>')
    between = len(looks) - len(shown)
    hidden = f"{between:,} {plural('look', 'looks', between)} after the first {plural('is', 'are', between)} not shown."
    skipped = f"{unasked:,} {plural('look', 'looks', unasked)} did not ask, to save time."
    said = " ".join(text for text, number in ((hidden, between), (skipped, unasked)) if number)
    left_out = f'<p class="quiet">{said}</p>' if said else ""
    return (
        "<h3>The same rows, answered while it learns</h3>"
        f'<div class="scroll"><table class="sampled"><thead><tr><th></th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>{left_out}"
    )


def _cell(entry: dict | None) -> str:
    if entry is None:
        return "<td></td>"
    same = entry["answer"].strip() == entry["expected"].strip()
    mark = '<i title="as expected">✓</i> ' if same else ""
    return f'<td class="{"right" if same else ""}">{mark}{escape(entry["answer"]) or EMPTY}</td>'
