"""What is measured of a run without a gain, and what one cause says of it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from finetune.dataset.example import Example
from finetune.evidence.systems import FINE_TUNED, NAMES
from finetune.training.recipe import Recipe

# Where to look, in this order: it is the order of what helps most often, and of what costs least to try.
Area = Literal["data", "quality", "base", "task"]
AREAS: tuple[Area, ...] = ("data", "quality", "base", "task")

ROWS = 200  # source rows that a cause names; how many there are in all stands in its "total"
# For scores between 0 and 1: a row is lost where the fine-tuned model falls so far behind, and wrong where it stays under
# the half.
FALL, HALF = 0.2, 0.5


@dataclass(frozen=True)
class Cause:
    """One thing that explains why there was no gain.

    Attributes:
        kind: what was found, such as "conflicts".
        area: where it lies.
        message: sentences with the numbers that were measured.
        fix: what to do about it.
        rows: source rows that show it, ascending; empty where it concerns the whole.
    """

    kind: str
    area: Area
    message: str
    fix: str
    rows: tuple[int, ...] = ()

    def as_json(self) -> dict:
        """With the first `ROWS` rows, and how many there are in all as "total"."""
        return {
            "kind": self.kind,
            "area": self.area,
            "message": self.message,
            "rows": sorted(self.rows)[:ROWS],
            "total": len(self.rows),
            "fix": self.fix,
        }


@dataclass(frozen=True)
class Facts:
    """All that is known of the run. Rows are source rows.

    Attributes:
        comparison, outputs, report, events: as they stand in the files of the run.
        train: the rows that the model learned from.
    """

    comparison: dict
    outputs: Sequence[dict]
    report: dict
    events: Sequence[dict]
    recipe: Recipe
    train: Sequence[Example]

    @property
    def classification(self) -> bool:
        return self.comparison.get("task") == "classification"

    @cached_property
    def labels(self) -> tuple[str, ...]:
        """The labels of the task; none for other tasks."""
        # Comparisons of before do not name them.
        return tuple(self.comparison.get("labels") or self.report.get("labels") or ()) if self.classification else ()

    @property
    def against(self) -> str:
        """The strongest alternative."""
        return self.comparison["paired"]["against"]

    def score(self, system: str) -> float:
        return self.comparison["systems"][system]["score"]

    @cached_property
    def wrong(self) -> tuple[int, ...]:
        """Test rows that the fine-tuned model has wrong."""
        limit = 1.0 if self.classification else HALF
        return tuple(line["row"] for line in self.outputs if line["scores"][FINE_TUNED] < limit)

    @cached_property
    def said(self) -> Mapping[int, dict]:
        """Test row → its line of the outputs."""
        return {line["row"]: line for line in self.outputs}

    @cached_property
    def learned(self) -> Mapping[int, str]:
        """Training row → the answer that was learned."""
        return {example.row: example.output for example in self.train}

    def answer_of(self, row: int) -> str | None:
        """What a row of training or test has as its answer, after all mends; None for a row of neither."""
        if row in self.learned:
            return self.learned[row]
        return self.said[row]["expected"] if row in self.said else None

    def findings(self, *kinds: str) -> Iterable[dict]:
        """What was found wrong with the file, of these kinds."""
        return (finding for finding in self.report.get("findings", ()) if finding["kind"] in kinds)

    def wins(self, rows: Iterable[int], system: str) -> int:
        """How many of these test rows a system has right."""
        limit = 1.0 if self.classification else HALF
        return sum(self.said[row]["scores"].get(system, 0.0) >= limit for row in rows)


def name_of(system: str) -> str:
    """What a person calls the system, to begin a sentence with."""
    return NAMES[system][:1].upper() + NAMES[system][1:]


def percent(share: float) -> str:
    """0.0934 → `9%`, 0.004 → `0.4%`, and never `0%` or `100%` for what is neither."""
    for digits in range(3):
        shown = f"{100 * share:.{digits}f}"
        if share in (0, 1) or 0 < float(shown) < 100 and (float(shown) >= 1 or digits):
            break
    return f"{shown}%"
