"""Whether the base that is chosen suits the data, in sentences beneath the choice."""

from __future__ import annotations

import dataclasses
from pathlib import Path

from finetune.errors import FinetuneError
from finetune.model.advice import Advice, Rows, Spelling, advise, base_of, rows_of, spelling_of
from finetune.training.recipe import Recipe
from finetune.ui import desk
from finetune.ui.desk import Data, Whose
from finetune.ui.kept import Kept
from finetune.ui.notice import escape

_rows = Kept(lambda rows: 1, 64)
_spelled = Kept(lambda spelling: 1, 64)


def view(data: Data | None, recipe: Recipe, cache: Path) -> str:
    """HTML of what there is to know of the base; empty where there are no rows yet, or nothing has to be said."""
    if data is None:
        return ""
    try:
        found = _advice(data, recipe, cache)
    except FinetuneError:
        return ""  # the other tabs tell what is wrong with the file
    return "".join(
        f'<div class="notice mild"><span>{escape(one.text)}</span></div>'
        if one.severity == "warning"
        else f'<p class="quiet">{escape(one.text)}</p>'
        for one in found
    )


def _advice(data: Data, recipe: Recipe, cache: Path) -> tuple[Advice, ...]:
    examples = desk.read_rows(data)[0]
    rows: Rows = _rows.get(desk.map_key(data), lambda: rows_of(examples, data.task))
    learned = max(1, round(rows.rows * (1 - data.validation - data.test)))
    whose = Whose.of(recipe, cache)
    lengths = desk.lengths_known(data, whose)
    spelling: Spelling | None = None
    if lengths is not None:  # then the tokenizer is at hand, too
        spelling = _spelled.get((desk.map_key(data), recipe.base), lambda: desk.spelled(whose, examples, spelling_of))
    rows = dataclasses.replace(
        rows, rows=min(learned, recipe.rows or learned), longest=lengths.max if lengths is not None else None
    )
    return advise(base_of(recipe.base, cache), rows, spelling)
