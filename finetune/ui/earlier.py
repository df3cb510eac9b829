"""The runs of this machine, newest first, to open again."""

from __future__ import annotations

from pathlib import Path

from finetune.errors import FinetuneError
from finetune.evidence.report.plain import VERDICT
from finetune.runs.store import Run, list_runs, status
from finetune.ui.notice import escape
from finetune.ui.strip import STATES

SHOWN = 50


def choices(root: Path) -> tuple[list[tuple[str, str]], str]:
    """Labels and ids of the runs, and HTML that names the directories which are no whole runs."""
    runs, problems = list_runs(root)
    labels = []
    for run in runs[:SHOWN]:
        try:
            labels.append((_label(run), run.id))
        except FinetuneError as error:
            problems.append(f"{error}")
    return labels, "".join(f'<p class="quiet">{escape(problem)}</p>' for problem in problems)


def _label(run: Run) -> str:
    record = run.record()
    state = status(run).state
    word = STATES.get(state, state)
    comparison = run.comparison() if state == "finished" else None
    if comparison:
        word = VERDICT.get(comparison["verdict"]["decision"], (word,))[0].lower()
    when = record["created"][:16].replace("T", " ")
    return " · ".join([record.get("name") or run.id, word, record["base"], record["preset"], f"{when} UTC"])


def living(root: Path) -> str:
    """The id of a run that is at work or waits, the newest first; empty when there is none."""
    runs, _ = list_runs(root)
    for run in runs[:SHOWN]:
        if status(run).state in ("running", "comparing", "stopping", "queued"):
            return run.id
    return ""
