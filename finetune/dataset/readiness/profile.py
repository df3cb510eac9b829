"""What the inputs and outputs of a set are like: how many, how long, how varied. Numbers alone, no judgement."""

from __future__ import annotations

import dataclasses
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import Any

import numpy as np

from finetune.dataset.checks.likeness import normalised
from finetune.dataset.example import Example, Task
from finetune.dataset.splitting.split import Split

# Rows and labels are counted over everything. What needs the texts themselves is seen on a seeded sample: at most so
# many rows, and fewer where they are long, so that a set of books takes no more time than one of queries.
SAMPLE_ROWS = 50_000
SAMPLE_CHARACTERS = 6_000_000
# A vocabulary grows with the text it is counted on; a fixed amount keeps two sets comparable.
VOCABULARY_WORDS = 50_000
VARIETY_WORDS = 1_000
# A word that the base's tokenizer breaks into so many pieces is one that it seldom met.
UNKNOWN_PIECES = 3

CountPieces = Callable[[Sequence[str]], Sequence[int]]

# Scripts that are written without spaces (kana, Chinese characters, Thai, Lao, Burmese, Khmer): a letter is a word.
_UNSPACED = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff]")
_WORD = re.compile(r"[^\W_]+(?:['’][^\W_]+)*")


@dataclass(frozen=True)
class Lengths:
    """Words of a text: half have up to `p50`, 95% up to `p95`."""

    p50: int
    p95: int


@dataclass(frozen=True)
class Vocabulary:
    """Different words, apart from case.

    Attributes:
        words: running words that were counted, at most VOCABULARY_WORDS.
        distinct: different ones among them.
        once: share of the different words that occur once, 0..1.
        variety: different words in every 1,000 running ones on average, as a share (mean segmental type-token ratio,
            Johnson 1944, Psychological Monographs 56); None under 1,000 words.
    """

    words: int
    distinct: int
    once: float
    variety: float | None


@dataclass(frozen=True)
class Labels:
    """How the rows spread over the labels.

    Attributes:
        rows: rows of each label, most first.
        entropy: in bits; `evenness` is its share of the most that so many labels can have (1 = all as common).
        effective: 2^entropy, the number of equally common labels that would be as hard to tell.
        largest, largest_share: the commonest label and its share of the rows.
        smallest: the (up to 5) rarest labels with their rows, rarest first.
    """

    rows: tuple[int, ...]
    entropy: float
    evenness: float
    effective: float
    largest: str
    largest_share: float
    smallest: tuple[tuple[str, int], ...]

    @property
    def count(self) -> int:
        return len(self.rows)


@dataclass(frozen=True)
class Outputs:
    """How much the outputs repeat themselves and their inputs.

    Attributes:
        distinct: different outputs, letter for letter, over all rows.
        top_share, top_ten_share: share of the rows that have the commonest output, and one of the ten commonest.
        extractive: share of outputs that stand word for word in their input, apart from case and spaces; None for
            classification, where a label may be named in the text by chance.
        json: share of outputs that are a JSON object or array; None for classification.
    """

    distinct: int
    top_share: float
    top_ten_share: float
    extractive: float | None
    json: float | None


@dataclass(frozen=True)
class Profile:
    """What a set of examples is like.

    Attributes:
        labels: None unless the task is classification.
        input_words, input_vocabulary: of what the model reads; for chat all turns before the answer.
        output_vocabulary: None for classification.
        terminology: share of the running words of input and output that the base's tokenizer breaks into 3 pieces or
            more; None when no tokenizer was given. `terms` are the commonest such words.
        examined: rows of the sample that lengths, words, extractive and JSON were seen on; None when it was all rows.
    """

    rows: int
    task: Task
    labels: Labels | None
    outputs: Outputs
    input_words: Lengths
    output_words: Lengths
    input_vocabulary: Vocabulary
    output_vocabulary: Vocabulary | None
    terminology: float | None = None
    terms: tuple[str, ...] = ()
    examined: int | None = None

    def as_json(self) -> dict[str, Any]:
        data = dataclasses.asdict(self)
        if self.labels is not None:
            data["labels"] = {"count": self.labels.count, **data["labels"]}
            del data["labels"]["rows"]  # the report has them by name
        return data


def profile(
    rows: Split | Sequence[Example],
    task: Task,
    labels: Sequence[str] = (),
    *,
    pieces: CountPieces | None = None,
    seed: int = 0,
) -> Profile:
    """The profile of a split (all parts together) or of examples.

    Args:
        labels: the labels that there are, so that one without any row is seen too; () takes those of the rows.
        pieces: tokens of each of some words as the base's tokenizer cuts them in running text (after a space).
        seed: of the sample.

    Raises:
        ValueError: no rows.
    """
    examples = list(chain(*rows.parts().values())) if isinstance(rows, Split) else rows
    if not examples:
        raise ValueError("there are no rows to profile")
    counts = Counter(map(attrgetter("output"), examples))
    free = task != "classification"
    sample = _sample(examples, seed)
    inputs, outputs = [_read(example) for example in sample], [example.output for example in sample]
    in_words = _running_words(inputs)
    out_words = _running_words(outputs) if free else []
    share, terms = (None, ()) if pieces is None else _terminology(in_words + out_words, pieces)
    return Profile(
        rows=len(examples),
        task=task,
        labels=None if free else _labels(counts, labels),
        outputs=_outputs(counts, len(examples), inputs, outputs, free),
        input_words=_lengths(inputs),
        output_words=_lengths(outputs),
        input_vocabulary=_vocabulary(in_words),
        output_vocabulary=_vocabulary(out_words) if free else None,
        terminology=share,
        terms=terms,
        examined=len(sample) if len(sample) < len(examples) else None,
    )


def _sample(examples: Sequence[Example], seed: int) -> list[Example]:
    """Examples in random order, as many as SAMPLE_ROWS and SAMPLE_CHARACTERS allow."""
    count = min(len(examples), SAMPLE_ROWS)
    order = np.random.default_rng(seed).choice(len(examples), count, replace=False).tolist()
    sample, room = [], SAMPLE_CHARACTERS
    for place in order:
        example = examples[place]
        sample.append(example)
        room -= len(example.input) + len(example.output)
        if example.context:
            room -= sum(len(content) for _, content in example.context)
        if room <= 0:
            break
    return sample


def _read(example: Example) -> str:
    return "\n".join(content for _, content in example.context) if example.context else example.input


def _spaced(text: str) -> str:
    return text if text.isascii() else _UNSPACED.sub(r" \g<0> ", text)


def _lengths(texts: Sequence[str]) -> Lengths:
    p50, p95 = np.percentile([len(_spaced(text).split()) for text in texts], [50, 95])
    return Lengths(round(p50), round(p95))


def _running_words(texts: Sequence[str]) -> list[str]:
    """The first VOCABULARY_WORDS words of some texts, as they are written."""
    words: list[str] = []
    for start in range(0, len(texts), 1000):  # a piece at a time: findall over everything would hold all words
        words += _WORD.findall(_spaced("\n".join(texts[start : start + 1000])))
        if len(words) >= VOCABULARY_WORDS:
            break
    return words[:VOCABULARY_WORDS]


def _vocabulary(words: Sequence[str]) -> Vocabulary:
    same = "\n".join(words).casefold().split("\n") if words else []
    counts = Counter(same)
    whole = range(0, len(same) - VARIETY_WORDS + 1, VARIETY_WORDS)
    segments = [len(set(same[start : start + VARIETY_WORDS])) / VARIETY_WORDS for start in whole]
    return Vocabulary(
        words=len(same),
        distinct=len(counts),
        once=sum(count == 1 for count in counts.values()) / len(counts) if counts else 0.0,
        variety=float(np.mean(segments)) if segments else None,
    )


def _terminology(words: Sequence[str], pieces: CountPieces) -> tuple[float, tuple[str, ...]]:
    """Share of the running words that the tokenizer does not know, and the commonest of those.

    Numbers and codes are left out: they are broken up in every tongue. Over the 20,000 commonest words.
    """
    counts = Counter(word for word in words if word.replace("'", "").replace("’", "").isalpha())
    known = counts.most_common(20_000)
    if not known:
        return 0.0, ()
    broken = pieces([word for word, _ in known])
    unknown = [entry for entry, number in zip(known, broken, strict=True) if number >= UNKNOWN_PIECES]
    share = sum(count for _, count in unknown) / sum(count for _, count in known)
    return share, tuple(word for word, _ in unknown[:8])


def _labels(counts: Counter[str], known: Sequence[str]) -> Labels:
    every = {**dict.fromkeys(known, 0), **counts}
    ordered = sorted(every.items(), key=lambda entry: (-entry[1], entry[0]))
    rows = np.array([count for _, count in ordered], dtype=float)
    shares = rows[rows > 0] / rows.sum()
    entropy = float(-(shares * np.log2(shares)).sum()) + 0.0
    return Labels(
        rows=tuple(count for _, count in ordered),
        entropy=entropy,
        evenness=entropy / float(np.log2(len(ordered))) if len(ordered) > 1 else 0.0,
        effective=2**entropy,
        largest=ordered[0][0],
        largest_share=float(rows[0] / rows.sum()),
        smallest=tuple(reversed(ordered[-5:])),
    )


def _outputs(counts: Counter[str], rows: int, inputs: Sequence[str], outputs: Sequence[str], free: bool) -> Outputs:
    often = np.fromiter(counts.values(), dtype=np.int64, count=len(counts))
    top = np.partition(often, -10)[-10:] if len(often) > 10 else often
    return Outputs(
        distinct=len(counts),
        top_share=int(top.max()) / rows,
        top_ten_share=int(top.sum()) / rows,
        extractive=float(np.mean(list(map(_copied, inputs, outputs)))) if free else None,
        json=float(np.mean(list(map(_is_json, outputs)))) if free else None,
    )


def _copied(source: str, output: str) -> bool:
    """Whether the output stands in its input; one or two characters stand in every text and say nothing."""
    wanted = normalised(output)
    return len(wanted) > 2 and wanted in normalised(source)


def _is_json(text: str) -> bool:
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True
