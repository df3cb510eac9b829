"""Which of the compared rows are looked at: by what changed, by label, by a text in them, and how many are of each kind."""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from finetune.evidence.measures.calibration import SURE
from finetune.evidence.systems import FINE_TUNED, SYSTEMS
from finetune.runs.store import Run

PAGE = 10
KINDS: dict[str, str] = {
    "all": "all", "better": "better", "worse": "worse", "same": "same", "sure": "sure but wrong", "broken": "breaks a rule",
}  # fmt: skip
# These are offered only where a row can be of that kind at all.
SPECIAL = ("sure", "broken")
NOTHING = 1e-9  # scores nearer than this are the same


@dataclass(frozen=True)
class Choice:
    """Which rows are wanted.

    Attributes:
        against: the system that the fine-tuned model is held against.
        kind: one of KINDS.
        label: expected, or answered by one of the two; empty takes all.
        search: text in the input, the expected answer or any output, capitals aside; empty takes all.
    """

    against: str = "base"
    kind: str = "all"
    label: str = ""
    search: str = ""


def lines_of(run: Run) -> Sequence[dict]:
    """The rows of the comparison that stands now, read once for each state of the file. Not to be changed."""
    path = run.directory / "outputs.jsonl"
    try:
        found = path.stat()
    except FileNotFoundError:
        return []
    return _lines(run.directory, found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=4)
def _lines(directory: Path, modified: int, size: int) -> Sequence[dict]:
    return Run(directory).outputs()


def present(lines: Sequence[dict]) -> list[str]:
    """The systems that answered, in the order of SYSTEMS."""
    return [system for system in SYSTEMS if any(system in line["outputs"] for line in lines)]


def ordered(systems: Sequence[str], against: str) -> list[str]:
    """The two that are compared, then the others."""
    return sorted(systems, key=lambda name: (name != against) + (name not in (against, FINE_TUNED)))


def outcome(line: dict, against: str) -> str:
    """better, worse or same: the fine-tuned model against the other; empty where one of them has no score."""
    tuned, other = line["scores"].get(FINE_TUNED), line["scores"].get(against)
    if tuned is None or other is None:
        return ""
    gain = tuned - other
    return "better" if gain > NOTHING else "worse" if gain < -NOTHING else "same"


def sure_but_wrong(line: dict) -> bool:
    """Whether the fine-tuned model held a wrong label for nearly certain."""
    if (said := line.get("sure_but_wrong")) is not None:
        return bool(said)
    shares = line.get("probabilities", {}).get(FINE_TUNED)
    return bool(shares) and max(shares.values()) >= SURE and line["scores"].get(FINE_TUNED) == 0


def broken(line: dict, system: str) -> list[str]:
    """The user's rules that a system's answer breaks."""
    return list((line.get("broken") or {}).get(system) or ())


def chosen(lines: Sequence[dict], choice: Choice) -> list[dict]:
    """The rows of that choice, in their order."""
    wanted = choice.search.strip().casefold()
    return [
        line
        for line in lines
        if choice.kind in _kinds(line, choice.against)
        and (not choice.label or choice.label in _labels(line, choice.against))
        and (not wanted or any(wanted in str(text).casefold() for text in _texts(line)))
    ]


def kinds(lines: Sequence[dict], choice: Choice) -> list[tuple[str, str]]:
    """(text with the number of rows, kind) for the filter by kind, under the other filters of the choice."""
    found = chosen(lines, dataclasses.replace(choice, kind="all"))
    counts = Counter(kind for line in found for kind in _kinds(line, choice.against))
    offered = [
        kind
        for kind in KINDS
        if kind not in SPECIAL or kind == choice.kind or any(kind in _kinds(line, choice.against) for line in lines)
    ]
    return [(f"{KINDS[kind]} {counts[kind]:,}", kind) for kind in offered]


def labels(lines: Sequence[dict], choice: Choice, names: Sequence[str]) -> list[tuple[str, str]]:
    """(text with the number of rows, label) for the filter by label, under the other filters; "" is any label.

    Args:
        names: the labels of the run.
    """
    found = chosen(lines, dataclasses.replace(choice, label=""))
    counts = Counter(label for line in found for label in _labels(line, choice.against))
    return [(f"any {len(found):,}", ""), *((f"{name} {counts[name]:,}", name) for name in names)]


def pages(found: Sequence[dict]) -> int:
    """At least one, though it may be empty."""
    return max(1, -(-len(found) // PAGE))


def _kinds(line: dict, against: str) -> Iterator[str]:
    yield "all"
    yield outcome(line, against)
    if sure_but_wrong(line):
        yield "sure"
    if broken(line, against) or broken(line, FINE_TUNED):
        yield "broken"


def _labels(line: dict, against: str) -> set[str]:
    return {line["expected"], line["outputs"].get(against), line["outputs"].get(FINE_TUNED)} - {None}


def _texts(line: dict) -> list[str]:
    return [line["input"], line["expected"], *line["outputs"].values(), *line.get("generated", {}).values()]
