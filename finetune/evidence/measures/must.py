"""Rules of the user's own that every answer has to keep: what it must contain, must not, and a pattern it must match."""

from __future__ import annotations

from dataclasses import dataclass, field

import regex

from finetune.errors import FinetuneError

# Some patterns take time that grows with every character: such a search is given up, and told.
PATTERN_SECONDS = 1.0


@dataclass(frozen=True)
class Rules:
    """Rules for answers. Texts are looked for as they are written, capitals aside; `pattern` anywhere in the answer.

    Raises:
        FinetuneError: `pattern` is no regular expression, with the place of the mistake.
    """

    must: tuple[str, ...] = ()
    must_not: tuple[str, ...] = ()
    pattern: str = ""
    _compiled: regex.Pattern | None = field(init=False, repr=False, compare=False, default=None)

    def __post_init__(self) -> None:
        if any(not text.strip() for text in (*self.must, *self.must_not)):
            raise FinetuneError("A rule without a text was given.", hint="Leave it out, or write what it looks for.")
        if not self.pattern:
            return
        try:
            object.__setattr__(self, "_compiled", regex.compile(self.pattern))
        except regex.error as error:
            where = f" at character {error.pos + 1}" if error.pos is not None else ""
            raise FinetuneError(
                f"“{self.pattern}” is no regular expression: {error.msg}{where}.",
                hint="Mend it, or write the text under “must contain”.",
            ) from None

    def __bool__(self) -> bool:
        return bool(self.must or self.must_not or self.pattern)

    def check(self, output: str) -> list[str]:
        """The rules that an answer breaks, a sentence each; empty where it keeps them all."""
        folded = output.casefold()
        broken = [f"does not contain “{text}”" for text in self.must if text.casefold() not in folded]
        broken += [f"contains “{text}”" for text in self.must_not if text.casefold() in folded]
        if self._compiled is not None:
            try:
                if not self._compiled.search(output, timeout=PATTERN_SECONDS):
                    broken.append(f"does not match {self.pattern}")
            except TimeoutError:
                broken.append(f"was not checked: the pattern {self.pattern} takes too long")
        return broken
