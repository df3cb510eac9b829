"""JSON in the shapes that programs write it: nested, wrapped, by columns, over several lines, cut off."""

from __future__ import annotations

import io
import json

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from finetune.dataset.reading import jsonstream, nested
from finetune.dataset.reading.jsonstream import Broken, array_items, values
from finetune.dataset.reading.load import load_text
from finetune.errors import FinetuneError

ROWS = [{"text": f"a text {number}", "label": "ab"[number % 2]} for number in range(12)]
FRAME = pd.DataFrame(ROWS)
LISTS = [[row["text"], row["label"]] for row in ROWS]


def cells(text: str) -> list[list]:
    return load_text(text).frame.to_numpy().tolist()


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ROWS),
        json.dumps(ROWS, indent=2),
        "\n".join(map(json.dumps, ROWS)),
        "\r\n".join(json.dumps(row) for row in ROWS),
        "\n".join(json.dumps(row, indent=1) for row in ROWS),
        "".join(json.dumps(row, indent=1) for row in ROWS),
        json.dumps({"version": 2, "data": ROWS}),
        json.dumps({"version": 2, "data": ROWS}, indent=1),
        json.dumps({"train": ROWS[:8], "test": ROWS[8:]}),
        json.dumps(FRAME.to_dict("list")),
        FRAME.to_json(),
        FRAME.to_json(orient="index"),
        FRAME.to_json(orient="split"),
        FRAME.to_json(orient="records"),
        FRAME.to_json(orient="values"),
        FRAME.to_json(orient="records", lines=True),
        json.dumps([["text", "label"], *LISTS]),
        "\n".join(map(json.dumps, LISTS)),
    ],
)
def test_the_same_rows_in_many_shapes(text):
    assert cells(text) == LISTS


def test_what_is_nested_has_columns_of_its_own():
    items = [
        {"id": 1, "data": {"text": "x", "n": 2, "deep": {"on": True}}, "tags": ["a", "b"]},
        {"id": 2, "data": {"text": "y"}, "tags": [], "answers": [{"value": "z", "spans": ["s"]}]},
        {"id": 3, "data": "plain", "data.text": "own"},
    ]
    frame = load_text("\n".join(map(json.dumps, items))).frame
    found = {name: frame[name].to_list() for name in frame.columns}
    assert found["data.text"] == ["x", "y", "own"] and found["data.n"] == ["2", "", ""]
    assert found["data.deep.on"] == ["true", "", ""]
    assert found["answers.value"] == ["", "z", ""] and found["answers.spans"] == ["", "s", ""]
    assert found["tags"] == ['["a", "b"]', "", ""]
    assert json.loads(found["data"][0]) == items[0]["data"] and found["data"][2] == "plain"


def test_conversations_inside_of_objects():
    turns = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]
    assert load_text(json.dumps({"data": {"messages": turns}})).frame["data.messages"].iloc[0] == turns
    alone = load_text(json.dumps([turns, turns]))
    assert list(alone.frame.columns) == ["messages"] and alone.frame.iloc[1, 0] == turns
    lines = load_text(f"{json.dumps(turns)}\n{json.dumps(turns)}\n")
    assert lines.format == "jsonl" and lines.frame.iloc[1, 0] == turns


def test_paths_are_bounded(monkeypatch):
    many = "\n".join(json.dumps({"text": "t", "k": {f"key {n}": n}}) for n in range(300))
    table = load_text(many)
    assert len(table.frame.columns) == 2 + nested.MAX_PATHS
    assert any("some have no column" in note for note in table.notes)
    # Paths go before the file is refused for its size.
    monkeypatch.setattr(nested, "MAX_CELLS", 2000)
    table = load_text(many)
    assert list(table.frame.columns) == ["text", "k"] and len(table.frame) == 300


def test_ragged_keys():
    table = load_text('{"a": 1}\n{"b": "x", "a": null}\n{"c": 2.50, "b": ""}\n')
    assert list(table.frame.columns) == ["a", "b", "c"]
    assert table.frame.to_numpy().tolist() == [["1", "", ""], ["", "x", ""], ["", "", "2.5"]]


def test_an_array_that_is_cut_off_gives_the_rows_before():
    text = json.dumps(ROWS, indent=1)
    for end in (len(text) - 3, len(text) - 12, len(text) - 25, text.rindex("{"), text.rindex("{") - 3):
        table = load_text(text[:end])
        assert len(table.frame) in (11, 12) and len(table.bad_rows) == 1, text[end - 20 : end]
        assert "the array breaks off here" in table.bad_rows[0].reason


def test_an_array_broken_in_the_middle_says_where():
    text = json.dumps(ROWS, indent=1).replace("},", "}", 1)
    with pytest.raises(FinetuneError, match="The JSON array is broken: Expecting .* in line 6, character 2"):
        load_text(text)


def test_an_object_broken_in_the_middle_says_where():
    text = json.dumps({"data": ROWS}, indent=1).replace('"label": "a"', '"label" "a"', 1)
    with pytest.raises(FinetuneError, match="The JSON is broken: Expecting ':' delimiter in line 5"):
        load_text(text)


def test_one_large_object_is_refused_before_it_is_read(monkeypatch):
    monkeypatch.setattr("finetune.dataset.reading.jsonl.MAX_WHOLE", 100)
    with pytest.raises(FinetuneError, match="The file is one JSON value of"):
        load_text(json.dumps({"data": ROWS}, indent=1))
    # Lines are no such object, even where the first is broken, and an array is read item by item.
    assert len(load_text("{oops\n" + "\n".join(map(json.dumps, ROWS))).frame) == len(ROWS)
    assert len(load_text(json.dumps(ROWS, indent=1)).frame) == len(ROWS)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=150, derandomize=True, deadline=None)
@given(st.lists(JSON, max_size=6), st.integers(1, 7), st.sampled_from([None, 1]), st.booleans())
def test_streaming_reads_what_json_reads(items, step, indent, ascii_):
    before = jsonstream._STEP
    jsonstream._STEP = step
    try:
        text = json.dumps(items, indent=indent, ensure_ascii=ascii_)
        assert list(array_items(io.StringIO(text))) == items
        assert list(values(io.StringIO("\n".join(map(json.dumps, items))))) == items
        for end in range(1, len(text), 7):
            found: list = []
            with pytest.raises(Broken) as caught:
                found.extend(array_items(io.StringIO(text[:end])))
            assert caught.value.cut
    finally:
        jsonstream._STEP = before
