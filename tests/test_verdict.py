"""The rules of the verdict one by one, how often they are wrong, and what they refuse."""

import json

import numpy as np
import pytest

from finetune.errors import FinetuneError
from finetune.evidence.judging.scores import read_scores
from finetune.evidence.judging.verdict import ALPHA, RULES, decide
from finetune.evidence.systems import ALTERNATIVES, FINE_TUNED, NAMES, SYSTEMS


def column(right, n):
    return np.array([1.0] * right + [0.0] * (n - right))


def against(wins, losses, both, neither, name="few_shot"):
    """Test scores with these counts, and validation scores that leave no choice."""
    tuned = column(wins, wins + losses)
    rest = column(both, both + neither)
    test = {name: np.concatenate([1 - tuned, rest]), FINE_TUNED: np.concatenate([tuned, rest])}
    return {"validation": {name: column(8, 10)}, "test": test}


def simulated(rng, n, rates, correlation=0.7, validation=100):
    """0/1 scores of systems that find the same rows difficult: one normal variable shared by all, one of their own."""
    from scipy.stats import norm

    def part(rows):
        shared = rng.normal(size=rows)
        return {
            name: (
                np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=rows) < norm.ppf(rate)
            ).astype(float)
            for name, rate in rates.items()
        }

    return {"validation": part(validation), "test": part(n)}


def share_of(decision, rates, runs=300, sizes=(50, 100, 200, 300), seed=0, **options):
    rng = np.random.default_rng(seed)
    found = [decide(simulated(rng, sizes[i % len(sizes)], rates, **options))[0].decision for i in range(runs)]
    return found.count(decision) / runs


NULLS = {
    "all equal": dict.fromkeys(SYSTEMS, 0.8),
    "two equal, the others near": {"tfidf": 0.76, "base": 0.7, "few_shot": 0.8, "retrieval": 0.77, "fine_tuned": 0.8},
    "worse": {"base": 0.8, "few_shot": 0.85, "fine_tuned": 0.8},
}


@pytest.mark.parametrize("rates", NULLS.values(), ids=NULLS.keys())
@pytest.mark.parametrize("validation", [15, 100])
def test_a_null_is_rarely_called_a_gain(rates, validation):
    # 5% of 300 is 15; 22 are two standard errors above that.
    assert share_of("use_fine_tuned", rates, validation=validation) <= 22 / 300


def test_a_null_without_validation_is_rarely_called_a_gain():
    rng, gains = np.random.default_rng(1), 0
    for _ in range(300):
        test = simulated(rng, 150, NULLS["all equal"])["test"]
        gains += decide({"test": test})[0].decision == "use_fine_tuned"
    assert gains <= 22


def test_a_graded_null_is_rarely_called_a_gain():
    rng, gains = np.random.default_rng(2), 0
    for run in range(100):
        n = (50, 100, 200)[run % 3]
        shared = rng.beta(2, 2, n)
        noisy = {name: np.clip(shared + rng.normal(0, 0.15, n), 0, 1) for name in ("base", "few_shot", FINE_TUNED)}
        scores = {"validation": {"base": column(4, 9), "few_shot": column(5, 9)}, "test": noisy}
        gains += decide(scores, seed=run)[0].decision == "use_fine_tuned"
    assert gains <= 9  # 5% and two standard errors


def test_a_real_difference_is_found():
    rates = {"majority": 0.4, "tfidf": 0.75, "base": 0.7, "few_shot": 0.78, "retrieval": 0.75, "fine_tuned": 0.95}
    assert share_of("use_fine_tuned", rates, runs=100, sizes=(100, 200)) >= 0.9


def test_the_drawn_example():
    verdict, pair = decide(against(14, 2, 60, 16))
    assert verdict.decision == "use_fine_tuned"
    assert pair.against == "few_shot" and (pair.wins, pair.losses, pair.ties) == (14, 2, 76)
    assert verdict.reason == (
        "The fine-tuned model scored 80% on 92 test rows against 67% (few-shot prompt): +13 points, "
        "95% interval +4 to +21; 14 won, 2 lost, 76 the same; luck alone would give a difference this large "
        "about once in 240 tries (p = 0.0042), so the gain is very unlikely to be luck."
    )
    assert verdict.as_json()["next_steps"][0] == "Use the adapter: it stands in the folder of the run, under adapter."


@pytest.mark.parametrize(
    ("name", "decision"),
    [
        ("majority", "classical_enough"),
        ("tfidf", "classical_enough"),
        ("base", "prompting_enough"),
        ("few_shot", "prompting_enough"),
        ("retrieval", "retrieval_enough"),
    ],
)
def test_the_alternative_is_enough_if_it_is_better_or_a_gain_is_ruled_out(name, decision):
    better, _ = decide(against(2, 20, 60, 20, name))
    assert better.decision == decision and NAMES[name] in better.reason and "worse" in better.reason
    equal, _ = decide(against(1, 2, 300, 50, name))
    assert equal.decision == decision and "gain of 2 points or more is as good as ruled out" in equal.reason
    assert NAMES[name] in equal.next_steps[0]


def test_few_rows_and_wide_intervals_ask_for_data():
    few, _ = decide(against(12, 0, 0, 0))
    assert few.decision == "collect_more_data" and "12 test rows are too few" in few.reason
    one, _ = decide(against(1, 0, 0, 0))
    assert one.decision == "collect_more_data" and "1 test row is too few" in one.reason
    wide, pair = decide(against(10, 8, 12, 10), labels=3, train_rows=60)
    assert wide.decision == "collect_more_data" and pair.p_value > 0.5
    assert "Hold out more labelled rows" in wide.next_steps[0]
    assert "learned from 60, about 20 for each label; under 100 a prompt often wins" in wide.next_steps[1]


def test_no_clear_difference_says_how_many_rows_would_settle_it():
    verdict, _ = decide(against(20, 12, 200, 68))
    assert verdict.decision == "no_clear_difference"
    # Connor 1987 for d = 8/300, share that differs 32/300: (1.96 √.1067 + .8416 √(.1067 - d²))² / d² = 1175
    assert "some 1,200 would show a difference of 2.7 points" in verdict.next_steps[0]


def test_all_ties_are_no_proof_of_equality_until_there_are_many():
    assert decide(against(0, 0, 80, 20))[0].decision == "no_clear_difference"
    assert decide(against(0, 0, 300, 20))[0].decision == "prompting_enough"


def test_validation_chooses_and_test_cannot_be_asked_again():
    scores = against(30, 5, 50, 15, "tfidf")
    scores["test"]["base"] = np.zeros(100)
    scores["validation"] = {"tfidf": column(5, 10), "base": column(6, 10)}
    verdict, pair = decide(scores)
    assert pair.against == "base" and verdict.decision == "use_fine_tuned"
    scores["test"]["tfidf"] = scores["test"][FINE_TUNED]
    verdict, pair = decide(scores)
    assert pair.against == "base" and verdict.decision == "no_clear_difference"
    assert "but another alternative, TF-IDF + logistic regression (80.0%), came too close" in verdict.reason


def test_equal_alternatives_give_way_to_the_simpler():
    scores = against(14, 2, 60, 16)
    scores["test"] |= {"tfidf": scores["test"]["few_shot"]}
    scores["validation"] |= {"tfidf": scores["validation"]["few_shot"]}
    assert decide(scores)[1].against == "tfidf"


def test_without_validation_the_level_is_divided_and_that_is_said():
    scores = against(14, 3, 100, 30)
    del scores["validation"]
    assert decide(scores)[0].decision == "use_fine_tuned"  # one alternative: nothing was chosen
    scores["test"] |= {name: np.zeros(147) for name in ("majority", "tfidf", "base", "retrieval")}
    verdict, pair = decide(scores)  # p = 0.013 is not below 0.05 / 5
    assert pair.against == "few_shot" and verdict.decision == "no_clear_difference"
    assert "no validation rows" in verdict.reason and "p below 0.01 instead of 0.05" in verdict.reason


def test_numbers_in_the_sentence_add_up_and_keep_their_sign():
    verdict, pair = decide(against(21, 8, 138, 19))
    assert round(159 / 186 * 100) - round(146 / 186 * 100) == 7 and round(pair.difference * 100) == 7
    assert "85% on 186 test rows against 78% (few-shot prompt): +7 points, 95% interval +1 to +13" in verdict.reason
    verdict, _ = decide(against(12, 1, 74, 5))  # 93% against 82% would be +11, but it is 12
    assert "93.5% on 92 test rows against 81.5% (few-shot prompt): +12.0 points" in verdict.reason
    verdict, pair = decide(against(7, 16, 400, 100))
    assert 0 < pair.interval[1] < 0.002 and "-1.7 points, 95% interval -3.6 to +0.1" in verdict.reason


def test_a_small_sure_gain_is_told_as_small():
    verdict, _ = decide(against(60, 20, 3000, 200))
    assert verdict.decision == "use_fine_tuned" and "under 2 points" in verdict.next_steps[0]


def test_rules_name_their_numbers():
    for number in ("20 test rows", "95% interval", "0.05", "2 points", "10 points"):
        assert number in RULES


def test_what_decide_refuses():
    good = against(5, 5, 20, 20)
    with pytest.raises(FinetuneError, match="no test scores for the fine-tuned"):
        decide({"validation": good["validation"], "test": {"base": column(1, 2)}})
    with pytest.raises(FinetuneError, match="no test scores"):
        decide({"validation": good["validation"]})
    with pytest.raises(FinetuneError, match="nothing to compare"):
        decide({"test": {FINE_TUNED: column(1, 2)}})
    with pytest.raises(FinetuneError, match="gpt"):
        decide({"test": good["test"] | {"gpt": column(1, 2)}})
    with pytest.raises(FinetuneError, match="not scored on the same test rows: few_shot 50, fine_tuned 50, base 49"):
        decide({"test": good["test"] | {"base": column(1, 49)}})
    with pytest.raises(FinetuneError, match="no validation scores for base"):
        decide({"validation": good["validation"], "test": good["test"] | {"base": column(1, 50)}})
    with pytest.raises(FinetuneError) as refused:
        decide({"test": good["test"] | {"base": np.array([0.0, np.nan] * 25)}})
    assert refused.value.row == 2


def line(identity=1, part="test", **scores):
    return json.dumps({"id": identity, "part": part, "scores": scores or {"base": 0, "fine_tuned": 1}})


def test_read_scores(tmp_path):
    file = tmp_path / "scores.jsonl"
    lines = ["\ufeff" + line(1), "", line(2, base=0.25, fine_tuned=1), line("a\u2028b", "validation", base=1)]
    file.write_text("\r\n".join(lines).replace("\\u2028", "\u2028"), encoding="utf-8", newline="")
    scores = read_scores(file)
    assert {part: {name: list(values) for name, values in systems.items()} for part, systems in scores.items()} == {
        "test": {"base": [0, 0.25], "fine_tuned": [1, 1]},
        "validation": {"base": [1]},
    }
    assert decide(scores)[0].decision == "collect_more_data"


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ("{", "not JSON"),
        ("[" * 100_000, "not JSON"),
        ("1" * 5_000, "not JSON"),
        ("[1]", "not an object"),
        ('{"part": "test", "scores": {"base": 1}}', "id is missing"),
        (line(2, "train"), "part is"),
        ('{"id": 2, "part": "test"}', "scores are missing"),
        (line(2, base=0, tuned=1), "no system “tuned”"),
        (line(2, base=0, fine_tuned=float("nan")), "not a number from 0 to 1"),
        (line(2, base=0, fine_tuned=94), "not a number from 0 to 1"),
        (line(2, base=0, fine_tuned=10**400), "not a number from 0 to 1"),
        (line(2, base=0, fine_tuned="1"), "not a number from 0 to 1"),
        (line(2, base=0, fine_tuned=None), "not a number from 0 to 1"),
        (line(2, base=0), "same systems: fine_tuned"),
        (line(1), "already in row 1"),
    ],
)
def test_a_bad_line_is_refused_with_its_row(tmp_path, bad, message):
    file = tmp_path / "scores.jsonl"
    file.write_text(f"{line(1)}\n\n{bad}\n", encoding="utf-8")
    with pytest.raises(FinetuneError, match=message) as refused:
        read_scores(file)
    assert refused.value.row == 2


def test_files_that_are_no_scores(tmp_path):
    (tmp_path / "empty").write_text("\n \n")
    (tmp_path / "binary").write_bytes(b"\x89PNG\xff\xfe")
    for name, message in (("absent", "cannot be read"), ("empty", "holds no scores"), ("binary", "not a text")):
        with pytest.raises(FinetuneError, match=message):
            read_scores(tmp_path / name)


def test_every_system_has_a_name():
    assert set(NAMES) == set(SYSTEMS) == {*ALTERNATIVES, FINE_TUNED}


def test_of_many_models_on_one_test_set_more_is_asked():
    base, tuned = np.ones(300), np.ones(300)
    base[:20] = 0.0  # 20 won, 5 lost
    tuned[20:25] = 0.0
    scores = {"validation": {"base": base[:50]}, "test": {"base": base, FINE_TUNED: tuned}}
    alone, pair = decide(scores)
    assert 0.001 < pair.p_value < ALPHA
    assert alone.decision == "use_fine_tuned"
    many, _ = decide(scores, models=50)
    assert many.decision != "use_fine_tuned"
    assert many.level == pytest.approx(ALPHA / 50)
    assert "50 fine-tuned models" in many.reason
    assert many.detectable_difference > alone.detectable_difference
    assert many.rows_needed > 300
    assert alone.rows_needed is None


def test_without_the_proof_there_is_no_verdict_even_for_a_large_gain():
    base, tuned = np.zeros(200), np.ones(200)
    verdict, _ = decide({"test": {"base": base, FINE_TUNED: tuned}}, trustworthy=False)
    assert verdict.decision == "no_clear_difference"
    assert verdict.reason.startswith("No verdict")
