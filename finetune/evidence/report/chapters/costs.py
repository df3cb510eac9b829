"""What it costs in money, at the prices that are kept, and when the training has paid for itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from finetune.errors import FinetuneError
from finetune.evidence.money.cost import money, priced_of
from finetune.evidence.money.payback import hosted_told, span, told
from finetune.evidence.money.prices import Prices
from finetune.evidence.report.chapters.figures import head_of
from finetune.evidence.report.layout import Block, Table, Text
from finetune.evidence.systems import SYSTEMS


def costs(comparison: dict, root: Path) -> Iterator[Block]:
    """The costs of a request and of a month."""
    if not comparison.get("cost"):
        return
    try:
        found = priced_of(comparison, Prices.load(root))
    except FinetuneError as error:
        yield Text(str(error))
        return
    yield Text(f"{told(found)} {hosted_told(found)}".strip())
    rows = [[head_of(name), *_cells(found["systems"][name]), "–"] for name in SYSTEMS if name in found["systems"]]
    rows += [
        [f"{one['name']} (hosted)", *_cells(one), "–" if one["training"] is None else money(one["training"])]
        for one in found["hosted"]
    ]
    if found["training_cost"] is not None:
        place = [row[0] for row in rows].index(head_of("fine_tuned"))
        rows[place][-1] = money(found["training_cost"])
    head = (
        "system",
        "1,000 requests",
        f"a month at {found['requests_per_day']:,.0f} a day",
        "the fine-tune pays back",
        "training",
    )
    yield Table(head, rows)
    low, high = found["retrieval_service_per_month"]
    yield Text(f"A retrieval service, ready-made, costs {money(low)} to {money(high)} a month.", quiet=True)
    yield Text(f"On {found['machine']}, at prices of {found['prices_date']}. {' '.join(found['notes'])}", quiet=True)


def _cells(one: dict) -> list[str]:
    request, month = one["per_request"], one["per_month"]
    days = one.get("break_even_days")
    payback = (
        "–"
        if "break_even_days" not in one
        else "never"
        if days is None
        else "at once"
        if days == 0
        else f"after {span(days)}"
    )
    if request is None:
        return ["–", "–", "–"]
    return [money(1000 * request), money(month), payback]
