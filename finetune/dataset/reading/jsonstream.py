"""The items of a JSON array, or of values written one after another, read one by one: no copy of the whole is made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, TextIO

from finetune.dataset.reading.records import MAX_LINE
from finetune.dataset.reading.values import parse_from

_STEP = 1 << 20
_SPACE = re.compile(r"[ \t\r\n]*")
# What may be left of a value where the text ends in the middle of it: "tru", "-1.", "\\u00", or nothing.
_CUT = re.compile(r"[,:{\[]?\s*[\w\\+.-]*\s*")
# What a number may go on with.
_NUMBER = frozenset("0123456789.eE+-")


class Broken(Exception):
    """The text is no JSON from here on. `message` says why and where; `cut` when it merely ends too early."""

    def __init__(self, message: str, cut: bool) -> None:
        super().__init__(message)
        self.message = message
        self.cut = cut


def array_items(file: TextIO) -> Iterator[Any]:
    """The items of the array that the text is, in order.

    Raises:
        Broken: after the items before the place that is broken.
    """
    window = _Window(file)
    window.expect("[")
    if window.peek() == "]":
        window.expect("]")
    else:
        while True:
            yield window.value()
            if window.expect(",]") == "]":
                break
    if window.peek():
        window.fail("Extra data")


def values(file: TextIO) -> Iterator[Any]:
    """The values of a text that has one after another, each over as many lines as it likes. Raises as `array_items`."""
    window = _Window(file)
    while window.peek():
        yield window.value()


class _Window:
    """The part of the text that is being looked at."""

    def __init__(self, file: TextIO) -> None:
        self._file = file
        self._text = ""
        self._place = 0
        self._line, self._column = 1, 1  # of the first character of the text that is held
        self._at_end = False

    def peek(self) -> str:
        """The next character that is not white space, "" at the end."""
        while True:
            self._place = _SPACE.match(self._text, self._place).end()  # type: ignore[union-attr]
            if self._place < len(self._text) or not self._more():
                return self._text[self._place : self._place + 1]

    def expect(self, characters: str) -> str:
        """Takes the next character, which is one of these."""
        found = self.peek()
        if not found or found not in characters:
            self.fail(f"Expecting {' or '.join(f'“{one}”' for one in characters)}", self._ends_here())
        self._place += 1
        return found

    def value(self) -> Any:
        """Takes the next value."""
        if not self.peek():
            self.fail("Expecting value", True)
        while True:
            error, length = "", 0
            try:
                value, end = parse_from(self._text, self._place)
                length = end - self._place
            except ValueError as problem:
                error = str(getattr(problem, "msg", problem)).removesuffix(" at").removesuffix(" starting")
                length = getattr(problem, "pos", self._place) - self._place
            held = len(self._text) - self._place
            # A number at the edge may go on behind it; an error near the edge may be one of the edge alone.
            behind = self._text[self._place + length : self._place + length + 1]
            if not error and behind and behind not in _NUMBER:
                self._place += length
                return value
            if held <= MAX_LINE and self._more():
                continue
            self._place += length
            if not error:
                return value
            self.fail(error.partition(";")[0], self._at_end and error.startswith("Unterminated") or self._ends_here())

    def _ends_here(self) -> bool:
        """Whether nothing follows but the beginning of a value."""
        while len(self._text) - self._place < 100:
            if not self._more():
                return _CUT.fullmatch(self._text, self._place) is not None
        return False

    def fail(self, message: str, cut: bool = False) -> None:
        """Raises Broken, with the place that has been reached."""
        before = self._text[: self._place]
        lines = before.count("\n")
        line = self._line + lines
        column = len(before) - before.rfind("\n") if lines else self._column + len(before)
        raise Broken(f"{message} in line {line:,}, character {column:,}", cut)

    def _more(self) -> bool:
        """Reads on, twice as much where a value does not fit; False at the end."""
        if self._at_end:
            return False
        new = self._file.read(max(_STEP, len(self._text) - self._place))
        self._at_end = not new
        before = self._text[: self._place]
        lines = before.count("\n")
        self._column = len(before) - before.rfind("\n") if lines else self._column + len(before)
        self._line += lines
        self._text, self._place = self._text[self._place :] + new, 0
        return bool(new)
