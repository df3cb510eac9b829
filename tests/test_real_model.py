"""The embedded default, SmolLM2-135M-Instruct, learns something real: support tickets, on whatever this machine has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from finetune import jobs
from finetune.model.base import tokenizer
from finetune.runs.store import status
from finetune.training.recipe import Recipe

TICKETS = Path(__file__).resolve().parents[1] / "examples" / "tickets.csv"


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run from the file to the verdict; the base is fetched as a newcomer's would be."""
    recipe = Recipe.from_preset("pilot", rows=48, epochs=3.0, compare_rows=45, max_minutes=0.0)
    return jobs.train(TICKETS, recipe=recipe, root=tmp_path_factory.mktemp("real"))


def test_it_learns(trained):
    assert status(trained).state == "finished", trained.log_path.read_text()[-3000:]
    comparison = trained.comparison()
    assert comparison["adapter_off_equals_base"] is True
    assert comparison["adapter_changes_output"] is True
    systems = comparison["systems"]
    assert systems["fine_tuned"]["score"] > systems["base"]["score"] + 0.1
    assert systems["fine_tuned"]["score"] > systems["majority"]["score"]
    assert 100 < comparison["forgetting"]["tokens"]


def test_the_adapter_is_one_that_peft_loads(trained):
    from peft import AutoPeftModelForCausalLM

    config = json.loads((trained.adapter / "adapter_config.json").read_text())
    assert config["r"] == 16 and config["peft_type"] == "LORA"
    model = AutoPeftModelForCausalLM.from_pretrained(str(trained.adapter))
    assert any("lora_A" in name for name, _ in model.named_parameters())


def test_it_is_the_model_that_it_says_it_is(trained):
    """Not a random one: it knows the capital of France, with the adapter off."""
    from finetune.evidence.generate import Pair
    from finetune.model.base import resolve
    from finetune.model.prompt import Prompt

    cache = trained.root / "models"
    prompt = Prompt(tokenizer("smollm2-135m", cache=cache), "chat")
    pair = Pair(resolve("smollm2-135m", cache), trained.adapter, prompt, kind="cpu", quantisation="nf4", probes=[])
    ids = prompt.tokenizer(
        prompt.render([{"role": "user", "content": "What is the capital of France?"}]), add_special_tokens=False
    )["input_ids"]
    with pair.only_base():
        assert "Paris" in pair.generate([ids], 16)[0][0]
