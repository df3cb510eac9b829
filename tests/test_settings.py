"""The form of a run: what it shows of a preset, and what it says when fields are emptied or ticked."""

from __future__ import annotations

import gradio as gr
import pytest

from finetune.errors import FinetuneError
from finetune.runs.supervise import lease
from finetune.training.recipe import AUTOMATIC, PRESETS, Recipe
from finetune.ui import need, settings, suits
from finetune.ui.desk import EXAMPLES, open_files

NAMES = [name for name in Recipe.__dataclass_fields__ if name not in ("base", "preset")]


@pytest.fixture(scope="module")
def parts():
    with gr.Blocks():
        return settings.more()


def test_what_the_program_chooses_is_an_empty_field_that_says_so(parts):
    for name in AUTOMATIC:
        empty = isinstance(parts[name], gr.Number) and parts[name].value == "" and parts[name].placeholder == "auto"
        assert empty or isinstance(parts[name], gr.Dropdown) and parts[name].value == "auto", name
    assert parts["epochs"].preprocess("") is None and parts["epochs"].preprocess(3) == 3.0
    assert parts["weight_decay"].value == 0.01 and not parts["weight_decay"].placeholder
    assert isinstance(parts["sweep"], gr.Checkbox) and parts["sweep"].value is False


@pytest.mark.parametrize("preset", PRESETS)
def test_the_form_of_a_preset_says_that_preset(preset):
    assert settings.recipe_of(preset, settings.form_of(recipe := Recipe.from_preset(preset), NAMES)) == recipe


def test_numbers_ticks_and_emptied_fields():
    form = settings.form_of(Recipe.from_preset("pilot"), NAMES)
    recipe = settings.recipe_of("pilot", form | {"sweep": True, "epochs": 3, "dropout": 0.0, "evaluations": None})
    assert (recipe.sweep, recipe.epochs, recipe.dropout) == ("yes", 3.0, 0.0)
    assert recipe.evaluations == PRESETS["pilot"]["evaluations"] and recipe.rank == 0
    with pytest.raises(FinetuneError, match="rank"):
        settings.recipe_of("pilot", form | {"rank": 1000})


def test_the_memory_is_told_where_all_is_left_open(tmp_path):
    from finetune.model.machine import Device
    from finetune.model.memory import GIB

    device = Device("cpu", "CPU", 24 * GIB, 22 * GIB, 2)
    told = need.bar("smollm2-135m", Recipe.from_preset("standard"), device, tmp_path)
    assert "GiB" in told and "fits" in told
    assert all("fits" in label or "too large" in label for label, _ in need.gallery(device))


def test_what_a_run_at_work_holds_of_a_gpu_is_free_for_the_next_one(tmp_path, monkeypatch):
    from finetune.model import machine
    from finetune.model.memory import GIB

    full = machine.Device("cuda", "a GPU", 24 * GIB, 1 * GIB, 8, beside=(machine.Beside(1, 2 * GIB),))
    monkeypatch.setattr(machine, "device", lambda: full)
    assert need.device_of(tmp_path) == (full, False)
    with lease(tmp_path, "another"):
        device, later = need.device_of(tmp_path)
        assert later and device.free_bytes == 24 * GIB and device.beside == (machine.Beside(1, 24 * GIB),)
        told = need.bar("smollm2-135m", Recipe.from_preset("standard"), device, tmp_path, later=later)
        assert "free on a GPU once the run at work is over" in told
        monkeypatch.setattr(machine, "device", lambda: machine.Device("cpu", "CPU", 24 * GIB, GIB, 2))
        assert need.device_of(tmp_path)[1] is False  # who holds what of a machine nobody knows
    assert need.device_of(tmp_path)[1] is False


def test_what_does_not_suit_is_told_beneath_the_choice_of_the_base(tmp_path):
    data = open_files([str(EXAMPLES / "tickets.csv")])
    recipe = Recipe.from_preset("pilot", base="llama-3.1-8b")
    said = suits.view(data, recipe, tmp_path)
    assert "Built with Llama" in said and "notice" not in said
    assert suits.view(data, Recipe.from_preset("pilot"), tmp_path) == ""
    assert suits.view(None, recipe, tmp_path) == ""
    german = tmp_path / "german.csv"
    line = '"Ich habe meine Bestellung erhalten, aber das Paket {} war leider beschädigt und ein Teil fehlt.",Mangel{}'
    german.write_text("text,label\n" + "\n".join(line.format(n, n % 2) for n in range(60)), encoding="utf-8")
    said = suits.view(open_files([str(german)]), Recipe.from_preset("standard"), tmp_path)
    assert "German" in said and "notice mild" in said
    assert "42 rows" in suits.view(open_files([str(german)]), recipe, tmp_path)
