"""The table of prices: what comes with the program, what the user changed, and what a damaged file is told."""

from __future__ import annotations

import dataclasses
import datetime
import json
from pathlib import Path

import pytest

from finetune.errors import FinetuneError
from finetune.evidence.money.prices import FILE, YOURS, Machine, Prices


def keep(root: Path, data: object) -> None:
    (root / FILE).write_text(data if isinstance(data, str) else json.dumps(data), encoding="utf-8")


def test_every_figure_of_the_table_has_its_source_and_its_date() -> None:
    table = Prices.shipped()
    for entry in (table.electricity, table.retrieval_service, *table.machines, *table.hosted):
        assert entry.source and datetime.date.fromisoformat(entry.date) <= datetime.date.fromisoformat(table.date)
    assert {machine.kind for machine in table.machines} == {"cpu", "cuda"}
    assert all((machine.watts is None) != (machine.per_hour is None) for machine in table.machines)
    assert len({machine.name for machine in table.machines}) == len(table.machines)
    large, mini = table.hosted
    assert (large.training_per_million, large.input_per_thousand, large.output_per_thousand) == (25, 0.00375, 0.015)
    assert mini.training_per_million == 3
    assert (table.retrieval_service.low_per_month, table.retrieval_service.high_per_month) == (70, 1000)


def test_a_second_costs_rent_or_electricity() -> None:
    own = Machine("own", "cpu", 100.0, None, "", "")
    assert own.second(0.20) * 3600 == pytest.approx(0.02)  # 0.1 kWh an hour
    assert Machine("rented", "cuda", None, 0.90, "", "").second(0.20) == pytest.approx(0.00025)


def test_the_users_file_stands_over_the_table_and_the_rest_stays(tmp_path: Path) -> None:
    first = Prices.shipped().machines[0]
    new = {"name": "lab server", "kind": "cuda", "watts": 700}
    keep(tmp_path, {"machines": [{"name": first.name, "watts": 65}, new], "requests_per_day": 10_000})
    prices = Prices.load(tmp_path)
    assert prices.machines[0] == dataclasses.replace(first, watts=65.0, source=YOURS, date="")
    assert prices.machines[1:-1] == Prices.shipped().machines[1:] and prices.machines[-1].watts == 700
    assert (prices.electricity, prices.hosted) == (Prices.shipped().electricity, Prices.shipped().hosted)
    assert prices.requests_per_day == 10_000


def test_only_what_differs_is_kept_and_it_is_found_again(tmp_path: Path) -> None:
    table = Prices.shipped()
    rented = next(machine for machine in table.machines if machine.per_hour is not None)
    prices = table.chosen(requests_per_day=2500, machine=rented.name).changed("machines", rented.name, per_hour=0.55)
    prices = prices.changed("electricity", per_kwh=0.31).changed(
        "hosted", table.hosted[1].name, input_per_thousand=0.0004
    )
    prices.save(tmp_path)
    assert Prices.load(tmp_path) == prices
    kept = json.loads((tmp_path / FILE).read_text(encoding="utf-8"))
    assert set(kept) == {"electricity", "machines", "hosted", "requests_per_day", "machine"}
    assert len(kept["machines"]) == len(kept["hosted"]) == 1
    assert (prices.electricity.source, prices.electricity.date) == (YOURS, datetime.date.today().isoformat())
    assert table.changed("electricity", per_kwh=table.electricity.per_kwh) == table  # the same figure is no change


def test_the_machine_is_the_chosen_one_else_one_like_the_device() -> None:
    table = Prices.shipped()
    assert table.machine_for("cuda").kind == "cuda" and table.machine_for("cpu").kind == "cpu"
    chosen = table.chosen(machine=table.machines[-1].name)
    assert chosen.machine_for("cpu") == table.machines[-1]
    assert dataclasses.replace(chosen, machine="gone").machine_for("cuda").kind == "cuda"


@pytest.mark.parametrize(
    ("data", "said"),
    [
        ("{", "it is not JSON"),
        (b"\xff\xfe", "it is not JSON"),
        ([1], "the file must be an object"),
        ({"elektricity": {}}, "nothing called “elektricity”"),
        ({"currency": "EUR"}, "currency must be USD"),
        ({"electricity": {"per_kwh": "0.3"}}, "electricity: per_kwh must be a number"),
        ({"electricity": {"per_kwh": None}}, "electricity: per_kwh must be a number"),
        ("""{"electricity": {"per_kwh": NaN}}""", "electricity: per_kwh must be a number"),
        ({"machines": {}}, "machines must be a list"),
        ({"machines": [{"watts": 3}]}, "machines, entry 1: name"),
        ({"machines": [{"name": "mine"}]}, "machines, entry 1: give watts"),
        ({"machines": [{"name": "mine", "watts": -1}]}, "machines, entry 1: watts"),
        ({"machines": [{"name": "mine", "watts": 1, "kind": "tpu"}]}, "kind must be cpu or cuda"),
        ({"hosted": [{"name": "x", "input_per_million": 1}]}, "hosted, entry 1: there is nothing called"),
        ({"requests_per_day": 0}, "requests a day must be above 0"),
        ({"requests_per_day": True}, "requests a day must be above 0"),
    ],
)  # fmt: skip
def test_a_damaged_file_is_told_with_its_place(tmp_path: Path, data: object, said: str) -> None:
    if isinstance(data, bytes):
        (tmp_path / FILE).write_bytes(data)
    else:
        keep(tmp_path, data)
    with pytest.raises(FinetuneError, match="cannot be used") as error:
        Prices.load(tmp_path)
    assert (
        said in error.value.message and str(tmp_path / FILE) in error.value.message and "delete it" in error.value.hint
    )


@pytest.mark.parametrize(
    "change",
    [
        lambda prices: prices.chosen(requests_per_day=0),
        lambda prices: prices.chosen(requests_per_day=float("nan")),
        lambda prices: prices.chosen(machine="nothing like it"),
        lambda prices: prices.changed("electricity", per_kwh=-0.1),
        lambda prices: prices.changed("machines", prices.machines[0].name, watts=float("inf")),
    ],
)
def test_a_figure_that_makes_no_sense_is_refused(change) -> None:
    with pytest.raises(FinetuneError):
        change(Prices.shipped())
