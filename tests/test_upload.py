"""What the tab Upload makes of rows, without a browser: counts, reasons, the file of what is left out, cancelling."""

from __future__ import annotations

import csv
import threading
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import gradio as gr
import pytest

from finetune.dataset.tell import silent
from finetune.errors import FinetuneError
from finetune.ui import desk, mapping, overview, sources, upload
from finetune.ui.desk import Data
from finetune.ui.sources import Way
from finetune.ui.upload import Upload

VISITOR = SimpleNamespace(session_hash="somebody")


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Upload]:
    with gr.Blocks(analytics_enabled=False):
        yield upload.build(gr.State(None), tmp_path_factory.mktemp("examples"))


@pytest.fixture
def two(tmp_path: Path) -> Data:
    """Two files, and a test file with two rows that cannot be used."""
    for name, rows in (("a", 6), ("b", 4), ("t", 2)):
        lines = "".join(f"{name} text {number},{'xy'[number % 2]}\n" for number in range(rows))
        (tmp_path / f"{name}.csv").write_text(f"text,label\n{lines}", encoding="utf-8")
    with (tmp_path / "t.csv").open("a", encoding="utf-8") as file:
        file.write('=HYPERLINK("http://x"),\none cell\n')
    way = sources.files([str(tmp_path / "a.csv"), str(tmp_path / "b.csv")], str(tmp_path / "t.csv"))
    return way.read(silent)


def test_rows_left_out_are_placed_and_no_cell_is_a_formula(tab: Upload, two: Data) -> None:
    counted = tab.count(two)
    assert (counted.usable, counted.lost) == (12, 2)
    table = desk.table(two)
    assert [table.place(entry.row) for entry in counted.first] == ["row 3 of t.csv", "row 4 of t.csv"]
    assert [entry.reason for entry in counted.first][0] == "the output is empty"
    with open(counted.file, encoding="utf-8-sig", newline="") as file:
        lines = list(csv.reader(file))
    assert lines[0] == ["row", "place", "why it is left out", "text", "label"]
    assert lines[1] == ["13", "row 3 of t.csv", "the output is empty", '\'=HYPERLINK("http://x")', ""]
    assert lines[2][3:] == ["", ""]


def test_the_line_of_numbers_names_the_files(tab: Upload, two: Data) -> None:
    told = overview.counts(two.name, tab._look(two))
    assert "3 files as one table" in told
    assert "a.csv 6 rows · b.csv 4 rows · t.csv 4 rows, the test set" in told


def test_a_wrong_template_keeps_the_last_that_fits(tab: Upload, two: Data) -> None:
    changed, below = tab.form.typed(two, "Q: {text}")
    assert changed.template == "Q: {text}"
    assert "Q: a text 0" in below
    for wrong in ("Q: {txt}", "Q: {text", "no column", "{text}{label}"):
        kept, below = tab.form.typed(changed, wrong)
        assert kept == changed
        assert "fault" in below, wrong
    assert tab.form.typed(changed, " ")[0].template == ""


def test_a_guess_that_was_overruled_loses_its_reason(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    lines = "".join(
        f"{number % 7},a text {number},{'xy'[number % 2]},2024-01-{number % 28 + 1:02}\n" for number in range(40)
    )
    path.write_text(f"customer_id,text,label,day\n{lines}", encoding="utf-8")
    first = desk.open_files([str(path)])
    table = desk.table(first)
    groups, times = mapping.suggestions(sources.of(first))
    assert (groups, times) == (("customer_id",), ("day",))
    told = mapping._reasons(first, first, table, groups, times)
    assert "“label” is the output" in told
    assert "“customer_id” may be a group" in told
    other = mapping.chosen(first, ["text"], "customer_id", "instruction", None, None)
    assert "is the output" not in mapping._reasons(other, first, table, (), ())


def test_what_was_open_stays_when_the_next_cannot_be_read(tab: Upload, two: Data, tmp_path: Path) -> None:
    (tmp_path / "bad.csv").write_bytes(bytes(range(256)) * 40)
    [told] = tab._open(sources.files([str(tmp_path / "bad.csv")], None), two, VISITOR)
    assert tab.data not in told
    assert "a.csv and 1 more is still open." in told[tab.ways.notice].value


@pytest.mark.parametrize("text", ["", "  \n", None])
def test_nothing_pasted_is_a_sentence(tab: Upload, text: str | None) -> None:
    with pytest.raises(FinetuneError, match="no text to read"):
        tab.ways.pasted(text, None).read(silent)


def test_pasted_text_is_read_and_cleared_like_an_upload(tab: Upload) -> None:
    data = tab.ways.pasted("text\tlabel\nçava\tfr\nhello\ten\n", None).read(silent)
    assert (data.name, data.input, data.output) == ("pasted text", ("text",), "label")
    assert data.paths[0] in tab.ways.text.temp_files
    assert tab.ways.named(data)[tab.ways.file] is None  # the box names uploads alone


def test_a_long_reading_shows_how_far_it_is_and_can_be_cancelled(tab: Upload, two: Data) -> None:
    reading, ended = threading.Event(), threading.Event()

    def read(tell) -> Data:
        try:
            while True:
                tell("Reading the rows", 0.5)
                reading.wait(0.01)
        finally:
            ended.set()

    steps = tab._open(Way("big.csv", read), two, VISITOR)
    shown = next(steps)
    assert "Reading big.csv" in shown[tab.ways.progress]
    tab._end(VISITOR)
    # Something is yielded all the same: Gradio empties the page after a generator that yields nothing.
    assert list(steps)[-1] == gr.skip()
    assert ended.wait(5)
