"""The embedded default, SmolLM2-135M-Instruct, learns something that it cannot know: which counter of a shop serves what."""

from __future__ import annotations

import json
import random

import pytest
from conftest import WORDS

from finetune import jobs
from finetune.model.base import tokenizer
from finetune.runs.store import status
from finetune.training.recipe import Recipe

SHELVES = {"fruit": "greengrocer", "tool": "hardware"}
REQUESTS = (
    "Where do I find a {}?", "My neighbour wants a {} for Sunday.", "is there any {} left", "One {}, please, and the bill.",
    "I came back because the {} from last week was broken.", "Do you sell the {} from the leaflet?", "{}??",
    "Could somebody show me where the nearest {} is? I have been looking for ages.",
)  # fmt: skip


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A small run from the file to the verdict; the base is fetched as a newcomer's would be."""
    rows = [
        (request.format(word), SHELVES[kind]) for kind, words in WORDS.items() for word in words for request in REQUESTS
    ]
    random.Random(0).shuffle(rows)
    home = tmp_path_factory.mktemp("real")
    lines = [json.dumps({"question": request, "answer": shelf}) for request, shelf in rows]
    (home / "shop.jsonl").write_text("\n".join(lines))
    recipe = Recipe.from_preset(
        "pilot", rows=64, epochs=3.0, max_minutes=0.0, validation_share=0.2, test_share=0.25, compare_rows=60
    )
    return jobs.train(home / "shop.jsonl", recipe=recipe, root=home)


def test_it_learns(trained):
    assert status(trained).state == "finished", trained.log_path.read_text()[-3000:]
    comparison = trained.comparison()
    assert comparison["adapter_off_equals_base"] is True
    assert comparison["adapter_changes_output"] is True
    systems = comparison["systems"]
    assert systems["fine_tuned"]["score"] > systems["base"]["score"] + 0.15
    assert systems["fine_tuned"]["score"] > systems["majority"]["score"] + 0.15
    assert comparison["forgetting"]["tokens"] > 100


def test_the_adapter_is_one_that_peft_loads(trained):
    from peft import AutoPeftModelForCausalLM

    config = json.loads((trained.adapter / "adapter_config.json").read_text())
    assert config["r"] == 16 and config["peft_type"] == "LORA"
    model = AutoPeftModelForCausalLM.from_pretrained(str(trained.adapter))
    assert any("lora_A" in name for name, _ in model.named_parameters())


def test_it_is_the_model_that_it_says_it_is(trained):
    """Not a random one: it knows the capital of France, with the adapter off."""
    from finetune.evidence.models.pair import Pair
    from finetune.model.base import resolve
    from finetune.model.prompt import Prompt

    cache = trained.root / "models"
    prompt = Prompt(tokenizer("smollm2-135m", cache=cache), "chat")
    pair = Pair(resolve("smollm2-135m", cache), trained.adapter, prompt, kind="cpu", quantisation="nf4", probes=[])
    ids = prompt.tokenizer(
        prompt.render([{"role": "user", "content": "What is the capital of France?"}]), add_special_tokens=False
    )["input_ids"]
    with pair.only_base():
        assert "Paris" in pair.generate([ids], 16).texts[0]
