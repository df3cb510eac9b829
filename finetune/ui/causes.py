"""Why there was no gain: what was measured that explains it, each with its rows and its mend."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.finding import plural
from finetune.ui.notice import escape
from finetune.ui.regressions import rows


def told(comparison: dict, outputs: Sequence[dict]) -> str:
    """The section; empty where the verdict was a gain or none were looked for."""
    found = comparison.get("causes")
    if not found:
        return ""
    lines = "".join(_cause(cause, outputs) for cause in found)
    return f"<h3>Why there was no gain</h3><p class='quiet'>The likeliest first.</p><ol class='causes'>{lines}</ol>"


def _cause(cause: dict, outputs: Sequence[dict]) -> str:
    numbers = cause.get("rows") or []
    count = len(numbers)
    listed = (
        f"<details><summary>the {plural('row', f'{count:,} rows', count)}</summary>{rows(numbers, outputs)}</details>"
        if numbers
        else ""
    )
    fix = f'<p class="fix">{escape(cause["fix"])}</p>' if cause.get("fix") else ""
    return f"<li><p>{escape(cause['message'])}</p>{fix}{listed}</li>"
