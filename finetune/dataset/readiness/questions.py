"""What the data cannot tell: how much is asked, how fast the truth changes, what a mistake costs, what gain counts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from finetune.errors import FinetuneError

# From the calmest to the most pressing: the rules of readiness count on the order.
Changes = Literal["never", "yearly", "monthly", "weekly", "daily"]
Costs = Literal["little", "some", "much"]


def _question(
    default: Any,
    label: str,
    help: str,
    *,
    choices: Mapping[str, str] | None = None,
    low: float | None = None,
    high: float | None = None,
    share: bool = False,
) -> Any:
    """A field with the label that the page shows, one line of help, and its choices (value → words) or its bounds.

    `share` marks a share of 1 that people write as a percentage.
    """
    told = {"label": label, "help": help, "choices": dict(choices or {}), "low": low, "high": high, "share": share}
    return field(default=default, metadata=told)


@dataclass(frozen=True)
class Questions:
    """The answers of the user, or the defaults. Page and command line are made from these fields.

    Raises:
        FinetuneError: an answer that is none of the choices, out of bounds or of another type.
    """

    requests_a_day: int = _question(
        1000,
        "Requests a day",
        "how often the model will be asked once it is in use",
        low=1,
        high=1_000_000_000,
    )
    knowledge_changes: Changes = _question(
        "yearly",
        "The right answers change",
        "how often something changes that makes an answer of today wrong: prices, rules, stock",
        choices={
            "never": "never",
            "yearly": "once a year or so",
            "monthly": "every month",
            "weekly": "every week",
            "daily": "every day",
        },
    )
    wrong_costs: Costs = _question(
        "some",
        "A wrong answer costs",
        "what happens when the model is wrong and nobody looks",
        choices={
            "little": "little: it is noticed and put right",
            "some": "some: time, or an annoyed customer",
            "much": "much: money, health or somebody's rights",
        },
    )
    want: float = _question(
        0.05,
        "Smallest gain that counts",
        "how much better than the best alternative it must be to be worth the work, as a share of the answers",
        low=0.005,
        high=0.5,
        share=True,
    )

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Questions:
        """The answers of a report or a form; what is absent keeps its default, fields of a newer version are ignored."""
        names = {entry.name for entry in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in names})


def parse_answer(text: str) -> tuple[str, Any]:
    """`name=value` as the field's name and a value of its type; a share may be written as a percentage.

    Raises:
        FinetuneError: no such question, or an answer that does not fit it.
    """
    name, equals, value = (part.strip() for part in text.partition("="))
    entries = {entry.name: entry for entry in dataclasses.fields(Questions)}
    if not equals or name not in entries:
        raise FinetuneError(
            f"“{text}” answers no question.", hint=f"Write name=value with one of: {', '.join(entries)}."
        )
    entry = entries[name]
    if entry.metadata["choices"]:
        return name, _checked(entry, value)
    try:
        if entry.metadata["share"] and value.endswith("%"):
            return name, _checked(entry, float(value[:-1]) / 100)
        number = float(value.replace(",", "").replace("_", ""))
    except ValueError:
        raise FinetuneError(f"{name} must be a number, not “{value}”.") from None
    return name, _checked(entry, number)


def _checked(entry: dataclasses.Field, value: Any) -> Any:
    """The answer in the field's own type, or the sentence that says what is wrong with it."""
    told = entry.metadata
    if choices := told["choices"]:
        if not isinstance(value, str) or value not in choices:
            raise FinetuneError(
                f"“{value}” is not an answer to {entry.name}.", hint=f"Take one of: {', '.join(choices)}."
            )
        return value
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise FinetuneError(f"{entry.name} must be a number, not “{value}”.")
    if not told["low"] <= value <= told["high"]:
        low, high = (f"{told[end]:g}" if told["share"] else f"{told[end]:,}" for end in ("low", "high"))
        raise FinetuneError(f"{entry.name} is {value:g}.", hint=f"Choose a value from {low} to {high}.")
    if told["share"]:
        return float(value)
    if value != int(value):
        raise FinetuneError(f"{entry.name} must be a whole number, not “{value:g}”.")
    return int(value)  # gr.Number hands over 1000.0
