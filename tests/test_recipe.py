"""Every parameter once: bounds, presets, and the way from a command line."""

from __future__ import annotations

import dataclasses

import pytest

from finetune.errors import FinetuneError
from finetune.training.recipe import AUTOMATIC, PRESETS, Recipe, describe, parse_setting


def test_every_field_has_help_and_its_default_is_within_its_bounds():
    for entry in dataclasses.fields(Recipe):
        assert entry.metadata["help"], entry.name
    assert Recipe() == Recipe.from_json(Recipe().as_json())


@pytest.mark.parametrize("preset", PRESETS)
def test_presets_are_recipes(preset):
    assert Recipe.from_preset(preset, seed=7).seed == 7
    assert Recipe.from_preset(preset).preset == preset


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"epochs": -1}, "epochs is -1"), ({"rank": 257}, "rank is 257"), ({"quantisation": "int3"}, "int3"),
        ({"batch_size": 2.5}, "whole number"), ({"batch_size": True}, "whole number"), ({"seed": "x"}, "whole number"),
        ({"validation_share": 0.4, "test_share": 0.6}, "too little"), ({"base": 3}, "a text"),
        ({"learning_rate": float("nan")}, "learning_rate"), ({"preset": "huge"}, "huge"),
        # 0 leaves these to the program; a little more is a number like any other.
        ({"epochs": 0.05}, "epochs is 0.05"), ({"max_tokens": 31}, "max_tokens is 31"), ({"dropout": -0.5}, "dropout is -0.5"),
        ({"sweep": True}, "sweep"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_with_their_name(changes, said):
    with pytest.raises(FinetuneError, match=said):
        Recipe(**changes)


def test_settings_of_the_command_line():
    assert parse_setting("epochs=3") == ("epochs", 3.0)
    assert parse_setting("batch_size=4") == ("batch_size", 4)
    assert parse_setting("instruction=Answer: a=b") == ("instruction", "Answer: a=b")
    assert parse_setting("epochs=auto") == ("epochs", 0.0) and parse_setting("dropout=auto") == ("dropout", -1.0)
    assert parse_setting("sweep=yes") == ("sweep", "yes")
    for wrong in ("nothing=1", "epochs", "epochs=many", "batch_size=2.5", "rows=auto"):
        with pytest.raises(FinetuneError):
            parse_setting(wrong)


def test_the_description_names_every_field():
    table = describe()
    assert all(f"`{entry.name}`" in table for entry in dataclasses.fields(Recipe))


def test_an_unknown_field_of_a_newer_run_is_left_to_the_caller():
    assert Recipe.from_json({"rank": 4, "something": 1}).rank == 4


def test_a_recipe_of_numbers_from_before_there_was_a_choice_means_the_same():
    old = {
        "base": "smollm2-135m", "preset": "thorough", "epochs": 5.0, "learning_rate": 0.0, "batch_size": 16, "rank": 32,
        "alpha": 64, "dropout": 0.0, "weight_decay": 0.01, "warmup": 0.0, "max_tokens": 1024, "patience": 5,
    }  # fmt: skip
    recipe = Recipe.from_json(old)
    assert {name: getattr(recipe, name) for name in old} == old
    left = [name for name, auto in AUTOMATIC.items() if getattr(recipe, name) == auto]
    assert left == ["learning_rate"] and recipe.sweep == "no"


def test_presets_leave_open_what_the_program_chooses_and_a_number_closes_it():
    recipe = Recipe.from_preset("standard", rank=4, dropout=0)
    assert (recipe.rank, recipe.dropout, recipe.epochs, recipe.max_tokens) == (4, 0.0, 0.0, 0)
