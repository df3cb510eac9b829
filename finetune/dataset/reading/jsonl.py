"""JSON lines, or one JSON array, become rows of cells; values that are not text become text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from io import TextIOWrapper
from typing import Any

from finetune.dataset.reading.decode import Text
from finetune.dataset.reading.jsonstream import Broken, array_items, values
from finetune.dataset.reading.nested import Objects
from finetune.dataset.reading.records import MAX_CELL, Records
from finetune.dataset.reading.shapes import as_objects, rows_in
from finetune.dataset.reading.values import kind, parse
from finetune.dataset.tell import Tell
from finetune.errors import FinetuneError

# One JSON object that is the whole file is held in memory as Python objects, some ten times its size.
MAX_WHOLE = 64_000_000
_HEAD = 1_000_000
_STEP = 1 << 20
# What a line can hold that asks for a look at its texts: half a character, or a NUL.
_ESCAPED = re.compile(r"\\u(?:[dD][89a-fA-F]|0000)")


class _Bad(Exception):
    """An item that cannot be read; the message says why."""


def read_json(text: Text, tell: Tell | None = None) -> tuple[Records, str]:
    """The rows of the text, and its format: "jsonl" or "json".

    Numbers and booleans become text as JSON writes them, null and missing keys become "". A conversation (a list of
    objects with a role) stays a Python list; any other nested value becomes JSON text, and what is inside of it has
    columns of its own, such as “data.text”.

    Raises:
        FinetuneError: the array is broken before its end, or more than is held here.
    """
    head = text.head(_HEAD)
    lines = re.split(r"\r\n|\r|\n", head.lstrip(), maxsplit=20)
    first_is_json = _is_json(lines[0])
    alone = not any(line.strip() for line in lines[1:])
    if lines[0].startswith("[") and (alone or not first_is_json):
        return _read_array(text, tell), "json"
    # One object that is the file; or objects over several lines each, where no line is JSON by itself.
    any_line = any(map(_is_object, lines[1:20]))
    if (alone or not first_is_json) and (text.content.size <= MAX_WHOLE or not any_line):
        records = _read_whole(text, tell, alone, any_line)
        if records is not None:
            return records, "json"
    return _read_lines(text, tell), "jsonl"


def _is_json(line: str) -> bool:
    if len(line) > 1 and line[0] not in "{[":
        return False
    try:
        parse(line)
    except ValueError:
        return False
    return True


def _is_object(line: str) -> bool:
    return line.startswith("{") and len(line) > 2 and _is_json(line)


def _read_array(text: Text, tell: Tell | None) -> Records:
    notes: list[str] = []
    with text.open() as file:

        def items() -> Iterator[Any]:
            try:
                yield from array_items(file)
            except Broken as error:
                if not error.cut:
                    raise
                yield _Bad(f"the array breaks off here: {error.message}")

        try:
            return _collect(_told(items(), file, text, tell), notes)
        except Broken as error:
            raise FinetuneError(
                f"The JSON array is broken: {error.message}.", hint="Mend it there, or write one JSON object a line."
            ) from None


def _read_whole(text: Text, tell: Tell | None, one_line: bool, any_line: bool) -> Records | None:
    """The rows of a text that is one object, or some objects over several lines each; None when lines are the rows.

    Args:
        one_line: the text has one line alone, as far as is known.
        any_line: some of its first lines are objects by themselves.
    """
    if text.content.size > MAX_WHOLE:
        if one_line:
            return None
        raise FinetuneError(
            f"The file is one JSON value of {text.content.size / 1e6:,.0f} MB; {MAX_WHOLE / 1e6:,.0f} MB are read.",
            hint="Write one JSON object a line, or an array of them.",
        )
    with text.open() as file:
        try:
            found = list(values(file))
        except Broken as error:
            if one_line or any_line:
                return None
            raise FinetuneError(
                f"The JSON is broken: {error.message}.", hint="Mend it there, or write one JSON object a line."
            ) from None
    if len(found) == 1:
        items, notes = rows_in(found[0])
        if one_line and items and items[0] is found[0]:
            return None
    elif one_line:
        return None
    else:
        items, notes = found, ["The objects are written over several lines each; read one after the other."]
    del found
    return _collect(_told(iter(items), None, text, tell), notes)


def _read_lines(text: Text, tell: Tell | None) -> Records:
    text.check_lines()
    blank = [0]
    with text.open() as file:
        first = next(_values(file, [0]), None)
    with text.open() as file:
        if isinstance(first, list):  # rows that are lists, or conversations
            result = _collect(_told(_values(file, blank), file, text, tell), [])
        else:
            result = _collect_lines(file, blank, text, tell)
    result.blank_lines = blank[0]
    return result


def _lines(file: TextIOWrapper, blank: list[int]) -> Iterator[str]:
    """The lines with something on them; `blank[0]` counts the others."""
    while lines := file.readlines(_STEP):
        for line in lines:
            if line.isspace():
                blank[0] += 1
            else:
                yield line


def _values(file: TextIOWrapper, blank: list[int]) -> Iterator[Any]:
    for line in _lines(file, blank):
        try:
            yield parse(line.rstrip("\r\n"))
        except ValueError as error:
            yield _Bad(_reason(error))


def _collect_lines(file: TextIOWrapper, blank: list[int], text: Text, tell: Tell | None) -> Records:
    """The commonest case, with a short way for lines that hold nothing but plain text."""
    objects = Objects()
    number = 0
    for line in _lines(file, blank):
        number += 1
        if tell and not number & 0x3FFF:
            _tell(tell, file, text)
        try:
            item = parse(line.rstrip("\r\n"))
        except ValueError as error:
            objects.bad(_reason(error))
            continue
        if isinstance(item, dict):
            objects.add(item, plain=len(line) <= MAX_CELL and not ("\\u" in line and _ESCAPED.search(line)))
        else:
            objects.bad(f"{kind(item)}, not a JSON object")
    return objects.finish()


def _collect(items: Iterable[Any], notes: list[str]) -> Records:
    objects = Objects()
    for item in as_objects(items, notes):
        if isinstance(item, dict):
            objects.add(item)
        else:
            objects.bad(str(item) if isinstance(item, _Bad) else f"{kind(item)}, not a JSON object")
    result = objects.finish()
    result.notes[:0] = notes
    return result


def _told(items: Iterator[Any], file: TextIOWrapper | None, text: Text, tell: Tell | None) -> Iterator[Any]:
    for number, item in enumerate(items):
        if tell and not number & 0x3FFF:
            _tell(tell, file, text)
        yield item


def _tell(tell: Tell, file: TextIOWrapper | None, text: Text) -> None:
    tell("Reading the rows", min(0.99, file.buffer.tell() / max(text.content.size, 1)) if file else 0.5)


def _reason(error: ValueError) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"not valid JSON: {error.msg.removesuffix(' at')} at character {error.colno:,}"
    return f"not JSON that can be read: {str(error).partition(';')[0]}"
