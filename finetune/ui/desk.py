"""What lies on the desk of one visitor: the files, how they are read, and the report made from them.

A `gr.State` is copied at every event, so it keeps only the small `Data`; tables and reports stay here, where every
handler finds them again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from finetune.dataset.checks.lengths import Lengths
from finetune.dataset.checks.likeness import THRESHOLD, text_of
from finetune.dataset.checks.rowmap import RowMap, row_map
from finetune.dataset.examine import SEED, Examined, examine
from finetune.dataset.example import Example, Task
from finetune.dataset.finding import Finding
from finetune.dataset.mapping.columns import Mapping, examples, guess
from finetune.dataset.mending import DEFAULT_MENDS
from finetune.dataset.readiness.questions import Questions
from finetune.dataset.reading.hub import load_hub
from finetune.dataset.reading.load import Table, load
from finetune.dataset.report import Choices, Report, conclude, lengths_of
from finetune.dataset.tell import Tell, silent
from finetune.errors import FinetuneError
from finetune.model.advice import Spelling
from finetune.training.choose import most_tokens
from finetune.training.recipe import LONGEST, Recipe
from finetune.ui.kept import Kept

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
EXAMPLE_FILES = {
    "tickets": "tickets.csv",
    "contracts": "contracts.jsonl",
    "answers": "answers.jsonl",
    "messy": "messy.csv",
}
# What is kept at most, in rows over all that is kept: a million rows of a report take about a gigabyte.
KEPT_ROWS = 2_000_000
MAP_ROWS = 1500  # points; a browser draws no more with ease
# A fast tokenizer is not made for two threads at once («Already borrowed»).
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Data:
    """Files and every choice that turns them into a report; small, hashable, kept in the page's state.

    Attributes:
        paths: the files on this machine, in order.
        name: what the page calls them.
        test_path: a test file of the user's own.
        hub: a data set of the Hub in place of files.
        template, group, time: as in `Mapping`.
        mends, near, validation, test, seed, questions: as in `Choices`.
    """

    paths: tuple[str, ...]
    name: str
    input: tuple[str, ...] = ()
    output: str | None = None
    task: Task = "instruction"
    test_path: str | None = None
    hub: str = ""
    template: str = ""
    group: str | None = None
    time: str | None = None
    mends: tuple[str, ...] = DEFAULT_MENDS
    near: float = THRESHOLD
    validation: float = 0.15
    test: float = 0.15
    seed: int = 0
    questions: Questions = field(default_factory=Questions)

    @property
    def title(self) -> str:
        """The name without its ending, as the runs carry it."""
        return Path(self.name).name.split(".")[0] or "data"


CHOICES = ("mends", "near", "validation", "test", "seed", "questions")


def same_rows(one: Data, other: Data) -> bool:
    """Whether two differ at most in what is chosen on the tab Preview."""
    return replace(one, **{name: getattr(other, name) for name in CHOICES}) == other


@dataclass(frozen=True)
class Whose:
    """Whose tokens are counted: base, folder of fetched models, longest row, instruction put before every input.

    A `max_tokens` of 0 leaves the longest row open: then what the base can take is the bound.
    """

    base: str
    cache: Path
    max_tokens: int
    instruction: str = ""

    @property
    def limit(self) -> int:
        return most_tokens(self.max_tokens, self.base)

    @classmethod
    def of(cls, recipe: Recipe, cache: Path) -> Whose:
        """As a run of this recipe counts them."""
        return cls(recipe.base, cache, recipe.max_tokens, recipe.instruction)


_tables = Kept(lambda table: len(table.frame), KEPT_ROWS)
_examined = Kept(lambda examined: len(examined.examples), KEPT_ROWS)
_counted = Kept(lambda lengths: 1, 32)
_maps = Kept(lambda seen: 1, 32)
_longest = Kept(lambda size: 1, 256)
_reports = Kept(lambda report: report.rows, KEPT_ROWS)


def open_files(paths: Sequence[str], name: str = "", *, test_path: str | None = None, tell: Tell = silent) -> Data:
    """The files as `guess` reads them. Raises FinetuneError for what cannot be used."""
    data = Data(tuple(paths), name or ", ".join(Path(path).name for path in paths), test_path=test_path)
    return _guessed(data, tell)


def open_hub(hub: str, tell: Tell = silent) -> Data:
    """A data set of the Hub. Raises FinetuneError, also where the Hub cannot be reached."""
    return _guessed(Data((), hub, hub=hub), tell)


def _guessed(data: Data, tell: Tell) -> Data:
    mapping = guess(table(data, tell))
    chosen = mapping.input or ((mapping.messages,) if mapping.messages else ())
    return Data(data.paths, data.name, chosen, mapping.output, mapping.task, test_path=data.test_path, hub=data.hub)


def table(data: Data, tell: Tell = silent) -> Table:
    """The table of the files; read once for each state of the files on disk."""
    return _tables.get(_source(data), lambda: _load(data, tell))


def _load(data: Data, tell: Tell) -> Table:
    return load_hub(data.hub, tell=tell) if data.hub else load(data.paths, test=data.test_path, tell=tell)


def _source(data: Data) -> Hashable:
    """What the table depends on. Raises FinetuneError where an upload is gone."""
    try:
        modified = tuple(Path(path).stat().st_mtime_ns for path in (*data.paths, *filter(None, (data.test_path,))))
    except OSError:
        raise FinetuneError("The file is no longer on this machine.", hint="Drop it once more.") from None
    return data.paths, data.test_path, data.hub, modified


def mapping_of(data: Data) -> Mapping:
    """The mapping that the choices make. Raises FinetuneError when they do not fit the file."""
    if not data.input and not data.template.strip():
        raise FinetuneError("No column is chosen as the input.", hint="Choose at least one.")
    return guess(
        table(data), input=data.input, output=data.output, task=data.task, template=data.template, group=data.group,
        time=data.time,
    )  # fmt: skip


def read_rows(data: Data) -> tuple[list[Example], list[Finding]]:
    """The rows that can be used, and what was found about those that cannot."""
    return examples(table(data), mapping_of(data))


def examined_of(data: Data, tell: Tell = silent) -> Examined:
    """The rows with all that is wrong with them; made once for a mapping and a threshold, whatever is mended."""
    key = (_source(data), _mapped(data), data.near)
    return _examined.get(key, lambda: examine(table(data), mapping_of(data), near=data.near, tell=tell))


def _mapped(data: Data) -> Hashable:
    # Group and time decide the split alone, but the mapping that `Examined` carries holds them.
    return data.input, data.output, data.task, data.template, data.group, data.time


def report_of(data: Data, whose: Whose | None = None, compared: int = 0, tell: Tell = silent) -> Report:
    """The report of the files under these choices; with `whose` it also knows which rows would be cut.

    Args:
        compared: test rows that the comparison will take at most; 0 takes all.

    Raises:
        FinetuneError: also when the tokenizer of the base cannot be had.
        Cancelled: `tell` raised it.
    """

    def make() -> Report:
        examined = examined_of(data, lambda text, share: tell(text, 0.75 * share))
        lengths = pieces = None
        if whose is not None:
            lengths = _lengths_of(data, examined, whose, lambda text, share: tell(text, 0.75 + 0.1 * share))
            pieces = partial(_pieces, whose)
        choices = Choices(
            mends=data.mends, near=data.near, validation=data.validation, test=data.test, seed=data.seed,
            max_tokens=whose.limit if whose else LONGEST, compared_rows=compared,
            questions=data.questions,
        )  # fmt: skip
        tell("Splitting the rows", 0.85)
        return conclude(examined, choices, lengths, pieces=pieces)

    return _reports.get((_source(data), data, whose, compared), make)


def report_for(data: Data, recipe: Recipe, cache: Path) -> Report:
    """The report that a run of this recipe begins with.

    Tokens are counted only where that changes its rows: rows that would be cut are known to the tokenizer of the base
    alone, which may have to be fetched first. What is known already is told.
    """
    whose = Whose.of(recipe, cache)
    needed = "drop_long" in data.mends or is_counted(data, whose)
    return report_of(data, whose if needed else None, recipe.compare_rows)


def is_counted(data: Data, whose: Whose) -> bool:
    """Whether the tokens of these rows are known already, so that a report with them costs no more than one without."""
    return _counted.has((_source(data), _mapped(data), whose))


def lengths_known(data: Data, whose: Whose) -> Lengths | None:
    """The tokens of these rows where they have been counted, else None: nothing is counted for it."""
    return _lengths_of(data, examined_of(data), whose, silent) if is_counted(data, whose) else None


def _lengths_of(data: Data, examined: Examined, whose: Whose, tell: Tell) -> Lengths:
    def make() -> Lengths:
        def counting(task: Task, labels: list[str]):
            both = prompt_of(whose, task, labels).both

            def count(rows: Sequence[Example]) -> tuple[Sequence[int], Sequence[int]]:
                with _one_at_a_time:
                    return both(rows)

            return count

        return lengths_of(examined, whose.limit, counting, tell)

    return _counted.get((_source(data), _mapped(data), whose), make)


def _pieces(whose: Whose, words: Sequence[str]) -> list[int]:
    """How many tokens each of some words takes in the middle of a text."""
    from finetune.model.base import tokenizer
    from finetune.model.prompt import pieces

    found = tokenizer(whose.base, cache=whose.cache)
    with _one_at_a_time:
        return pieces(found, words)


def spelled(whose: Whose, rows: Sequence[Example], look: Callable[..., Spelling]) -> Spelling:
    """What `look` says of the tokenizer and some rows."""
    from finetune.model.base import tokenizer

    found = tokenizer(whose.base, cache=whose.cache)
    with _one_at_a_time:
        return look(found, rows)


def map_key(data: Data) -> Hashable:
    """What the map of the rows depends on."""
    return _source(data), _mapped(data)


def map_of(data: Data) -> RowMap:
    """A sample of the rows as points, rows with the same words near each other; the most doubtful ones are among them."""

    def make() -> RowMap:
        examined = examined_of(data)
        labels = [one.output for one in examined.examples] if data.task == "classification" else None
        found = examined.suspects
        doubted = () if found is None else found.flagged[found.probability.argsort()[::-1]]
        texts = [text_of(one) for one in examined.examples]
        return row_map(texts, labels, seed=SEED, limit=MAP_ROWS, include=doubted)

    return _maps.get(map_key(data), make)


def longest(data: Data) -> int | None:
    """The longest row in tokens, about: by its characters, which needs no tokenizer. None where nothing is read."""

    def make() -> int:
        # Three characters a token is on the safe side in European languages; the frame around a row takes some 64.
        sizes = (
            len(row.input) + len(row.output) + sum(len(text) for _, text in row.context) for row in read_rows(data)[0]
        )
        return max(sizes, default=0) // 3 + 64

    try:
        return _longest.get((_source(data), _mapped(data)), make)
    except FinetuneError:
        return None


def prompt_of(whose: Whose, task: Task, labels: Sequence[str]):
    """The `Prompt` as the run would build it. transformers is imported here, not before."""
    from finetune.model.base import tokenizer
    from finetune.model.prompt import Prompt

    found = tokenizer(whose.base, cache=whose.cache)
    return Prompt(found, task, labels, whose.instruction, whose.limit)


def tokens_of(whose: Whose, report: Report, example: Example) -> list:
    """The tokens of one example, as the model would see them."""
    prompt = prompt_of(whose, report.task, list(report.labels))
    with _one_at_a_time:
        return prompt.tokens(example)
