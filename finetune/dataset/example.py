"""What a row of the file becomes: one example with its source row, and the file that holds many of them."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Task = Literal["classification", "instruction", "chat"]
TASKS: tuple[Task, ...] = ("classification", "instruction", "chat")


@dataclass(frozen=True, slots=True)
class Example:
    """One example.

    Attributes:
        row: source row, 1 = the first data row of the upload.
        input: what the model reads; for chat the last user turn, for display.
        output: what the model should answer; for classification the label, for chat the last assistant turn.
        context: earlier turns as (role, content) pairs, for chat alone; it ends with the last user turn.
    """

    row: int
    input: str
    output: str
    context: tuple[tuple[str, str], ...] = ()

    def as_json(self) -> dict:
        data: dict = {"row": self.row, "input": self.input, "output": self.output}
        if self.context:
            data["context"] = [list(turn) for turn in self.context]
        return data

    @classmethod
    def from_json(cls, data: dict) -> Example:
        context = tuple((role, content) for role, content in data.get("context", ()))
        return cls(int(data["row"]), data["input"], data["output"], context)


def write_examples(path: Path, examples: Iterable[Example]) -> None:
    """One JSON object a line, UTF-8."""
    with path.open("w", encoding="utf-8") as file:
        for example in examples:
            file.write(json.dumps(example.as_json(), ensure_ascii=False) + "\n")


def read_examples(path: Path) -> list[Example]:
    """The examples that `write_examples` wrote, in the same order."""
    # Not str.splitlines: it would also cut at U+2028 and its kin, which JSON leaves unescaped inside a string.
    with path.open(encoding="utf-8", newline="\n") as file:
        return [Example.from_json(json.loads(line)) for line in file if line.strip()]
