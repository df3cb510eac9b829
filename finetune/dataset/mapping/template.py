r"""A template of the user's own, such as "{subject}\n{body}", makes one input of several columns.

Names of columns stand in braces; "{{" and "}}" are braces themselves. There is nothing else to it: no formats, no
attributes. Line breaks may be written as \n, as a command line has no other way.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from finetune.dataset.reading.conversation import spoken, stripped
from finetune.dataset.reading.table import Table
from finetune.errors import FinetuneError

# (text before a column, column); the last has no column.
Parts = list[tuple[str, str | None]]
_PIECE = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


def parse_template(template: str, columns: Iterable[str] | None = None) -> Parts:
    """The pieces of a template.

    Args:
        columns: the columns that there are; None takes any name.

    Raises:
        FinetuneError: a brace without its other half, no column in it, or a column that does not exist; each with the
            place in the template.
    """
    known = None if columns is None else list(columns)
    text = template.replace("\\n", "\n").replace("\\t", "\t")
    parts: Parts = []
    literal, end = "", 0
    for match in _PIECE.finditer(text):
        literal += text[end : match.start()]
        end = match.end()
        found, name = match.group(), match.group(1)
        if found in ("{{", "}}"):
            literal += found[0]
            continue
        place = f"at character {match.start() + 1}"
        if name is None:
            raise FinetuneError(
                f"The template has a “{found}” without its other half {place}.",
                hint="A column is written {name}; write {{ or }} for a brace that is to stay.",
            )
        parts.append((literal, _column(name, known, place)))
        literal = ""
    parts.append((literal + text[end:], None))
    if len(parts) == 1:
        raise FinetuneError("The template names no column.", hint="Write the name of a column in braces: {text}.")
    return parts


def template_columns(template: str, columns: Iterable[str] | None = None) -> tuple[str, ...]:
    """The columns that a template names, each once, in order. Raises as `parse_template`."""
    return tuple(dict.fromkeys(name for _, name in parse_template(template, columns) if name is not None))


def render_template(template: str, cells: Mapping[str, str]) -> str:
    """The text of one row: `cells` are its texts by column. "" where all cells that the template names are empty.

    Raises:
        FinetuneError: as `parse_template`; a column that is not in `cells` does not exist.
    """
    return render_rows(template, {name: [cell] for name, cell in cells.items()})[0]


def render_rows(template: str, columns: Mapping[str, Sequence[str]]) -> list[str]:
    """`render_template` of many rows, given as columns of the same length."""
    parts = parse_template(template, columns)
    form = "".join(literal.replace("%", "%%") + ("" if name is None else "%s") for literal, name in parts)
    cells = zip(*(columns[name] for _, name in parts if name is not None), strict=True)
    return [stripped(form % row) if any(row) else "" for row in cells]


def template_preview(table: Table, template: str, rows: int = 3) -> list[tuple[int, str]]:
    """(source row, text) of the first rows, as the model will read them. Raises as `parse_template`."""
    names = template_columns(template, table.frame.columns)
    head = table.frame.head(rows)
    cells = {name: [cell_text(cell) for cell in head[name]] for name in names}
    return list(zip(head.index.to_list(), render_rows(template, cells), strict=True))


def cell_text(cell: Any) -> str:
    """A cell as text, stripped; of a conversation, what its turns say."""
    if isinstance(cell, str):
        return stripped(cell)
    return "\n\n".join(content for _, content in spoken(cell))


def _column(name: str, known: list[str] | None, place: str) -> str:
    if known is None or name in known:
        if name:
            return name
    elif name.strip() in known:
        return name.strip()
    if not name.strip():
        raise FinetuneError(f"The template has empty braces {place}.", hint="Write the name of a column in them.")
    close = difflib.get_close_matches(name, known or (), n=1, cutoff=0.6)
    folded = [other for other in known or () if other.lower() == name.strip().lower()]
    meant = (folded or close or [""])[0]
    names = ", ".join(f"“{other}”" for other in (known or [])[:12])
    hint = f"Did you mean “{meant}”?" if meant else f"The columns are: {names}."
    raise FinetuneError(f"There is no column “{name}”, which the template names {place}.", hint=hint)
