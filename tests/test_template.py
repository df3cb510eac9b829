"""A template of the user's own: names of columns in braces and nothing else, and the same text everywhere."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.dataset.mapping.template import render_rows, render_template, template_columns, template_preview
from finetune.dataset.reading.load import load_text
from finetune.errors import FinetuneError

CELLS = {"subject": "Card", "body": "Where is it?", "a.b": "x", "Unnamed: 0": "7", "100%": "all", "empty": ""}


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("{subject}\n{body}", "Card\nWhere is it?"),
        ("{subject}\\n\\n{body}", "Card\n\nWhere is it?"),
        ("Subject: {subject}. {body}", "Subject: Card. Where is it?"),
        ("{{{subject}}}", "{Card}"),
        ("{{subject}} {body}", "{subject} Where is it?"),
        ("{a.b} {Unnamed: 0} {100%}", "x 7 all"),
        ("50% of {subject} %s", "50% of Card %s"),
        ("{ subject }", "Card"),
        ("  {subject}  ", "Card"),
        ("{subject}{subject}", "CardCard"),
        ("{empty}{subject}", "Card"),
        ("only this {empty}", ""),
    ],
)
def test_rendering(template, text):
    assert render_template(template, CELLS) == text


@pytest.mark.parametrize(
    ("template", "said"),
    [
        ("{subject", "“{” without its other half at character 1"),
        ("a subject} b", "“}” without its other half at character 10"),
        ("{sub{ject}", "“{” without its other half at character 1"),
        ("{}", "empty braces at character 1"),
        ("x { }", "empty braces at character 3"),
        ("no column", "names no column"),
        ("", "names no column"),
        ("{subjct}", "no column “subjct”, which the template names at character 1. Did you mean “subject”?"),
        ("a {BODY}", "at character 3. Did you mean “body”?"),
        ("{xyzzy}", "The columns are: “subject”, “body”"),
        ("{subject:>10}", "no column “subject:>10”"),
        ("{subject.__class__}", "no column “subject.__class__”"),
        ("{subject!r}", "no column “subject!r”"),
        ("{0}", "no column “0”"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(template, said):
    with pytest.raises(FinetuneError) as caught:
        render_template(template, CELLS)
    assert said in str(caught.value)


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(st.sampled_from("{} ab%\\n\n.!:"), max_size=14), st.text(max_size=6), st.text(max_size=6))
def test_a_template_is_rendered_or_refused(template, a, b):
    cells = {"a": a, "b": b}
    try:
        names = template_columns(template, cells)
    except FinetuneError:
        with pytest.raises(FinetuneError):
            render_template(template, cells)
        return
    text = render_template(template, cells)
    assert [text] == render_rows(template, {name: [cell] for name, cell in cells.items()})
    assert text == "" or any(cells[name] for name in names)


def test_preview_is_what_is_trained_on():
    table = load_text("subject;body;label\n One ;first;a\nbad\n;;b\nThree;third;c\n")
    assert template_preview(table, "{subject}: {body}") == [(1, "One: first"), (3, ""), (4, "Three: third")]
    assert template_preview(table, "{subject}", rows=1) == [(1, "One")]
    with pytest.raises(FinetuneError, match="Did you mean “body”"):
        template_preview(table, "{bdy}")


def test_many_rows_are_quick_enough_to_be_one_pass():
    columns = {"a": ["x"] * 200_000, "b": ["y"] * 200_000}
    assert render_rows("{a}-{b}", columns) == ["x-y"] * 200_000
    assert pd.Series(render_rows("{a}", {"a": []})).empty
