"""JSON lines, or one JSON array, become rows of cells; values that are not text become text."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterable
from typing import Any

from finetune.dataset.records import MAX_COLUMNS, BadRow, Records, fault, name_columns
from finetune.errors import FinetuneError

_ROLES = ("role", "from")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def read_json(text: str) -> tuple[Records, str]:
    """The rows of the text, and its format: "jsonl" or "json".

    Numbers and booleans become text as JSON writes them, null and missing keys become "". A conversation (a list of
    objects with a role) stays a Python list; any other nested value becomes JSON text, which the notes say.

    Raises:
        FinetuneError: the array is broken, or more than is held here.
    """
    first = text.lstrip()
    if first.startswith("[") or not _is_json(first.partition("\n")[0]):
        items, notes, broken = _whole(text)
        if items is not None:
            result = _collect((position, item, "") for position, item in enumerate(items, start=1))
            result.notes[:0] = notes
            return result, "json"
        if first.startswith("[") and not _is_json(first.partition("\n")[0]):
            raise FinetuneError(
                f"The JSON array is broken: {broken}.", hint="Mend it there, or write one JSON object a line."
            )
    blank = [0]
    result = _collect(_lines(text, blank))
    result.blank_lines = blank[0]
    return result, "jsonl"


def is_conversation(value: Any) -> bool:
    """Whether the value is a list of turns, as OpenAI (role, content) or ShareGPT (from, value) write them."""
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(turn, dict) and any(isinstance(turn.get(role), str) for role in _ROLES) for turn in value)
    )


def parse(text: str) -> Any:
    """The JSON value; NaN is null.

    Raises:
        ValueError: not JSON, or nested deeper, or a number longer, than Python reads.
    """
    try:
        return json.loads(text, parse_constant=lambda word: None if word == "NaN" else word)
    except RecursionError:
        raise ValueError("nested too deep") from None


def _is_json(line: str) -> bool:
    try:
        parse(line)
    except ValueError:
        return False
    return True


def _whole(text: str) -> tuple[list[Any] | None, list[str], str]:
    """The items of a text that is one JSON value, notes, and what is wrong when it is not one (items is None then)."""
    try:
        value = parse(text)
    except json.JSONDecodeError as error:
        return None, [], f"{error.msg.removesuffix(' at')} in line {error.lineno:,}, character {error.colno:,}"
    except ValueError as error:
        return None, [], str(error)
    if isinstance(value, dict):
        lists = [(key, item) for key, item in value.items() if isinstance(item, list)]
        if len(lists) == 1 and lists[0][1] and all(isinstance(item, dict) for item in lists[0][1]):
            key, items = lists[0]
            if not is_conversation(items):
                return items, [f"The rows are those under “{key}”."], ""
        return [value], [], ""
    return (value, [], "") if isinstance(value, list) else ([value], [], "")


def _lines(text: str, blank: list[int]) -> Iterable[tuple[int, Any, str]]:
    """(row, value, reason it cannot be read) for each line; `blank[0]` counts the lines with nothing on them."""
    row = 0
    for line in io.StringIO(text, newline=""):
        if not line.strip():
            blank[0] += 1
            continue
        row += 1
        try:
            yield row, parse(line.rstrip("\r\n")), ""
        except json.JSONDecodeError as error:
            yield row, None, f"not valid JSON: {error.msg.removesuffix(' at')} at character {error.colno:,}"
        except ValueError as error:
            yield row, None, f"not JSON that can be read: {str(error).partition(';')[0]}"


def _collect(items: Iterable[tuple[int, Any, str]]) -> Records:
    result = Records()
    places: dict[str, int] = {}
    nested: dict[str, None] = {}
    for row, item, reason in items:
        cells: list[Any] = []
        if not reason and not isinstance(item, dict):
            reason = f"{_kind(item)}, not a JSON object"
        if not reason:
            cells, new = _cells(item, places, nested)
            reason = fault(cells)
        if reason:
            result.bad_rows.append(BadRow(row, reason))
        else:
            for key in new:
                places[key] = len(places)
            result.rows.append(row)
            result.cells.append(cells)
        if not row & 0xFFF or len(places) > MAX_COLUMNS:
            result.check_size(len(places))
    result.check_size(len(places))
    for cells in result.cells:
        cells.extend([""] * (len(places) - len(cells)))
    result.names, result.notes = name_columns(list(places))
    if nested:
        result.notes.append(f"Nested values are kept as JSON text in: {', '.join(list(nested)[:10])}.")
    return result


def _cells(item: dict[str, Any], places: dict[str, int], nested: dict[str, None]) -> tuple[list[Any], list[str]]:
    """The cells in the order of the columns known so far, then those of new keys, and the new keys."""
    cells: list[Any] = [""] * len(places)
    new: list[str] = []
    for raw, value in item.items():
        key = mended(raw)
        if not is_conversation(value):
            if value and isinstance(value, dict | list):
                nested[key] = None
            value = as_text(value)
        if key in places:
            cells[places[key]] = value
        elif key not in new:
            new.append(key)
            cells.append(value)
    return cells, new


def as_text(value: Any) -> str:
    """Text as it stands, null and empty lists as "", anything else as JSON writes it."""
    if isinstance(value, str):
        return mended(value)
    if value is None or value == [] or value == {}:
        return ""
    try:
        return mended(json.dumps(value, ensure_ascii=False))
    except RecursionError:  # read at the edge of the depth that Python allows, and beyond it here
        return "\ufffd"


def mended(text: str) -> str:
    """Half of a surrogate pair ("\\ud800") can be written in JSON but in no file: it becomes U+FFFD, broken text."""
    return _SURROGATE.sub("\ufffd", text)


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return "a list"
    if isinstance(value, str):
        return "a text"
    return "null" if value is None else "true or false" if isinstance(value, bool) else "a number"
