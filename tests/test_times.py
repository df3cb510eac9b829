"""Dates as people write them; the form is found from the values and told."""

from __future__ import annotations

import datetime
import math

import numpy as np
import pytest

from finetune.dataset.mapping.times import parse_times, read_times, suggest_time, table_times
from finetune.dataset.reading.load import load_text

DAYS = [datetime.datetime(2024, 1, 5) + datetime.timedelta(days=9 * number, hours=10) for number in range(40)]


def seconds(moments) -> list[float]:
    return [moment.replace(tzinfo=datetime.UTC).timestamp() for moment in moments]


@pytest.mark.parametrize(
    ("form", "said"),
    [
        ("%Y-%m-%d %H:%M:%S", "ISO 8601"),
        ("%Y-%m-%dT%H:%M:%SZ", "ISO 8601"),
        ("%Y-%m-%dT%H:%M:%S.000+00:00", "ISO 8601"),
        ("%Y/%m/%d %H:%M", "ISO 8601"),
        ("%Y.%m.%d %H:%M", "ISO 8601"),
        ("%Y%m%d", "ISO 8601"),
        ("%m/%d/%Y %I:%M %p", "month first"),
        ("%d/%m/%Y %H:%M", "day first, such as 31/12/2024"),
        ("%d.%m.%Y %H:%M", "day first, such as 31.12.2024"),
        ("%d.%m.%y, %H:%M", "day first, such as 31.12.2024"),
        ("%b %d, %Y %H:%M", "name of the month"),
        ("%d %B %Y %H:%M", "name of the month"),
        ("%a, %d %b %Y %H:%M:%S +0000", "as in e-mail"),
    ],
)
def test_forms(form, said):
    times = read_times([moment.strftime(form) for moment in DAYS])
    known = [moment.replace(hour=10 if "H" in form or "I" in form else 0) for moment in DAYS]
    assert said in times.form and times.unreadable == 0
    assert times.seconds.tolist() == seconds(known)


def test_numbers():
    times = read_times([str(int(number)) for number in seconds(DAYS)])
    assert times.form == "seconds since 1970" and times.seconds.tolist() == seconds(DAYS)
    times = read_times([str(int(number * 1000)) for number in seconds(DAYS)])
    assert times.form == "milliseconds since 1970" and times.seconds.tolist() == seconds(DAYS)


def test_zones_and_mixed_precision():
    times = read_times(["2024-01-01T12:00:00+02:00", "2024-01-01", "2024-01-01T10:00:00Z", "2024-01-01 10:00"])
    assert times.seconds.tolist() == [1704103200.0, 1704067200.0, 1704103200.0, 1704103200.0]


def test_unreadable_ones_are_counted_and_empty_ones_are_not():
    times = read_times(["2024-01-01", "", "soon", "2024-01-03", " 2024-01-04 "])
    assert times.unreadable == 1 and [math.isnan(one) for one in times.seconds] == [False, True, True, False, False]


@pytest.mark.parametrize("values", [["a", "b"], ["1", "2", "3"], ["0.5", "12"], ["", ""], []])
def test_what_is_no_date(values):
    times = read_times(values)
    assert times.form == "" and np.isnan(times.seconds).all() and len(times.seconds) == len(values)


def test_where_day_and_month_cannot_be_told_apart_their_order_decides():
    # The first to the twelfth of three months, in order: as months first they would jump.
    values = [f"{day:02d}/{month:02d}/2024" for month in (3, 4, 5) for day in range(1, 13)]
    assert "day first" in read_times(values).form
    assert "month first" in read_times(["01/02/2024", "03/04/2024"]).form


def test_a_column_of_a_table():
    lines = "".join(f"text {n},{moment:%d.%m.%Y},{n % 3},{2000 + n % 20}\n" for n, moment in enumerate(DAYS))
    table = load_text("text,sent,label,size\nbad\n" + lines)
    assert suggest_time(table) == ("sent",)
    assert parse_times(table, "sent").shape == (40,) and np.isfinite(parse_times(table, "sent")).all()
    assert table_times(table, "text").form == "" and table_times(table, "text").unreadable == 40


def test_years_and_seconds_are_suggested_by_name_alone():
    rows = "".join(f"t{n},{1700000000 + n},{1700000000 + 7 * n}\n" for n in range(20))
    assert suggest_time(load_text(f"text,number,created_at\n{rows}")) == ("created_at",)
