"""The base and its fine-tuned version, to be asked: what they answered before, to the same question, is not asked again."""

from __future__ import annotations

import contextlib
import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from finetune.evidence.forgetting.general import PASSAGES
from finetune.evidence.models.kept import Kept, weights_of
from finetune.model import base, machine
from finetune.model.prompt import Prompt
from finetune.runs.store import Run, model_cache

if TYPE_CHECKING:
    from finetune.evidence.models.pair import Pair

# Questions that are asked before their answers are kept: what a stop or a crash costs at most.
AT_ONCE = 256

Tick = Callable[[int], None]


@dataclass(frozen=True)
class Found:
    """One answer: its value, the seconds it took when it was asked, and whether it was kept from before."""

    value: Any
    seconds: float
    kept: bool


class Models:
    """Base and fine-tuned version of a run. The model is loaded when something was never asked before.

    Args:
        prompt: of the run.
        probes: prompts (token ids) on which it is proved that the adapter off is the base.
        emit: told in a "log" event when the model is loaded.
        should_stop: ends a question in the middle, by `pair.Stopped`.

    Raises:
        FinetuneError: the base cannot be had.
    """

    def __init__(
        self, run: Run, prompt: Prompt, probes: Sequence[list[int]], *,
        emit: Callable[..., Any] = lambda kind, **fields: None, should_stop: Callable[[], bool] = lambda: False,
    ):  # fmt: skip
        self.run, self.prompt, self.probes = run, prompt, list(probes)
        self.emit, self.should_stop = emit, should_stop
        self.folder = base.resolve(run.recipe().base, model_cache(run.root))
        self.kept = {tuned: Kept(run.root, weights_of(run, self.folder, adapter=tuned)) for tuned in (False, True)}
        self._pair: Pair | None = None

    def proof(self) -> dict[str, Any]:
        """Whether the model with the adapter off is the base, and with it on is not.

        Returns:
            "equal", "differs"; "probes": how many prompts; "largest_difference", "adapter_difference": of a logit,
            adapter off against the untouched base, and on against off.
        """

        name = self.kept[True].name("proof", *self.probes)
        if self._pair is not None:  # the model in hand is the one to be proved
            self.kept[True].keep([(name, self._pair.proof, 0.0)])
        return self.kept[True].once(name, lambda: self._load().proof)

    def likelihoods(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], *, tuned: bool, tick: Tick
    ) -> list[Found]:
        """For each prompt the log-likelihood of each answer (token ids), as a list of floats."""
        content = [token for answer in answers for token in (len(answer), *answer)]

        def ask(pair: Pair, places: list[int]) -> Iterator[tuple[list[float], float]]:
            found = pair.label_likelihoods([prompts[place] for place in places], answers, tick)
            return zip(found.values.tolist(), found.seconds.tolist(), strict=True)

        names = [self.kept[tuned].name("labels", prompt, content) for prompt in prompts]
        return self._asked(names, [tuned] * len(prompts), prompts, ask, tick)

    def references(
        self, prompts: Sequence[list[int]], answers: Sequence[list[int]], *, tuned: bool, tick: Tick
    ) -> list[Found]:
        """For each prompt the log-likelihood of its expected answer (token ids), as [sum, tokens]."""

        def ask(pair: Pair, places: list[int]) -> Iterator[tuple[list[float], float]]:
            some = [prompts[place] for place in places], [answers[place] for place in places]
            found = pair.reference_likelihoods(*some, tick)
            return zip(found.values.tolist(), found.seconds.tolist(), strict=True)

        names = [
            self.kept[tuned].name("reference", prompt, answer) for prompt, answer in zip(prompts, answers, strict=True)
        ]
        return self._asked(names, [tuned] * len(prompts), prompts, ask, tick)

    def texts(self, prompts: Sequence[list[int]], most: int, *, tuned: Sequence[bool], tick: Tick) -> list[Found]:
        """For each prompt the text that is written to it, as [text, tokens, cut]: cut when it reached `most` tokens.

        Args:
            tuned: for each prompt whether the adapter answers it; both kinds go through the model together.
        """

        def ask(pair: Pair, places: list[int]) -> Iterator[tuple[list, float]]:
            found = pair.generate(
                [prompts[place] for place in places], most, tick, self.should_stop,
                tuned=[tuned[place] for place in places],
            )  # fmt: skip
            values = zip(found.texts, found.tokens.tolist(), found.cut.tolist(), strict=True)
            return zip(map(list, values), found.seconds.tolist(), strict=True)

        names = [self.kept[on].name("text", prompt, most) for prompt, on in zip(prompts, tuned, strict=True)]
        return self._asked(names, tuned, prompts, ask, tick, both=True)

    def general_loss(self, *, tuned: bool) -> tuple[float, int]:
        """Mean loss (nats a token) on general texts, and the number of tokens."""

        def compute() -> tuple[float, int]:
            with self._adapter(tuned) as pair:
                return pair.text_loss(PASSAGES)

        loss, tokens = self.kept[tuned].once(self.kept[tuned].name("general text", *PASSAGES), compute)
        return loss, tokens

    def alone(self, prompts: Sequence[list[int]], answers: Sequence[list[int]], most: int, *, tuned: bool) -> float:
        """Median seconds of a request that has the model to itself.

        Args:
            answers: labels of which the likeliest is looked for; without any, up to `most` tokens are written.
        """

        def compute() -> float:
            with self._adapter(tuned) as pair:
                if answers:
                    taken = [pair.label_likelihoods([prompt], answers).seconds[0] for prompt in prompts]
                else:
                    taken = [
                        pair.generate([prompt], most, should_stop=self.should_stop).seconds[0] for prompt in prompts
                    ]
            return float(statistics.median(taken))

        kept = self.kept[tuned]
        return kept.once(kept.name("alone", most, *prompts, *answers), compute)

    def speed(self, prompt: list[int]) -> dict[str, float]:
        """Tokens a second that base ("base") and fine-tuned ("fine_tuned") write after a prompt, taken in turns."""
        return self.kept[True].once(self.kept[True].name("speed", prompt), lambda: self._load().decode_speed(prompt))

    def let_go(self) -> None:
        """Give the memory of the model back; it is loaded again when something has to be asked."""
        if self._pair is not None:
            self._pair = None
            machine.release()

    def _asked(
        self, names: Sequence[str], tuned: Sequence[bool], prompts: Sequence[list[int]],
        ask: Callable[[Pair, list[int]], Iterator[tuple[Any, float]]], tick: Tick, *, both: bool = False,
    ) -> list[Found]:  # fmt: skip
        """The answer of each name, in order; those that are not kept are asked for, a part at a time."""
        found: dict[str, Found] = {}
        for on in set(tuned):
            mine = [name for name, its in zip(names, tuned, strict=True) if its == on]
            found |= {name: Found(value, took, True) for name, (value, took) in self.kept[on].find(mine).items()}
        first = {name: place for place, name in reversed(list(enumerate(names))) if name not in found}
        missing = sorted(first.values(), key=lambda place: len(prompts[place]))
        tick(len(names) - len(missing))
        for start in range(0, len(missing), AT_ONCE):
            places = missing[start : start + AT_ONCE]
            with contextlib.nullcontext(self._load()) if both else self._adapter(tuned[places[0]]) as pair:
                new = list(zip(places, ask(pair, places), strict=True))
            for on in set(tuned):
                self.kept[on].keep([(names[place], *answer) for place, answer in new if tuned[place] == on])
            found |= {names[place]: Found(*answer, False) for place, answer in new}
        return [found[name] for name in names]

    @contextlib.contextmanager
    def _adapter(self, on: bool) -> Iterator[Pair]:
        """The loaded pair, its adapter on or off until the end of the block."""
        pair = self._load()
        with contextlib.nullcontext() if on else pair.only_base():
            yield pair

    def _load(self) -> Pair:
        if self._pair is None:
            from finetune.evidence.models.pair import Pair

            self.emit("log", text="loading the base and the adapter")
            self._pair = Pair.of(self.run, self.prompt, self.probes)
        return self._pair
