"""What a text of one's own becomes for each system that asks a language model: the prompt, and what is shown in it."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.example import Example
from finetune.evidence.asking import Asked, Asking, default_prompt
from finetune.evidence.documents import PASSAGES_FILE, read_passages
from finetune.evidence.options import Options
from finetune.runs.store import Run
from finetune.training.plan import choose_rows
from finetune.training.session import prompt_of


def questions(run: Run, text: str, systems: Sequence[str]) -> dict[str, Asked]:
    """The question of each system to this text, with as many examples as the comparison chose.

    Raises:
        FinetuneError: the tokenizer of the base cannot be had, or the documents are damaged.
    """
    recipe, record, prompt = run.recipe(), run.record(), prompt_of(run)
    compared = (run.comparison() or {}).get("systems", {})
    asking = Asking(
        prompt, choose_rows(run.examples("train"), recipe.rows, record["task"], recipe.seed),
        labels=record["labels"] if record["task"] == "classification" else [], seed=recipe.seed,
        instruction=_setting(compared, "prompted").get("prompt")
        or Options.of(run).prompt
        or default_prompt(record["task"], record["labels"]),
        passages=read_passages(run.directory / PASSAGES_FILE),
    )  # fmt: skip
    row = Example(0, text, "")
    return {
        system: asking.ask(
            system, [row], _setting(compared, system).get("count", asking.candidates(system)[0]), recipe.max_new_tokens
        )[0]
        for system in systems
    }


def _setting(compared: dict, system: str) -> dict:
    return compared.get(system, {}).get("setting") or {}
