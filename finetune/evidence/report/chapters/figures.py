"""How a report writes its figures and shortens its texts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from finetune.evidence.report.layout import Text
from finetune.evidence.systems import NAMES, SHORT

SHOWN = 50  # rows of a table with texts
LISTED = 20  # mix-ups, and rows that a cause names
TEXT = 300  # characters of a text


def name_of(system: str) -> str:
    return NAMES.get(system, system)


def head_of(system: str) -> str:
    """The short name, for tables."""
    return SHORT.get(system, system)


def percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.1f}%"


def interval(ends: Sequence[float] | None) -> str:
    return "–" if not ends else f"{100 * ends[0]:.1f} to {100 * ends[1]:.1f}%"


def points(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:+z.1f}"


def points_interval(ends: Sequence[float]) -> str:
    return f"{100 * ends[0]:+z.1f} to {100 * ends[1]:+z.1f}"


def p_value(value: float | None) -> str:
    return "–" if value is None else "under 0.0001" if value < 0.0001 else f"{value:.2g}"


def short(text: str) -> str:
    line = " ".join(str(text).split())
    return line if len(line) <= TEXT else line[: TEXT - 1].rstrip() + "…"


def rest(count: int) -> Iterator[Text]:
    if count > LISTED:
        yield Text(f"The {LISTED} most frequent of {count:,}.", quiet=True)
