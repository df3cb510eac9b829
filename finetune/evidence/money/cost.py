"""What a run cost and what a request costs: as measured, and in money at the prices that hold."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from finetune.evidence.money.prices import CURRENCY, Hosted, Prices
from finetune.evidence.systems import FINE_TUNED, NAMES

MONTH_DAYS = 30
DAY_SECONDS = 86_400
REQUESTS_PER_DAY = 1000.0  # where nobody said how many

NOT_PRICED = (
    "Not priced: the time of the people who label rows and look after a model, buying a machine, and its idling."
)


def measured(
    *,
    training_seconds: float | None,
    rows: int,
    seconds: Mapping[str, float],
    tokens: Mapping[str, int],
    tokens_in: Mapping[str, int] | None = None,
    tokens_out: Mapping[str, int] | None = None,
    training_tokens: int | None = None,
    training_cards: int = 1,
    answering_cards: int = 1,
    peak_memory_bytes: int | None = None,
    device: str | None = None,
) -> dict:
    """The "cost" of a comparison, without prices.

    Args:
        training_seconds: wall-clock time of the training; None if it is not known.
        rows: requests that each system answered.
        seconds: system → wall-clock seconds for all of them.
        tokens: system → tokens read and written for all of them; 0 for a system without a language model. `tokens_in`
            are those read, `tokens_out` those written.
        training_tokens: that training read, every pass counted.
        training_cards: GPUs that trained at the same time; each is paid for.
        answering_cards: GPUs that the model lay on as it answered; so are these.
        device: "cpu" or "cuda", where all this was measured.
    """
    if rows < 1:
        raise ValueError("a cost per request needs at least one request")
    cost: dict[str, Any] = {
        "training_seconds": training_seconds,
        "training_tokens": training_tokens,
        "training_cards": training_cards,
        "answering_cards": answering_cards,
        "peak_memory_bytes": peak_memory_bytes,
        "device": device,
        "tokens_per_request": {system: total / rows for system, total in tokens.items()},
        "seconds_per_request": {system: total / rows for system, total in seconds.items()},
    }
    for name, counts in (("tokens_in_per_request", tokens_in), ("tokens_out_per_request", tokens_out)):
        if counts is not None:
            cost[name] = {system: total / rows for system, total in counts.items()}
    return cost


def priced(cost: Mapping[str, Any], prices: Prices, requests_per_day: float, against: str) -> dict:
    """The measured cost in money.

    A request costs its seconds × the price of a second of the machine (rent, or power × price of electricity) × the GPUs
    that the model lies on; the seconds are those of rows answered many at a time. Break-even is the day d on which both have
    cost the same in all: training + d × n × tuned = d × n × other, so d = training / (n × (other - tuned)).

    Args:
        cost: as `measured` gives it; of an older one, keys may be missing.
        requests_per_day: n.
        against: the alternative that the break-even is told for.

    Returns:
        {"requests_per_day", "currency", "prices_date", "machine", "machine_kind", "training_cost" (None if unknown),
        "systems": {name: {"per_request", "per_month", "machine_hours_per_day", "break_even_days", "reason"}},
        "against", "break_even_days" (None: never), "reason" (why never), "hosted": [{"name", "training", "per_request",
        "per_month", "break_even_days", "reason"}], "retrieval_service_per_month": [low, high], "notes": [sentences]}.
        A month has 30 days; the break-even of a system is that of the fine-tuned model against it.
    """
    machine = prices.machine_for(cost.get("device"))
    second = machine.second(prices.electricity.per_kwh)
    cards = cost.get("answering_cards", 1)
    # A system that reads no tokens has no language model: no GPU is taken up by it but that of the machine.
    seconds = {
        name: taken * (cards if cost["tokens_per_request"].get(name) else 1)
        for name, taken in cost["seconds_per_request"].items()
    }
    trained = cost.get("training_seconds")
    training = None if trained is None else trained * cost.get("training_cards", 1) * second
    tuned = seconds[FINE_TUNED] * second if FINE_TUNED in seconds else None
    systems: dict[str, dict] = {}
    for name, taken in seconds.items():
        entry: dict[str, Any] = {
            "per_request": taken * second,
            "per_month": taken * second * requests_per_day * MONTH_DAYS,
            "machine_hours_per_day": cost["seconds_per_request"][name] * requests_per_day / 3600,
        }
        if name != FINE_TUNED:
            entry |= _break_even(training, tuned, 0.0, taken * second, requests_per_day)
        systems[name] = entry
    chosen = systems.get(against, {})
    hosted = [_hosted(cost, one, training, tuned, requests_per_day) for one in prices.hosted]
    return {
        "requests_per_day": requests_per_day,
        "currency": CURRENCY,
        "prices_date": prices.date,
        "machine": machine.name,
        "machine_kind": machine.kind,
        "training_cost": training,
        "systems": systems,
        "against": against,
        "break_even_days": chosen.get("break_even_days"),
        "reason": chosen.get("reason", "it was not part of this comparison"),
        "hosted": hosted,
        "retrieval_service_per_month": [
            prices.retrieval_service.low_per_month, prices.retrieval_service.high_per_month
        ],
        "notes": _notes(cost, prices, machine, systems, hosted),
    }  # fmt: skip


def priced_of(comparison: Mapping[str, Any], prices: Prices) -> dict:
    """The cost of a comparison in money, at the requests a day that were chosen last."""
    asked = prices.requests_per_day or REQUESTS_PER_DAY
    return priced(_whole(comparison), prices, asked, comparison["paired"]["against"])


def _whole(comparison: Mapping[str, Any]) -> dict:
    """The cost with what older comparisons have in other places."""
    cost, rows = dict(comparison["cost"]), comparison["test_rows"]
    cost.setdefault("training_tokens", None)
    if cost["training_tokens"] is None:
        cost["training_tokens"] = (comparison.get("training") or {}).get("tokens")
    for name in ("tokens_in", "tokens_out"):
        if f"{name}_per_request" not in cost:
            found = {system: entry[name] / rows for system, entry in comparison["systems"].items() if name in entry}
            if found:
                cost[f"{name}_per_request"] = found
    return cost


def _break_even(
    setup: float | None, request: float | None, other_setup: float, other_request: float, requests_per_day: float
) -> dict:
    """The day from which the fine-tuned model has cost less in all than another way, or why there is none."""
    if setup is None or request is None:
        return {"break_even_days": None, "reason": "the time that the training took is not known"}
    ahead, saved = setup - other_setup, (other_request - request) * requests_per_day
    if saved > 0:
        return {"break_even_days": max(0.0, ahead / saved), "reason": ""}
    if ahead <= 0 and saved == 0:
        return {"break_even_days": 0.0, "reason": ""}
    word = "no less" if saved == 0 else "more"
    return {"break_even_days": None, "reason": f"a request costs {word} with the fine-tuned model"}


def _hosted(
    cost: Mapping[str, Any], model: Hosted, training: float | None, tuned: float | None, requests_per_day: float
) -> dict:
    """A hosted model that is fine-tuned on the same rows and asked as ours is, by the tokens of ours."""
    read = (cost.get("tokens_in_per_request") or {}).get(FINE_TUNED)
    written = (cost.get("tokens_out_per_request") or {}).get(FINE_TUNED)
    tokens = cost.get("training_tokens")
    setup = request = None
    if tokens is not None and model.training_per_million is not None:
        setup = tokens / 1e6 * model.training_per_million
    if None not in (read, written, model.input_per_thousand, model.output_per_thousand):
        request = read / 1000 * model.input_per_thousand + written / 1000 * model.output_per_thousand
    if model.input_per_thousand is None or model.output_per_thousand is None:
        payback: dict[str, Any] = {"break_even_days": None, "reason": "the table holds no price for its requests"}
    elif request is None:
        payback = {"break_even_days": None, "reason": "tokens read and written were not counted apart: compare again"}
    elif setup is None:
        payback = {"break_even_days": None, "reason": "what its training would cost is not known"}
    else:
        payback = _break_even(training, tuned, setup, request, requests_per_day)
    month = None if request is None else request * requests_per_day * MONTH_DAYS
    return {"name": model.name, "training": setup, "per_request": request, "per_month": month} | payback


def _notes(
    cost: Mapping[str, Any], prices: Prices, machine: Any, systems: Mapping[str, dict], hosted: list
) -> list[str]:
    """What has to be known to read the figures."""
    notes = []
    measured_on = {"cpu": "a processor", "cuda": "a graphics card"}.get(cost.get("device") or "")
    if measured_on and machine.kind != cost["device"]:
        notes.append(
            f"The times were measured on {measured_on}, and the machine chosen here is of another kind: these sums are a "
            "guess. Compare again on such a machine to know."
        )
    elif machine.per_hour is not None:
        notes.append("The times are those of the machine that made the comparison: on a rented one they may be others.")
    if machine.per_hour is not None:
        whole = machine.per_hour * 24 * MONTH_DAYS
        notes.append(
            f"A rented machine is priced by the seconds in use. One that is never switched off costs {money(whole)} a "
            "month, whichever system answers."
        )
    busy = {name: entry["machine_hours_per_day"] for name, entry in systems.items()}
    if full := [f"{NAMES.get(name, name)} ({hours:,.0f} hours a day)" for name, hours in busy.items() if hours > 24]:
        notes.append(f"One such machine is not enough at this number of requests for: {', '.join(full)}.")
    for one in hosted:
        if one["per_request"] is None:
            notes.append(f"What requests to {one['name']} would cost is not known: {one['reason']}.")
    if any(one["per_request"] is not None for one in hosted):
        notes.append("Hosted models are priced by the tokens of this base; they count a little differently themselves.")
    return [*notes, NOT_PRICED]


def money(amount: float) -> str:
    """An amount in dollars with as many digits as it needs: $1,240, $12.40, $0.0046."""
    if amount >= 1000:
        return f"${amount:,.0f}"
    if amount >= 1 or amount == 0:
        return f"${amount:.2f}"
    # Two digits that count, and never the e of scientific notation.
    decimals = min(15, max(2, math.ceil(-math.log10(amount)) + 1))
    return f"${amount:.{decimals}f}"
