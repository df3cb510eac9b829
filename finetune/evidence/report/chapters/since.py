"""What checks on fresh rows have said since the run was made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finetune.dataset.finding import plural
from finetune.evidence.report.chapters.figures import interval, p_value, percent, points
from finetune.evidence.report.layout import Block, Points, Table, Text


def checks(history: Sequence[dict]) -> Iterator[Block]:
    """The checks on fresh rows since then, the newest first."""
    if not history:
        return
    yield Text(
        f"Fresh rows were scored {len(history):,} {plural('time', 'times', len(history))} since the run was made."
    )
    rows = []
    for one in reversed(history):
        rows.append([
            str(one.get("time", ""))[:16].replace("T", " "), (one.get("data") or {}).get("name", ""),
            str(one.get("decision", "")).replace("_", " "), f"{one['rows']:,}" if "rows" in one else "",
            percent(one.get("score")), interval(one.get("interval")), percent(one.get("own_score")),
            points(one.get("difference")), p_value(one.get("p_value")),
        ])  # fmt: skip
    head = ("time", "file", "what it says", "rows", "score", "95% interval", "on its test", "difference", "p")
    yield Table(head, rows, words=3)
    if reason := history[-1].get("reason"):
        yield Text(f"The newest says: {reason}")
    if steps := history[-1].get("next_steps"):
        yield Points(steps)
