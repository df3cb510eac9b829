"""Blind judgements: drawn fairly, kept safely, counted rightly, and told in words that the figures bear."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest
from compared import make_run
from scipy import stats

from finetune.evidence.judging import preference
from finetune.runs.store import Run


def lines(count: int) -> list[dict]:
    return [
        {"row": row, "input": f"text {row}", "expected": "x", "scores": {"fine_tuned": 1.0, "base": 0.0},
         "outputs": {"fine_tuned": f"tuned {row}", "base": f"tuned  {row}" if row % 4 == 0 else f"base {row}"}}
        for row in range(1, count + 1)
    ]  # fmt: skip


def test_the_order_is_drawn_by_the_seed_and_favours_nobody() -> None:
    outputs = lines(800)
    found, same = preference.pairs(outputs, "base", seed=0)
    assert (len(found), same) == (600, 200)  # the same words with other spaces are the same answer
    assert found == preference.pairs(outputs, "base", seed=0)[0]
    assert stats.binomtest(sum(pair.tuned_first for pair in found), len(found)).pvalue > 0.01
    assert abs(stats.spearmanr(range(600), [pair.row for pair in found]).statistic) < 0.1
    other = {pair.row: pair.tuned_first for pair in preference.pairs(outputs, "base", seed=0, rater=2)[0]}
    assert 200 < sum(other[pair.row] == pair.tuned_first for pair in found) < 400
    for pair in found[:20]:
        assert pair.choice("a") == ("fine_tuned" if pair.first.startswith("tuned") else "other")
        assert pair.choice("b") == ("fine_tuned" if pair.second.startswith("tuned") else "other")


def test_a_judgement_is_kept_taken_back_and_found_again(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outputs = run.outputs()
    first, second = preference.standing(run, outputs, "base").pairs[:2]
    preference.judge(run, "base", 1, first, "equal")
    preference.judge(run, "base", 1, first, "fine_tuned")
    preference.judge(run, "base", 1, second, "other")
    with (run.directory / preference.FILE).open("ab") as file:
        file.write(b'{"against": "base", "rater": 1, "row": 3, "cho')  # the machine died here
    third = preference.standing(run, outputs, "base").left[0]
    preference.judge(run, "base", 1, third, "both_bad")
    now = preference.standing(Run(run.directory), outputs, "base")
    assert now.judged == {first.row: "fine_tuned", second.row: "other", third.row: "both_bad"}
    assert not preference.standing(run, outputs, "retrieval").judged
    preference.take_back(run, "base", 1, third.row)
    now = preference.standing(run, outputs, "base")
    assert list(now.judged) == [first.row, second.row] and now.left[0].row == third.row
    # Another comparison gave another answer to the first row.
    for line in outputs:
        if line["row"] == first.row:
            line["outputs"]["fine_tuned"] = "never said before"
    now = preference.standing(run, outputs, "base")
    assert (list(now.judged), now.changed) == ([second.row], 1)


def test_a_second_person_starts_anew_and_agreement_is_counted(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    outputs = run.outputs()
    for pair in preference.standing(run, outputs, "base").pairs[:10]:
        preference.judge(run, "base", 1, pair, "fine_tuned")
    preference.begin(run, "base", 2)
    now = preference.standing(run, outputs, "base")
    assert now.rater == 2 and not now.judged
    judged_before = set(preference.passes(run, outputs, "base")[0].judged)
    for pair in now.pairs:
        preference.judge(run, "base", 2, pair, "fine_tuned" if pair.row in sorted(judged_before)[:7] else "equal")
    one, two = preference.passes(run, outputs, "base")
    assert preference.agreement(one, two) == (7, 10) and not two.left
    preference.begin(run, "base", 1)
    assert preference.standing(run, outputs, "base").rater == 1


def _many(directory: Path, start: int) -> None:
    run = Run(directory)
    pairs = preference.pairs(run.outputs(), "base", seed=0)[0]
    for pair in pairs[start : start + 20]:
        preference.judge(run, "base", 1, pair, "other")


def test_two_processes_write_at_once(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_many, args=(run.directory, start)) for start in (0, 20)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert len(preference.standing(run, run.outputs(), "base").judged) == 40


def test_the_figures() -> None:
    judged = ["fine_tuned"] * 14 + ["other"] * 6 + ["equal"] * 3 + ["both_bad"]
    found = preference.result(judged)
    assert (found.wins, found.losses, found.equal, found.both_bad) == (14, 6, 3, 1)
    assert found.share == pytest.approx(0.7)
    assert found.interval == pytest.approx((0.481, 0.855), abs=0.001)  # Wilson's, of any table
    assert found.p_value == pytest.approx(0.1153, abs=1e-4) and not found.settled
    assert not preference.result(["fine_tuned"] * 5).settled and preference.result(["fine_tuned"] * 6).settled
    assert preference.result(["other"] * 30 + ["fine_tuned"] * 6).settled
    even = preference.result(["fine_tuned", "other"])
    assert even.needed is None and "no number" in preference.told(even, 10)[-1]
    assert preference.result(["equal"]).share is None


@pytest.mark.parametrize("wins", [13, 14])  # of 20: where it is not settled yet, and one side leads clearly
def test_so_many_more_judgements_would_settle_it(wins: int) -> None:
    """The exact power of the sign test at the number announced, for rows like those judged so far."""
    found = preference.result(["fine_tuned"] * wins + ["other"] * (20 - wins))
    count, share = 20 + found.needed, wins / 20
    settled = [k for k in range(count + 1) if stats.binomtest(k, count).pvalue < 0.05]
    assert 0.8 <= stats.binom.pmf(settled, count, share).sum() < 0.9
    with_ties = preference.result(["fine_tuned"] * wins + ["other"] * (20 - wins) + ["equal"] * 20)
    assert with_ties.needed == pytest.approx(2 * found.needed, abs=2)  # every second row tells nothing


def test_the_words_say_no_more_than_the_figures() -> None:
    open_yet = preference.told(preference.result(["fine_tuned"] * 14 + ["other"] * 6 + ["equal"]), 5)
    assert "14 of the 20" in open_yet[0] and "1 equal" in open_yet[0] and "48% and 85%" in open_yet[1]
    assert "not enough to rule out luck" in open_yet[1] and "only 5 left here, too few" in open_yet[2]
    for judged, whose in ((["fine_tuned"] * 12, "fine-tuned"), (["other"] * 12, "other")):
        settled = preference.told(preference.result(judged), 5)
        assert f"the {whose} answers are preferred: it is settled" in settled[-1]


def test_whether_the_scores_say_the_same() -> None:
    outputs = lines(6)
    outputs[1]["scores"] = {"fine_tuned": 0.5, "base": 0.5}
    judged = {1: "fine_tuned", 2: "other", 3: "other", 5: "equal"}
    assert preference.with_scores(judged, outputs, "base") == (1, 2)
