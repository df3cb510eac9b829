"""What a text of one's own becomes for each system that asks a language model: the prompt, and what is shown in it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from finetune.dataset.example import Example
from finetune.evidence.alternatives.asking import Asked, asking_of
from finetune.evidence.options import Options
from finetune.runs.store import Run
from finetune.training.session import prompt_of


def questions(run: Run, text: str, systems: Sequence[str]) -> dict[str, Asked]:
    """The question of each system to this text, with the prompt and as many examples as the comparison had.

    Raises:
        FinetuneError: the tokenizer of the base cannot be had, or the documents are damaged.
    """
    compared = (run.comparison() or {}).get("systems", {})
    settings = {system: found.get("setting") or {} for system, found in compared.items()}
    options = Options.of(run)
    prompt = settings.get("prompted", {}).get("prompt") or options.prompt
    asking = asking_of(run, dataclasses.replace(options, prompt=prompt))
    room = run.recipe().max_new_tokens
    asked = {}
    for system in systems:
        count = settings.get(system, {}).get("count", asking.candidates(system)[0])
        (asked[system],) = asking.ask(system, [Example(0, text, "")], count, room)
    return asked


def lengths(run: Run, texts: Sequence[str]) -> list[int]:
    """Tokens of each answer, as the tokenizer would cut it; the model may have written it in a few more."""
    return [len(ids) for ids in prompt_of(run).tokenizer(list(texts), add_special_tokens=False)["input_ids"]]
