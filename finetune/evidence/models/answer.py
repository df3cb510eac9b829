"""One prompt, answered by several systems at once, from one loaded model that stays for the next prompt."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from finetune.errors import FinetuneError
from finetune.evidence.models.question import questions
from finetune.evidence.systems import FINE_TUNED
from finetune.model import machine
from finetune.runs.queue import Turn
from finetune.runs.store import Run
from finetune.runs.supervise import WaitStopped, lease
from finetune.training.choose import settled
from finetune.training.session import prompt_of

if TYPE_CHECKING:
    from finetune.evidence.models.pair import Pair

# One model at a time: the page serves many, the memory does not.
_turn = threading.Lock()
_loaded: tuple[str, float, Pair] | None = None


def answer(run: Run, text: str, systems: Sequence[str] = ("base", FINE_TUNED)) -> Iterator[dict[str, str]]:
    """What each system says to `text`, growing as it is written: system → answer so far.

    All write together, a token of each at a time; who closes the iterator ends the work within a token.

    Args:
        systems: any that ask the language model: base, prompted, few_shot, retrieval, fine_tuned.

    Raises:
        FinetuneError: no text, no adapter, the text is longer than the recipe's rows, or another run has the device.
    """
    if not text.strip():
        raise FinetuneError("There is no prompt.", hint="Write one first.")
    run.weights()
    most = run.recipe().max_new_tokens
    asked = questions(run, text, systems)
    if cut := max((one.cut for one in asked.values()), default=0):
        raise FinetuneError(
            f"The prompt is {cut} tokens longer than this run takes ({settled(run).max_tokens} with its answer).",
            hint="Shorten it.",
        )
    if not _turn.acquire(timeout=120):
        raise FinetuneError("Another prompt is being answered.", hint="Try again in a minute.")
    try:
        behind: list[str | None] = []

        def busy(turn: Turn) -> None:
            behind.append(turn.behind)

        try:
            waits = {"on_wait": busy, "should_stop": lambda: len(behind) > 0}
            # Before all who wait: it takes seconds, and a person sits before it.
            with lease(run.root, f"a prompt to {run.id}", ahead=True, **waits):
                prompts, tuned = [one.prompt for one in asked.values()], [name == FINE_TUNED for name in asked]
                # Closed with this iterator, and not when the garbage collector comes by: the lease is given back then.
                with contextlib.closing(_pair(run).stream_many(prompts, tuned, most)) as growing:
                    for texts in growing:
                        yield dict(zip(asked, texts, strict=True))
        except WaitStopped:
            raise FinetuneError(
                f"The device is in use by {behind[-1] or 'another run'}.", hint="Ask again when it is finished."
            ) from None
    finally:
        if machine.device().kind == "cuda":
            # The lease is given back, and with it the memory: the next run measures what is free.
            _let_go()
        _turn.release()


def _let_go() -> None:
    global _loaded
    _loaded = None
    machine.release()


def _pair(run: Run) -> Pair:
    from finetune.evidence.models.pair import Pair

    global _loaded
    key, changed = str(run.directory), run.weights().stat().st_mtime
    if _loaded is None or _loaded[:2] != (key, changed):
        _loaded = None  # lets go of the last one before the next is loaded
        _loaded = (key, changed, Pair.of(run, prompt_of(run)))
    return _loaded[2]
