"""One loaded base, its adapter on, off, or on for some rows of a batch; and the proof that off is the base."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from peft.tuners.lora import LoraLayer

from finetune.errors import FinetuneError
from finetune.evidence.models import decoding, likelihood
from finetune.evidence.models.decoding import Generated, Stopped
from finetune.evidence.models.likelihood import Likelihoods
from finetune.model import attention, machine
from finetune.model.base import load_model, precision, resolve
from finetune.model.head import hidden_states, logits_of
from finetune.model.machine import Split
from finetune.model.prompt import Prompt
from finetune.runs.store import Run, model_cache
from finetune.training.choose import settled, split_of

__all__ = ["Pair", "Stopped"]

# Logits that exist at one time, in float32: on a CPU few enough for its cache, where they are summed three times faster.
PASS_LOGITS = {"cpu": 2**22, "cuda": 2**26}
Tick = Callable[[int], None]
_PROBE = "A short text, so that what follows it can be one thing or another: some say so, others say no."


class Pair:
    """A base and its fine-tuned version, as one loaded model.

    Args:
        folder: of the base.
        adapter: folder of the adapter.
        prompt: of the run.
        kind: "cuda" or "cpu".
        quantisation: as it was trained.
        probes: prompts (token ids) on which the proof is made.
        split: where the base lies, if it does not fit on one GPU.
    """

    def __init__(
        self,
        folder: Path,
        adapter: Path,
        prompt: Prompt,
        *,
        kind: str,
        quantisation: str,
        probes: Sequence[list[int]],
        split: Split = (),
    ):
        if not (adapter / "adapter_config.json").is_file():
            raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
        self.folder, self.prompt, self.kind = folder, prompt, kind
        self.dtype = getattr(torch, precision(kind)[0])
        self.model: Any = load_model(
            folder, kind=kind, dtype=precision(kind)[0], quantisation=quantisation, trains=False, split=split
        )
        self.model.eval()
        self.model.config.use_cache = True
        untouched = [self._last_logits(ids) for ids in probes]
        self.model = PeftModel.from_pretrained(self.model, str(adapter)).eval()
        self._adapted = [module for module in self.model.modules() if isinstance(module, LoraLayer)]
        with self.only_base():
            off = [self._last_logits(ids) for ids in probes]
        on = [self._last_logits(ids) for ids in probes]
        self.off_equals_base = all(torch.equal(one, other) for one, other in zip(untouched, off, strict=True))
        self.on_differs = any(not torch.equal(one, other) for one, other in zip(off, on, strict=True))
        # The differences are the largest of a logit: adapter off against the untouched base, and on against off.
        self.proof = {
            "equal": self.off_equals_base,
            "differs": self.on_differs,
            "probes": len(probes),
            "largest_difference": _largest_difference(untouched, off),
            "adapter_difference": _largest_difference(off, on),
        }

    @classmethod
    def of(cls, run: Run, prompt: Prompt, probes: Sequence[list[int]] = ()) -> Pair:
        """The pair of a run, on the device at hand. Raises FinetuneError as `resolve`."""
        recipe = settled(run)
        folder = resolve(recipe.base, model_cache(run.root))
        device = machine.device()
        return cls(
            folder, run.adapter, prompt, kind=device.kind, quantisation=recipe.quantisation, probes=probes,
            split=device.split(split_of(run)),
        )  # fmt: skip

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @property
    def ends(self) -> frozenset[int]:
        """The tokens that close an answer."""
        return frozenset({self.prompt.end, self.prompt.tokenizer.eos_token_id} - {None})

    @contextlib.contextmanager
    def only_base(self) -> Iterator[None]:
        """The adapter is off inside the block."""
        with self.model.disable_adapter():
            yield

    @property
    def mixes(self) -> bool:
        """Whether base and fine-tuned rows may stand in one batch: not where the adapter changed the weights themselves."""
        return not any(module.merged or any(module.use_dora.values()) for module in self._adapted)

    @contextlib.contextmanager
    def adapter_for(self, tuned: Sequence[bool] | None) -> Iterator[None]:
        """Inside the block, row i of every pass is answered with the adapter if `tuned[i]`; None: all as it is switched.

        PEFT's mixed batches (`adapter_names`), handed to its layers, since the passes call the inner model. PEFT's own
        hooks would stay after an error in the block.
        """
        if tuned is None:
            yield
            return
        if any(module.disable_adapters for module in self._adapted):
            raise RuntimeError("The adapter is off: no row of a mixed batch could use it.")
        names = ["default" if row else "__base__" for row in tuned]

        def name_rows(module: Any, args: tuple, kwargs: dict) -> tuple[tuple, dict]:
            return args, {**kwargs, "adapter_names": names}

        hooks = [module.register_forward_pre_hook(name_rows, with_kwargs=True) for module in self._adapted]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()

    @contextlib.contextmanager
    def computing(self) -> Iterator[None]:
        """No gradients, and the number format of training: the adapter's float32 weights as they were trained."""
        with torch.inference_mode(), torch.autocast(self.kind, dtype=self.dtype, enabled=self.dtype != torch.float32):
            yield

    @functools.cached_property
    def takes_masks(self) -> bool:
        """Whether the model heeds a mask of its own for every token; where not, the slow ways are taken."""
        with self.computing():
            ids = self.prompt.tokenizer(_PROBE, add_special_tokens=False)["input_ids"]
            return attention.takes_masks(self.model, ids, self.device)

    def token_likelihoods(self, states: torch.Tensor, places: torch.Tensor, tokens: torch.Tensor) -> np.ndarray:
        """Natural log-likelihood, float64, of each of `tokens` where its place's hidden state stands.

        Args:
            states: (places, width).
            places: (tokens,) ascending, into `states`.
            tokens: (tokens,) ids.
        """
        config = self.model.config.get_text_config()
        step = max(1, PASS_LOGITS[self.kind] // config.vocab_size)
        found = torch.empty(len(tokens), dtype=torch.float32, device=states.device)
        borders = torch.searchsorted(places, torch.arange(0, len(states) + step, step, device=places.device)).tolist()
        for number, (low, high) in enumerate(zip(borders, borders[1:], strict=False)):
            if low == high:
                continue
            start = number * step
            logits = logits_of(self.model, states[start : start + step])
            found[low:high] = torch.log_softmax(logits, -1)[places[low:high] - start, tokens[low:high]]
        return found.double().cpu().numpy()

    def _last_logits(self, ids: list[int]) -> torch.Tensor:
        with self.computing():
            hidden = hidden_states(self.model, input_ids=torch.tensor([ids], device=self.device), use_cache=False)
            return logits_of(self.model, hidden.last_hidden_state[:, -1]).cpu()

    def label_likelihoods(
        self, prompts: Sequence[list[int]], labels: Sequence[list[int]], tick: Tick = lambda rows: None
    ) -> Likelihoods:
        """Log-likelihood (rows, labels) of every label after every prompt, see `likelihood.of_labels`."""
        return likelihood.of_labels(self, prompts, labels, tick)

    def reference_likelihoods(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], tick: Tick = lambda rows: None
    ) -> Likelihoods:
        """Log-likelihood of one answer after each prompt, and its tokens: (rows, 2), see `likelihood.of_answers`."""
        return likelihood.of_answers(self, prompts, answers, tick)

    def generate(
        self,
        prompts: Sequence[list[int]],
        max_new_tokens: int,
        tick: Tick = lambda rows: None,
        should_stop: Callable[[], bool] = lambda: False,
        tuned: Sequence[bool] | None = None,
    ) -> Generated:
        """The most likely answer to each prompt, token by token (greedy), see `decoding.generate`."""
        return decoding.generate(self, prompts, max_new_tokens, tick, should_stop, tuned)

    def stream_many(
        self, prompts: Sequence[list[int]], tuned: Sequence[bool], max_new_tokens: int
    ) -> Iterator[list[str]]:
        """The answers to some prompts as they grow, see `decoding.stream`."""
        return decoding.stream(self, prompts, tuned, max_new_tokens)

    def decode_speed(self, ids: list[int], tokens: int = 64) -> dict[str, float]:
        """Tokens a second that base and fine-tuned write, see `decoding.speed`."""
        return decoding.speed(self, ids, tokens)

    def text_loss(self, texts: Sequence[str]) -> tuple[float, int]:
        """Mean loss in nats a token over plain texts, and how many tokens were predicted."""
        total, count = 0.0, 0
        for text in texts:
            ids = torch.tensor(self.prompt.tokenizer(text)["input_ids"], device=self.device)
            with self.computing():
                hidden = hidden_states(self.model, input_ids=ids[None], use_cache=False).last_hidden_state[0, :-1]
                places = torch.arange(len(ids) - 1, device=self.device)
                total -= float(self.token_likelihoods(hidden, places, ids[1:]).sum())
            count += len(ids) - 1
        return total / max(1, count), count


def _largest_difference(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    pairs = zip(some, others, strict=True)
    return max((float((one.float() - other.float()).abs().max()) for one, other in pairs), default=0.0)
