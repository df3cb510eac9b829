"""One prompt, answered by base and fine-tuned in turn, from one loaded model that stays for the next prompt."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from finetune.dataset.example import Example
from finetune.errors import FinetuneError
from finetune.model import memory
from finetune.runs.store import Run
from finetune.runs.supervise import WaitStopped, lease
from finetune.training.session import prompt_of

if TYPE_CHECKING:
    from finetune.evidence.pair import Pair

# One model at a time: the page serves many, the memory does not.
_turn = threading.Lock()
_loaded: tuple[str, float, Pair] | None = None


def answer(run: Run, text: str) -> Iterator[tuple[str, str]]:
    """What base and fine-tuned say to `text`, each growing as it is written: (base so far, fine-tuned so far).

    Raises:
        FinetuneError: no text, no adapter, the text is longer than the recipe's rows, or another run has the device.
    """
    if not text.strip():
        raise FinetuneError("There is no prompt.", hint="Write one first.")
    if not _turn.acquire(timeout=120):
        raise FinetuneError("Another prompt is being answered.", hint="Try again in a minute.")
    try:
        behind: list[str | None] = []

        def busy(holder: str | None) -> None:
            behind.append(holder)

        try:
            with lease(run.root, f"a prompt to {run.id}", on_wait=busy, should_stop=lambda: len(behind) > 0):
                yield from _both(run, text)
        except WaitStopped:
            raise FinetuneError(
                f"The device is in use by {behind[-1] or 'another run'}.", hint="Ask again when it is finished."
            ) from None
    finally:
        if memory.device().kind == "cuda":
            # The lease is given back, and with it the memory: the next run measures what is free.
            _let_go()
        _turn.release()


def _both(run: Run, text: str) -> Iterator[tuple[str, str]]:
    pair = _pair(run)
    recipe = run.recipe()
    room = min(recipe.max_new_tokens, recipe.max_tokens // 2)
    encoded = pair.prompt.encode(Example(0, text, ""), room=room)
    if encoded.cut:
        raise FinetuneError(
            f"The prompt is {encoded.cut} tokens longer than this run takes ({recipe.max_tokens} with its answer).",
            hint="Shorten it.",
        )
    yield from map(tuple, pair.stream_many([encoded.prompt] * 2, [False, True], recipe.max_new_tokens))


def _let_go() -> None:
    global _loaded
    _loaded = None
    import torch

    torch.cuda.empty_cache()


def _pair(run: Run) -> Pair:
    from finetune.evidence.pair import Pair

    global _loaded
    weights = run.adapter / "adapter_model.safetensors"
    if not weights.is_file():
        raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
    key, changed = str(run.directory), weights.stat().st_mtime
    if _loaded is None or _loaded[:2] != (key, changed):
        _loaded = None  # lets go of the last one before the next is loaded
        _loaded = (key, changed, Pair.of(run, prompt_of(run)))
    return _loaded[2]
