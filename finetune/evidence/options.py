"""What the user asks of a comparison: which systems, a prompt, documents and rules of their own."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from finetune.errors import FinetuneError
from finetune.evidence.systems import ALTERNATIVES
from finetune.runs.process import write_text
from finetune.runs.store import Run

if TYPE_CHECKING:
    from finetune.evidence.alternatives.documents import Passage

FILE = "compare.json"
MOST_PROMPT = 20_000  # characters


@dataclass(frozen=True)
class Options:
    """The questions of one comparison. The rows, the longest answer and the seed are in the recipe of the run.

    Attributes:
        systems: alternatives that are switched on, at least one; the fine-tuned model always is.
        prompt: instruction of the system “prompted”; empty takes one made from the task.
        must, must_not: texts that each answer has to contain, and must not.
        pattern: regular expression that each answer has to match somewhere.
    """

    systems: tuple[str, ...] = ALTERNATIVES
    prompt: str = ""
    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    pattern: str = ""

    def __post_init__(self) -> None:
        from finetune.evidence.measures.must import Rules

        if unknown := [name for name in self.systems if name not in ALTERNATIVES]:
            raise FinetuneError(f"There is no system “{unknown[0]}”.", hint=f"Take: {', '.join(ALTERNATIVES)}.")
        if not self.systems:
            raise FinetuneError("Every alternative is switched off.", hint="Leave at least one to compare with.")
        if len(self.prompt) > MOST_PROMPT:
            raise FinetuneError(
                f"The prompt has {len(self.prompt):,} characters.", hint=f"Keep it under {MOST_PROMPT:,}."
            )
        Rules(self.must, self.must_not, self.pattern)  # a bad expression is told now, and not after the comparison

    def as_json(self) -> dict:
        return dataclasses.asdict(self) | {name: list(getattr(self, name)) for name in ("systems", "must", "must_not")}

    @classmethod
    def of(cls, run: Run) -> Options:
        """The options that were saved in the run; the defaults where there are none."""
        path = run.directory / FILE
        if not path.exists():
            return cls()
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
            known = {entry.name for entry in dataclasses.fields(cls)}
            return cls(**{name: tuple(v) if isinstance(v, list) else v for name, v in data.items() if name in known})
        except (ValueError, TypeError, AttributeError):
            raise FinetuneError(
                f"{path} is damaged.", hint="Delete it: the comparison then takes its defaults."
            ) from None


def passages_of(documents: Sequence[Path | str] | None) -> list[Passage] | None:
    """The passages of files of the user's own; None stays None. Raises FinetuneError where one cannot be read."""
    from finetune.evidence.alternatives.documents import read_documents

    if documents is None:
        return None
    return read_documents([Path(path) for path in documents]) if documents else []


def save(run: Run, options: Options, passages: Sequence[Passage] | None = None) -> None:
    """Keep the options in the run, for the next comparison.

    Args:
        passages: what retrieval looks in too, of the user's own documents; None keeps those of before, [] drops them.
    """
    from finetune.evidence.alternatives.documents import PASSAGES_FILE, write_passages

    if passages is not None:
        write_passages(run.directory / PASSAGES_FILE, passages)
    write_text(run.directory / FILE, json.dumps(options.as_json(), ensure_ascii=False, indent=2) + "\n")
