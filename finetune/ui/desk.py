"""What lies on the desk of one visitor: the file, how it is read, and the report made from it.

A `gr.State` is copied at every event, so it keeps only the small `Data`; tables and reports stay here, in caches that
every handler shares.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from finetune.dataset.columns import Mapping, examples, guess
from finetune.dataset.example import Example, Task
from finetune.dataset.load import Table, load
from finetune.dataset.quality import DEFAULT_MENDS, Finding
from finetune.dataset.report import Report, look
from finetune.errors import FinetuneError

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EXAMPLE_FILES = {
    "tickets": "tickets.csv",
    "contracts": "contracts.jsonl",
    "answers": "answers.jsonl",
    "messy": "messy.csv",
}

# A fast tokenizer is not made for two threads at once («Already borrowed»).
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Data:
    """A file and every choice that turns it into a report; small, hashable, kept in the page's state."""

    path: str
    name: str
    input: tuple[str, ...]
    output: str | None
    task: Task
    mends: tuple[str, ...] = tuple(DEFAULT_MENDS)
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0

    @property
    def title(self) -> str:
        """The name without its ending, as the runs carry it."""
        return Path(self.name).stem


@dataclass(frozen=True)
class Lengths:
    """Whose tokens are counted: base, folder of fetched models, longest row, instruction put before every input."""

    base: str
    cache: Path
    max_tokens: int
    instruction: str = ""


def open_file(path: str, name: str) -> Data:
    """The file as `guess` reads it. Raises FinetuneError for a file that cannot be used."""
    mapping = guess(table(path))
    return Data(path, name, mapping.input, mapping.output, mapping.task)


def table(path: str) -> Table:
    """The table of a file; read once for each state of the file on disk."""
    try:
        modified = Path(path).stat().st_mtime_ns
    except OSError:
        raise FinetuneError("The file is no longer on this machine.", hint="Drop it once more.") from None
    return _table(path, modified)


@lru_cache(maxsize=8)
def _table(path: str, modified: int) -> Table:
    return load(Path(path))


def mapping_of(data: Data) -> Mapping:
    """The mapping that the choices make. Raises FinetuneError when they do not fit the file."""
    if not data.input:
        raise FinetuneError("No column is chosen as the input.", hint="Choose at least one.")
    return guess(table(data.path), input=data.input, output=data.output, task=data.task)


def read_rows(data: Data) -> tuple[list[Example], list[Finding]]:
    """The rows that can be used, and what was found about those that cannot."""
    return examples(table(data.path), mapping_of(data))


def report_of(data: Data, lengths: Lengths | None = None) -> Report:
    """The report of the file under these choices; with `lengths` it also knows which rows would be cut.

    Raises FinetuneError, also when the tokenizer of the base cannot be had.
    """
    table(data.path)  # says so where the upload is gone
    return _report(data, lengths, Path(data.path).stat().st_mtime_ns)


@lru_cache(maxsize=16)
def _report(data: Data, lengths: Lengths | None, modified: int) -> Report:
    count = None
    if lengths is not None:

        def count(rows: Sequence[Example], task: Task, labels: list[str]) -> list[int]:
            prompt = prompt_of(lengths, task, labels)
            with _one_at_a_time:
                return prompt.lengths(rows)

    return look(
        table(data.path),
        mapping_of(data),
        mends=data.mends,
        validation=data.validation,
        test=data.test,
        seed=data.seed,
        max_tokens=lengths.max_tokens if lengths else 512,
        count_tokens=count,
    )


def longest(data: Data) -> int | None:
    """The longest row in tokens, about: by its characters, which needs no tokenizer. None where nothing is read."""
    try:
        rows = read_rows(data)[0]
    except FinetuneError:
        return None
    # Three characters a token is on the safe side in European languages; the template around a row takes some 64.
    sizes = (len(row.input) + len(row.output) + sum(len(text) for _, text in row.context) for row in rows)
    return max(sizes, default=0) // 3 + 64


def prompt_of(lengths: Lengths, task: Task, labels: Sequence[str]):
    """The `Prompt` as the run would build it. transformers is imported here, not before."""
    from finetune.model.base import tokenizer
    from finetune.model.prompt import Prompt

    found = tokenizer(lengths.base, cache=lengths.cache)
    return Prompt(found, task, labels, lengths.instruction, lengths.max_tokens)


def tokens_of(lengths: Lengths, report: Report, row: int | None) -> list:
    """The tokens of one row of the report; of its first, where that row is not in it."""
    rows = {example.row: example for part in report.split.parts().values() for example in part}
    example = rows.get(row) or rows[min(rows)]
    prompt = prompt_of(lengths, report.task, list(report.labels))
    with _one_at_a_time:
        return prompt.tokens(example)
