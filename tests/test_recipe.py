"""Every parameter once: bounds, presets, and the way from a command line."""

from __future__ import annotations

import dataclasses

import pytest

from finetune.errors import FinetuneError
from finetune.training.recipe import PRESETS, Recipe, describe, parse_setting


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
        ({"epochs": -1}, "epochs is -1"), ({"rank": 0}, "rank is 0"), ({"quantisation": "int3"}, "int3"),
        ({"batch_size": 2.5}, "whole number"), ({"batch_size": True}, "whole number"), ({"seed": "x"}, "whole number"),
        ({"validation_share": 0.4, "test_share": 0.6}, "too little"), ({"base": 3}, "a text"),
        ({"learning_rate": float("nan")}, "learning_rate"), ({"preset": "huge"}, "huge"),
    ],
)  # fmt: skip
def test_wrong_values_are_refused_with_their_name(changes, said):
    with pytest.raises(FinetuneError, match=said):
        Recipe(**changes)


def test_settings_of_the_command_line():
    assert parse_setting("epochs=3") == ("epochs", 3.0)
    assert parse_setting("batch_size=4") == ("batch_size", 4)
    assert parse_setting("instruction=Answer: a=b") == ("instruction", "Answer: a=b")
    for wrong in ("nothing=1", "epochs", "epochs=many", "batch_size=2.5"):
        with pytest.raises(FinetuneError):
            parse_setting(wrong)


def test_the_description_names_every_field():
    table = describe()
    assert all(f"`{entry.name}`" in table for entry in dataclasses.fields(Recipe))


def test_an_unknown_field_of_a_newer_run_is_left_to_the_caller():
    assert Recipe.from_json({"rank": 4, "something": 1}).rank == 4
