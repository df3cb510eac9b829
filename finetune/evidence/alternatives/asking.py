"""What each system puts before the language model: the run's instruction, a better one, solved rows, or similar ones."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass

from finetune.dataset.example import Example, Task
from finetune.evidence.alternatives.baselines import few_shot
from finetune.evidence.alternatives.documents import PASSAGES_FILE, Passage, read_passages
from finetune.evidence.alternatives.retrieval import Retriever
from finetune.evidence.options import Options
from finetune.model.prompt import Prompt
from finetune.runs.store import Run
from finetune.training.plan import choose_rows
from finetune.training.session import prompt_of

SHOTS, RETRIEVED = (2, 4, 8), (1, 3, 5)
# Of several passages each gets less room, and a small base loses the thread.
PASSAGES = 2


@dataclass(frozen=True)
class Asked:
    """One question to the model.

    Attributes:
        prompt: token ids.
        cut: tokens of the input that were left out for length.
        rows: source rows of the examples shown; `passages`: places of the passages shown, 0 = the first.
        shortened: how many of these were cut for length.
    """

    prompt: list[int]
    cut: int
    rows: tuple[int, ...] = ()
    passages: tuple[int, ...] = ()
    shortened: int = 0


class Asking:
    """The questions of every system that asks the language model.

    Args:
        prompt: of the run.
        train: rows that examples are taken from; no row is shown its own copy.
        labels: for classification; `label_ids` are their token ids, end token included.
        seed: of the draw of the few-shot examples.
        instruction: of the system “prompted”.
        passages: of the user's documents, for retrieval.
        train_rows: rows that were there to learn from; more than `train` in a pilot.
    """

    def __init__(
        self, prompt: Prompt, train: Sequence[Example], *, labels: Sequence[str], seed: int, instruction: str = "",
        passages: Sequence[Passage] = (), train_rows: int | None = None,
    ):  # fmt: skip
        self.prompt, self.train, self.labels, self.seed = prompt, list(train), list(labels), seed
        self.label_ids = [prompt.answer_ids(label) for label in self.labels]
        self.instruction, self.passages = instruction, list(passages)
        self.train_rows = len(self.train) if train_rows is None else train_rows
        self._rows: Retriever | None = None
        self._documents: Retriever | None = None

    def candidates(self, system: str) -> tuple[int, ...]:
        """Numbers of examples among which the validation rows choose."""
        if system not in ("few_shot", "retrieval"):
            return (0,)
        tried = SHOTS if system == "few_shot" else RETRIEVED
        return tuple(sorted({min(count, len(self.train)) for count in tried}))

    def ask(self, system: str, examples: Sequence[Example], count: int, room: int) -> list[Asked]:
        """The question of a system for each row.

        Args:
            count: examples to show, one of `candidates`.
            room: tokens kept free for the answer, at most half of a row.
        """
        room = min(room, self.prompt.max_tokens // 2)
        shots: list[list[Example]] = [[] for _ in examples]
        places: list[list[int]] = [[] for _ in examples]
        if system == "few_shot":
            drawn = few_shot(self.train, count=count, seed=self.seed, labels=self.labels or None)
            shots = [[shot for shot in drawn if shot.row != example.row] for example in examples]
        elif system == "retrieval":
            queries = [example.input for example in examples]
            if self._rows is None:
                self._rows = Retriever([example.input for example in self.train])
                self._documents = Retriever([passage.text for passage in self.passages])
            # The most similar row stands nearest to the question.
            shots = [
                [shot for shot in (self.train[place] for place in found) if shot.row != example.row][:count][::-1]
                for example, found in zip(examples, self._rows.find(queries, count + 1), strict=True)
            ]
            places = self._documents.find(queries, min(count, PASSAGES)) if self._documents else places
        instruction = self.instruction if system == "prompted" else None
        asked = []
        for example, shown, found in zip(examples, shots, places, strict=True):
            # Without a look at the answer that is expected.
            encoded = self.prompt.encode(
                dataclasses.replace(example, output=""), shown, room, instruction=instruction,
                passages=[self.passages[place].text for place in found],
            )  # fmt: skip
            rows = tuple(shot.row for shot in shown)
            asked.append(Asked(encoded.prompt, encoded.cut, rows, tuple(found), encoded.shortened))
        return asked


def asking_of(run: Run, options: Options) -> Asking:
    """The questions of a run's systems, with the options of its comparison. Raises FinetuneError as `prompt_of`."""
    recipe, record = run.recipe(), run.record()
    task = record["task"]
    # Every system learns from the rows that the fine-tuned model learned from, also in a pilot.
    available = run.examples("train")
    labels = list(record["labels"]) if task == "classification" else []
    return Asking(
        prompt_of(run), choose_rows(available, recipe.rows, task, recipe.seed), labels=labels, seed=recipe.seed,
        instruction=options.prompt or default_prompt(task, labels),
        passages=read_passages(run.directory / PASSAGES_FILE), train_rows=len(available),
    )  # fmt: skip


def default_prompt(task: Task, labels: Sequence[str]) -> str:
    """The instruction of “prompted” where the user wrote none; empty where nothing is known that would help."""
    if task != "classification":
        return ""
    listed = "\n".join(f"- {label}" for label in labels)
    return (
        "You sort texts. Read the text and decide which one label describes it best.\n"
        f"The labels:\n{listed}\nAnswer with one of these labels, exactly as written, and nothing else."
    )
