"""One loaded base, its adapter off and on: likelihoods of labels, generated answers, and the proof that off is the base."""

from __future__ import annotations

import contextlib
import copy
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import torch
from peft import PeftModel
from transformers import GenerationConfig, StoppingCriteria, TextIteratorStreamer

from finetune.errors import FinetuneError
from finetune.model import memory
from finetune.model.base import load_model, precision, resolve
from finetune.model.head import hidden_states, logits_of
from finetune.model.prompt import Prompt
from finetune.runs.store import Run, model_cache

# Rows × tokens in one pass: bounds the memory of the activations.
PASS_TOKENS = 4096
# The same for generation, where the cache is what grows: many rows at once make up for steps of one token each.
GENERATION_TOKENS = 16_384
GENERATION_ROWS = 64
# Rows × tokens that are cached in one pass, what all rows begin with counted for each: 147 KB a token for an 8B.
CACHE_TOKENS = 32_768
# Rows × labels that are scored in one pass: bounds the memory of the repeated cache.
PASS_LABELS = 256
# Positions whose logits exist at one time: 512 × 152k × 4 bytes is 311 MB.
PASS_LOGITS = 512


@dataclass(frozen=True)
class Likelihoods:
    """Log-likelihoods: `values` (rows, …) and the `seconds` (rows,) that each row took."""

    values: np.ndarray
    seconds: np.ndarray


@dataclass(frozen=True)
class Generated:
    """Answers: `texts`; `tokens` (rows,) written; `cut` (rows,) where the length ended it; `seconds` (rows,)."""

    texts: list[str]
    tokens: np.ndarray
    cut: np.ndarray
    seconds: np.ndarray


class Stopped(Exception):
    """A stop was asked for in the middle of the comparison."""


class Pair:
    """A base and its fine-tuned version, as one loaded model.

    Args:
        folder: of the base.
        adapter: folder of the adapter.
        prompt: of the run.
        kind: "cuda" or "cpu".
        quantisation: as it was trained.
        probes: prompts (token ids) on which the proof is made.
    """

    def __init__(
        self, folder: Path, adapter: Path, prompt: Prompt, *, kind: str, quantisation: str, probes: Sequence[list[int]]
    ):
        if not (adapter / "adapter_config.json").is_file():
            raise FinetuneError("This run has no adapter yet.", hint="Train it first, or resume it.")
        self.folder, self.prompt, self.kind = folder, prompt, kind
        self.dtype = getattr(torch, precision(kind)[0])
        self.model: Any = load_model(
            folder, kind=kind, dtype=precision(kind)[0], quantisation=quantisation, trains=False
        )
        self.model.eval()
        self.model.config.use_cache = True
        untouched = [self._last_logits(ids) for ids in probes]
        self.model = PeftModel.from_pretrained(self.model, str(adapter)).eval()
        with self.only_base():
            off = [self._last_logits(ids) for ids in probes]
        on = [self._last_logits(ids) for ids in probes]
        self.off_equals_base = all(torch.equal(one, other) for one, other in zip(untouched, off, strict=True))
        self.on_differs = any(not torch.equal(one, other) for one, other in zip(off, on, strict=True))
        # Largest differences of a logit: adapter off against the untouched base, and on against off.
        self.off_difference = _largest_difference(untouched, off)
        self.on_difference = _largest_difference(off, on)

    @classmethod
    def of(cls, run: Run, prompt: Prompt, probes: Sequence[list[int]] = ()) -> Pair:
        """The pair of a run, on the device at hand. Raises FinetuneError as `resolve`."""
        recipe = run.recipe()
        folder = resolve(recipe.base, model_cache(run.root))
        kind = memory.device().kind
        return cls(folder, run.adapter, prompt, kind=kind, quantisation=recipe.quantisation, probes=probes)

    @property
    def device(self) -> torch.device:
        return next(self.model.parameters()).device

    @contextlib.contextmanager
    def only_base(self) -> Iterator[None]:
        """The adapter is off inside the block."""
        with self.model.disable_adapter():
            yield

    @contextlib.contextmanager
    def _no_gradients(self) -> Iterator[None]:
        # The number format of training: the adapter's float32 weights are used in the precision they were trained in.
        with torch.inference_mode(), torch.autocast(self.kind, dtype=self.dtype, enabled=self.dtype != torch.float32):
            yield

    def _last_logits(self, ids: list[int]) -> torch.Tensor:
        with self._no_gradients():
            hidden = hidden_states(self.model, input_ids=torch.tensor([ids], device=self.device), use_cache=False)
            return logits_of(self.model, hidden.last_hidden_state[:, -1]).cpu()

    def label_likelihoods(
        self, prompts: Sequence[list[int]], labels: Sequence[list[int]], tick: Callable[[int], None] = lambda rows: None
    ) -> Likelihoods:
        """Natural log-likelihood (rows, labels) of each label's tokens, its end token included, after each prompt.

        What all prompts begin with is computed once; what a prompt adds, once for all its labels; the labels of a few
        rows go through the model together.

        Args:
            prompts: token ids of each row up to the answer.
            labels: token ids of each label.
            tick: told how many rows are done.
        """
        result, seconds = np.empty((len(prompts), len(labels))), np.zeros(len(prompts))
        if not prompts:
            return Likelihoods(result, seconds)
        shared = _common_prefix(prompts)
        order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
        with self._no_gradients():
            prefix = None
            if shared:
                ids = torch.tensor([prompts[0][:shared]], device=self.device)
                prefix = hidden_states(self.model, input_ids=ids, use_cache=True).cache
            start = 0
            while start < len(order):
                longest = len(prompts[order[start]])
                # As many rows as the pass and its cache bear, at least one.
                size = max(1, min(PASS_TOKENS // (longest - shared), CACHE_TOKENS // longest))
                rows = order[start : start + size]
                began = time.monotonic()
                result[rows] = self._rows(prefix, shared, [prompts[row][shared:] for row in rows], labels)
                seconds[rows] = (time.monotonic() - began) / len(rows)
                start += size
                tick(len(rows))
        return Likelihoods(result, seconds)

    def reference_likelihoods(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]],
        tick: Callable[[int], None] = lambda rows: None,
    ) -> Likelihoods:  # fmt: skip
        """Natural log-likelihood of each answer's tokens after its prompt: values (rows, 2), the sum and the tokens."""
        values, seconds = np.empty((len(prompts), 2)), np.zeros(len(prompts))
        for row, (prompt, answer) in enumerate(zip(prompts, answers, strict=True)):
            with Timer() as timer, self._no_gradients():
                ids = torch.tensor([[*prompt, *answer]], device=self.device)
                hidden = hidden_states(self.model, input_ids=ids, use_cache=False).last_hidden_state
                said = torch.log_softmax(logits_of(self.model, hidden[0, len(prompt) - 1 : -1]), -1)
                values[row] = float(said.gather(1, ids[0, len(prompt) :, None]).double().sum()), len(answer)
            seconds[row] = timer.seconds
            tick(1)
        return Likelihoods(values, seconds)

    def _rows(self, prefix: Any, shared: int, tails: list[list[int]], labels: Sequence[list[int]]) -> np.ndarray:
        rows, longest = len(tails), max(map(len, tails))
        lengths = torch.tensor([len(tail) for tail in tails], device=self.device)
        ids = _padded(tails, longest, self.prompt.tokenizer.pad_token_id).to(self.device)
        places = torch.arange(longest, device=self.device)
        mask = torch.cat([torch.ones(rows, shared, dtype=torch.bool, device=self.device), places < lengths[:, None]], 1)
        past = None
        if prefix is not None:
            past = copy.deepcopy(prefix)
            past.batch_repeat_interleave(rows)
        out = hidden_states(
            self.model, input_ids=ids, attention_mask=mask.long(), position_ids=(shared + places).expand(rows, -1),
            cache=past, use_cache=True,
        )  # fmt: skip
        last = out.last_hidden_state[torch.arange(rows, device=self.device), lengths - 1]
        first = torch.log_softmax(logits_of(self.model, last), -1)[:, [label[0] for label in labels]]
        result = first.double().cpu().numpy()
        width = max(map(len, labels)) - 1
        if width == 0:
            return result
        # Each label of each row has a cache of its own while it is scored.
        sequences = max(1, min(PASS_LABELS, CACHE_TOKENS // (mask.shape[1] + width)))
        group, some = max(1, sequences // len(labels)), min(len(labels), sequences)
        for start in range(0, rows, group):
            part = slice(start, min(rows, start + group))
            for first in range(0, len(labels), some):
                cache = copy.deepcopy(out.cache)
                cache.batch_select_indices(torch.arange(part.start, part.stop, device=self.device))
                columns = slice(first, min(len(labels), first + some))
                result[part, columns] += self._continuations(
                    cache, mask[part], shared + lengths[part], labels[columns], width
                )
        return result

    def _continuations(
        self, cache: Any, mask: torch.Tensor, ends: torch.Tensor, labels: Sequence[list[int]], width: int
    ) -> np.ndarray:
        """Log-likelihood (rows, labels) of the tokens of each label after its first."""
        rows, count = mask.shape[0], len(labels)
        cache.batch_repeat_interleave(count)
        given = _padded([label[:-1] for label in labels], width, self.prompt.tokenizer.pad_token_id)
        wanted = _padded([label[1:] for label in labels], width, -1)
        given, wanted = (table.to(self.device).repeat(rows, 1) for table in (given, wanted))
        real = wanted >= 0
        if not real.any():  # labels of one token alone
            return np.zeros((rows, count))
        places = torch.arange(width, device=self.device)
        out = hidden_states(
            self.model, input_ids=given,
            attention_mask=torch.cat([mask.repeat_interleave(count, 0), real], 1).long(),
            position_ids=(ends.repeat_interleave(count)[:, None] + places),
            cache=cache, use_cache=True,
        ).last_hidden_state[real]  # fmt: skip
        targets = wanted[real]
        scored = torch.cat(
            [
                torch.log_softmax(logits_of(self.model, out[at : at + PASS_LOGITS]), -1)
                .gather(1, targets[at : at + PASS_LOGITS, None])
                .squeeze(1)
                for at in range(0, len(targets), PASS_LOGITS)
            ]
        )
        sums = torch.zeros(real.shape, dtype=torch.float64, device=self.device)
        sums[real] = scored.double()
        return sums.sum(1).reshape(rows, count).cpu().numpy()

    def generate(
        self,
        prompts: Sequence[list[int]],
        max_new_tokens: int,
        tick: Callable[[int], None] = lambda rows: None,
        should_stop: Callable[[], bool] = lambda: False,
        tuned: Sequence[bool] | None = None,
    ) -> Generated:
        """The most likely answer to each prompt (greedy).

        Args:
            tuned: for each row whether the adapter answers it; None leaves it as it is.
        """
        if tuned is not None and not all(tuned):
            return self._both(prompts, max_new_tokens, tick, should_stop, tuned)
        answers, count = [""] * len(prompts), len(prompts)
        written, cut, seconds = np.zeros(count, dtype=int), np.zeros(count, dtype=bool), np.zeros(count)
        order = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
        start = 0
        while start < len(order):
            most = GENERATION_TOKENS // (len(prompts[order[start]]) + max_new_tokens)
            size = max(1, min(GENERATION_ROWS, most))
            rows = order[start : start + size]
            longest = len(prompts[rows[0]])
            pad = self.prompt.tokenizer.pad_token_id
            ids = torch.tensor(
                [[pad] * (longest - len(prompts[row])) + prompts[row] for row in rows], device=self.device
            )
            mask = torch.tensor(
                [[0] * (longest - len(prompts[row])) + [1] * len(prompts[row]) for row in rows], device=self.device
            )
            with Timer() as timer, self._no_gradients():
                out = self.model.generate(
                    input_ids=ids, attention_mask=mask, generation_config=self._greedy(max_new_tokens),
                    stopping_criteria=[_When(should_stop)],
                )[:, longest:]  # fmt: skip
            if should_stop():
                raise Stopped
            for row, tokens in zip(rows, out.tolist(), strict=True):
                stop = next((place for place, token in enumerate(tokens) if token in self._ends), None)
                written[row], cut[row] = (len(tokens), True) if stop is None else (stop + 1, False)
                seconds[row] = timer.seconds / len(rows)
                answers[row] = self.prompt.tokenizer.decode(tokens[:stop], skip_special_tokens=True).strip()
            start += size
            tick(len(rows))
        return Generated(answers, written, cut, seconds)

    def _both(self, prompts, max_new_tokens, tick, should_stop, tuned) -> Generated:
        places = {on: [place for place, its in enumerate(tuned) if its == on] for on in (False, True)}
        texts, count = [""] * len(prompts), len(prompts)
        found = Generated(texts, np.zeros(count, dtype=int), np.zeros(count, dtype=bool), np.zeros(count))
        for on, mine in places.items():
            with contextlib.nullcontext() if on else self.only_base():
                part = self.generate([prompts[place] for place in mine], max_new_tokens, tick, should_stop)
            for place, text in zip(mine, part.texts, strict=True):
                texts[place] = text
            found.tokens[mine], found.cut[mine], found.seconds[mine] = part.tokens, part.cut, part.seconds
        return found

    def stream(self, ids: list[int], max_new_tokens: int) -> Iterator[str]:
        """The answer to one prompt, as it grows."""
        streamer = TextIteratorStreamer(self.prompt.tokenizer, skip_prompt=True, skip_special_tokens=True, timeout=120)
        given_up = False

        def work() -> None:
            try:
                with self._no_gradients():
                    tensor = torch.tensor([ids], device=self.device)
                    self.model.generate(
                        input_ids=tensor, attention_mask=torch.ones_like(tensor), streamer=streamer,
                        generation_config=self._greedy(max_new_tokens), stopping_criteria=[_When(lambda: given_up)],
                    )  # fmt: skip
            finally:
                streamer.end()

        thread = Thread(target=work, daemon=True)
        thread.start()
        text = ""
        try:
            for piece in streamer:
                text += piece
                yield text
        finally:
            # A reader who leaves must not leave the model computing with an adapter that is about to be switched.
            given_up = True
            thread.join()

    def text_loss(self, texts: Sequence[str]) -> tuple[float, int]:
        """Mean loss in nats a token over plain texts, and how many tokens were predicted."""
        total, count = 0.0, 0
        for text in texts:
            ids = torch.tensor([self.prompt.tokenizer(text)["input_ids"]], device=self.device)
            with self._no_gradients():
                hidden = hidden_states(self.model, input_ids=ids, use_cache=False).last_hidden_state[0, :-1]
                likelihood = torch.log_softmax(logits_of(self.model, hidden), -1).gather(1, ids[0, 1:, None])
            total -= float(likelihood.double().sum())
            count += ids.shape[1] - 1
        return total / max(1, count), count

    @property
    def _ends(self) -> set[int]:
        return {self.prompt.end, self.prompt.tokenizer.eos_token_id} - {None}

    def _greedy(self, max_new_tokens: int) -> GenerationConfig:
        return GenerationConfig(
            do_sample=False, max_new_tokens=max_new_tokens, eos_token_id=sorted(self._ends),
            pad_token_id=self.prompt.tokenizer.pad_token_id,
        )  # fmt: skip


class _When(StoppingCriteria):
    def __init__(self, asked: Callable[[], bool]):
        self.asked = asked

    def __call__(self, input_ids, scores, **_):
        return torch.full((input_ids.shape[0],), self.asked(), dtype=torch.bool, device=input_ids.device)


class Timer:
    """Wall-clock seconds of a block."""

    def __enter__(self) -> Timer:
        self._began = time.monotonic()
        return self

    def __exit__(self, *_: object) -> None:
        self.seconds = time.monotonic() - self._began


def _largest_difference(some: Sequence[torch.Tensor], others: Sequence[torch.Tensor]) -> float:
    pairs = zip(some, others, strict=True)
    return max((float((one.float() - other.float()).abs().max()) for one, other in pairs), default=0.0)


def _common_prefix(rows: Sequence[list[int]]) -> int:
    """Tokens that all rows begin with; each row keeps at least one of its own."""
    low, high = min(rows), max(rows)
    shared = next(
        (place for place, (one, other) in enumerate(zip(low, high, strict=False)) if one != other),
        min(len(low), len(high)),
    )
    return min(shared, min(map(len, rows)) - 1)


def _padded(rows: Sequence[Sequence[int]], width: int, fill: int) -> torch.Tensor:
    return torch.tensor([[*row, *[fill] * (width - len(row))] for row in rows], dtype=torch.long)
