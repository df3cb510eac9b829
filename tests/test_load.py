"""Reading: every row has its number, every row that cannot be read is listed with it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest

from finetune.dataset.reading.load import MAX_CELL, BadRow, Table, load, preview
from finetune.errors import FinetuneError


@pytest.fixture
def read(tmp_path: Path):
    def write(content: str | bytes, name: str = "data.csv") -> Table:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return load(path)

    return write


def rows(table: Table) -> dict[int, list]:
    return {row: list(cells) for row, cells in zip(table.frame.index, table.frame.to_numpy().tolist(), strict=True)}


def test_plain_csv(read):
    table = read("text,label\nhello,a\nbye,b\n")
    assert rows(table) == {1: ["hello", "a"], 2: ["bye", "b"]}
    assert (table.name, table.format, table.encoding, table.delimiter) == ("data.csv", "csv", "utf-8", ",")
    assert table.frame.index.name == "row"
    assert not table.bad_rows and not table.notes and not table.blank_lines
    assert len(table.sha256) == 64


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_delimiters_with_commas_in_the_text(read, delimiter):
    table = read(
        f'text{delimiter}label\n"one, two; three|four"{delimiter}a\nfive, six{"" if delimiter != "," else "."}'.replace(
            "five, six.", "five."
        )
        + f"{delimiter}b\n"
    )
    assert table.delimiter == delimiter
    assert rows(table)[1] == ["one, two; three|four", "a"]
    assert len(table.frame) == 2


def test_excel_says_its_delimiter(read):
    assert rows(read("sep=;\ntext;label\na, b;c\n")) == {1: ["a, b", "c"]}


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
def test_marks_and_utf16(read, encoding):
    text = "text,label\n" + "".join(f"Où est ma carte n° {n} ?,a\n" for n in range(30))
    assert rows(read(text.encode(encoding)))[30] == ["Où est ma carte n° 29 ?", "a"]


@pytest.mark.parametrize(
    ("encoding", "text"),
    [
        ("cp1252", "Où est ma carte ? Ça coûte 5 € – c’est trop"),
        ("cp1252", "El niño no llegó mañana"),
        ("cp1251", "Где моя карта? Я жду уже неделю"),
        ("cp1250", "Gdzie jest moja karta? Już tydzień czekam i proszę o wyjaśnienie"),
        ("shift_jis", "カードはどこですか？届いていません"),
        ("gb18030", "我的卡在哪里？已经一个星期了"),
    ],
)
def test_other_encodings(read, encoding, text):
    table = read(f"text,label\n{text},a\nplain,b\n".encode(encoding))
    assert rows(table) == {1: [text, "a"], 2: ["plain", "b"]}
    assert any("not UTF-8" in note for note in table.notes)


def test_damaged_utf8_stays_utf8(read):
    table = read("text,label\nñañá ééé,a\nx,b\n".encode() + b"caf\xe9,c\n")
    assert table.encoding == "utf-8"
    assert rows(table)[3] == ["caf\ufffd", "c"]
    assert any("not valid UTF-8" in note for note in table.notes)


def test_line_ends_quotes_and_blank_lines_keep_the_numbers(read):
    table = read('\r\ntext,label\r\n"a\r\n\r\nb",x\r\n\r\n   \r\nonly one\r\n"say ""hi""",y\r\n')
    assert rows(table) == {1: ["a\r\n\r\nb", "x"], 3: ['say "hi"', "y"]}
    assert table.bad_rows == (BadRow(2, "1 field where the header has 2"),)
    assert table.blank_lines == 3


def test_old_mac_line_ends(read):
    assert rows(read("text,label\rone,a\rtwo,b\r")) == {1: ["one", "a"], 2: ["two", "b"]}


def test_unicode_line_separators_are_text(read):
    text = "one\u2028two\x85three\x0bfour"
    assert rows(read(f"text,label\n{text},a\n")) == {1: [text, "a"]}
    assert rows(read(json.dumps({"text": text, "label": "a"}, ensure_ascii=False), "x.jsonl")) == {1: [text, "a"]}


def test_ragged_rows(read):
    table = read("text,label\na,b,c\nd\ne,f\ng,h,,\n")
    assert [bad.row for bad in table.bad_rows] == [1, 2]
    assert table.bad_rows[0].reason == "3 fields where the header has 2"
    assert rows(table) == {3: ["e", "f"], 4: ["g", "h"]}


def test_empty_columns_at_the_end_go_with_a_note(read):
    table = read("text,label,,\na,b,,\nc,d\n")
    assert list(table.frame.columns) == ["text", "label"]
    assert rows(table) == {1: ["a", "b"], 2: ["c", "d"]}
    assert "2 empty columns" in table.notes[0]


def test_a_quote_never_closed_costs_one_row(read):
    table = read('text,label\na,x\n"b,y\nc,z\nd,w\n')
    assert rows(table) == {1: ["a", "x"], 3: ["c", "z"], 4: ["d", "w"]}
    assert table.bad_rows == (BadRow(2, "a quote opens here and is never closed"),)


def test_a_quote_never_closed_in_the_last_row(read):
    table = read('text,label\na,x\nb,"y')
    assert rows(table) == {1: ["a", "x"]}
    assert table.bad_rows == (BadRow(2, "a quote opens here and is never closed"),)


def test_the_rest_of_a_cut_off_cell_is_no_row(read):
    table = read('text,label\na,x\n"Dear all,\nplease\nlook\ninto')
    assert rows(table) == {1: ["a", "x"]}
    assert table.bad_rows == (BadRow(2, "a quote opens here and is never closed (3 more lines belong to it)"),)


def test_a_stray_quote_that_closes_in_a_later_row(read):
    table = read('text,label\n"a,x\nb,y\n"c, d",z\ne,w\n')
    assert rows(table) == {2: ["b", "y"], 3: ["c, d", "z"], 4: ["e", "w"]}
    assert table.bad_rows == (BadRow(1, "a quote opens here and closes wrongly"),)


def test_loose_quotes(read):
    table = read('text,label\n"He said "hi", you know","a"\n"x" ,b\n"He said "hi" to me",c\nhi,d\n5" pipe,e\n')
    assert rows(table) == {1: ['He said "hi", you know', "a"], 2: ["x ", "b"], 4: ["hi", "d"], 5: ['5" pipe', "e"]}
    assert [bad.row for bad in table.bad_rows] == [3]
    assert any(note.startswith("2 rows have quotes") for note in table.notes)


def test_backslash_quotes_and_spaces_after_the_delimiter(read):
    assert rows(read('text,label\n"He said \\"hi\\", ok","a"\nc,d\n')) == {1: ['He said "hi", ok', "a"], 2: ["c", "d"]}
    assert rows(read('text, label\n"a, b", "c"\n"d", "e, f"\n')) == {1: ["a, b", "c"], 2: ["d", "e, f"]}
    assert rows(read("text,label\nC:\\new,a\n")) == {1: ["C:\\new", "a"]}


def test_nul_bytes_are_listed(read):
    table = read(b"text,label\nhello there,a\nbro\0ken,b\nfine again,c\n")
    assert [bad.row for bad in table.bad_rows] == [2] and "NUL" in table.bad_rows[0].reason
    assert list(table.frame.index) == [1, 3]


def test_long_cells(read):
    table = read(f"text,label\n{'word ' * 20_000},a\n{'x' * (MAX_CELL + 1)},b\nc,d\n")
    assert list(table.frame.index) == [1, 3] and len(table.frame.iloc[0, 0]) == 100_000
    assert "1,000,001 characters (1,000,000 at most)" in table.bad_rows[0].reason
    assert preview(table).iloc[0, 1].endswith("…")


def test_duplicate_and_empty_names(read):
    table = read("text,text,,label\na,b,c,d\n")
    assert list(table.frame.columns) == ["text", "text (2)", "column 3", "label"]
    assert len(table.notes) == 2
    assert list(read("a,a,a (2)\n1x,2x,3x\n").frame.columns) == ["a", "a (3)", "a (2)"]


@pytest.mark.parametrize("first", ["Where is my card?,arrival", "I love it!,good", "It came very late.,bad", "hello,7"])
def test_a_missing_header_is_row_1(read, first):
    body = {
        "Where is my card?,arrival": "How long does it take?,arrival\nWhy?,other\nIs it?,arrival\n",
        "I love it!,good": "fine,good\nmeh,bad\nnice,good\n",
        "It came very late.,bad": "Not what I wanted,bad\nfine,good\n",
        "hello,7": "bye,8\nbad\nso long,9\n",
    }[first]
    table = read(f"{first}\n{body}")
    assert list(table.frame.columns) == ["column 1", "column 2"]
    assert rows(table)[1] == first.split(",")
    assert rows(table)[2] == body.split("\n")[0].split(",")
    assert "looks like data" in table.notes[0]
    if first == "hello,7":
        assert table.bad_rows[0].row == 3 and list(table.frame.index) == [1, 2, 4]


@pytest.mark.parametrize(
    "header", ["text,label", "0,1", "What went wrong?,How bad was it from one to five?", "a,b", "frage,antwort"]
)
def test_a_header_is_a_header(read, header):
    table = read(f"{header}\nwhere is it,1\nwhy is it,2\nhow,1\n")
    assert list(table.frame.columns) == header.split(",")


def test_a_header_repeated_below_is_no_row(read):
    table = read("text,label\na,b\ntext,label\nc,d\n")
    assert list(table.frame.index) == [1, 3]
    assert table.bad_rows == (BadRow(2, "the header again, as where files were joined"),)


def test_jsonl(read):
    lines = [
        '{"text": "a", "label": 1, "ok": true}',
        "",
        '{"text": "b", "label": 2.5, "ok": null}',
        '{"text": "broken',
        "[1, 2]",
        '"text"',
        '{"label": "c", "extra": {"k": [1]}}',
        '{"text": NaN, "label": "\\ud800", "extra": []}',
        "[" * 100_000,
        '{"text": "\\u0000", "label": "x"}',
        '{"text": ' + "9" * 5000 + "}",
    ]
    table = read("\ufeff" + "\r\n".join(lines), "x.jsonl")
    assert list(table.frame.columns) == ["text", "label", "ok", "extra", "extra.k"]
    assert rows(table) == {
        1: ["a", "1", "true", "", ""],
        2: ["b", "2.5", "", "", ""],
        6: ["", "c", "", '{"k": [1]}', "1"],
        7: ["", "\ufffd", "", "", ""],
    }
    reasons = {bad.row: bad.reason for bad in table.bad_rows}
    assert list(reasons) == [3, 4, 5, 8, 9, 10]
    assert reasons[3].startswith("not valid JSON: Unterminated string")
    assert reasons[4] == "a list, not a JSON object" and reasons[5] == "a text, not a JSON object"
    assert "nested too deep" in reasons[8] and "NUL" in reasons[9]
    assert table.blank_lines == 1 and table.format == "jsonl" and table.delimiter is None
    assert any("JSON text in: extra" in note for note in table.notes)


def test_json_array_and_wrapped_array(read):
    items = [{"text": "a", "label": "x"}, 5, {"text": "b", "label": "y"}]
    table = read(json.dumps(items, indent=2), "x.json")
    assert rows(table) == {1: ["a", "x"], 3: ["b", "y"]} and table.format == "json"
    assert table.bad_rows == (BadRow(2, "a number, not a JSON object"),)
    wrapped = read(json.dumps({"version": 1, "data": [items[0], items[2]]}, indent=1), "x.json")
    assert rows(wrapped) == {1: ["a", "x"], 2: ["b", "y"]} and "“data”" in wrapped.notes[0]


def test_conversations_stay_lists(read):
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    table = read(json.dumps({"messages": turns}) + "\n", "x.jsonl")
    assert table.frame.iloc[0, 0] == turns
    assert preview(table).iloc[0, 1] == "user: hi\nassistant: hello"


def test_content_decides_not_the_name(read):
    table = read('{"text": "a", "label": "b"}\n{"text": "c", "label": "d"}\n', "x.csv")
    assert table.format == "jsonl" and "whatever its name" in table.notes[0]
    assert read("text,label\na,b\n", "x.jsonl").format == "csv"
    assert read('{"broken\n{"text": "a", "label": "b"}\n', "x.jsonl").bad_rows[0].row == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf", "empty"),
        (b" \r\n\n", "empty"),
        (b"\0" * 500, "empty"),
        (b"text,label\n", "a header but no rows"),
        (b"text\nhello\nbye\n", "one column, “text”"),
        (b"text,label\nonly\n", "No row can be read"),
        (b"PK\x03\x04....xl/workbook.xml", "an Excel workbook"),
        (b"PK\x03\x04....", "a zip archive"),
        (b"\x89PNG\r\n\x1a\n....", "a PNG picture"),
        (b"%PDF-1.7\n", "a PDF document"),
        (b"PAR1....", "The Parquet file is damaged"),
        (b"\x1f\x8b\x08....", "cannot be unpacked: the archive is damaged"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "cannot be unpacked: the archive is cut off"),
        (b"\x28\xb5\x2f\xfd....", "cannot be unpacked: the archive"),
        (b"BZh91AY....", "a bzip2 archive"),
        (b"x" * 257 + b"ustar\x0000", "a tar archive"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (random.Random(0).randbytes(5000), "binary"),
        (b"[" * 200_000, "no rows"),
        (b'[{"a": 1, "b": 2},\n{"a": 3 "b": 4}, {"a": 5}]', "broken: Expecting ',' delimiter in line 2, character 9"),
        (b'[{"a": 1},\n{"a": ', "one column, “a”"),
        (b'"' * 99_999, "header"),
    ],
)
def test_what_cannot_be_used_is_one_sentence(read, content, said):
    with pytest.raises(FinetuneError) as caught:
        read(content)
    assert said in str(caught.value)


def test_missing_file_folder_and_size(tmp_path, monkeypatch):
    for path in (tmp_path / "none.csv", tmp_path, Path("a\0b")):
        with pytest.raises(FinetuneError):
            load(path)
    (tmp_path / "big.csv").write_text("text,label\na,b\n")
    monkeypatch.setattr("finetune.dataset.reading.content.MAX_BYTES", 5)
    with pytest.raises(FinetuneError, match="at most are read"):
        load(tmp_path / "big.csv")


def test_too_many_columns_and_keys(read):
    with pytest.raises(FinetuneError, match="columns"):
        read(",".join(f"c{n}" for n in range(1500)) + "\n" + "," * 1499 + "\n")
    with pytest.raises(FinetuneError, match="columns"):
        read("\n".join(json.dumps({f"k{n}": 1, "b": 2}) for n in range(1500)), "x.jsonl")


def test_preview(read):
    table = read("text,label\n" + "bad\n" + "".join(f"t{n},l\n" for n in range(300)))
    shown = preview(table)
    assert list(shown.columns) == ["#", "text", "label"] and len(shown) == 200
    assert shown["#"].iloc[0] == 2


def test_hostile_files_never_give_a_traceback(tmp_path):
    random_ = random.Random(1)
    alphabet = [
        '"',
        ",",
        "\n",
        "\r",
        ";",
        "\\",
        "a",
        "é",
        "\0",
        "{",
        "}",
        "[",
        "]",
        ":",
        " ",
        '{"a": "b"}',
        "\ufeff",
        "=1+1",
    ]
    for number in range(300):
        text = "".join(random_.choices(alphabet, k=random_.randint(1, 120)))
        data = text.encode(random_.choice(["utf-8", "cp1252", "utf-16"]), "replace")
        if number % 3 == 0:
            data = data[: random_.randint(0, len(data))] + random_.randbytes(3)
        path = tmp_path / f"f.{random_.choice(['csv', 'jsonl', 'json', 'tsv'])}"
        path.write_bytes(data)
        try:
            table = load(path)
        except FinetuneError:
            continue
        numbers = sorted([*table.frame.index, *(bad.row for bad in table.bad_rows)])
        assert numbers == list(range(1, len(numbers) + 1))
        preview(table)
