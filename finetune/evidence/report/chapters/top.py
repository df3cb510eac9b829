"""The top of a report: what to do and why, for somebody who reads no further."""

from __future__ import annotations

from collections.abc import Iterator

from finetune.dataset.finding import plural
from finetune.evidence.report.chapters.figures import LISTED, name_of
from finetune.evidence.report.layout import Block, Points, Small, Text
from finetune.evidence.report.plain import MEANS, VERDICT, WRONG, tally, trusted

AREAS = {"data": "Data", "quality": "Quality of the data", "base": "Base model", "task": "Task"}


def answer(comparison: dict) -> tuple[str, str]:
    """The verdict in a few words, and its tone."""
    if not trusted(comparison):
        return "No verdict", "bad"
    decision = comparison["verdict"]["decision"]
    return VERDICT.get(decision, (decision.replace("_", " ").capitalize(), "plain"))


def lead(comparison: dict) -> Iterator[Block]:
    """What the verdict means, what to do, and the one sentence with its numbers."""
    said, other = comparison["verdict"], name_of(comparison["paired"]["against"])
    if not trusted(comparison):
        yield Text(
            "With the adapter switched off, the model does not answer like the untouched base: the scores below may compare "
            "the wrong things, so nothing should be decided from them. Compare again; if it stays so, train again."
        )
    else:
        yield Text(MEANS.get(said["decision"], said["reason"]).format(other=other))
        yield Text(tally(comparison))
    if said.get("next_steps"):
        yield Small("What to do next")
        yield Points(said["next_steps"], ordered=True)
    if trusted(comparison) and said["decision"] in WRONG:
        yield Small("If this is wrong")
        yield Text(WRONG[said["decision"]].format(other=other))
    yield Small("The numbers behind it")
    yield Text(said["reason"])
    smallest, needed = said.get("detectable_difference"), said.get("rows_needed")
    if smallest is not None:
        could = "no difference at all" if smallest >= 1 else f"a difference of {100 * smallest:.1f} points or more"
        more = f" To settle this, about {needed:,} test rows are needed." if needed else ""
        yield Text(f"This test could have shown {could}, four times out of five; a smaller one can stay hidden.{more}")


def causes(comparison: dict) -> Iterator[Block]:
    if not (found := comparison.get("causes")):
        return
    yield Text("What was measured that explains it, in the order in which to look: data, quality, base model, task.")
    items = []
    for cause in found:
        area = f"{AREAS[cause['area']]}: " if cause.get("area") in AREAS else ""
        lines = [area + cause["message"], *([f"→ {cause['fix']}"] if cause.get("fix") else [])]
        if rows := cause.get("rows"):
            total = cause.get("total") or len(rows)
            more = f", and {total - LISTED:,} more" if total > LISTED else ""
            lines.append(f"{plural('Row', 'Rows', total)} {', '.join(map(str, rows[:LISTED]))}{more}.")
        items.append(lines)
    yield Points(items, ordered=True)
