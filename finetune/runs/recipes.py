"""Recipes that travel: one read from a file, told where it is repeated otherwise, and two runs' recipes held side by side."""

from __future__ import annotations

import dataclasses
import difflib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_type_hints

from finetune.errors import FinetuneError
from finetune.runs.store import RECORDED, Run, versions
from finetune.training.recipe import PRESETS, Recipe

FIELDS = tuple(entry.name for entry in dataclasses.fields(Recipe))
# All that one preset sets and another leaves alone: another preset sets every one of them.
OF_PRESETS = frozenset(name for preset in PRESETS.values() for name in preset)
HASH_SHOWN = 12


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same; None where one side has none."""

    name: str
    this: Any
    other: Any


@dataclass(frozen=True)
class Given:
    """A recipe that was read from a file.

    Attributes:
        values: the fields of `Recipe` that it names; the others are the preset's.
        record: the whole object, with what a run adds to its recipe.
    """

    path: Path
    values: dict[str, Any]
    record: dict[str, Any]

    def with_changes(self, preset: str | None, changes: dict[str, Any]) -> tuple[str | None, dict[str, Any]]:
        """The preset, and the values that are set beside it, where something else was asked for on top of the recipe.

        Args:
            preset: given by the user. It wins over every field that any preset sets; the others stay as recorded.
            changes: single fields, which win over all.
        """
        kept = {name: value for name, value in self.values.items() if not preset or name not in OF_PRESETS}
        named = kept.pop("preset", None)
        return preset or named, kept | changes

    def changed(self, recipe: Recipe) -> list[Difference]:
        """What the recipe that came of it has otherwise than the file: `this` is the file's value."""
        return [
            Difference(name, value, getattr(recipe, name))
            for name, value in self.values.items()
            if getattr(recipe, name) != value
        ]

    def remarks(self, sha256: str | None = None) -> list[str]:
        """Sentences on what may make the repeated run another one.

        Args:
            sha256: of the data that it is repeated on; None says nothing of the data.
        """
        said = []
        data = self.record.get("data")
        recorded = data.get("sha256") if isinstance(data, dict) else None
        if sha256 and recorded and sha256 != recorded:
            said.append(
                f"The data is not that of the recipe: its SHA-256 begins with {sha256[:HASH_SHOWN]}, recorded is "
                f"{str(recorded)[:HASH_SHOWN]} ({data.get('name', 'without a name')})."
            )
        made_with = self.record.get("versions")
        if other := _differences(made_with if isinstance(made_with, dict) else {}, versions(), both=True):
            listed = ", ".join(f"{one.name} {one.this} (here {one.other})" for one in other)
            said.append(f"The recipe was made with other versions: {listed}.")
        return said


def read_recipe(path: Path) -> Given:
    """The recipe in a file: a run's `recipe.json` (or the run's directory), or any JSON object of recipe fields.

    Raises:
        FinetuneError: it cannot be read, is no JSON object, or names a field that there is not.
    """
    path = path / "recipe.json" if path.is_dir() else path
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise FinetuneError(
            f"The recipe {path} cannot be read: {error.strerror}.", hint="Give the recipe.json of a run."
        ) from error
    except ValueError as error:
        raise FinetuneError(f"The recipe {path} is no JSON: {error}.", hint="Give the recipe.json of a run.") from error
    if not isinstance(record, dict):
        raise FinetuneError(
            f"The recipe {path} is no JSON object.", hint='Write {"name": value, …} with the fields of a recipe.'
        )
    if unknown := [name for name in record if name not in FIELDS and name not in RECORDED]:
        named = ", ".join(f"“{name}”" for name in unknown)
        raise FinetuneError(f"The recipe {path} has fields that there are not: {named}.", hint=_meant(unknown))
    values = {name: record[name] for name in FIELDS if name in record}
    for name, value in values.items():
        if not isinstance(value, str | int | float):
            raise FinetuneError(
                f"{name} in the recipe {path} is neither a number nor a text: {json.dumps(value)[:80]}."
            )
    if not values:
        raise FinetuneError(f"The recipe {path} sets nothing.", hint="`python -m finetune recipe` lists the fields.")
    return Given(path, values, record)


def fields() -> list[dict]:
    """Every field of a recipe: name, default, bounds (null where there are none), help, and the choices where it has some."""
    hints = get_type_hints(Recipe)
    return [
        {"name": entry.name, "default": entry.default, "low": entry.metadata["low"], "high": entry.metadata["high"]}
        | {"help": entry.metadata["help"], "choices": list(get_args(hints[entry.name])) or None}
        for entry in dataclasses.fields(Recipe)
    ]


def _meant(unknown: list[str]) -> str:
    for name in unknown:
        if near := difflib.get_close_matches(name, FIELDS, 1):
            return f"Did you mean {near[0]}? `python -m finetune recipe` lists the fields."
    return "Take them out; `python -m finetune recipe` lists the fields."


@dataclass(frozen=True)
class Compared:
    """The recipes of two runs, held side by side: only what differs.

    Attributes:
        this, other: ids of the runs.
        fields: of the recipe; empty where both recipes are the same.
        data: name and SHA-256 of the data of both; the same data is still told.
        versions: of Python and the libraries.
        verdict: the decisions, None unless both runs have one.
        scores: of each system of either comparison, where both runs were compared; same ones too.
    """

    this: str
    other: str
    fields: tuple[Difference, ...]
    data: Difference
    versions: tuple[Difference, ...]
    verdict: Difference | None = None
    scores: tuple[Difference, ...] = ()

    @property
    def same_data(self) -> bool:
        return self.data.this["sha256"] == self.data.other["sha256"]

    def as_json(self) -> dict:
        found = dataclasses.asdict(self)
        return found | {"same_data": self.same_data}


def compare_recipes(this: Run, other: Run) -> Compared:
    """What differs between the recipes of two runs, and what came of each."""
    one, two = this.record(), other.record()
    # As it is read, so that a field that one of them does not name yet has its default.
    mine, theirs = this.recipe().as_json(), other.recipe().as_json()
    found = Compared(
        this.id,
        other.id,
        tuple(_differences(mine, theirs)),
        Difference("data", _data(one), _data(two)),
        tuple(_differences(one.get("versions") or {}, two.get("versions") or {})),
    )
    mine, theirs = this.comparison(), other.comparison()
    if mine is None or theirs is None:
        return found
    decisions = Difference("verdict", mine["verdict"]["decision"], theirs["verdict"]["decision"])
    names = list(dict.fromkeys([*mine["systems"], *theirs["systems"]]))
    scores = tuple(Difference(name, _score(mine, name), _score(theirs, name)) for name in names)
    return dataclasses.replace(found, verdict=decisions, scores=scores)


def told(value: Any) -> str:
    """A value of a recipe in words."""
    if isinstance(value, float):
        return f"{value:g}" if float(f"{value:g}") == value else str(value)
    return "–" if value is None or value == "" else str(value)


def _differences(this: dict, other: dict, *, both: bool = False) -> list[Difference]:
    """Where two objects differ, in the order of the first; `both` leaves out what one of them does not name."""
    names = [name for name in dict.fromkeys([*this, *other]) if not both or (name in this and name in other)]
    return [Difference(name, this.get(name), other.get(name)) for name in names if this.get(name) != other.get(name)]


def _data(record: dict) -> dict:
    data = record.get("data") or {}
    return {"name": data.get("name"), "sha256": data.get("sha256")}


def _score(comparison: dict, name: str) -> float | None:
    return (comparison["systems"].get(name) or {}).get("score")
