"""What several tests need: a tiny model of the real architecture, a root of their own, and small files."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import chromium
import pytest
from playwright.sync_api import Browser, expect, sync_playwright

# Before torch is imported by any test: the default policy makes small operations on shared cores 10-30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

# Pages are asked while other tests have the cores too.
expect.set_options(timeout=15_000)

SWITCHES = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
CHATML = (
    "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)
WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "lemon", "peach", "melon", "grape"],
    "tool": ["hammer", "saw", "drill", "wrench", "chisel", "pliers", "file", "clamp"],
}


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, one for the tests of a file; it asks nobody but the page."""
    found = chromium.find()
    if found is None:
        pytest.fail("No Chromium: run `python tests/chromium.py`, or name one in FINETUNE_CHROMIUM.")
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=found, args=SWITCHES)
        yield opened
        opened.close()


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random Llama of 2 layers with a byte-level tokenizer and a ChatML template, as a folder.

    Widths are multiples of 64: bitsandbytes' CPU kernels refuse others in eval.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny") / "tiny-llama"
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    core.train_from_iterator(
        [" ".join(words) + f" {label}" for label, words in WORDS.items()],
        trainers.BpeTrainer(
            vocab_size=512,
            special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        ),
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHATML
    tokenizer.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=512, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=2,
        num_key_value_heads=2, head_dim=32, max_position_embeddings=1024, tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id, bos_token_id=None,
        initializer_range=0.2,  # with the usual 0.02 and tied embeddings no logit could exceed 1.3
    )  # fmt: skip
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(folder)
    return folder


@pytest.fixture
def make_pair(tiny_model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Makes a base with a random adapter, in float32, so that what it computes can be compared closely."""
    import torch

    from finetune.evidence.models.pair import Pair
    from finetune.model.base import load_model, tokenizer
    from finetune.model.prompt import Prompt
    from finetune.training.adapter import add_adapter
    from finetune.training.recipe import Recipe

    monkeypatch.setattr("finetune.evidence.models.pair.precision", lambda kind: ("float32", "for the test"))

    def made(quantisation: str = "none", adapter_scale: float = 0.5, base: Path = tiny_model) -> Pair:
        model = load_model(base, kind="cpu", dtype="float32", quantisation=quantisation, trains=True)
        torch.manual_seed(1)
        adapted = add_adapter(model, Recipe(rank=4, alpha=8))
        for name, parameter in adapted.named_parameters():
            if "lora_B" in name:  # zero at the start, when an adapter changes nothing
                parameter.data.normal_(0, adapter_scale)
        adapted.save_pretrained(tmp_path / "adapter")
        prompt = Prompt(tokenizer(str(base), cache=tmp_path), "classification", ("a", "b"))
        return Pair(
            base, tmp_path / "adapter", prompt, kind="cpu", quantisation=quantisation, probes=[[5, 6, 7], [9] * 20]
        )

    return made


@pytest.fixture
def small_csv(tmp_path: Path) -> Path:
    """80 rows of two labels that a word decides."""
    draw = random.Random(0)
    lines = ["text,category"]
    for number in range(80):
        label = ("fruit", "tool")[number % 2]
        lines.append(f"please bring the {draw.choice(WORDS[label])} number {number},{label}")
    path = tmp_path / "small.csv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path
