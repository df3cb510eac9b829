"""Parquet files: every kind of column becomes text or a conversation, in parts, and damage is one sentence."""

from __future__ import annotations

import datetime
import decimal
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from finetune.dataset.reading import parquet
from finetune.dataset.reading.load import load
from finetune.errors import Cancelled, FinetuneError

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


@pytest.fixture
def read(tmp_path: Path):
    def write(columns: dict, **options):
        path = tmp_path / "data.parquet"
        pq.write_table(pa.table(columns), path, **options)
        return load(path)

    return write


def test_plain_columns(read):
    table = read(
        {"text": ["a", None, "c"], "n": [1, 2, None], "x": [0.5, float("nan"), 2.0], "ok": [True, False, None]}
    )
    assert (table.format, table.delimiter, len(table.sha256)) == ("parquet", None, 64)
    assert table.frame.to_numpy().tolist() == [
        ["a", "1", "0.5", "true"],
        ["", "2", "", "false"],
        ["c", "", "2.0", ""],
    ]
    assert table.notes == () and list(table.frame.index) == [1, 2, 3]


def test_times_decimals_and_bytes_become_text_with_a_note(read):
    moment = datetime.datetime(2024, 12, 31, 10, 30)
    table = read(
        {
            "text": ["a", "b"],
            "when": [moment, None],
            "day": [moment.date(), None],
            "price": [decimal.Decimal("1.50"), None],
            "raw": [b"caf\xc3\xa9", None],
            "picture": [b"\x89PNG\xff", b"\xff\xd8"],
            "nothing": pa.nulls(2),
        }
    )
    assert table.frame.iloc[0].to_list() == ["a", "2024-12-31 10:30:00.000000", "2024-12-31", "1.50", "café", "", ""]
    assert table.frame.iloc[1].to_list() == ["b", "", "", "", "", "", ""]
    for said in ("points in time in “when”", "dates in “day”", "decimal numbers in “price”", "bytes in “raw”"):
        assert any(said in note for note in table.notes)
    assert any("“picture” holds bytes that are no text" in note and "2 such values" in note for note in table.notes)


def test_nested_columns_and_conversations(read):
    table = read(
        {
            "messages": [TURNS, TURNS[:1]],
            "meta": [{"lang": "en", "score": 1.5}, {"lang": "de", "score": None}],
            "tags": [["a", "b"], []],
        }
    )
    assert table.frame["messages"].to_list() == [TURNS, TURNS[:1]]
    assert table.frame["meta.lang"].to_list() == ["en", "de"] and table.frame["meta.score"].to_list() == ["1.5", ""]
    assert table.frame["tags"].to_list() == ['["a", "b"]', ""]


def test_labels_that_repeat_are_in_memory_once(read):
    labels = ["a name of a label that stands in every second row, again and again", "b"] * 500
    table = read({"text": [f"t{n}" for n in range(1000)], "label": labels, "c": pa.array(labels).dictionary_encode()})
    for name in ("label", "c"):
        assert table.frame[name].to_list() == labels
        assert len({id(cell) for cell in table.frame[name]}) == 2


def test_row_groups_and_codecs(read):
    for codec in ("snappy", "zstd", "gzip", "none"):
        columns = {"text": [f"t{n}" for n in range(1000)], "label": ["x", "y"] * 500}
        table = read(columns, row_group_size=70, compression=codec)
        assert table.frame["text"].to_list() == columns["text"] and table.frame["label"].to_list() == columns["label"]


def test_long_cells_and_nul_are_bad_rows(read):
    table = read({"text": ["x" * 1_000_001, "a\0b", "fine"], "label": ["a", "b", "c"]})
    assert list(table.frame.index) == [3] and [bad.row for bad in table.bad_rows] == [1, 2]


def test_inside_of_an_archive(tmp_path: Path):
    pq.write_table(pa.table({"text": ["a"], "label": ["b"]}), tmp_path / "x.parquet")
    path = tmp_path / "x.parquet.gz"
    path.write_bytes(gzip.compress((tmp_path / "x.parquet").read_bytes()))
    assert load(path).frame.to_numpy().tolist() == [["a", "b"]]


def test_damage_is_a_sentence(tmp_path: Path):
    path = tmp_path / "data.parquet"
    pq.write_table(pa.table({"text": [f"t{n}" * 5 for n in range(2000)], "label": ["a", "b"] * 1000}), path)
    whole = path.read_bytes()
    for place in range(8, len(whole), max(1, len(whole) // 12)):
        for data in (whole[:place], whole[:place] + b"\xff\0\xff" + whole[place + 3 :]):
            path.write_bytes(data)
            try:
                load(path)
            except FinetuneError as error:
                assert "\n" not in str(error)


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("import os; os.abort()", "it cannot be read"),
        (
            "import sys; print(5, flush=True); sys.stderr.write('  what():  no such level'); sys.exit(-6)",
            "no such level",
        ),
        ("import sys; print('oops', file=sys.stderr); sys.exit(3)", "oops"),
        ("print(5)", "it cannot be read"),
    ],
)
def test_a_file_that_ends_the_process_that_reads_it(read, tmp_path, monkeypatch, script, said):
    """As pyarrow 26 does on some damaged files: an exception of C++ that nobody catches."""
    (tmp_path / "child.py").write_text(script)
    monkeypatch.setattr(parquet, "_CHILD", tmp_path / "child.py")
    with pytest.raises(FinetuneError, match=f"The Parquet file is damaged: {said}"):
        read({"text": ["a"], "label": ["b"]})


def test_cancelling_ends_the_process(read, tmp_path):
    def stop(what: str, share: float) -> None:
        raise Cancelled

    pq.write_table(pa.table({"text": ["a"] * 5000, "label": ["b"] * 5000}), tmp_path / "x.parquet")
    with pytest.raises(Cancelled):
        load(tmp_path / "x.parquet", tell=stop)


def test_too_much_is_refused_from_what_the_file_says(read, monkeypatch):
    monkeypatch.setattr(parquet, "MAX_ROWS", 10)
    with pytest.raises(FinetuneError, match="The Parquet file has 11 rows, 2 columns"):
        read({"text": ["a"] * 11, "label": ["b"] * 11})
    monkeypatch.setattr(parquet, "MAX_ROWS", 10**6)
    monkeypatch.setattr(parquet, "MAX_BYTES", 20_000)
    with pytest.raises(FinetuneError, match="The Parquet file has more than 0 MB of values"):
        # Values that are stored once and stand in every row count as often as they stand.
        read({"text": ["a longer text, the same in all of them"] * 3000, "n": list(range(3000))})
