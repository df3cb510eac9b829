"""One thing that is wrong with the data: its rows, the reason in plain words, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Severity = Literal["error", "warning", "note"]
KINDS = (
    "bad_row", "empty", "exact_duplicate", "near_duplicate", "conflicting_output", "leakage", "class_imbalance",
    "rare_class", "too_long", "personal_data", "encoding", "too_few_rows", "suspect_label",
)  # fmt: skip
# The only mend of a finding whose rows are left out whatever is ticked.
APPLIED = "applied"


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        kind: one of KINDS, as in the contract of `inspect --json`.
        rows: source rows, ascending; empty when it concerns the whole.
        message: what is wrong, a sentence with its numbers.
        fix: what to do, a sentence.
        clusters: for duplicates and conflicts, the rows that belong together.
        mends: names of MENDS that may be ticked; (APPLIED,) when the rows are left out whatever is ticked.
        check: finer than the kind, where several checks share one, such as "label_spelling".
        reasons: source row → a short reason, where the rows differ in it.
        outputs: source row → the output that a mend of the kind "write" puts there.
        examined: rows that were looked at, when they were a sample; None when it was all of them.
    """

    kind: str
    severity: Severity
    rows: tuple[int, ...]
    message: str
    fix: str
    clusters: tuple[tuple[int, ...], ...] = ()
    mends: tuple[str, ...] = ()
    check: str = ""
    reasons: Mapping[int, str] = field(default_factory=dict)
    outputs: Mapping[int, str] = field(default_factory=dict)
    examined: int | None = None

    def as_json(self) -> dict[str, Any]:
        """The five fields of the contract, and of the others those that hold something."""
        data: dict[str, Any] = {
            "kind": self.kind,
            "severity": self.severity,
            "rows": list(self.rows),
            "message": self.message,
            "fix": self.fix,
        }
        if self.clusters:
            data["clusters"] = [list(cluster) for cluster in self.clusters]
        if self.mends:
            data["mends"] = list(self.mends)
        if self.check:
            data["check"] = self.check
        if self.reasons:
            data["reasons"] = {str(row): reason for row, reason in self.reasons.items()}
        if self.outputs:
            data["outputs"] = {str(row): output for row, output in self.outputs.items()}
        if self.examined is not None:
            data["examined"] = self.examined
        return data


@dataclass(frozen=True, slots=True)
class Removed:
    """A row that is left out, and why."""

    row: int
    reason: str


def flat(clusters: Iterable[Iterable[int]]) -> tuple[int, ...]:
    """All rows of some clusters, ascending, each once."""
    return tuple(sorted({row for cluster in clusters for row in cluster}))


def rows_text(count: int) -> str:
    """`1 row`, `1,200 rows`."""
    return "1 row" if count == 1 else f"{count:,} rows"


def plural(one: str, many: str, count: int) -> str:
    return one if count == 1 else many
