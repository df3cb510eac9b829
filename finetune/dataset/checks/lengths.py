"""How long the rows are in tokens, which of them would be cut, and whether what would be lost is the answer."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from finetune.dataset.example import Example
from finetune.dataset.finding import Finding, plural, rows_text
from finetune.dataset.tell import Tell, silent

# (examples) → tokens of each if nothing is cut, and what of them can never be cut: all but the last input.
Count = Callable[[Sequence[Example]], tuple[Sequence[int], Sequence[int]]]
_STRETCH = 20_000  # rows that are counted between two calls of `tell`
_LONGEST = 5000  # rows with most bytes, which are always counted: the longest is hardly ever another
_BINS = 30
# Chinese, Japanese and Korean letters take about a token each; of other scripts about 4 make one.
_CJK = re.compile("[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003134f]")


@dataclass(frozen=True)
class Histogram:
    """Rows by tokens. Bin n holds `edges[n] <= tokens < edges[n + 1]`.

    Attributes:
        edges: one more than there are bins; the cut is an edge wherever it is within.
        counts: rows of each bin; in proportion, where a sample was counted.
        beyond: whether the rows of the bin would be cut.
    """

    edges: tuple[int, ...]
    counts: tuple[int, ...]
    beyond: tuple[bool, ...]


@dataclass(frozen=True)
class Lengths:
    """Tokens of the rows.

    Attributes:
        rows: how many there are.
        p50, p95: quantiles, of the sample where there is one.
        max: of the longest row; of a sample and of the 5,000 rows with most bytes where not all were counted.
        truncated_rows: rows longer than the model may read; all of them were counted unless `estimated`.
        cut: (row, tokens, tokens that can never be cut) of those rows by row; those of the sample when `estimated`.
        examined: rows that the quantiles come from, when they were a sample; None when it was all of them.
        estimated: too many rows could be too long to count them all, so `truncated_rows` is the sample's in proportion.
        by_characters: nothing was counted: 4 characters were taken as a token, or one Chinese, Japanese or Korean.
    """

    rows: int
    p50: int
    p95: int
    max: int
    truncated_rows: int
    histogram: Histogram
    cut: tuple[tuple[int, int, int], ...] = ()
    examined: int | None = None
    estimated: bool = False
    by_characters: bool = False

    def as_json(self) -> dict[str, int]:
        """{"p50", "p95", "max", "truncated_rows"}, and "examined" when it was a sample."""
        data = {"p50": self.p50, "p95": self.p95, "max": self.max, "truncated_rows": self.truncated_rows}
        return data if self.examined is None else data | {"examined": self.examined}


def measure(
    examples: Sequence[Example],
    count: Count | None = None,
    *,
    max_tokens: int,
    sample: int = 20_000,
    exact: int = 50_000,
    seed: int = 0,
    tell: Tell = silent,
) -> Lengths:
    """Lengths of all rows, or of a seeded sample; the rows that would be cut are found among all of them.

    A row whose texts have no more bytes than tokens are allowed cannot be cut, for no token of a byte-level tokenizer
    (or one that falls back to bytes) is shorter than a byte. So only the others are counted.

    Args:
        count: as `Prompt.both`; None estimates by characters.
        max_tokens: what a row may have before it is cut.
        sample: rows up to which all are counted.
        exact: rows that could be cut, up to which all of them are counted; beyond, their number is estimated.
        tell: hears what is done and the share that is done; may raise to end the work.
    """
    tally = _Tally(count or by_characters, tell)
    everything = np.arange(len(examples))
    whole = len(examples) <= sample
    picked = everything if whole else np.sort(np.random.default_rng(seed).choice(everything, sample, replace=False))
    suspects = everything[:0]
    estimated = False
    if not whole:
        bounds = _bounds(examples, tally)
        bounds[picked] = 0
        suspects = np.flatnonzero(bounds > max_tokens)
        estimated = len(suspects) > exact
        longest = np.argpartition(bounds, -_LONGEST)[-_LONGEST:] if len(bounds) > _LONGEST else everything
        longest = longest[bounds[longest] > 0]
        suspects = longest if estimated else np.union1d(suspects, longest)
    counted = tally([examples[place] for place in np.concatenate([picked, suspects]).tolist()])
    total, fixed = np.array(counted[0], np.int64), np.array(counted[1], np.int64)
    drawn = total[: len(picked)]
    # An estimate rests on the sample alone, unless that holds none of the few that the longest show.
    scaled = estimated and bool((drawn > max_tokens).any())
    looked = len(picked) if scaled else len(total)
    over = np.flatnonzero(total[:looked] > max_tokens)
    places = np.concatenate([picked, suspects])[over].tolist()
    cut = sorted((examples[place].row, int(total[n]), int(fixed[n])) for place, n in zip(places, over, strict=True))
    truncated = round(len(over) * len(examples) / looked) if scaled else len(over)
    p50, p95 = np.percentile(drawn, [50, 95]) if len(drawn) else (0, 0)
    return Lengths(
        rows=len(examples),
        p50=round(p50),
        p95=round(p95),
        max=int(total.max(initial=0)),
        truncated_rows=truncated,
        histogram=_histogram(drawn, total[over], len(examples), truncated, int(total.max(initial=0)), max_tokens),
        cut=tuple(cut),
        examined=None if whole else len(picked),
        estimated=estimated,
        by_characters=count is None,
    )


def by_characters(examples: Sequence[Example]) -> tuple[list[int], list[int]]:
    """An estimate of what `Prompt.both` counts, without instruction and template; see `Lengths.by_characters`."""
    total, fixed = [], []
    for example in examples:
        earlier = [content for _, content in example.context[:-1]]
        quarters = sum(map(_quarters, (*earlier, example.output)))
        last = example.context[-1][1] if example.context else example.input
        total.append((quarters + _quarters(last)) // 4)
        fixed.append(quarters // 4)
    return total, fixed


def length_findings(lengths: Lengths, max_tokens: int) -> list[Finding]:
    """Inputs whose end would be cut, and rows that are lost because instruction and answer alone are too long."""
    lost = [entry for entry in lengths.cut if entry[2] >= max_tokens]
    shortened = [entry for entry in lengths.cut if entry[2] < max_tokens]
    found = []
    if shortened:
        found.append(
            _finding(
                lengths,
                shortened,
                "input_cut",
                f"longer than {max_tokens:,} tokens",
                "The end of the input would be cut.",
                "Raise max_tokens or shorten the texts",
            )
        )
    if lost:
        found.append(
            _finding(
                lengths,
                lost,
                "answer_does_not_fit",
                f"longer than {max_tokens:,} tokens without any input",
                "Instruction, earlier turns and answer alone are too long, so these rows are not trained on "
                "and their answers are lost.",
                "Raise max_tokens or shorten the answers and the earlier turns",
            )
        )
    return found


class _Tally:
    """Counts in stretches, so that it can be followed and ended."""

    def __init__(self, count: Count, tell: Tell):
        self.count, self.tell = count, tell

    def __call__(self, examples: Sequence[Example]) -> tuple[list[int], list[int]]:
        total: list[int] = []
        fixed: list[int] = []
        for start in range(0, len(examples), _STRETCH):
            self.tell("Counting tokens", start / len(examples))
            counted = self.count(examples[start : start + _STRETCH])
            total += counted[0]
            fixed += counted[1]
        return total, fixed


def _bounds(examples: Sequence[Example], tally: _Tally) -> np.ndarray:
    """(n,) what the tokens of each row cannot exceed: the bytes of its texts and the frame around them."""
    shapes: dict[tuple[str, ...], int] = {}
    of_shape = np.empty(len(examples), np.int64)
    size = np.empty(len(examples), np.int64)
    for number, example in enumerate(examples):
        if example.context:
            shape = tuple(role for role, _ in example.context)
            content = sum(_bytes(content) for _, content in example.context)
        else:
            shape, content = (), _bytes(example.input)
        size[number] = content + _bytes(example.output)
        of_shape[number] = shapes.setdefault(shape, len(shapes))
    # The frame of a conversation depends on its turns: one of each kind is counted, with a letter in each place.
    bare = [Example(0, "x", "x", tuple((role, "x") for role in shape)) for shape in shapes]
    # Where text and frame meet, both can need a token more than they would alone.
    frames = [tokens + 4 * (len(shape) + 2) for shape, tokens in zip(shapes, tally(bare)[0], strict=True)]
    return size + np.array(frames, np.int64)[of_shape]


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _quarters(text: str) -> int:
    """Quarters of a token."""
    return len(text) if text.isascii() else len(text) + 3 * len(_CJK.findall(text))


def _histogram(
    drawn: np.ndarray, over: np.ndarray, rows: int, truncated: int, longest: int, max_tokens: int
) -> Histogram:
    """What is within the limit comes from the sample, in proportion; what is beyond it from all that was counted.

    The last bin is open where few rows are much longer than the rest: it reaches to the longest.
    """
    if not rows:
        return Histogram((0, 1), (0,), (False,))
    within = drawn[drawn <= max_tokens]
    low = int(drawn.min())
    shown = max(int(np.percentile(drawn, 99.5)), min(longest, 2 * max_tokens) if len(over) else 0)
    width = max(1, -(-(shown - low + 1) // _BINS))
    low = low // width * width
    edges = list(range(low, shown + 1, width))
    if low <= max_tokens < longest:
        # The cut takes the place of the edge next to it.
        edges = sorted({low, max_tokens + 1, *(edge for edge in edges if abs(edge - max_tokens - 1) >= width / 2)})
    edges = [*(edge for edge in edges if edge <= longest), longest + 1]
    counts = np.zeros(len(edges) - 1)
    if len(within):
        counts += np.histogram(within, edges)[0] * ((rows - truncated) / len(within))
    if len(over):
        counts += np.histogram(over, edges)[0] * (truncated / len(over))
    beyond = tuple(edge > max_tokens for edge in edges[:-1])
    return Histogram(tuple(edges), tuple(_whole(counts)), beyond)


def _whole(counts: np.ndarray) -> list[int]:
    """Whole numbers with the same sum."""
    return np.diff(np.round(np.cumsum(counts)), prepend=0).astype(int).tolist()


def _finding(
    lengths: Lengths, entries: list[tuple[int, int, int]], check: str, what: str, lost: str, fix: str
) -> Finding:
    row, most, _ = max(entries, key=lambda entry: (entry[1], -entry[0]))
    about = "about " if lengths.by_characters else ""
    how = " (estimated: 4 characters a token, 1 in Chinese, Japanese and Korean)" if lengths.by_characters else ""
    count = len(entries)
    if lengths.estimated:
        count = round(lengths.truncated_rows * count / len(lengths.cut))
        many = f"About {rows_text(count)} {plural('is', 'are', count)} {what}{how}, by a sample of {lengths.examined:,}"
    else:
        many = f"{rows_text(count)} {plural('is', 'are', count)} {what}{how}"
    return Finding(
        "too_long",
        # Without a single row that fits, nothing can be trained.
        "error" if check == "answer_does_not_fit" and count >= lengths.rows else "warning",
        tuple(entry[0] for entry in entries),
        f"{many}; the longest, row {row}, has {about}{most:,}. {lost}",
        # Of an estimate only the rows of the sample are known: leaving out those would mend a small part.
        f"{fix}." if lengths.estimated else f"{fix}, or leave these rows out.",
        mends=() if lengths.estimated else ("drop_long",),
        check=check,
        reasons={row: f"{about}{total:,} tokens, {fixed:,} of them without the input" for row, total, fixed in entries},
        examined=lengths.examined if lengths.estimated else None,
    )
