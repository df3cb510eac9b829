"""How much faster the comparison asks the model than row by row: `python tests/benchmarks/scoring.py RUN [--rows N]`.

RUN is the directory of a trained run. Its questions are those of the comparison, on its test rows:

- labels (a run of classification): all labels after every prompt, against plain scoring, in which every label of every
  row goes through the model alone with its whole prompt (`model(ids).logits`; also with the head only where the label
  is predicted), and against `model.generate` row by row, which writes one label;
- answers: what base and fine-tuned write, against `model.generate` row by row.

Each way has the first half of the rows in turn, then the second half in reverse order, so that a machine that is busy for
a while is so for all. Told are wall clock and processor time, and how many answers are the same.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# Before torch is imported: the default makes small operations on shared cores 10-30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

import numpy as np  # noqa: E402
import torch  # noqa: E402
from transformers import GenerationConfig  # noqa: E402

from finetune.evidence.alternatives.asking import Asking, default_prompt  # noqa: E402
from finetune.evidence.models.pair import Pair  # noqa: E402
from finetune.evidence.systems import FINE_TUNED, NAMES  # noqa: E402
from finetune.model.head import hidden_states, logits_of  # noqa: E402
from finetune.runs.store import Run  # noqa: E402
from finetune.training.plan import choose_rows  # noqa: E402
from finetune.training.session import prompt_of  # noqa: E402


@dataclass
class Way:
    """One way to answer: its function of some rows' places, what it gave, and what it took in seconds."""

    name: str
    work: Callable[[Sequence[int]], Sequence[Any]]
    given: dict[int, Any] = field(default_factory=dict)
    wall: float = 0.0
    processor: float = 0.0

    def run(self, rows: Sequence[int]) -> None:
        wall, processor = time.perf_counter(), time.process_time()
        given = self.work(rows)
        self.wall += time.perf_counter() - wall
        self.processor += time.process_time() - processor
        self.given |= dict(zip(rows, given, strict=True))


def in_turns(ways: Sequence[Way], count: int) -> None:
    """All ways on the first half of the rows, then on the second half in reverse order."""
    halves = range((count + 1) // 2), range((count + 1) // 2, count)
    for rows, order in zip(halves, (ways, reversed(ways)), strict=True):
        for way in order:
            if rows:
                way.run(list(rows))


def tell(title: str, ways: Sequence[Way], count: int, same: Callable[[Any, Any], bool]) -> None:
    """One line a way; the first way is the one that the others are compared with."""
    ours = ways[0]
    print(f"\n{title}, {count} rows\n\n| way | seconds a row | processor | times slower | same answers |")
    print("|---|---|---|---|---|")
    for way in ways:
        equal = sum(same(ours.given[row], way.given[row]) for row in range(count))
        print(
            f"| {way.name} | {way.wall / count:.3f} | {way.processor / count:.3f} | {way.wall / ours.wall:.1f} "
            f"(processor {way.processor / ours.processor:.1f}) | {equal} of {count} |",
            flush=True,
        )


def plain_scores(pair: Pair, prompt: list[int], labels: Sequence[list[int]], *, whole: bool) -> np.ndarray:
    """Log-likelihood of each label after a prompt, one label at a time.

    Args:
        whole: with the logits of every token; else the head runs only where the label is predicted.
    """
    found = []
    for label in labels:
        ids = torch.tensor([prompt + label[:-1]], device=pair.device)
        with pair.computing():
            if whole:
                logits = pair.model(input_ids=ids, use_cache=False).logits[0].float()
            else:
                states = hidden_states(pair.model, input_ids=ids, use_cache=False).last_hidden_state[0]
                logits = logits_of(pair.model, states[len(prompt) - 1 :])
            chosen = torch.log_softmax(logits, -1)[-len(label) :]
        found.append(float(chosen[range(len(label)), label].double().sum()))
    return np.array(found)


def plain_answer(pair: Pair, prompt: list[int], most: int) -> str:
    """What transformers writes by itself."""
    ids = torch.tensor([prompt], device=pair.device)
    settings = GenerationConfig(
        do_sample=False, max_new_tokens=most, eos_token_id=sorted(pair.ends),
        pad_token_id=pair.prompt.tokenizer.pad_token_id,
    )  # fmt: skip
    with pair.computing():
        out = pair.model.generate(input_ids=ids, attention_mask=torch.ones_like(ids), generation_config=settings)
    return pair.prompt.tokenizer.decode(out[0, len(prompt) :], skip_special_tokens=True).strip()


class Bench:
    """A run, its model and its questions."""

    def __init__(self, run: Run, rows: int):
        recipe, record = run.recipe(), run.record()
        self.prompt, task = prompt_of(run), record["task"]
        self.labels = list(record["labels"]) if task == "classification" else []
        self.label_ids = [self.prompt.answer_ids(label) for label in self.labels]
        longest = max(map(len, self.label_ids), default=0)
        self.most = longest + 4 if self.labels else recipe.max_new_tokens
        train = choose_rows(run.examples("train"), recipe.rows, task, recipe.seed)
        self.test = choose_rows(run.examples("test"), rows, task, recipe.seed)
        self.asking = Asking(
            self.prompt, train, labels=self.labels, seed=recipe.seed, instruction=default_prompt(task, self.labels)
        )
        self.room = longest if self.labels else recipe.max_new_tokens
        self.pair = Pair.of(run, self.prompt)
        self.pair.label_likelihoods([[1, 2, 3]], [[4, 5]])  # what happens once

    def prompts(self, system: str) -> list[list[int]]:
        counts = self.asking.candidates(system)
        return [asked.prompt for asked in self.asking.ask(system, self.test, counts[-1], self.room)]

    def adapter(self, on: bool) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext() if on else self.pair.only_base()

    def score(self, system: str) -> None:
        """Labels by the tree, one by one, and one label written."""
        prompts, on = self.prompts(system), system == FINE_TUNED

        def tree(rows: Sequence[int]) -> Sequence[Any]:
            with self.adapter(on):
                return list(self.pair.label_likelihoods([prompts[row] for row in rows], self.label_ids).values)

        def plain(whole: bool, rows: Sequence[int]) -> Sequence[Any]:
            with self.adapter(on):
                return [plain_scores(self.pair, prompts[row], self.label_ids, whole=whole) for row in rows]

        def write(rows: Sequence[int]) -> Sequence[Any]:
            with self.adapter(on):
                return [plain_answer(self.pair, prompts[row], self.room) for row in rows]

        ways = [
            Way("as a tree", tree),
            Way("label by label", functools.partial(plain, True)),
            Way("label by label, head where needed", functools.partial(plain, False)),
            Way("model.generate, one label", write),
        ]
        in_turns(ways, len(prompts))

        def best(value: Any) -> str:
            return value if isinstance(value, str) else self.labels[int(value.argmax())]

        tokens = np.mean([len(prompt) for prompt in prompts])
        title = f"{len(self.labels)} labels, {NAMES[system]}, prompts of {tokens:.0f} tokens"
        tell(title, ways, len(prompts), lambda one, other: best(one) == best(other))
        apart = [np.abs(ways[0].given[row] - ways[1].given[row]).max() for row in range(len(prompts))]
        print(f"\nLargest difference of a log-likelihood, tree and label by label: {max(apart):.4f}")

    def write(self, most: int) -> None:
        """The answers of base and fine-tuned."""
        prompts = self.prompts("base")

        def together(rows: Sequence[int]) -> Sequence[Any]:
            asked = [prompts[row] for row in rows]
            tuned = [False] * len(rows) + [True] * len(rows)
            texts = self.pair.generate(asked * 2, most, tuned=tuned).texts
            return list(zip(texts[: len(rows)], texts[len(rows) :], strict=True))

        def plain(rows: Sequence[int]) -> Sequence[Any]:
            texts = []
            for on in (False, True):
                with self.adapter(on):
                    texts.append([plain_answer(self.pair, prompts[row], most) for row in rows])
            return list(zip(*texts, strict=True))

        ways = [Way("in one batch", together), Way("model.generate", plain)]
        in_turns(ways, len(prompts))
        title = f"Answers of base and fine-tuned, at most {most} tokens"
        tell(title, ways, len(prompts), lambda one, other: one == other)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("run", type=Path, help="directory of a trained run")
    parser.add_argument("--rows", type=int, default=10, help="rows whose labels are scored")
    parser.add_argument("--answers", type=int, default=200, help="rows whose answers are written; 0: none")
    parser.add_argument(
        "--new-tokens", type=int, help="tokens of an answer at most; as the comparison has it by default"
    )
    parser.add_argument("--systems", nargs="*", default=["base", FINE_TUNED], help="whose prompts are scored")
    options = parser.parse_args()
    run = Run(options.run.resolve())
    print(f"{run.id}: {run.recipe().base}, {torch.get_num_threads()} threads, torch {torch.__version__}", flush=True)
    bench = Bench(run, options.rows)
    for system in options.systems if bench.labels else ():
        bench.score(system)
    if options.answers:
        bench.test = choose_rows(run.examples("test"), options.answers, run.record()["task"], run.recipe().seed)
        bench.write(options.new_tokens or bench.most)


if __name__ == "__main__":
    main()
