"""Why there was no gain: what was measured that explains it, each with its rows and its mend."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.finding import plural
from finetune.ui.compare.regressions import rows
from finetune.ui.notice import escape

AREAS = {"data": "Data", "quality": "Quality of the data", "base": "Base model", "task": "Task"}


def told(comparison: dict, outputs: Sequence[dict]) -> str:
    """The section; empty where the verdict was a gain or the measurements explain nothing."""
    found = comparison.get("causes")
    if not found:
        return ""
    lines = "".join(_cause(cause, outputs) for cause in found)
    return (
        "<h3>Why there was no gain</h3><p class='quiet'>What was measured that explains it, in the order in which to look: "
        f"data, quality, base model, task.</p><ol class='causes'>{lines}</ol>"
    )


def _cause(cause: dict, outputs: Sequence[dict]) -> str:
    numbers = cause.get("rows") or []
    count = cause.get("total") or len(numbers)
    first = f"the first {len(numbers):,} of {count:,} rows"
    name = first if count > len(numbers) else f"the {plural('row', f'{count:,} rows', count)}"
    listed = f"<details><summary>{name}</summary>{rows(numbers, outputs)}</details>" if numbers else ""
    area = f"<b class='area'>{AREAS[cause['area']]}</b>" if cause.get("area") in AREAS else ""
    fix = f'<p class="fix">{escape(cause["fix"])}</p>' if cause.get("fix") else ""
    return f"<li>{area}<p>{escape(cause['message'])}</p>{fix}{listed}</li>"
