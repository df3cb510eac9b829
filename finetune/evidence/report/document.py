"""The report of a compared run, to take away: one HTML page or one Markdown text, made from the same parts."""

from __future__ import annotations

import os
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from finetune.errors import FinetuneError
from finetune.evidence.later.check import FILE
from finetune.evidence.report.chapters import answers, costs, origin, scores, since, top
from finetune.evidence.report.layout import Report, Section, to_html, to_markdown
from finetune.evidence.report.repeat import repeat_command
from finetune.runs import ledger
from finetune.runs.store import Run

__all__ = ["html", "markdown", "repeat_command", "report_of", "write"]


def html(run: Run) -> str:
    """The report as one HTML page that needs nothing beside itself. Raises FinetuneError where nothing was compared."""
    return to_html(report_of(run))


def markdown(run: Run) -> str:
    """The report as Markdown. Raises FinetuneError where nothing was compared."""
    return to_markdown(report_of(run))


def write(run: Run, target: Path) -> Path:
    """Write the report to a file, HTML or Markdown by the ending of its name.

    Raises:
        FinetuneError: another ending, nothing was compared, or the file cannot be written.
    """
    writers = {".html": html, ".md": markdown}
    if (writer := writers.get(target.suffix.lower())) is None:
        raise FinetuneError(f"“{target.name}” is no report that can be written.", hint="End its name in .html or .md.")
    text = writer(run)
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        draft.write_text(text, encoding="utf-8")
        draft.replace(target)
    except OSError as error:
        raise FinetuneError(
            f"{target} cannot be written: {error.strerror or error}.", hint="Choose another place."
        ) from None
    return target


def report_of(run: Run) -> Report:
    """Every part of the report, in the order in which it is read. Comparisons of earlier versions lack some of them.

    Raises:
        FinetuneError: the run was not compared yet.
    """
    if (comparison := run.comparison()) is None:
        raise FinetuneError(
            f"The run “{run.id}” was not compared yet.", hint=f"`python -m finetune compare {run.id}` does it."
        )
    record, outputs = run.record(), run.outputs()
    made = comparison.get("created") or record["created"]
    said, tone = top.answer(comparison)
    chapters = [
        ("Why there was no gain", top.causes(comparison)),
        ("All systems", scores.scores(comparison)),
        ("Row by row", scores.paired(comparison)),
        ("What got worse", scores.regressions(comparison, outputs)),
        ("Label by label", answers.classes(comparison)),
        ("Does it know when it is wrong?", answers.calibration(comparison)),
        ("The texts by several measures", answers.texts(comparison)),
        ("Your own rules", answers.rules(comparison)),
        ("What it forgot", scores.forgetting(comparison)),
        ("What a request takes", scores.cost(comparison)),
        ("What it costs", costs.costs(comparison, run.root)),
        ("Checks on fresh rows", since.checks(_checks(run))),
    ]
    return Report(
        title=f"Is a fine-tune worth it? {record.get('name') or run.id}",
        line=f"{_date(made)} · {record['data']['name']} · {comparison['model']} · run {run.id}",
        question=f"The verdict on {comparison['test_rows']:,} test rows nobody trained on",
        answer=said,
        tone=tone,
        lead=tuple(top.lead(comparison)),
        sections=(
            *(Section(title, tuple(blocks)) for title, blocks in chapters),
            *origin.sections(run, comparison),
        ),
    )


def _checks(run: Run) -> Sequence[dict]:
    """The history of checks; a line that is damaged is passed over, and told as one that cannot be read."""
    return [entry or {"decision": "a line that cannot be read"} for entry in ledger.read(run.directory / FILE)]


def _date(text: str) -> str:
    """`24 November 2026`, from an ISO time."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        return text
    return f"{when.day} {when:%B %Y}"
