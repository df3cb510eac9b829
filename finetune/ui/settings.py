"""The form of a run, made from the fields of `Recipe`: their defaults, bounds and help stand there and nowhere else."""

from __future__ import annotations

import dataclasses
import json
from typing import get_args, get_type_hints

import gradio as gr

from finetune.runs import recipes
from finetune.training.recipe import AUTO, AUTOMATIC, PRESET_HELP, PRESETS, Recipe, Tick

# Set on the tab Preview, where their effect is seen.
ELSEWHERE = ("seed",)
LEFT_OPEN = (
    "An empty field is chosen from the rows, the task and the base; what was chosen, and why, stands in the run."
)


def _open_number(**options) -> gr.Number:
    """A number that may be left open. The browser makes 0 of one that has no value when it is first drawn, but not of ""."""
    # No class of its own: Gradio would write a file of types beside this one.
    box = gr.Number(None, placeholder=AUTO, **options)
    box.value, read = "", box.preprocess
    box.preprocess = lambda payload: read(None if payload == "" else payload)
    return box


def more() -> dict[str, gr.components.Component]:
    """A component for every field that the page keeps under «more», by name."""
    hints = get_type_hints(Recipe)
    entries = [entry for entry in dataclasses.fields(Recipe) if entry.metadata["more"] and entry.name not in ELSEWHERE]
    texts = [entry for entry in entries if hints[entry.name] is str]
    parts: dict[str, gr.components.Component] = {}
    gr.HTML(f'<p class="quiet">{LEFT_OPEN}</p>')
    with gr.Row(elem_classes="grid"):
        for entry in entries:
            if entry not in texts:
                parts[entry.name] = _field(entry, hints[entry.name])
    for entry in texts:
        parts[entry.name] = _field(entry, hints[entry.name])
    return parts


def _field(entry: dataclasses.Field, kind: type) -> gr.components.Component:
    shared = {"label": label(entry.name), "info": entry.metadata["help"], "elem_id": f"set-{entry.name}"}
    if kind is Tick:
        return gr.Checkbox(entry.default == "yes", min_width=200, **shared)
    if choices := get_args(kind):
        return gr.Dropdown(list(choices), value=AUTO if AUTO in choices else entry.default, min_width=200, **shared)
    if kind is str:
        return gr.Textbox(entry.default, lines=2, **shared)
    shared |= {
        "maximum": entry.metadata["high"], "precision": 0 if kind is int else None, "step": 1 if kind is int else None,
        "min_width": 200,
    }  # fmt: skip
    # An empty field leaves the choice to the program, and says so.
    if entry.name in AUTOMATIC:
        return _open_number(**shared)
    return gr.Number(entry.default, minimum=entry.metadata["low"], **shared)


def label(name: str) -> str:
    """`learning_rate` → `Learning rate`."""
    return name.replace("_", " ").capitalize()


def field(name: str) -> dataclasses.Field:
    """A field of the recipe by name, for the components that stand outside «more»."""
    return next(entry for entry in dataclasses.fields(Recipe) if entry.name == name)


def presets() -> list[tuple[str, str]]:
    """Labels and values of the presets."""
    return [(f"{name}: {PRESET_HELP[name]}", name) for name in PRESETS]


def form_of(recipe: Recipe, names: list[str]) -> dict[str, object]:
    """What a recipe puts into the fields of this form: nothing where the program chooses, a tick as true or false."""
    hints, found = get_type_hints(Recipe), {}
    for name in names:
        value = getattr(recipe, name)
        emptied = AUTOMATIC.get(name) == value and value != AUTO
        found[name] = None if emptied else value == "yes" if hints[name] is Tick else value
    return found


def recipe_of(preset: str, values: dict[str, object]) -> Recipe:
    """The recipe that the form says; an emptied field takes what the program chooses, or the preset's value.

    Raises:
        FinetuneError: a value is out of its bounds.
    """
    given = {name: value for name, value in values.items() if value is not None}
    emptied = {name: AUTOMATIC[name] for name, value in values.items() if value is None and name in AUTOMATIC}
    ticks = {name: "yes" if value else "no" for name, value in given.items() if isinstance(value, bool)}
    return Recipe.from_preset(preset, **emptied, **(given | ticks))


# What presets set, in the order in which the page fills it in.
OF_PRESETS = sorted(recipes.OF_PRESETS)
_VALUES = json.dumps({name: list(form_of(Recipe.from_preset(name), OF_PRESETS).values()) for name in PRESETS})
# Both are done in the browser: what is typed while a server answers would be lost under its answer.
FILL = f"(preset) => ({_VALUES})[preset]"
FILL_UNTOUCHED = f"""
(advised, preset, ...fields) => {{
  const values = {_VALUES};
  const same = values[{json.dumps(Recipe.preset)}].every((value, at) => value === (fields[at] ?? null));
  const untouched = preset === {json.dumps(Recipe.preset)} && same && advised in values;
  return untouched ? [advised, ...values[advised]] : [preset, ...fields];
}}
"""
