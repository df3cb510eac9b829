"""Every parameter of a run, defined once: the page, the command line and the README are made from these fields."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args, get_type_hints

from finetune.errors import FinetuneError

Preset = Literal["pilot", "standard", "thorough"]
Quantisation = Literal["auto", "nf4", "none"]
LogTo = Literal["none", "tensorboard", "trackio", "wandb"]
Tick = Literal["no", "yes"]
# Tokens of a row that no base of today is trained on: where neither recipe nor base sets a bound.
LONGEST = 131_072


AUTO = "auto"


def _parameter(
    default: Any, help: str, low: float | None = None, high: float | None = None, *, more: bool = True,
    auto: float | str | None = None,
) -> Any:  # fmt: skip
    """A field with its bounds, one line of help, and whether the page keeps it under «more».

    Args:
        auto: the value that leaves the choice to the program; 0 where no recipe could mean it otherwise. The presets leave
            every such field so. `default` is the number that holds where a recipe.json does not name the field.
    """
    return field(default=default, metadata={"help": help, "low": low, "high": high, "more": more, "auto": auto})


@dataclass(frozen=True)
class Recipe:
    """What a run was asked to do. What the program decides itself is in the run's `plan`, each value with its reason.

    `Recipe.from_preset` leaves open what the program can choose from the data; `Recipe()` has a number for all but the rate.
    """

    base: str = _parameter(
        "smollm2-135m", "the model to fine-tune: a name of the gallery, a Hub name, or a folder", more=False
    )
    preset: Preset = _parameter("standard", "how thorough the run is", more=False)
    rows: int = _parameter(0, "training rows at most, with the labels in proportion; 0 takes all of them", 0, 1_000_000)
    epochs: float = _parameter(2.0, "passes over the training rows at most", 0.1, 50, auto=0.0)
    max_minutes: float = _parameter(0.0, "time box of the training in minutes; 0 sets none", 0, 10_000, more=False)
    learning_rate: float = _parameter(0.0, "peak learning rate", 0, 0.1, auto=0.0)
    sweep: Tick = _parameter(
        "no",
        "try learning rates around the chosen one on a slice of the rows first; takes a quarter of the time box at most",
    )
    curve: Tick = _parameter(
        "no",
        "train on 12, 25 and 50% of the rows too, and tell what twice the rows would bring; nearly doubles the time",
    )
    batch_size: int = _parameter(16, "rows that make one step", 1, 1024, auto=0)
    rank: int = _parameter(16, "rank of the adapter (LoRA r)", 1, 256, auto=0)
    alpha: int = _parameter(32, "scale of the adapter (LoRA alpha)", 1, 1024, auto=0)
    dropout: float = _parameter(0.05, "share of the adapter's inputs dropped while training", 0, 0.9, auto=-1.0)
    weight_decay: float = _parameter(0.01, "pull of the adapter's weights towards zero", 0, 1)
    warmup: float = _parameter(0.06, "share of the steps in which the learning rate rises", 0, 0.5, auto=-1.0)
    quantisation: Quantisation = _parameter(
        "nf4",
        "how the base is held: nf4 is QLoRA (4 bits), none is plain LoRA; auto takes none where it fits",
        auto=AUTO,
    )
    max_tokens: int = _parameter(
        1024, "longest row in tokens; a longer input is cut at its end, never the answer", 32, LONGEST, auto=0
    )
    max_new_tokens: int = _parameter(128, "longest answer generated in the comparison, in tokens", 1, 4096)
    compare_rows: int = _parameter(
        1000,
        "test rows compared at most, with the labels in proportion, and half as many validation rows; 0 takes all",
        0,
        1_000_000,
    )
    evaluations: int = _parameter(4, "looks at the validation rows in each epoch", 1, 100)
    patience: int = _parameter(3, "looks without a better validation loss after which training stops", 1, 100, auto=0)
    validation_share: float = _parameter(
        0.15, "share of the rows that choose checkpoint and prompt", 0.02, 0.45, more=False
    )
    test_share: float = _parameter(0.15, "share of the rows held out for the verdict", 0.02, 0.6, more=False)
    seed: int = _parameter(0, "seed of the split, the adapter and the order of the rows", 0, 2**31 - 1)
    instruction: str = _parameter("", "the instruction put before every input; empty takes one made from the task")
    log_to: LogTo = _parameter("none", "where the course of the training is logged too, if that library is installed")

    def __post_init__(self) -> None:
        hints = get_type_hints(Recipe)
        for entry in dataclasses.fields(self):
            value, kind = getattr(self, entry.name), hints[entry.name]
            if choices := get_args(kind):
                if value not in choices:
                    raise FinetuneError(
                        f"“{value}” is not a value of {entry.name}.", hint=f"Take one of: {', '.join(choices)}."
                    )
                continue
            if kind is float and isinstance(value, int) and not isinstance(value, bool):
                value = float(value)
                object.__setattr__(self, entry.name, value)
            if not isinstance(value, kind) or isinstance(value, bool):
                raise FinetuneError(f"{entry.name} must be {_kind_name(kind)}, not “{value}”.")
            low, high, auto = (entry.metadata[name] for name in ("low", "high", "auto"))
            if low is not None and not low <= value <= high and value != auto:
                raise FinetuneError(f"{entry.name} is {value:g}.", hint=f"Choose a value from {low:g} to {high:g}.")
        if self.validation_share + self.test_share > 0.9:
            raise FinetuneError(
                f"Validation ({self.validation_share:.0%}) and test ({self.test_share:.0%}) leave too little to train on.",
                hint="Keep at least a tenth of the rows for training.",
            )

    def as_json(self) -> dict:
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, data: dict) -> Recipe:
        """The recipe in a run's `recipe.json`; unknown fields (hashes, versions) are left to the caller."""
        names = {entry.name for entry in dataclasses.fields(cls)}
        return cls(**{name: value for name, value in data.items() if name in names})

    @classmethod
    def from_preset(cls, preset: str, **changes: Any) -> Recipe:
        """The recipe of a preset, with single values replaced."""
        if preset not in PRESETS:
            raise FinetuneError(f"There is no preset “{preset}”.", hint=f"Take one of: {', '.join(PRESETS)}.")
        return cls(**{"preset": preset, **AUTOMATIC, **PRESETS[preset], **changes})


# The fields that the program can choose, with the value that leaves it to do so.
AUTOMATIC: dict[str, Any] = {
    entry.name: entry.metadata["auto"]
    for entry in dataclasses.fields(Recipe)
    if entry.metadata["auto"] is not None
}  # fmt: skip

PRESETS: dict[str, dict[str, Any]] = {
    # The usual advice is to start with a pilot of 50-100 rows: cheap, and enough to see whether anything is learned.
    "pilot": {"rows": 100, "max_minutes": 6.0, "evaluations": 1, "compare_rows": 150},
    "standard": {},
    # What it asks for more of is chosen with the rest: see `choose`.
    "thorough": {},
}

PRESET_HELP: dict[str, str] = {
    "pilot": "100 rows, a few minutes: does anything get learned?",
    "standard": "all rows, as many passes as they need",
    "thorough": "all rows, up to twice the passes, a larger adapter, more patience",
}


def shown(name: str, value: Any) -> Any:
    """A value of a field as a person should read it: “auto” where it leaves the choice to the program."""
    return AUTO if name in AUTOMATIC and value == AUTOMATIC[name] else value


def parse_setting(text: str) -> tuple[str, Any]:
    """`name=value` of the command line as the field's name and a value of its type."""
    name, equals, value = text.partition("=")
    name = name.strip()
    hints = get_type_hints(Recipe)
    if not equals or name not in hints:
        raise FinetuneError(f"“{text}” sets nothing.", hint=f"Write name=value with one of: {', '.join(hints)}.")
    kind = hints[name]
    if value.strip() == AUTO and name in AUTOMATIC:
        return name, AUTOMATIC[name]
    if kind in (int, float):
        try:
            return name, kind(value)
        except ValueError:
            raise FinetuneError(f"{name} must be {_kind_name(kind)}, not “{value}”.") from None
    return name, value


def _kind_name(kind: type) -> str:
    return {int: "a whole number", float: "a number", str: "a text"}[kind]


def describe() -> str:
    """The fields as a Markdown table, for the README and the help of the command line."""
    lines = ["| name | default | range | what it is |", "|---|---|---|---|"]
    hints = get_type_hints(Recipe)
    for entry in dataclasses.fields(Recipe):
        low, high = entry.metadata["low"], entry.metadata["high"]
        choices = get_args(hints[entry.name])
        bounds = ", ".join(choices) if choices else (f"{low:g} to {high:g}" if low is not None else "")
        default = json.dumps(entry.default)
        if entry.name in AUTOMATIC:
            default, bounds = AUTO, bounds if AUTO in choices else f"{AUTO}, {bounds}"
        lines.append(f"| `{entry.name}` | {default} | {bounds} | {entry.metadata['help']} |")
    return "\n".join(lines)
