"""When the training pays for itself, in words: for the page, the verdict, the report and the terminal."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from finetune.errors import FinetuneError
from finetune.evidence.money.cost import money, priced_of
from finetune.evidence.money.prices import FILE, Prices
from finetune.evidence.systems import FINE_TUNED, NAMES, SYSTEMS

YEAR_DAYS = 365.25


def span(days: float) -> str:
    """How long it takes: `less than a day`, `1.4 days`, `9 days`, `3.4 years`."""
    if days < 1:
        return "less than a day"
    if days < 2 * YEAR_DAYS:
        told = f"{days:.1f}".removesuffix(".0") if days < 20 else f"{days:,.0f}"
        return "1 day" if told == "1" else f"{told} days"
    years = days / YEAR_DAYS
    return f"{years:.1f} years" if years < 10 else f"{years:,.0f} years" if years < 1000 else "more than 1,000 years"


def sentence(root: Path, comparison: Mapping[str, Any]) -> str:
    """One sentence for the verdict; empty where the prices of the user cannot be read, which the costs themselves tell."""
    try:
        return told(priced_of(comparison, Prices.load(root)))
    except FinetuneError:
        return ""


def told(priced: Mapping[str, Any]) -> str:
    """When the training has paid for itself against the strongest alternative, or why it never does."""
    other = NAMES.get(priced["against"], priced["against"])
    asked = f"{priced['requests_per_day']:,.0f} requests a day"
    days = priced["break_even_days"]
    if days is not None:
        return f"In money it pays for itself after {span(days)} at {asked}, against {other}."
    both = priced["systems"]
    if FINE_TUNED in both and priced["against"] in both:
        tuned, alternative = (money(1000 * both[name]["per_request"]) for name in (FINE_TUNED, priced["against"]))
        if priced["training_cost"] is not None:
            return (
                f"In money it never pays for itself against {other}: 1,000 requests cost {tuned} with the fine-tuned model "
                f"and {alternative} without."
            )
    return f"Whether it pays for itself cannot be said: {priced['reason']}."


def hosted_told(priced: Mapping[str, Any]) -> str:
    """The same against the first hosted model of the table; empty where that cannot be worked out."""
    for one in priced["hosted"]:
        if one["per_request"] is None:
            continue
        if one["break_even_days"] is None:
            return f"Against {one['name']}, hosted, it does not pay for itself: {one['reason']}."
        if one["break_even_days"] == 0:
            return f"Against {one['name']}, hosted, it is cheaper from the first request on."
        return f"Against {one['name']}, hosted, it pays for itself after {span(one['break_even_days'])}."
    return ""


def lines(found: Mapping[str, Any]) -> list[str]:
    """The cost of a comparison, as `priced` gives it, for a terminal."""
    rows = [(NAMES.get(name, name), found["systems"][name]) for name in SYSTEMS if name in found["systems"]]
    rows += [(f"{one['name']} (hosted)", one) for one in found["hosted"] if one["per_request"] is not None]
    training = "unknown" if found["training_cost"] is None else money(found["training_cost"])
    return [
        f"{told(found)} {hosted_told(found)}".strip(),
        f"Cost on {found['machine']}: training {training}; for 1,000 requests, and for a month at "
        f"{found['requests_per_day']:,.0f} requests a day:",
        *(f"  {name:<40} {money(1000 * one['per_request']):>10} {money(one['per_month']):>10}" for name, one in rows),
        *(f"  {note}" for note in found["notes"]),
        f"  Prices of {found['prices_date']}; your own go into {FILE} in the directory of the runs.",
    ]
