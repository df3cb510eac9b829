"""How often a test set has been looked at, and by how many fine-tuned models: the more tries, the easier luck wins."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.dataset.example import Example
from finetune.runs import ledger

FILE = "looks.jsonl"


@dataclass(frozen=True)
class Looks:
    """What the ledger says of one test set.

    Attributes:
        total: comparisons that were made on it.
        models: different fine-tuned models among them; the verdict is held to so many tries.
        runs: ids, the first first.
        test: hash of the test set.
    """

    total: int
    models: int
    runs: tuple[str, ...]
    test: str

    def as_json(self) -> dict:
        return {"total": self.total, "models": self.models, "runs": list(self.runs), "test": self.test}


def hash_of(rows: Sequence[Example]) -> str:
    """SHA-256 of the test rows, whatever their order: the same rows are the same test set, in any run or file."""
    lines = sorted(json.dumps([row.input, row.output, row.context]) for row in rows)
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def record(root: Path, test: str, run: str, adapter: str) -> Looks:
    """Write down one more look, and say how often it was looked before and now.

    The ledger is one file for all runs of a root. A test set that only overlaps with another counts as another one.

    Args:
        test: of `hash_of`.
        adapter: hash of the adapter's weights: the same model looked at twice is one model.
    """
    ledger.append(root / FILE, {"time": time.time(), "test": test, "run": run, "adapter": adapter})
    return look_up(root, test)


def look_up(root: Path, test: str) -> Looks:
    """What the ledger says now. Lines that cannot be read are passed over."""
    entries = [
        (str(entry["run"]), str(entry["adapter"]))
        for entry in ledger.read(root / FILE)
        if entry is not None and entry.get("test") == test and {"run", "adapter"} <= entry.keys()
    ]
    models = len({adapter for _, adapter in entries})
    return Looks(len(entries), models, tuple(dict.fromkeys(run for run, _ in entries)), test)
