"""Answers that were computed before, found again by what they were computed from: another look then costs nothing."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import sqlite3
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from finetune.model import base, machine
from finetune.runs.store import Run
from finetune.training.choose import settled

FILE = "answers.sqlite"
# Raised when the way of scoring changes, so that answers of the old way are not found any more.
SCORING = 2
MOST_ANSWERS = 2_000_000
_AT_ONCE = 500  # names in one question to the database


class Kept:
    """The answers of one root, for one base with one adapter.

    Content is what counts: the same prompt to the same weights is found whichever run or row it came from. Names are
    hashes; the answers themselves stand in clear in `answers.sqlite`, as they do in the runs.
    """

    def __init__(self, root: Path, weights: str):
        self.path, self.weights = root / FILE, weights

    def name(self, kind: str, *content: Sequence[int] | str | int) -> str:
        """The name of one answer: of its weights, the kind of question, and everything that was asked."""
        digest = hashlib.sha256(f"{self.weights}\0{kind}".encode())
        for part in content:
            data = str(part).encode() if isinstance(part, str | int) else array("q", part).tobytes()
            digest.update(len(data).to_bytes(8) + data)
        return digest.hexdigest()

    def find(self, names: Sequence[str]) -> dict[str, tuple[Any, float]]:
        """Name → (answer, seconds it took), of those that are kept."""
        found: dict[str, tuple[Any, float]] = {}
        with self._open() as store:
            for start in range(0, len(names), _AT_ONCE):
                some = names[start : start + _AT_ONCE]
                marks = ",".join("?" * len(some))
                for name, value, seconds in store.execute(
                    f"SELECT name, value, seconds FROM answers WHERE name IN ({marks})", some
                ):
                    found[name] = (json.loads(value), seconds)
        return found

    def once(self, name: str, compute: Callable[[], Any]) -> Any:
        """The answer of this name, computed and kept where it is not yet."""
        if name not in (found := self.find([name])):
            self.keep([(name, compute(), 0.0)])
            found = self.find([name])
        return found[name][0]

    def keep(self, answers: Iterable[tuple[str, Any, float]]) -> None:
        """Add answers as (name, answer, seconds); the oldest go when there are too many."""
        now = time.time()
        rows = [(name, json.dumps(value, ensure_ascii=False), seconds, now) for name, value, seconds in answers]
        with self._open() as store:
            store.executemany("INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?)", rows)
            over = store.execute("SELECT count(*) FROM answers").fetchone()[0] - MOST_ANSWERS
            if over > 0:
                store.execute(
                    "DELETE FROM answers WHERE name IN (SELECT name FROM answers ORDER BY made LIMIT ?)", (over,)
                )

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.closing(sqlite3.connect(self.path, timeout=60)) as store, store:
            store.execute(
                "CREATE TABLE IF NOT EXISTS answers (name TEXT PRIMARY KEY, value TEXT, seconds REAL, made REAL)"
            )
            yield store


def weights_of(run: Run, folder: Path, *, adapter: bool) -> str:
    """What the answers of a run's base, or of its fine-tuned version, depend on beside the prompt."""
    kind = machine.device().kind
    parts = [
        str(SCORING), kind, base.precision(kind)[0], settled(run).quantisation, _state_of(folder),
        *(importlib.metadata.version(name) for name in ("torch", "transformers", "peft")),
    ]  # fmt: skip
    if adapter:
        parts += [adapter_hash(run), hashlib.sha256((run.adapter / "adapter_config.json").read_bytes()).hexdigest()]
    return "\n".join(parts)


def adapter_hash(run: Run) -> str:
    """SHA-256 of the adapter's weights."""
    with run.weights().open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _state_of(folder: Path) -> str:
    """Size and time of the base's files: to hash gigabytes would cost more than to load them."""
    files = sorted(path for path in folder.iterdir() if path.suffix in (".safetensors", ".json", ".bin", ".jinja"))
    said = [f"{path.name} {path.stat().st_size} {path.resolve().stat().st_mtime_ns}" for path in files]
    return "\n".join([str(folder.resolve()), *said])
