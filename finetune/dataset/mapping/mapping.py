"""Which columns of a table are what."""

from __future__ import annotations

from dataclasses import dataclass

from finetune.dataset.example import Task


@dataclass(frozen=True)
class Mapping:
    """Which columns are what.

    Attributes:
        input: columns joined by a blank line, or those that the template names; empty for chat.
        output: column of the label or answer. For chat None, or the column of the answers where `messages` holds the
            turns before them alone (prompt and completion, both as lists of turns).
        messages: column of the conversations, for chat alone.
        system: column with a system prompt, for chat alone.
        reasons: a sentence for each choice the program made itself.
        template: the input as a text with names of columns in braces, "" when there is none.
        group: column whose values never stand on both sides of the split.
        time: column with dates; the split is in their order.
    """

    task: Task
    input: tuple[str, ...]
    output: str | None
    messages: str | None = None
    system: str | None = None
    reasons: tuple[str, ...] = ()
    template: str = ""
    group: str | None = None
    time: str | None = None

    def as_json(self) -> dict[str, str | None]:
        """The "columns" of the inspect object; several inputs are written "instruction + input"."""
        if self.messages is not None:
            columns: dict[str, str | None] = {"input": self.messages, "output": self.output or self.messages}
        else:
            columns = {"input": " + ".join(self.input), "output": self.output}
        named = {"template": self.template or None, "group": self.group, "time": self.time}
        return columns | {name: value for name, value in named.items() if value}
