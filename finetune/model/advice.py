"""Whether a base suits the data: its languages, size, context, licence, template and tokenizer. No weights are loaded."""

from __future__ import annotations

import json
import re
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from finetune.dataset.checks.languages import languages
from finetune.dataset.example import Example, Task
from finetune.model.gallery import MANY, Shape, context_of, find

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

Severity = Literal["warning", "note"]

SAMPLE = 400  # texts whose language and spelling are looked at
SEVERAL = 0.1  # share of inputs in other languages from which on the data is in several
SMALL, LARGE = 1e9, 3e9  # weights
LONG_ANSWER = 400  # characters; under a billion weights, the wording of such answers is learned and not what they say
FEW_ROWS = 100
# Tokens a character: English takes a quarter, other languages that a tokenizer knows a third; one for each letter or
# byte means that it was not made for them. Chinese and its like have a word in a character or two.
SPLIT_BADLY, SPLIT_BADLY_IDEOGRAPHS = 0.6, 1.3
UNKNOWN = 0.01  # share of tokens
_IDEOGRAPHS = re.compile("[\u3041-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af]")
_LICENCE = re.compile(r"^license(?:_name)?:[ \t]*[\"']?([^\s\"'#]+)", re.MULTILINE)
_NON_COMMERCIAL = re.compile(r"(?:^|[-_])(?:nc|non-?commercial|research)(?:[-_]|$)", re.IGNORECASE)
_FREE = ("apache-2.0", "mit", "bsd-3-clause", "bsd-2-clause", "cc0-1.0", "unlicense")


@dataclass(frozen=True, slots=True)
class Advice:
    """One thing to know of a base before it is trained: a warning where it will hurt the result, else a note."""

    kind: str
    severity: Severity
    text: str


@dataclass(frozen=True, slots=True)
class Base:
    """What is known of a base without its weights; None where a thing is not known.

    Attributes:
        template: whether its tokenizer has a chat template, as instruct models have.
        languages: as in the gallery; () not known.
        licence: its short name; "" not known.
        condition: what the licence asks for, in one sentence.
    """

    name: str
    shape: Shape | None
    context: int | None
    template: bool | None
    languages: tuple[str, ...]
    licence: str
    gated: bool
    condition: str


@dataclass(frozen=True, slots=True)
class Rows:
    """What of the data decides whether a base suits it.

    Attributes:
        rows: rows to learn from.
        longest: tokens of the longest row, None not counted.
        answer_characters: median length of the answers.
        language: English name of the commonest, "" not clear; `others` are those of a tenth of the inputs or more.
    """

    rows: int
    task: Task
    longest: int | None
    answer_characters: float
    language: str
    others: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Spelling:
    """How a tokenizer splits the data: tokens a character, share of unknown tokens, share of ideographs."""

    tokens_a_character: float
    unknown: float
    ideographs: float


def base_of(name: str, cache: Path, folder: Path | None = None) -> Base:
    """What is known of a base here and now; nothing is fetched.

    Args:
        cache: folder of fetched models.
        folder: of the base, where it has been found already.
    """
    entry = find(name)
    if folder is None:
        given = Path(name).expanduser()
        folder = (
            given if (given / "config.json").is_file() else cache / (entry.repo if entry else name).replace("/", "--")
        )
    if entry is not None:
        # Every base of the gallery is an instruct model.
        return Base(
            entry.name, entry.shape, entry.context, True, entry.languages, entry.licence, entry.gated, entry.condition
        )
    shape = Shape.from_config(folder / "config.json")
    return Base(name, shape, context_of(name, folder), _has_template(folder), (), _licence_of(folder), False, "")


def rows_of(examples: Sequence[Example], task: Task, longest: int | None = None) -> Rows:
    """What of some training rows decides. The languages of a sample are judged as the check of the data does it."""
    sample = examples[:: max(1, len(examples) // SAMPLE)]
    spoken = languages([example.input for example in sample], sample=SAMPLE)
    names = list(spoken.foreign.values())
    others = tuple(sorted({name for name in names if names.count(name) >= SEVERAL * max(1, spoken.judged)}))
    answers = [len(example.output) for example in sample]
    return Rows(len(examples), task, longest, statistics.median(answers) if answers else 0, spoken.main, others)


def spelling_of(tokenizer: PreTrainedTokenizerBase, examples: Sequence[Example]) -> Spelling:
    """How the tokenizer splits inputs and answers of a sample."""
    texts = [f"{example.input} {example.output}" for example in examples[:: max(1, len(examples) // 100)]]
    ids = [token for found in tokenizer(texts, add_special_tokens=False)["input_ids"] for token in found]
    whole = "".join(texts)
    unknown = ids.count(tokenizer.unk_token_id) if tokenizer.unk_token_id is not None else 0
    characters = max(1, len(whole))
    return Spelling(len(ids) / characters, unknown / max(1, len(ids)), len(_IDEOGRAPHS.findall(whole)) / characters)


def advise(base: Base, rows: Rows, spelling: Spelling | None = None) -> tuple[Advice, ...]:
    """What to know of this base for this data, warnings first; nothing is said of what is not known but the licence."""
    found = [
        _template(base), *_languages(base, rows), _size(base, rows), _context(base, rows), _spelling(spelling),
        _licence(base),
    ]  # fmt: skip
    return tuple(sorted(filter(None, found), key=lambda advice: advice.severity != "warning"))


def _template(base: Base) -> Advice | None:
    if base.template is not False:
        return None
    return Advice(
        "template", "warning",
        f"{base.name} has no chat template: it was not taught to follow instructions, so the base and its prompts will do "
        "badly in the comparison. An instruct version of it, where there is one, is the better start.",
    )  # fmt: skip


def _languages(base: Base, rows: Rows) -> list[Advice]:
    found = []
    several = tuple(filter(None, (rows.language, *rows.others)))
    strange = [name for name in several if base.languages and base.languages != MANY and name not in base.languages]
    if strange:
        found.append(
            Advice(
                "language",
                "warning",
                f"The rows read as {_listed(several)}, and {base.name} was made for {_listed(base.languages)}: take a base "
                f"that knows {_listed(strange)}.",
            )  # fmt: skip
        )
    elif len(several) > 1 and base.shape is not None and base.shape.parameters < SMALL:
        found.append(
            Advice(
                "language",
                "warning",
                f"The rows are in several languages ({_listed(several)}): with {_size_of(base)} weights {base.name} is small "
                "for more than one. A larger base of many languages is the safer choice.",
            )  # fmt: skip
        )
    return found


def _size(base: Base, rows: Rows) -> Advice | None:
    if base.shape is None:
        return None
    weights = base.shape.parameters
    if weights >= LARGE and rows.rows < FEW_ROWS:
        return Advice(
            "size", "warning",
            f"{rows.rows:,} rows are few for a base with {_size_of(base)} weights: with a good prompt it may do this task "
            "as it is. Ask it first; the comparison does so on the same rows.",
        )  # fmt: skip
    if rows.task != "classification" and rows.answer_characters >= LONG_ANSWER and weights < SMALL:
        return Advice(
            "size", "warning",
            f"Half of the answers have {rows.answer_characters:,.0f} characters or more: with {_size_of(base)} weights "
            f"{base.name} learns how such answers sound, and seldom what they say. Take a base with a billion or more.",
        )  # fmt: skip
    return None


def _context(base: Base, rows: Rows) -> Advice | None:
    if base.context is None or rows.longest is None or rows.longest <= base.context:
        return None
    return Advice(
        "context", "warning",
        f"The longest row has {rows.longest:,} tokens, and {base.name} takes {base.context:,}: longer inputs are cut at "
        "their end.",
    )  # fmt: skip


def _spelling(spelling: Spelling | None) -> Advice | None:
    if spelling is None:
        return None
    if spelling.unknown > UNKNOWN:
        return Advice(
            "tokenizer", "warning",
            f"{spelling.unknown:.0%} of the tokens of these rows are unknown to this base: it can neither read nor write "
            "them. Take another one.",
        )  # fmt: skip
    limit = SPLIT_BADLY + spelling.ideographs * (SPLIT_BADLY_IDEOGRAPHS - SPLIT_BADLY)
    if spelling.tokens_a_character <= limit:
        return None
    return Advice(
        "tokenizer", "warning",
        f"This base splits the rows into {spelling.tokens_a_character:.2f} tokens a character, where {limit:.2f} would be "
        "many: it has hardly seen such text, and every row takes more time and memory.",
    )  # fmt: skip


def _licence(base: Base) -> Advice | None:
    name = base.licence.lower()
    if not name:
        text = f"The licence of {base.name} is not known here: read its model card before you use what comes out."
        return Advice("licence", "note", text)
    if _NON_COMMERCIAL.search(name):
        text = (
            f"The licence of {base.name} ({base.licence}) is not for commercial use, nor is that of what is made of it."
        )
        return Advice("licence", "warning", text)
    login = " The Hub gives it only to those who accepted the licence there." if base.gated else ""
    if base.condition or base.gated:
        return Advice("licence", "note", f"Licence: {base.licence}. {base.condition}{login}".strip())
    if name in _FREE:
        return None
    return Advice("licence", "note", f"Licence: {base.licence}. Read what it asks for before you use what comes out.")


def _has_template(folder: Path) -> bool | None:
    """Whether a tokenizer has a chat template, by its files; None where there is no tokenizer yet."""
    if any((folder / name).is_file() for name in ("chat_template.jinja", "chat_template.json")):
        return True
    try:
        return bool(json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("chat_template"))
    except (OSError, ValueError, AttributeError):
        return None


def _licence_of(folder: Path) -> str:
    """The licence in the model card of a folder, "" where there is none."""
    try:
        card = (folder / "README.md").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    head = card.split("---")[1] if card.startswith("---") and card.count("---") > 1 else ""
    named = _LICENCE.findall(head)
    # `license: other` stands beside the `license_name`.
    return next((name for name in reversed(named) if name.lower() != "other"), named[0] if named else "")


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _size_of(base: Base) -> str:
    millions = base.shape.parameters / 1e6
    return f"{millions / 1000:.1f} billion" if millions >= 1000 else f"{millions:.0f} million"
