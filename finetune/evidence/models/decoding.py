"""Answers written token by token, the most likely token each time, many rows at once.

Each row of a batch has a slot in one cache; what the prompts begin with is computed once and laid into every slot. A row
that is finished gives its slot to the next one that waits, so that every pass is as full as it can be.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from transformers import Cache, GenerationConfig
from transformers.cache_utils import DynamicLayer

from finetune.evidence.models.likelihood import PASS_TOKENS
from finetune.model.attention import masked_pass, prefix_cache
from finetune.model.head import logits_of
from finetune.model.prompt import common_prefix

if TYPE_CHECKING:
    from finetune.evidence.models.pair import Pair

# Slots × tokens of the cache: 147 KB a token for an 8B.
GENERATION_TOKENS = 16_384
GENERATION_ROWS = 128
# A row that needs less than this share of a slot waits for a batch of shorter slots.
FILLED = 0.7
Tick = Callable[[int], None]


class Stopped(Exception):
    """A stop was asked for in the middle of the comparison."""


@dataclass(frozen=True)
class Generated:
    """What was written.

    Attributes:
        texts: the answers, without their end token.
        tokens: int (rows,) written, the end token included.
        cut: bool (rows,) whether the answer was still going on when it had as many tokens as were allowed.
        seconds: (rows,) of each row: its share of the passes that it was in.
    """

    texts: list[str]
    tokens: np.ndarray
    cut: np.ndarray
    seconds: np.ndarray


class Slots(Cache):
    """Keys and values of the rows of a batch, each row in a slot of its own: token i of its text in column i.

    Args:
        rows: slots.
        width: tokens of the longest row with its answer.
    """

    def __init__(self, rows: int, width: int):
        super().__init__(layer_class_to_replicate=DynamicLayer)
        self.rows, self.width = rows, width
        self.kept: list[tuple[torch.Tensor, torch.Tensor]] = []
        # Which beginning lies in each slot; None: nothing yet.
        self.begins: list[bool | None] = [None] * rows
        self.used = 0
        self._where: tuple[torch.Tensor, torch.Tensor, int] | None = None
        self._fresh = False
        self._begin: list[tuple[torch.Tensor, Cache]] = []

    def take(self, count: int, places: torch.Tensor, columns: int, begin: dict[bool, Cache | None], of: Sequence[bool]):
        """The next pass is that of `count` new rows, at `places` (rows, tokens), which begin with `begin[of[row]]`."""
        new = torch.arange(self.used, self.used + count, device=places.device)
        self._begin = []
        for which, cache in begin.items():
            lacking = [self.used + row for row in range(count) if of[row] == which != self.begins[self.used + row]]
            if cache is not None and lacking:
                self._begin.append((torch.tensor(lacking, device=places.device), cache))
        self.begins[self.used : self.used + count] = of
        self._where, self._fresh = (new, places, columns), True
        self.used += count

    def go_on(self, places: torch.Tensor, columns: int) -> None:
        """The next pass is one more token of every row, at `places` (rows, 1)."""
        self._where, self._fresh = (torch.arange(self.used, device=places.device), places, columns), False

    @torch.inference_mode()
    def give_up(self, slot: int) -> None:
        """The row of a slot is finished; the last row moves into it."""
        self.used -= 1
        if slot == self.used:
            return
        for keys, values in self.kept:
            keys[slot], values[slot] = keys[self.used], values[self.used]
        self.begins[slot] = self.begins[self.used]

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, layer_idx: int, *_: Any, **__: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        assert self._where is not None
        here = key_states.device  # of this layer: those of a split base lie on several
        slots, places, columns = self._where[0].to(here), self._where[1].to(here), self._where[2]
        if layer_idx == len(self.kept):
            # Zeros: what is masked still has to be a number.
            self.kept.append(
                tuple(
                    new.new_zeros(self.rows, new.shape[1], self.width, new.shape[3])
                    for new in (key_states, value_states)
                )
            )
        result = []
        for number, (kept, new) in enumerate(zip(self.kept[layer_idx], (key_states, value_states), strict=True)):
            if self._fresh:
                for lacking, cache in self._begin:
                    begun = (cache.layers[layer_idx].keys, cache.layers[layer_idx].values)[number]
                    kept[lacking.to(here), :, : begun.shape[2]] = begun
            kept[slots[:, None], :, places] = new.transpose(1, 2).to(kept.dtype)
            result.append(kept[slots, :, :columns] if self._fresh else kept[: len(slots), :, :columns])
        return result[0], result[1]

    def get_seq_length(self, layer_idx: int = 0) -> int:
        return self._where[2] if self._where else 0


class Decoding:
    """The answers to some prompts in the making.

    Args:
        most: tokens of an answer at most.
        tuned: for each row whether the adapter answers it; None: all as it is switched.
        ends: tokens that close an answer.
    """

    def __init__(
        self, pair: Pair, prompts: Sequence[list[int]], most: int, tuned: Sequence[bool] | None, ends: Set[int]
    ):
        self.pair, self.prompts, self.most, self.tuned, self.ends = pair, prompts, most, tuned, ends
        self.written: list[list[int]] = [[] for _ in prompts]
        self.seconds = np.zeros(len(prompts))
        self.shared = common_prefix(prompts) if prompts else 0

    def finished(self, row: int) -> bool:
        written = self.written[row]
        return len(written) >= self.most or bool(written and written[-1] in self.ends)

    def passes(self) -> Iterator[list[int]]:
        """Writes on, and after each pass gives the rows that have one more token."""
        begin: dict[bool, Cache | None] = {}
        for group in self._groups():
            waiting = list(group)
            width = len(self.prompts[group[0]]) + self.most
            slots = Slots(min(len(group), GENERATION_ROWS, max(1, GENERATION_TOKENS // width)), width)
            active: list[int] = []
            while waiting or active:
                free = slots.rows - slots.used
                # Some at once: a pass of few tokens costs almost as much as one of many.
                if waiting and (not active or free >= max(1, slots.rows // 4)):
                    longest = len(self.prompts[waiting[0]]) - self.shared
                    new = waiting[: max(1, min(free, PASS_TOKENS // longest))]
                    del waiting[: len(new)]
                    rows, tokens = new, self._timed(new, self._read, slots, begin, new)
                    active += new
                else:
                    rows, tokens = list(active), self._timed(active, self._go_on, slots, active)
                for row, token in zip(rows, tokens, strict=True):
                    self.written[row].append(token)
                for row in rows:
                    if self.finished(row):
                        slot = active.index(row)
                        slots.give_up(slot)
                        active[slot] = active[-1]
                        active.pop()
                yield rows

    def _groups(self) -> Iterator[list[int]]:
        """Rows whose slots are of like length, the longest first."""
        group: list[int] = []
        for row in sorted(range(len(self.prompts)), key=lambda row: -len(self.prompts[row])):
            if group and len(self.prompts[row]) + self.most < FILLED * (len(self.prompts[group[0]]) + self.most):
                yield group
                group = []
            group.append(row)
        if group:
            yield group

    def _timed(self, rows: Sequence[int], work: Callable[..., list[int]], *given: Any) -> list[int]:
        began = time.perf_counter()
        with self.pair.computing():
            tokens = work(*given)
        self.seconds[list(rows)] += (time.perf_counter() - began) / len(rows)
        return tokens

    def _of(self, rows: Sequence[int]) -> list[bool]:
        return [self.tuned[row] if self.tuned is not None else True for row in rows]

    def _adapter(self, of: Sequence[bool]) -> contextlib.AbstractContextManager[None]:
        return self.pair.adapter_for(of if self.tuned is not None else None)

    def _read(self, slots: Slots, begin: dict[bool, Cache | None], rows: list[int]) -> list[int]:
        """The prompts of new rows, and the first token of each answer."""
        of, device = self._of(rows), self.pair.device
        for which in sorted(set(of) - set(begin)):
            with self._adapter([which]):
                begin[which] = prefix_cache(self.pair.model, self.prompts[rows[0]][: self.shared], device)
        tails = [self.prompts[row][self.shared :] for row in rows]
        longest = max(map(len, tails))
        pad = self.pair.prompt.tokenizer.pad_token_id
        ids = torch.tensor([tail + [pad] * (longest - len(tail)) for tail in tails], device=device)
        places = torch.arange(self.shared, self.shared + longest, device=device).expand(len(rows), -1)
        slots.take(len(rows), places, self.shared + longest, begin, of)
        last = torch.tensor([len(tail) - 1 for tail in tails], device=device)
        return self._next(slots, ids, places, self.shared + longest, of, last)

    def _go_on(self, slots: Slots, rows: list[int]) -> list[int]:
        """One more token of each row."""
        device = self.pair.device
        lengths = [len(self.prompts[row]) + len(self.written[row]) for row in rows]
        places = torch.tensor(lengths, device=device)[:, None] - 1
        ids = torch.tensor([[self.written[row][-1]] for row in rows], device=device)
        slots.go_on(places, max(lengths))
        last = torch.zeros(len(rows), dtype=torch.long, device=device)
        return self._next(slots, ids, places, max(lengths), self._of(rows), last)

    def _next(
        self, slots: Slots, ids: torch.Tensor, places: torch.Tensor, columns: int, of: list[bool], last: torch.Tensor
    ) -> list[int]:
        along = torch.arange(columns, device=ids.device)
        with self._adapter(of):
            states = masked_pass(self.pair.model, ids, along <= places[:, :, None], places, along[None], slots)
        rows = torch.arange(len(ids), device=ids.device)
        return logits_of(self.pair.model, states[rows, last]).argmax(-1).tolist()

    def text(self, row: int) -> str:
        tokens = self.written[row]
        stop = len(tokens) - bool(tokens and tokens[-1] in self.ends)
        text = self.pair.prompt.tokenizer.decode(tokens[:stop], skip_special_tokens=True).strip()
        # A character whose bytes are not all there yet.
        return text if self.finished(row) else text.rstrip("\ufffd")


class Plain(Decoding):
    """The same for a model that takes no masks: transformers writes one answer after the other."""

    def passes(self) -> Iterator[list[int]]:
        for row, prompt in enumerate(self.prompts):
            self.written[row] = self._timed([row], self._whole, row, prompt)
            yield [row]

    def _whole(self, row: int, prompt: list[int]) -> list[int]:
        ids = torch.tensor([prompt], device=self.pair.device)
        greedy = GenerationConfig(
            do_sample=False, max_new_tokens=self.most, min_new_tokens=None if self.ends else self.most,
            eos_token_id=sorted(self.ends or self.pair.ends), pad_token_id=self.pair.prompt.tokenizer.pad_token_id,
        )  # fmt: skip
        with self._adapter(self._of([row])):
            out = self.pair.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=greedy)
        return out[0, len(prompt) :].tolist()


def _decoding(
    pair: Pair, prompts: Sequence[list[int]], most: int, tuned: Sequence[bool] | None, ends: Set[int] | None = None
) -> Decoding:
    kind = Decoding if pair.takes_masks else Plain
    return kind(pair, prompts, most, tuned, pair.ends if ends is None else ends)


def _together(
    pair: Pair, count: int, tuned: Sequence[bool] | None
) -> Iterator[tuple[list[int], Sequence[bool] | None]]:
    """The rows that may stand in one batch, and which of them the adapter answers (None: all as it is switched now)."""
    if tuned is None or pair.mixes:
        yield list(range(count)), tuned
        return
    for which in (False, True):
        if rows := [row for row in range(count) if tuned[row] == which]:
            with contextlib.nullcontext() if which else pair.only_base():
                yield rows, None


def generate(
    pair: Pair, prompts: Sequence[list[int]], most: int, tick: Tick, should_stop: Callable[[], bool],
    tuned: Sequence[bool] | None,
) -> Generated:  # fmt: skip
    """The answer to each prompt, all in as few passes as they take.

    Args:
        prompts: token ids of each row up to the answer.
        most: tokens of an answer at most.
        tick: told how many rows are done.
        should_stop: asked after each pass.
        tuned: for each row whether the adapter answers it; None: all as it is switched.

    Raises:
        Stopped: a stop was asked for.
    """
    made = Generated(
        [""] * len(prompts),
        np.zeros(len(prompts), dtype=int),
        np.zeros(len(prompts), dtype=bool),
        np.zeros(len(prompts)),
    )
    for rows, chosen in _together(pair, len(prompts), tuned):
        decoding = _decoding(pair, [prompts[row] for row in rows], most, chosen)
        for told in decoding.passes():
            if should_stop():
                raise Stopped
            if done := sum(decoding.finished(row) for row in told):
                tick(done)
        for place, row in enumerate(rows):
            tokens = decoding.written[place]
            made.texts[row], made.tokens[row] = decoding.text(place), len(tokens)
            made.cut[row], made.seconds[row] = tokens[-1] not in pair.ends, decoding.seconds[place]
    return made


def stream(pair: Pair, prompts: Sequence[list[int]], tuned: Sequence[bool], most: int) -> Iterator[list[str]]:
    """The answers as they grow, after each pass. Nothing goes on between two of them: who leaves ends the work."""
    texts = [""] * len(prompts)
    for rows, chosen in _together(pair, len(prompts), tuned):
        decoding = _decoding(pair, [prompts[row] for row in rows], most, chosen)
        for told in decoding.passes():
            for place in told:
                texts[rows[place]] = decoding.text(place)
            yield list(texts)


def speed(pair: Pair, ids: list[int], tokens: int) -> dict[str, float]:
    """Tokens a second that base and fine-tuned write after the prompt `ids`, taken in turns; ends do not end it."""
    seconds = {False: 0.0, True: 0.0}
    for tuned in (None, False, True, True, False):
        with contextlib.nullcontext() if tuned else pair.only_base():
            # The first round is for what happens once; the first token is the reading of the prompt.
            passes = _decoding(pair, [ids], 1 + (tokens if tuned is not None else 2), None, frozenset()).passes()
            if pair.takes_masks:
                next(passes)
            began = time.perf_counter()
            for _ in passes:
                pass
            if tuned is not None:
                seconds[tuned] += time.perf_counter() - began
    return {name: 2 * tokens / seconds[tuned] for name, tuned in (("base", False), ("fine_tuned", True))}
