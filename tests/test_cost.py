"""Costs in money, against figures worked out by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from compared import make_run

from finetune.evidence.money.cost import NOT_PRICED, measured, money, priced, priced_of
from finetune.evidence.money.payback import hosted_told, lines, sentence, span, told
from finetune.evidence.money.prices import FILE, Hosted, Machine, Prices

# 3.60 an hour are 0.001 a second, so every figure below can be worked out in the head.
RENTED = Machine("rented", "cuda", None, 3.60, "a test", "2026-01-01")
OWN = Machine("own", "cpu", 1000.0, None, "a test", "2026-01-01")  # at 0.36 a kWh: 0.0001 a second
HOSTED = Hosted("big model", 25.0, 0.00375, 0.015, "a test", "2026-01-01")


def prices(machine: Machine = RENTED, hosted: Hosted = HOSTED) -> Prices:
    table = Prices.shipped()
    power = dataclasses.replace(table.electricity, per_kwh=0.36)
    return dataclasses.replace(table, electricity=power, machines=(machine,), hosted=(hosted,))


def cost(**changes: object) -> dict:
    made = measured(
        training_seconds=1000.0, rows=10, seconds={"tfidf": 0.1, "few_shot": 3.0, "fine_tuned": 1.0},
        tokens={"tfidf": 0, "few_shot": 8_000, "fine_tuned": 2_100},
        tokens_in={"tfidf": 0, "few_shot": 7_900, "fine_tuned": 2_000},
        tokens_out={"tfidf": 0, "few_shot": 100, "fine_tuned": 100}, training_tokens=2_000_000, device="cuda",
    )  # fmt: skip
    return made | changes


def test_what_was_measured_is_told_for_each_request() -> None:
    found = cost()
    assert found["seconds_per_request"] == pytest.approx({"tfidf": 0.01, "few_shot": 0.3, "fine_tuned": 0.1})
    assert found["tokens_in_per_request"]["fine_tuned"] == 200 and found["tokens_out_per_request"]["few_shot"] == 10
    assert "tokens_in_per_request" not in measured(training_seconds=None, rows=1, seconds={}, tokens={})
    with pytest.raises(ValueError, match="at least one"):
        measured(training_seconds=1.0, rows=0, seconds={}, tokens={})


def test_seconds_become_money_and_the_lines_cross() -> None:
    found = priced(cost(), prices(), 10_000, "few_shot")
    tuned, few = found["systems"]["fine_tuned"], found["systems"]["few_shot"]
    assert found["training_cost"] == pytest.approx(1.00)
    assert (tuned["per_request"], few["per_request"]) == pytest.approx((0.0001, 0.0003))
    assert (tuned["per_month"], few["per_month"]) == pytest.approx((30, 90))
    assert few["machine_hours_per_day"] == pytest.approx(3000 / 3600)
    # $1 of training against $2 saved a day.
    assert found["break_even_days"] == pytest.approx(0.5) and found["reason"] == ""
    assert "break_even_days" not in tuned
    day = found["break_even_days"]
    assert found["training_cost"] + day * 10_000 * tuned["per_request"] == pytest.approx(
        day * 10_000 * few["per_request"]
    )


def test_electricity_prices_a_machine_of_ones_own() -> None:
    found = priced(cost(device="cpu"), prices(OWN), 1_000, "few_shot")
    assert found["training_cost"] == pytest.approx(0.10)
    assert found["systems"]["few_shot"]["per_month"] == pytest.approx(0.90)
    assert found["break_even_days"] == pytest.approx(0.1 / 0.02)  # the ratio of seconds alone: no price changes it
    assert priced(cost(device="cpu"), prices(RENTED), 1_000, "few_shot")["break_even_days"] == pytest.approx(5)


def test_every_gpu_that_trained_is_paid_for() -> None:
    alone, several = (priced(cost(training_cards=cards), prices(), 10_000, "few_shot") for cards in (1, 4))
    assert several["training_cost"] == pytest.approx(4 * alone["training_cost"])
    assert several["break_even_days"] > alone["break_even_days"]


def test_what_never_pays_is_none_with_the_reason() -> None:
    cheaper = priced(cost(), prices(), 10_000, "tfidf")
    assert cheaper["break_even_days"] is None and cheaper["reason"] == "a request costs more with the fine-tuned model"
    assert "never pays for itself against TF-IDF" in told(cheaper) and "$0.10 with the" in told(cheaper)
    same = cost(seconds_per_request={"few_shot": 0.1, "fine_tuned": 0.1})
    assert priced(same, prices(), 10_000, "few_shot")["reason"] == "a request costs no less with the fine-tuned model"
    unknown = priced(cost(training_seconds=None), prices(), 10_000, "few_shot")
    assert unknown["break_even_days"] is None and "not known" in told(unknown)
    absent = priced(cost(), prices(), 10_000, "retrieval")
    assert absent["break_even_days"] is None and "not part of this comparison" in told(absent)


def test_a_hosted_model_is_priced_by_tokens() -> None:
    (hosted,) = priced(cost(), prices(), 1_000, "few_shot")["hosted"]
    # 2 million tokens at $25; 200 read at $0.00375 and 10 written at $0.015 a thousand.
    assert hosted["training"] == pytest.approx(50) and hosted["per_request"] == pytest.approx(0.00075 + 0.00015)
    assert hosted["per_month"] == pytest.approx(27)
    assert hosted["break_even_days"] == 0  # dearer to train, dearer to ask
    assert "cheaper from the first request on" in hosted_told(priced(cost(), prices(), 1_000, "few_shot"))


def test_a_dearer_training_is_paid_back_by_cheaper_requests() -> None:
    cheap = dataclasses.replace(HOSTED, training_per_million=0.1)
    found = priced(cost(), prices(hosted=cheap), 1_000, "few_shot")
    # Ours: 1.00 and 0.1 a day; theirs: 0.20 and 0.9 a day.
    assert found["hosted"][0]["break_even_days"] == pytest.approx(1.0)
    assert hosted_told(found) == "Against big model, hosted, it pays for itself after 1 day."


def test_a_hosted_model_without_a_figure_is_told_and_not_guessed() -> None:
    silent = dataclasses.replace(HOSTED, output_per_thousand=None)
    found = priced(cost(), prices(hosted=silent), 1_000, "few_shot")
    assert found["hosted"][0]["per_month"] is None and "no price" in found["hosted"][0]["reason"]
    old = {key: value for key, value in cost().items() if not key.startswith(("tokens_in", "tokens_out"))}
    found = priced(old, prices(), 1_000, "few_shot")
    assert found["hosted"][0]["per_request"] is None and any("compare again" in note for note in found["notes"])
    assert hosted_told(found) == ""


def test_the_case_that_the_project_started_from_pays_back_within_a_day() -> None:
    """10,000 classifications a day against a fine-tuned GPT-4o: 600 training rows of some 500 tokens, three passes."""
    found = priced(
        cost(training_seconds=3600.0, training_tokens=900_000, tokens_in_per_request={"fine_tuned": 500},
             tokens_out_per_request={"fine_tuned": 5}), prices(), 10_000, "few_shot",
    )  # fmt: skip
    assert found["hosted"][0]["training"] == pytest.approx(22.5)
    assert found["hosted"][0]["break_even_days"] == 0
    assert 1 < found["break_even_days"] < 2  # against a prompt on the same machine it takes longer


def test_notes_say_what_the_sums_leave_out() -> None:
    notes = priced(cost(device="cpu"), prices(), 1_000_000, "few_shot")["notes"]
    assert "measured on a processor" in notes[0] and "a guess" in notes[0]
    assert any("$2,592 a month" in note for note in notes)  # 3.60 × 24 × 30
    assert any("few-shot prompt (83 hours a day)" in note and "TF-IDF" not in note for note in notes)
    assert notes[-1] == NOT_PRICED
    assert not any("guess" in note for note in priced(cost(), prices(), 1_000, "few_shot")["notes"])


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "$0.00"), (0.00052, "$0.00052"), (0.0096, "$0.0096"), (0.05, "$0.050"), (0.999, "$1.00"), (12.4, "$12.40"),
     (999.99, "$999.99"), (1240.4, "$1,240"), (4.6e-8, "$0.000000046")],
)  # fmt: skip
def test_money_has_the_digits_that_count(amount: float, text: str) -> None:
    assert money(amount) == text


@pytest.mark.parametrize(
    ("days", "text"),
    [(0.3, "less than a day"), (1.0, "1 day"), (1.37, "1.4 days"), (9.0, "9 days"), (33.4, "33 days"), (700, "700 days"),
     (1240, "3.4 years"), (36525, "100 years"), (1e9, "more than 1,000 years")],
)  # fmt: skip
def test_spans_of_time_are_told_in_their_unit(days: float, text: str) -> None:
    assert span(days) == text


@pytest.mark.parametrize("old", [False, True])
def test_comparisons_new_and_old_have_a_price(tmp_path: Path, old: bool) -> None:
    comparison = make_run(tmp_path, old=old).comparison()
    found = priced_of(comparison, Prices.shipped())
    assert set(found["systems"]) == set(comparison["systems"]) | ({"prompted"} if old else set())
    assert found["hosted"][0]["training"] == pytest.approx(96_000 / 1e6 * 25)
    assert (found["hosted"][0]["per_request"] is None) is old
    printed = lines(priced_of(comparison, Prices.shipped()))
    assert printed[0].startswith("In money") and any("the fine-tuned model" in line for line in printed)
    assert not any("None" in line for line in printed)


def test_the_number_of_requests_is_the_one_chosen_last_else_that_of_the_comparison(tmp_path: Path) -> None:
    comparison = make_run(tmp_path).comparison()
    assert priced_of(comparison, Prices.shipped())["requests_per_day"] == 1000
    assert priced_of(comparison, Prices.shipped().chosen(requests_per_day=5))["requests_per_day"] == 5


def test_the_sentence_of_the_verdict_takes_the_prices_of_the_root(tmp_path: Path) -> None:
    comparison = make_run(tmp_path).comparison()
    comparison["cost"]["seconds_per_request"]["fine_tuned"] = 0.048  # retrieval: 0.35; training: 312 s
    Prices.shipped().chosen(requests_per_day=100).save(tmp_path)
    said = "In money it pays for itself after 10.3 days at 100 requests a day, against retrieval"
    assert sentence(tmp_path, comparison).startswith(said)  # 312 / (100 × 0.302)
    (tmp_path / FILE).write_text("{", encoding="utf-8")
    assert sentence(tmp_path, comparison) == ""
