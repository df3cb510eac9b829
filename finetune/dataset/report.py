"""A file, looked at: everything that is known of it before training."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from finetune.dataset.columns import Mapping, examples, guess
from finetune.dataset.example import Example, Task
from finetune.dataset.load import Table, load
from finetune.dataset.quality import DEFAULT_MENDS, Finding, Removed, balance, faults, mend
from finetune.dataset.readiness import Readiness, assess
from finetune.dataset.split import Split, split
from finetune.errors import FinetuneError

CountTokens = Callable[[Sequence[Example], Task, list[str]], list[int]]


@dataclass(frozen=True)
class Report:
    """What `inspect` says.

    Attributes:
        name, sha256, encoding, format, delimiter, blank_lines, notes: of the file, as in Table.
        rows: rows that are used; rows + len(removed) is the number of records of the file.
        labels: label → rows, commonest first; {} unless the task is classification.
        tokens: {"p50", "p95", "max", "truncated_rows"} over the rows that are used, or None when nobody counted.
        findings: faults are told of the file as it came, balance and size of the rows that are used.
        removed: every row that is left out, by row, with the reason.
    """

    name: str
    sha256: str
    encoding: str
    format: str
    delimiter: str | None
    blank_lines: int
    notes: tuple[str, ...]
    rows: int
    task: Task
    mapping: Mapping
    labels: dict[str, int]
    split: Split
    tokens: dict[str, int] | None
    findings: tuple[Finding, ...]
    readiness: Readiness
    removed: tuple[Removed, ...]
    seed: int

    def as_json(self) -> dict[str, Any]:
        """The object of `inspect --json`."""
        return {
            "rows": self.rows,
            "task": self.task,
            "columns": self.mapping.as_json(),
            "labels": dict(self.labels),
            "split": self.split.as_json(),
            "tokens": self.tokens,
            "findings": [finding.as_json() for finding in self.findings],
            "readiness": self.readiness.as_json(),
            "left_out": [{"row": removed.row, "reason": removed.reason} for removed in self.removed],
            "file": {
                "name": self.name,
                "sha256": self.sha256,
                "encoding": self.encoding,
                "format": self.format,
                "delimiter": self.delimiter,
                "blank_lines": self.blank_lines,
                "notes": list(self.notes),
            },
            "seed": self.seed,
        }


def inspect(
    path: Path | str,
    *,
    input: Sequence[str] | str | None = None,
    output: str | None = None,
    task: str | None = None,
    mends: Iterable[str] = DEFAULT_MENDS,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    max_tokens: int = 512,
    count_tokens: CountTokens | None = None,
) -> Report:
    """Loads a file, maps its columns and looks at it. See `look` for the arguments.

    Raises:
        FinetuneError: the file cannot be used; the message says why.
    """
    table = load(path)
    mapping = guess(table, input=input, output=output, task=task)
    return look(
        table,
        mapping,
        mends=mends,
        validation=validation,
        test=test,
        seed=seed,
        max_tokens=max_tokens,
        count_tokens=count_tokens,
    )


def look(
    table: Table,
    mapping: Mapping,
    *,
    mends: Iterable[str] = DEFAULT_MENDS,
    validation: float = 0.15,
    test: float = 0.15,
    seed: int = 0,
    max_tokens: int = 512,
    count_tokens: CountTokens | None = None,
) -> Report:
    """Findings, mends, split and readiness of a table under a mapping.

    Args:
        mends: names of MENDS to apply.
        validation, test: shares of the rows.
        max_tokens: what a row may have, prompt and answer together, before it is cut.
        count_tokens: (examples, task, labels) → tokens of each example; None leaves `tokens` unknown.

    Raises:
        FinetuneError: no usable row, or the rows cannot be split.
    """
    task = mapping.task
    made, findings = examples(table, mapping)
    if not made:
        chosen = "Input is “{input}”, output “{output}”: choose other columns.".format(**mapping.as_json())
        raise FinetuneError("No row has both an input and an output.", hint=chosen)
    counts = None
    if count_tokens is not None:
        # Rows that cannot be split are told before a tokenizer is fetched for them.
        split(made, task, validation=validation, test=test, seed=seed)
        counts = count_tokens(made, task, list(_labels(made, task)))
    findings += faults(made, task, token_counts=counts, max_tokens=max_tokens)
    kept, removed = mend(made, findings, mends)
    parts = split(kept, task, validation=validation, test=test, seed=seed)
    findings += balance(kept, task)
    tokens = None
    if counts is not None:
        used = {example.row for example in kept}
        tokens = _tokens([n for n, example in zip(counts, made, strict=True) if example.row in used], max_tokens)
    return Report(
        name=table.name,
        sha256=table.sha256,
        encoding=table.encoding,
        format=table.format,
        delimiter=table.delimiter,
        blank_lines=table.blank_lines,
        notes=table.notes,
        rows=len(kept),
        task=task,
        mapping=mapping,
        labels=_labels(kept, task),
        split=parts,
        tokens=tokens,
        findings=tuple(findings),
        readiness=assess(parts, task, findings),
        removed=tuple(sorted([*_unusable(table, findings), *removed], key=lambda item: item.row)),
        seed=seed,
    )


def _labels(rows: Sequence[Example], task: Task) -> dict[str, int]:
    if task != "classification":
        return {}
    counts = Counter(example.output for example in rows)
    return {label: counts[label] for label in sorted(counts, key=lambda label: (-counts[label], label))}


def _unusable(table: Table, findings: Sequence[Finding]) -> list[Removed]:
    """The rows that went before any mend: unreadable or empty."""
    unread = [Removed(bad.row, bad.reason) for bad in table.bad_rows]
    empty = [row for finding in findings if finding.kind == "empty" for row in finding.rows]
    return unread + [Removed(row, "the input or the output is empty") for row in empty]


def _tokens(counts: Sequence[int], max_tokens: int) -> dict[str, int]:
    p50, p95 = np.percentile(counts, [50, 95])
    return {
        "p50": round(p50),
        "p95": round(p95),
        "max": max(counts),
        "truncated_rows": sum(count > max_tokens for count in counts),
    }
