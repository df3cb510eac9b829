"""Quotes: read as csv.reader reads them where they are right, and the same however many lines are taken at a time."""

from __future__ import annotations

import csv
import io
import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from finetune.dataset.reading import quoting
from finetune.dataset.reading.delimited import find_dialect
from finetune.dataset.reading.lines import Lines
from finetune.dataset.reading.load import load_text
from finetune.dataset.reading.quoting import Dialect, Patience, Trouble, records
from finetune.errors import FinetuneError

CELLS = st.text(st.sampled_from("ab \"',;\n\r\\\x0b\x1c\x85\u2028é"), max_size=8)
PIECES = st.lists(
    st.sampled_from(["a", '"', '""', ",", "\n", "\r\n", "\r", ";", "\\", " ", "é,b\n", 'x","z\n']), max_size=60
)


def read(text: str, dialect: Dialect, few: int = 4, many: int = 4096) -> list:
    before = quoting._FEW, quoting._MANY
    quoting._FEW, quoting._MANY = few, many
    try:
        found: list = []
        for batch in records(io.StringIO(text, newline=""), dialect, Patience(10**9)):
            found += [batch] if isinstance(batch, Trouble) else batch
        return found
    finally:
        quoting._FEW, quoting._MANY = before


@settings(max_examples=300, derandomize=True, deadline=None)
@given(
    st.lists(st.lists(CELLS, min_size=2, max_size=4), max_size=12), st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL])
)
def test_what_csv_writes_is_read_back(rows, quote):
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quote).writerows(rows)
    # csv.writer leaves a lone "\r" unquoted in some releases and it ends a line: skip what it cannot read back itself.
    reference = list(csv.reader(io.StringIO(text.getvalue(), newline=""), strict=True))
    assert read(text.getvalue(), Dialect(",")) == reference


@settings(max_examples=500, derandomize=True, deadline=None)
@given(PIECES.map("".join), st.booleans(), st.booleans())
@example('text,label\n"a,x\nb,y\n"c, d",z\ne,w\n', False, False)
@example('a,"b\n\n\n\n\n\n\n\n\n\n\n\nc",d\ne,f\n', False, False)
def test_many_lines_at_a_time_are_read_as_one_by_one(text, skip, backslash):
    dialect = Dialect(",", skip, backslash)
    one_by_one = read(text, dialect, few=1, many=1)
    assert read(text, dialect) == one_by_one
    assert read(text, dialect, few=2, many=3) == one_by_one


@settings(max_examples=300, derandomize=True, deadline=None)
@given(st.text(st.sampled_from("ab\n\r\x0b\x0c\x1c\x1d\x1e\x85\u2028\u2029"), max_size=60), st.integers(1, 9))
def test_lines_end_where_a_file_says(text, size):
    lines = Lines(io.StringIO(text, newline=""))
    found: list[str] = []
    while taken := lines.take(size):
        found += taken
    assert found == io.StringIO(text, newline="").readlines()


@pytest.mark.parametrize(
    ("sample", "delimiter", "titles"),
    [
        ("text^label\n" + "hello, you^a\n" * 8, "^", 0),
        ("text~label\n" + "hello~a\n" * 8, "~", 0),
        ("text:label\n" + "hello:a\n" * 8, ":", 0),
        ("text: label\n" + "hello: a\n" * 8, ",", 0),  # prose
        ("text,label\n" + "10:30,a\n" * 8, ",", 0),
        ("Export of 2024\n\ntext;label\n" + "a, b;c\n" * 8, ";", 1),
        ("Export\nof 2024\ntext\tlabel\n" + "a\tc\n" * 8, "\t", 2),
    ],
)
def test_rare_delimiters_and_title_lines(sample, delimiter, titles):
    dialect, found = find_dialect(sample)
    if delimiter != "," or "," in sample:
        assert dialect.delimiter == delimiter
    assert found in (titles, titles + 1 if titles else 0)  # a blank line below the title may count with it


def test_a_title_line_is_no_row():
    table = load_text("Export of 2024\n\ntext,label\n" + "hello,a\n" * 5)
    assert list(table.frame.columns) == ["text", "label"] and list(table.frame.index) == [1, 2, 3, 4, 5]
    assert any("above the header" in note for note in table.notes)


@pytest.mark.parametrize(
    "line", ['x","z\n', '"a,b\n', '"a,b\nc,d\ne,f\n', ',"""\n', '"x\n', 'a,"b\n"', '"",x"\n'], ids=range(7)
)
def test_stray_quotes_cost_no_more_than_their_lines(line):
    """Each of these opens quotes that later lines close or open again; read again behind each it would take hours."""
    text = "text,label\n" + line * (400_000 // len(line))
    start = time.process_time()
    try:
        table = load_text(text)
    except FinetuneError:
        pass
    else:
        assert len(table.frame) + len(table.bad_rows) > 1000
    assert time.process_time() - start < 10


def test_so_many_open_quotes_that_lines_are_rows(monkeypatch):
    monkeypatch.setattr("finetune.dataset.reading.delimited.Patience", lambda left: Patience(min(left, 500)))
    table = load_text("text,label\n" + 'x","z\na,b\nc,d\n' * 300)
    assert len(table.frame) >= 600 and any("each line was read as a row" in note for note in table.notes)
