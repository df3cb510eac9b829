"""The day of break-even as a drawing: what both ways have cost in all by each day, and where the lines cross."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from finetune.evidence.money.cost import money
from finetune.evidence.money.payback import told
from finetune.evidence.systems import FINE_TUNED
from finetune.ui.compare.scores import name_of
from finetune.ui.notice import escape

WIDTH, HEIGHT = 300, 150  # of the plot, in the drawing's own units
LEFT, TOP = 58, 46
# Name and length in days of the units of time, the longest first.
UNITS = (("years", 365.25), ("days", 1.0), ("hours", 1 / 24), ("minutes", 1 / 1440), ("seconds", 1 / 86_400))


def drawn(priced: Mapping[str, Any]) -> str:
    """Inline SVG, from the start to twice the break-even; a sentence where the lines never cross."""
    days, systems, training = priced["break_even_days"], priced["systems"], priced["training_cost"]
    if not days or not training:
        why = priced["reason"] or "the training costs nothing at these prices"
        return f'<p class="quiet" id="no-break-even">There is no day of break-even to draw: {escape(why)}.</p>'
    daily = {
        name: systems[name]["per_request"] * priced["requests_per_day"] for name in (FINE_TUNED, priced["against"])
    }
    end = 2 * days
    top = max(training + end * daily[FINE_TUNED], end * daily[priced["against"]])

    def at(day: float, cost: float) -> str:
        return f"{LEFT + WIDTH * day / end:.1f},{TOP + HEIGHT * (1 - cost / top):.1f}"

    tuned = f"{at(0, training)} {at(end, training + end * daily[FINE_TUNED])}"
    other = f"{at(0, 0)} {at(end, end * daily[priced['against']])}"
    across, up = at(days, days * daily[priced["against"]]).split(",")
    unit, length = next(
        ((name, size) for name, size in UNITS if days >= (2 * size if name == "years" else size)), UNITS[-1]
    )
    ticks = "".join(
        f'<text x="{LEFT + WIDTH * share}" y="{TOP + HEIGHT + 15}" text-anchor="middle">{_short(end * share / length)}</text>'
        f'<text x="{LEFT - 6}" y="{TOP + HEIGHT * (1 - share) + 4:.1f}" text-anchor="end">{money(top * share)}</text>'
        for share in (0, 0.5, 1)
    )
    return (
        f'<svg class="drawn costs" viewBox="0 0 {LEFT + WIDTH + 22} {TOP + HEIGHT + 38}" role="img" '
        f'aria-label="{escape(told(priced))}">'
        f"{_named('line', 12, name_of(FINE_TUNED))}{_named('other', 28, name_of(priced['against']))}"
        f'<rect x="{LEFT}" y="{TOP}" width="{WIDTH}" height="{HEIGHT}" class="frame"/>{ticks}'
        f'<polyline points="{across},{up} {across},{TOP + HEIGHT}" class="even"/>'
        f'<polyline points="{other}" class="other"/><polyline points="{tuned}" class="line"/>'
        f'<circle cx="{across}" cy="{up}" r="4.5" class="meet"><title>{escape(told(priced))}</title></circle>'
        f'<text x="{LEFT + WIDTH / 2}" y="{TOP + HEIGHT + 32}" text-anchor="middle">{unit} in use</text>'
        f'<text x="11" y="{TOP + HEIGHT / 2}" text-anchor="middle" transform="rotate(-90 11 {TOP + HEIGHT / 2})">'
        "cost in all</text></svg>"
    )


def _named(line: str, height: int, name: str) -> str:
    return (
        f'<polyline points="{LEFT},{height} {LEFT + 20},{height}" class="{line}"/>'
        f'<text x="{LEFT + 26}" y="{height + 4}" class="name">{escape(name)}</text>'
    )


def _short(number: float) -> str:
    """9.3, 140, 1,200."""
    return f"{number:,.0f}" if number >= 20 or number == round(number) else f"{number:.1f}"
