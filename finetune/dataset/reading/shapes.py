"""A JSON value that is a whole file: which of its parts are the rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain, islice
from typing import Any

from finetune.dataset.reading.header import is_header
from finetune.dataset.reading.values import as_text, is_conversation

_LOOKED_AT = 200


def rows_in(value: Any) -> tuple[list[Any], list[str]]:
    """The items that are the rows of a file that is one JSON value, and notes.

    Besides a list these are read: an object with lists of rows in it, and what pandas and `datasets` write, an object
    with a list or an object of values for each column.
    """
    if not isinstance(value, dict):
        return (value if isinstance(value, list) else [value]), []
    lists = {key: item for key, item in value.items() if isinstance(item, list) and item}
    names, data = lists.get("columns"), lists.get("data")
    if names and data and _are_rows(data) and all(isinstance(name, str) for name in names):  # pandas, orient="split"
        return [names, *data], ["The rows are those under “data”."]
    if len(value) > 1 and _are_columns(value.values()):
        keys = dict.fromkeys(key for column in value.values() for key in column)
        rows = [{name: column.get(key) for name, column in value.items()} for key in keys]
        return rows, ["The file holds a list of values for each column, as pandas writes them; read as a table."]
    if len(lists) == len(value) > 1 and _are_even(lists.values()):
        rows = [dict(zip(lists, cells, strict=True)) for cells in zip(*lists.values(), strict=True)]
        return rows, ["The file holds a list of values for each column; read as a table."]
    holding = {key: item for key, item in lists.items() if _are_rows(item) and not is_conversation(item)}
    if holding and len(holding) == len(lists):
        names = " and ".join(f"“{key}”" for key in holding)
        after = ", one after the other" if len(holding) > 1 else ""
        return list(chain(*holding.values())), [f"The rows are those under {names}{after}."]
    if len(value) > 1 and all(isinstance(item, dict) for item in value.values()) and _are_alike(value.values()):
        return list(value.values()), ["The rows are the values of one object, which are all alike."]
    return [value], []


def as_objects(items: Iterable[Any], notes: list[str]) -> Iterator[Any]:
    """The items, where lists that are rows or conversations have become objects; the first item decides.

    Args:
        notes: gets a sentence on what was done.
    """
    items = iter(items)
    first = list(islice(items, _LOOKED_AT))
    usable = [item for item in first if not isinstance(item, Exception)]
    if usable and is_conversation(usable[0]):
        for item in chain(first, items):
            yield {"messages": item} if is_conversation(item) else item
    elif usable and _is_row(usable[0]):
        width = len(usable[0])
        same = [list(map(as_text, item)) for item in usable if _is_row(item) and len(item) == width]
        names = same[0] if all(isinstance(cell, str) for cell in usable[0]) else []
        below = [list(column) for column in zip(*same[1:], strict=True)]
        if names and len(set(names)) == width and is_header(names, below) and len(same) > 1:
            first.remove(usable[0])
        else:
            names = [f"column {position}" for position in range(1, width + 1)]
            notes.append(f"The rows are lists of values; the columns are called {', '.join(names[:6])}.")
        for item in chain(first, items):
            fits = isinstance(item, list) and len(item) == width
            yield dict(zip(names, item, strict=True)) if fits else item
    else:
        yield from chain(first, items)


def _is_row(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 1 and not any(isinstance(cell, dict | list) for cell in value)


def _are_rows(value: Any) -> bool:
    """A list of objects, or of lists of values."""
    looked = value[:_LOOKED_AT] if isinstance(value, list) else []
    return bool(looked) and (all(isinstance(item, dict) for item in looked) or all(map(_is_row, looked)))


def _are_columns(values: Iterable[Any]) -> bool:
    """Objects of plain values with the same keys, numbers in order: pandas, orient="columns"."""
    columns = list(values)
    if not all(isinstance(column, dict) and len(column) > 1 for column in columns):
        return False
    return all(column.keys() == columns[0].keys() for column in columns) and all(key.isdigit() for key in columns[0])


def _are_even(columns: Iterable[list[Any]]) -> bool:
    """Lists of plain values, all of the same length."""
    columns = list(columns)
    nested = any(isinstance(cell, dict | list) for column in columns for cell in column[:_LOOKED_AT])
    return not nested and len({len(column) for column in columns}) == 1


def _are_alike(values: Iterable[dict[str, Any]]) -> bool:
    """Objects of which each has the keys that most have: pandas, orient="index"."""
    looked = list(islice(values, _LOOKED_AT))
    return len(looked[0]) > 1 and all(item.keys() == looked[0].keys() for item in looked)
