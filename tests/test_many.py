"""Several files become one table: numbers go on, columns are united, the test file is marked."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from finetune.dataset.reading.load import load, load_text, with_test
from finetune.errors import Cancelled, FinetuneError

TURNS = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]


@pytest.fixture
def files(tmp_path: Path):
    def write(**contents: str) -> list[Path]:
        paths = []
        for name, content in contents.items():
            paths.append(tmp_path / name.replace("_", "."))
            paths[-1].write_text(content, encoding="utf-8")
        return paths

    return write


def test_rows_are_numbered_on_and_bad_ones_count(files):
    paths = files(a_csv="text,label\none,x\nbad\ntwo,y\n", b_csv="text,label\nthree,x\n\nbad\n")
    table = load(paths)
    assert list(table.frame.index) == [1, 3, 4] and table.frame.index.name == "row"
    assert [bad.row for bad in table.bad_rows] == [2, 5]
    assert [(source.name, source.first, source.last) for source in table.sources] == [("a.csv", 1, 3), ("b.csv", 4, 5)]
    assert (table.name, table.format, table.delimiter, table.blank_lines) == ("a.csv and 1 more", "csv", ",", 1)
    assert table.place(3) == "row 3 of a.csv" and table.place(5) == "row 2 of b.csv"
    assert table.test_rows == range(0)
    digests = "".join(hashlib.sha256(path.read_bytes()).hexdigest() for path in paths)
    assert table.sha256 == hashlib.sha256(digests.encode()).hexdigest()


def test_one_file_is_as_it_was(files):
    (path,) = files(a_csv="text,label\none,x\n")
    for table in (load(path), load([path]), load([str(path)])):
        assert table.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
        assert table.name == "a.csv" and table.place(1) == "row 1" and table.notes == ()


def test_columns_are_united_and_told(files):
    paths = files(
        a_csv="text,label\none,x\n",
        b_csv="Text,label,extra\ntwo,y,z\n",
        c_jsonl=json.dumps({"messages": TURNS, "label": "q"}) + "\n",
    )
    table = load(paths)
    assert list(table.frame.columns) == ["text", "label", "Text", "extra", "messages"]
    assert table.frame.loc[2].to_list() == ["", "y", "two", "z", ""]
    assert table.frame.loc[3, "messages"] == TURNS
    assert table.format == "mixed" and table.delimiter is None
    assert "Not all files have the column “extra”: it is empty in a.csv, c.jsonl." in table.notes
    assert any("“text” and “Text” are two columns here" in note for note in table.notes)


def test_the_users_own_test_file(files):
    train, more, test = files(a_csv="text,label\none,x\n", b_csv="text,label\ntwo,y\n", t_csv="text,label\nq,x\nbad\n")
    table = load([train, more], test=test)
    assert table.test_rows == range(3, 5)
    assert [source.test for source in table.sources] == [False, False, True]
    assert load(train, test=test).test_rows == range(2, 4)
    with pytest.raises(FinetuneError, match="The test file a.csv is the same as a.csv"):
        load(train, test=train)


def test_a_test_file_beside_text_that_was_read(files):
    (test,) = files(t_csv="text,label\nq,x\nbad\n")
    table = with_test(load_text("text,label\none,x\ntwo,y\n", "standard input"), test)
    assert table.test_rows == range(3, 5) and [source.name for source in table.sources] == ["standard input", "t.csv"]
    with pytest.raises(FinetuneError, match="The test file t.csv is the same as t.csv"):
        with_test(load(test), test)


def test_the_same_file_twice_is_read_once_and_told(files, tmp_path: Path):
    (path,) = files(a_csv="text,label\none,x\n")
    copy = tmp_path / "copy.csv"
    copy.write_bytes(path.read_bytes())
    table = load([path, copy])
    assert len(table.frame) == 1 and table.notes == ("copy.csv is the same as a.csv, byte for byte; it was read once.",)


def test_two_files_of_one_name(tmp_path: Path):
    for folder, text in (("x", "one"), ("y", "two")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "data.csv").write_text(f"text,label\n{text},a\n")
    table = load([tmp_path / "x" / "data.csv", tmp_path / "y" / "data.csv"])
    assert table.place(2) == "row 1 of data.csv (2)"


def test_what_is_wrong_is_told_with_the_name_of_the_file(files, tmp_path: Path):
    good, empty = files(a_csv="text,label\none,x\n", b_csv="")
    with pytest.raises(FinetuneError, match="b.csv: The file is empty"):
        load([good, empty])
    with pytest.raises(FinetuneError, match="none.csv"):
        load([good, tmp_path / "none.csv"])
    with pytest.raises(FinetuneError, match="No file is named"):
        load([])


def test_too_much_together(files, monkeypatch):
    paths = files(a_csv="text,label\none,x\n", b_csv="text,label\ntwo,y\n")
    monkeypatch.setattr("finetune.dataset.reading.many.MAX_BYTES", 30)
    with pytest.raises(FinetuneError, match="MB together"):
        load(paths)
    monkeypatch.setattr("finetune.dataset.reading.many.MAX_BYTES", 10**9)
    monkeypatch.setattr("finetune.dataset.reading.many.MAX_ROWS", 1)
    with pytest.raises(FinetuneError, match="2 rows and 2 columns together"):
        load(paths)


def test_one_column_in_each_is_two_together(files):
    table = load(files(a_csv="text\nhello\nbye\n", b_csv="label\nx\ny\n"))
    assert list(table.frame.columns) == ["text", "label"]


def test_progress_is_told_and_can_end_it(files):
    paths = files(a_csv="text,label\none,x\n", b_jsonl='{"text": "two", "label": "y"}\n')
    told: list[tuple[str, float]] = []
    load(paths, tell=lambda what, share: told.append((what, share)))
    assert told and all(0 <= share <= 1 for _, share in told)
    assert [share for _, share in told] == sorted(share for _, share in told)

    def stop(what: str, share: float) -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        load(paths, tell=stop)


@pytest.mark.parametrize(
    ("text", "first"),
    [
        ("text,label\none,x\ntwo,y", ["one", "x"]),
        ("text\tlabel\none, two\tx", ["one, two", "x"]),
        ('{"text": "one", "label": "x"}', ["one", "x"]),
        ('[{"text": "one", "label": "x"}]', ["one", "x"]),
        ("\ufefftext;label\r\none;x", ["one", "x"]),
        ('{"text": "\ud800", "label": "x"}', ["?", "x"]),
    ],
)
def test_pasted_text(text, first):
    table = load_text(text)
    assert table.frame.iloc[0].to_list() == first and table.name == "pasted text"
    assert not any("whatever its name" in note for note in table.notes)


def test_pasted_text_that_is_nothing():
    for text in ("", "   \n", "just a sentence"):
        with pytest.raises(FinetuneError):
            load_text(text)
