"""What is chosen from the data, the reasons, and how a run finds it again."""

from __future__ import annotations

import dataclasses

import pytest

from finetune.model.gallery import find
from finetune.model.machine import Device
from finetune.model.memory import GIB
from finetune.training.choose import Facts, again, choose, chosen_values, most_tokens, settled, without_data
from finetune.training.plan import Choice, Plan, steps_of
from finetune.training.recipe import AUTOMATIC, LONGEST, Recipe

SMALL = find("smollm2-135m").shape


def facts(task="classification", rows=600, **changes) -> Facts:
    return Facts(task, rows, **{"labels": 3 if task == "classification" else 0, "longest": 90} | changes)


def plan(recipe: Recipe, rate: float) -> Plan:
    return Plan("cpu", "float32", recipe.quantisation, recipe.batch_size, 1, False, rate, 10, 5, None, ())


def chosen(preset="standard", given: Facts | None = None, **changes) -> Recipe:
    return choose(Recipe.from_preset(preset, **changes), given or facts())[0]


@pytest.mark.parametrize("preset", ["pilot", "standard", "thorough"])
@pytest.mark.parametrize("rows", [1, 7, 100, 5_000, 200_000])
@pytest.mark.parametrize("task", ["classification", "instruction", "chat"])
def test_every_value_is_a_number_within_its_bounds_and_has_a_reason(preset, rows, task):
    recipe, told = choose(Recipe.from_preset(preset), facts(task, rows, shape=SMALL, answer_tokens=rows * 30))
    left = [name for name, auto in AUTOMATIC.items() if getattr(recipe, name) == auto]
    assert left == ["learning_rate"]  # that of the plan
    assert {one.name for one in told} == {name.replace("_", " ") for name in AUTOMATIC} - {"learning rate"}
    assert all(one.value and one.reason for one in told)
    assert steps_of(recipe, rows) >= 1


def test_a_number_of_the_users_own_is_left_alone_and_needs_no_reason():
    recipe, told = choose(Recipe.from_preset("standard", epochs=7, dropout=0, warmup=0, rank=4), facts())
    assert (recipe.epochs, recipe.dropout, recipe.warmup, recipe.rank) == (7, 0, 0, 4)
    assert not {"epochs", "dropout", "warmup", "rank"} & {one.name for one in told}
    explicit = Recipe()
    assert choose(explicit, facts()) == (explicit, ())


def test_few_rows_get_small_steps_and_labels_with_few_rows_more_passes():
    assert [chosen(given=facts(rows=rows)).batch_size for rows in (40, 100, 600, 3000)] == [4, 8, 16, 32]
    passes = [chosen(given=facts(rows=1000, labels=labels)).epochs for labels in (77, 20, 3)]
    assert passes == sorted(passes, reverse=True) and passes[0] > passes[-1]


def test_free_text_is_read_less_often_and_dropped_more_from():
    text, labels = chosen(given=facts("instruction", 100)), chosen(given=facts(rows=100))
    assert text.epochs == 2 < labels.epochs and text.dropout > labels.dropout
    many = chosen(given=facts("instruction", 50_000))
    assert many.epochs == 1 and many.dropout == 0


def test_the_first_steps_of_a_short_run_are_warmed_up():
    short = chosen(given=facts(rows=100))
    assert 8 <= short.warmup * steps_of(short, 100) <= 12
    # A run of a handful of steps must not spend half of them rising.
    tiny = chosen(given=facts("instruction", 20))
    assert tiny.warmup * steps_of(tiny, 20) <= 0.21 * steps_of(tiny, 20)


def test_a_thorough_run_does_more_of_it():
    standard, thorough = chosen(), chosen("thorough")
    for name in ("epochs", "rank", "patience"):
        assert getattr(thorough, name) == 2 * getattr(standard, name)
    # The scale stays, or another rank would need another rate.
    assert thorough.alpha == standard.alpha == 32


def test_the_rank_follows_the_tokens_that_are_learned():
    few = chosen(given=facts("instruction", 500, shape=SMALL, answer_tokens=50_000))
    many = chosen(given=facts("instruction", 500, shape=SMALL, answer_tokens=6_000_000))
    assert few.rank == 16 and many.rank == 32
    assert SMALL.adapter_parameters(many.rank) >= 6_000_000


def test_the_longest_row_is_not_cut_while_base_and_memory_can_take_it():
    assert chosen(given=facts(longest=90)).max_tokens == 1024
    recipe, told = choose(Recipe.from_preset("standard"), facts(longest=3001, context=8192))
    assert recipe.max_tokens == 3008 and "nothing is cut" in told[-1].reason
    recipe, told = choose(Recipe.from_preset("standard"), facts(longest=9000, context=8192))
    assert recipe.max_tokens == 8192 and "9,000" in told[-1].reason and "are cut" in told[-1].reason
    small = choose(Recipe.from_preset("standard"), facts(longest=90, context=512))
    assert small[0].max_tokens == 512 and "are cut" not in small[1][-1].reason


def test_what_does_not_fit_into_the_memory_bounds_a_row_too():
    device = Device("cuda", "a GPU", 8 * GIB, 8 * GIB, 8)
    wanted = Recipe.from_preset("standard", base="qwen3-4b")
    recipe, told = choose(wanted, facts(longest=60_000, context=262_144, device=device, shape=find("qwen3-4b").shape))
    assert 512 <= recipe.max_tokens < 60_000 and "memory" in told[-1].reason
    roomy = Device("cuda", "a GPU", 700 * GIB, 700 * GIB, 8)
    recipe, _ = choose(wanted, facts(longest=60_000, context=262_144, device=roomy, shape=find("qwen3-4b").shape))
    assert recipe.max_tokens == 60_032


def test_a_row_counts_as_cut_only_beyond_what_the_base_takes():
    assert most_tokens(256, "smollm2-135m") == 256
    assert most_tokens(0, "smollm2-135m") == 8192
    assert most_tokens(0, "owner/unknown") == most_tokens(0, "qwen3-4b") == LONGEST


def test_an_estimate_before_there_is_data_has_numbers():
    assert without_data(Recipe.from_preset("pilot")).batch_size == 8
    made = without_data(Recipe.from_preset("standard"), context=8192, longest=4000)
    assert made.batch_size == 16 and made.rank == 16 and made.max_tokens >= 4000


def test_a_base_is_held_as_it_is_where_that_fits():
    """And in 4 bits where it does not, or where nobody knows how large it is; what was asked for by name is done."""
    asked = Recipe.from_preset("standard")

    def held(gigabytes: float, base: str = "qwen3-8b", **changes) -> tuple[Recipe, dict[str, Choice]]:
        device = Device("cuda", "a GPU", int(gigabytes * GIB), int(gigabytes * GIB), 8)
        shape = find(base) and find(base).shape
        made, told = choose(dataclasses.replace(asked, **changes), facts(longest=300, shape=shape, device=device))
        return made, {choice.name: choice for choice in told}

    made, told = held(80)
    assert made.quantisation == told["quantisation"].value == "none"
    assert "fits as it is" in told["quantisation"].reason
    made, told = held(12)
    assert made.quantisation == "nf4" and "would take" in told["quantisation"].reason
    assert held(80, "owner/unknown")[0].quantisation == "nf4"
    made, told = held(80, quantisation="nf4")
    assert made.quantisation == "nf4" and "quantisation" not in told
    assert without_data(asked, shape=find("qwen3-8b").shape).quantisation == "nf4"


def test_a_base_that_was_packed_after_all_stays_packed():
    asked = Recipe.from_preset("standard")
    made = dataclasses.replace(choose(asked, facts())[0], quantisation="none")
    packed = dataclasses.replace(plan(made, 0.002), quantisation="nf4")
    event = {"kind": "plan", "choices": [], "chosen": chosen_values(asked, made, packed)}
    assert settled(_Run(asked, event)).quantisation == "nf4"
    by_name = dataclasses.replace(asked, quantisation="none")
    assert "quantisation" not in chosen_values(by_name, made, plan(made, 0.002))


class _Run:
    """What `settled` reads of a run."""

    def __init__(self, recipe: Recipe, *events: dict):
        self._recipe, self._events = recipe, list(events)

    def recipe(self) -> Recipe:
        return self._recipe

    def events(self) -> tuple[list[dict], int]:
        return self._events, 0


def test_a_run_finds_its_choices_again():
    asked = Recipe.from_preset("pilot", rank=4)
    made, told = choose(asked, facts(rows=100))
    choices = (Choice("device", "a", "b"), Choice("learning rate", "0.002", "by the sweep"), *told)
    event = {
        "kind": "plan",
        "chosen": chosen_values(asked, made, plan(made, 0.002)),
        "choices": [one.as_json() for one in choices],
    }
    found = settled(_Run(asked, {"kind": "plan", "choices": []}, event, {"kind": "log"}))
    assert found.learning_rate == 0.002 and found.rank == 4
    assert {name: getattr(found, name) for name in AUTOMATIC if name != "learning_rate"} == {
        name: getattr(made, name) for name in AUTOMATIC if name != "learning_rate"
    }
    anew = (Choice("device", "c", "d"), Choice("learning rate", "0.002", "set in the recipe"))
    kept = {one.name: one.reason for one in again(anew, event)}
    assert kept["device"] == "d" and kept["learning rate"] == "by the sweep" and kept["epochs"]


def test_the_rate_of_a_sweep_holds_over_a_rate_that_was_set():
    asked = Recipe(learning_rate=0.01, sweep="yes")
    event = {"kind": "plan", "choices": [], "chosen": chosen_values(asked, asked, plan(asked, 0.003))}
    assert settled(_Run(asked, event)).learning_rate == 0.003
    assert settled(_Run(asked)).learning_rate == 0.01


def test_a_run_that_has_chosen_nothing_yet_has_numbers_all_the_same():
    found = settled(_Run(Recipe.from_preset("pilot")))
    assert found.max_tokens == 1024 and found.epochs > 0 and found.dropout >= 0
