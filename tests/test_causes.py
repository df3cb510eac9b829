"""Why there was no gain: each cause appears where the numbers show it, with its rows, and stays silent just below."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from compared import LABELS, make_run

from finetune.dataset.example import Example
from finetune.evidence.causes import find as causes
from finetune.evidence.causes.cause import ROWS, percent
from finetune.ui.compare import causes as page


class Made(SimpleNamespace):
    """A made-up run without a gain, to be spoilt in one way."""

    def found(self) -> list[dict]:
        return causes.find_causes(self.comparison, self.outputs, self.report, self.events, self.recipe, self.train)

    def kinds(self) -> list[str]:
        return [cause["kind"] for cause in self.found()]

    def only(self, kind: str) -> dict:
        found = self.found()
        assert [cause["kind"] for cause in found] == [kind]
        return found[0]

    def answers(self, wrong: int, system: str = "fine_tuned") -> list[dict]:
        """Makes the first rows wrong and all others right; returns the wrong ones."""
        for place, line in enumerate(self.outputs):
            other = [label for label in LABELS if label != line["expected"]][place % 3]  # no one mix-up
            line["outputs"][system] = other if place < wrong else line["expected"]
            line["scores"][system] = float(place >= wrong)
        self.comparison["systems"][system]["score"] = 1 - wrong / len(self.outputs)
        return self.outputs[:wrong]

    def losses(self, looks: list[float], training: float = 0.3, steps: int | None = None, reason: str = "") -> None:
        self.events[:] = [{"kind": "plan", "steps": steps or 10 * len(looks), "choices": []}]
        for place, loss in enumerate(looks, start=1):
            step = {"phase": "train", "loss": training, "kind": "progress"}
            self.events += [step | {"step": 10 * place - 1}, step | {"step": 10 * place}]
            self.events.append({"kind": "evaluated", "step": 10 * place, "loss": loss, "train_loss": training})
        self.events.append(
            {"kind": "finished", "phase": "train", "step": 10 * len(looks), "best_step": 10, "reason": reason}
        )


def make(root: Path, task: str = "classification") -> Made:
    run = make_run(root, task, decision="no_clear_difference")
    return Made(
        comparison=run.comparison(), outputs=run.outputs(), report=run.report(), events=run.events()[0],
        recipe=run.recipe(), train=run.examples("train"),
    )  # fmt: skip


@pytest.fixture
def made(tmp_path: Path) -> Made:
    return make(tmp_path)


def replace_train(made: Made, train: list[Example]) -> Made:
    return Made(**vars(made) | {"train": train})


def finding(kind: str, rows: list[int], **more) -> dict:
    return {"kind": kind, "severity": "warning", "rows": rows, "message": "", "fix": ""} | more


@pytest.mark.parametrize("task", ["classification", "instruction"])
def test_a_run_that_went_well_has_no_cause_and_a_gain_or_a_failed_proof_never_has(tmp_path: Path, task: str) -> None:
    made = make(tmp_path, task)
    assert made.found() == []
    made.report["split"] = {"train": {"rows": 900}}
    assert made.kinds() == ["pilot"]
    made.comparison["adapter_off_equals_base"] = False
    assert made.found() == []
    made.comparison |= {"adapter_off_equals_base": True}
    made.comparison["verdict"]["decision"] = "use_fine_tuned"
    assert made.found() == []


def test_a_part_of_the_rows_and_a_time_box(made: Made) -> None:
    made.report["split"] = {"train": {"rows": 1_000}}
    made.losses([0.9, 0.5, 0.3], steps=80, reason="the time box of 6 minutes is over")
    made.recipe = replace(made.recipe, max_minutes=6.0)
    pilot, box = made.found()
    assert (pilot["kind"], box["kind"]) == ("pilot", "few_steps")
    assert "400 of the 1,000 training rows (40%)" in pilot["message"] and "other 600" in pilot["message"]
    assert "30 of 80 planned steps: the time box of 6 minutes is over" in box["message"]
    assert "from 0.500 to 0.300" in box["message"] and "max_minutes is 6" in box["fix"]
    # An end because nothing got better any more is no end too early.
    made.losses([0.9, 0.3, 0.31, 0.31, 0.31], steps=80, reason="no better on the validation rows for 3 looks")
    assert made.kinds() == ["pilot"]


@pytest.mark.parametrize(
    ("looks", "expected"),
    [
        ([0.9, 0.6, 0.5], ["still_improving"]),
        ([0.9, 0.6, 0.56], []),  # as good as level
        ([0.9, 0.4, 0.6, 0.5], []),  # it fell, but not under the best
        ([0.5], []),
        ([], []),
    ],
)
def test_still_improving_is_read_from_the_last_looks(made: Made, looks: list[float], expected: list[str]) -> None:
    made.losses(looks)
    assert made.kinds() == expected
    if expected:
        assert (
            "step 30: from 0.600 to 0.500" in made.found()[0]["message"]
            and "(now 2), for instance to 4" in made.found()[0]["fix"]
        )


@pytest.mark.parametrize(
    ("looks", "training", "expected"),
    [
        ([0.5, 0.3, 0.36, 0.4], 0.05, ["overfit"]),
        ([0.5, 0.3, 0.31, 0.32], 0.05, []),  # up and down by itself
        ([0.5, 0.3, 0.36, 0.4], 0.3, []),  # the training rows are no better known
        ([0.5, 0.5, 0.3, 0.4], 0.05, []),  # one look
    ],
)
def test_overfitting_needs_a_clear_rise_and_a_low_training_loss(
    made: Made, looks: list[float], training: float, expected: list[str]
) -> None:
    made.losses(looks, training)
    assert made.kinds() == expected
    if expected:
        assert "after step 20 the validation loss rose from 0.300 to 0.400" in made.found()[0]["message"]
        assert "went down to 0.050" in made.found()[0]["message"]


def test_thin_labels_count_where_they_are_the_ones_it_gets_wrong(made: Made) -> None:
    refunds = [line for line in made.outputs if line["expected"] == "refund"]
    made.train = [row for row in made.train if row.output != "refund"] + [Example(5, "money", "refund")]
    made.answers(0)
    assert made.found() == []  # thin, and right all the same
    for line in refunds[:12]:
        line["outputs"]["fine_tuned"], line["scores"]["fine_tuned"] = LABELS[(0, 1, 3)[line["row"] % 3]], 0.0
    cause = made.only("too_few_per_class")
    assert f"“refund” 1). It gets 12 of their {len(refunds)} test rows wrong" in cause["message"]
    assert f"0 of the {120 - len(refunds)} others (0%)" in cause["message"]
    assert cause["rows"] == [line["row"] for line in refunds[:12]]
    # In a pilot the file has enough of them: then it is the pilot.
    made.report["split"] = {"train": {"rows": 900, "labels": dict.fromkeys(LABELS, 200)}}
    assert made.kinds() == ["pilot"]


def test_conflicts_are_counted_among_the_rows_as_they_were_learned(made: Made) -> None:
    pairs = [(made.train[place], made.train[place + 1]) for place in range(0, 60, 2)]
    for one, other in pairs:
        twin = Example(other.row, one.input, LABELS[(LABELS.index(one.output) + 1) % 4])
        made.train[made.train.index(other)] = twin
    cause = made.only("conflicts")
    assert "60 of 400 training rows (15%)" in cause["message"] and cause["total"] == 60
    talks = [replace(row, context=(("user", f"before {row.row}"), ("user", row.input))) for row in made.train]
    assert replace_train(made, talks).found() == []  # the same words in different conversations
    made.train = made.train[50:]  # of which 10 are left, under a twentieth
    assert made.found() == []


def test_rows_that_are_only_nearly_the_same_come_from_the_finding(made: Made) -> None:
    wrong = made.answers(20)
    clusters = [[line["row"], made.train[place].row] for place, line in enumerate(wrong[:5])]
    for place, line in enumerate(wrong[:5]):
        made.train[place] = replace(made.train[place], output=line["outputs"]["fine_tuned"])
    made.report["findings"] = [finding("conflicting_output", sum(clusters, []), clusters=clusters)]
    cause = made.only("conflicts")
    assert "So do 5 of the 20 test rows that it got wrong" in cause["message"]
    assert set(cause["rows"]) == {row for cluster in clusters for row in cluster}
    for place, line in enumerate(wrong[:5]):  # mended: both have the same answer now
        made.train[place] = replace(made.train[place], output=line["expected"])
    assert made.found() == []


def test_doubtful_labels_in_training_in_the_wrong_rows_and_near_them(made: Made) -> None:
    rows = [example.row for example in made.train[:40]]
    made.report["findings"] = [finding("suspect_label", rows, outputs={})]
    assert "40 of 400 training rows (10%)" in made.only("suspect_labels")["message"]
    # Relabelled as was suggested, they are no longer doubtful.
    made.report["findings"][0]["outputs"] = {str(example.row): example.output for example in made.train[:40]}
    assert made.found() == []

    wrong = made.answers(20)
    made.report["findings"] = [finding("suspect_label", [line["row"] for line in wrong[:6]])]
    cause = made.only("suspect_labels")
    assert "6 of the 20 test rows that it got wrong have a doubtful label themselves" in cause["message"]
    assert cause["rows"] == [line["row"] for line in wrong[:6]]

    doubted = made.train[0].row
    made.report["findings"] = [finding("suspect_label", [doubted])]
    for place, line in enumerate(made.outputs):
        line["shown"]["retrieval"] = [made.train[7].row, doubted if place < 5 else made.train[9].row]
    cause = made.only("suspect_labels")
    assert "5 of the 20 test rows that it got wrong resemble most" in cause["message"] and doubted in cause["rows"]
    for line in made.outputs[20:60]:  # as common among the rows that it got right
        line["shown"]["retrieval"] = [doubted]
    assert made.found() == []


def test_labels_that_nothing_can_learn(made: Made) -> None:
    for name, right in (("majority", 34), ("tfidf", 30), ("few_shot", 33), ("retrieval", 31), ("fine_tuned", 36)):
        made.answers(120 - right, system=name)
    for name in ("base", "prompted"):
        made.comparison["systems"][name]["score"] = 0.25
    pair = next(one for one in made.comparison["paired_all"] if one["against"] == "majority")
    pair |= {"difference": 0.017, "interval": [-0.1, 0.13], "p_value": 0.8}
    cause = made.only("labels_unlearnable")
    assert "right on 34 of 120 test rows" in cause["message"] and "the fine-tuned model 36" in cause["message"]
    made.answers(60, system="tfidf")  # one that learns is enough: the texts do tell
    assert made.found() == []


def test_a_model_that_always_says_the_same_went_astray(made: Made) -> None:
    made.comparison["paired"]["against"] = "retrieval"
    made.answers(40, system="retrieval")
    for line in made.outputs:
        line["outputs"]["fine_tuned"], line["scores"]["fine_tuned"] = "refund", float(line["expected"] == "refund")
    made.comparison["systems"]["fine_tuned"]["score"] = 0.25
    cause = made.only("one_answer")
    assert "“refund” to 120 of 120 test rows" in cause["message"] and "gets 80 right" in cause["message"]


def test_little_is_left_to_gain(made: Made) -> None:
    against = made.comparison["paired"]["against"]
    lost = made.answers(8, system=against)
    made.answers(0)
    cause = made.only("base_already_good")
    assert (
        "112 of 120 test rows right: 8 were left to gain. This test shows differences from 11 points on"
        in cause["message"]
    )
    assert cause["rows"] == [line["row"] for line in lost]
    made.comparison["verdict"]["detectable_difference"] = 0.05  # a test that could have shown it
    assert made.found() == []
    made.answers(4, system=against)
    assert "detect" not in made.only("base_already_good")["message"]


def test_one_mix_up_is_told_when_it_is_most_of_the_errors(made: Made) -> None:
    made.answers(0)
    places = [line for line in made.outputs if line["expected"] == "billing"][:10]
    for line in places:
        line["outputs"]["fine_tuned"], line["scores"]["fine_tuned"] = "delivery", 0.0
        line["scores"][made.comparison["paired"]["against"]] = 0.0
    cause = made.only("confused_pair")
    assert "10 of the 10" in cause["message"] and "“billing” and “delivery”" in cause["message"]
    assert "gets 0 of these 10 right" in cause["message"] and "merge them" in cause["fix"]
    for line in places[:6]:
        line["outputs"]["fine_tuned"] = "refund"
    assert made.kinds() == ["confused_pair"] and "6 of the 10" in made.found()[0]["message"]
    for line in places[:3]:
        line["outputs"]["fine_tuned"] = "technical fault"
    assert made.found() == []  # 4 against 3 and 3


def test_free_answers_that_are_no_label(made: Made) -> None:
    for line in made.outputs[:30]:
        line["generated"]["fine_tuned"] = "I would say " + line["expected"]
    assert "30 of 120 test rows (25%)" in made.only("format_errors")["message"]
    for line in made.outputs[:30]:
        line["generated"]["fine_tuned"] = f" “{line['expected'].upper()}”."
    assert made.found() == []


def test_json_is_expected_and_answers_are_cut(tmp_path: Path) -> None:
    made = make(tmp_path, "instruction")
    for line in made.outputs[:12]:
        line["outputs"]["fine_tuned"], line["cut"] = line["expected"][:-5], ["fine_tuned"]
    made.comparison["left_out"] = {"cut_inputs": {"fine_tuned": 30}, "cut_answers": {"fine_tuned": 12}}
    made.report["findings"] = [finding("too_long", [made.outputs[50]["row"], made.train[3].row])]
    cut, shape = made.found()
    assert (cut["kind"], shape["kind"]) == ("truncation", "format_errors")
    assert "30 of 120 test rows (25%) are longer than 1,024 tokens" in cut["message"]
    assert "12 of its 120 answers (10%) were cut off at 128 tokens" in cut["message"] and cut["total"] == 13
    assert "12 of 120 test rows (10%) is no JSON object" in shape["message"]
    json.dumps([cut, shape], allow_nan=False)


def test_causes_come_in_the_order_data_quality_base_task_and_name_no_more_rows_than_can_be_read(made: Made) -> None:
    made.report["split"] = {"train": {"rows": 900}}
    made.report["findings"] = [finding("suspect_label", [example.row for example in made.train])]
    for line in made.outputs:
        line["generated"]["fine_tuned"] = "?"
    found = made.found()
    assert [cause["area"] for cause in found] == ["data", "quality", "task"]
    assert len(found[1]["rows"]) == ROWS < found[1]["total"] == 400
    assert "the first 200 of 400 rows" in page.told({"causes": found}, made.outputs)


def test_a_comparison_of_before_is_read_too(tmp_path: Path) -> None:
    run = make_run(tmp_path, decision="no_clear_difference", old=True)
    assert causes.causes_of(run) == []


@pytest.mark.parametrize(
    ("share", "shown"), [(0.0934, "9%"), (0.004, "0.4%"), (0.996, "99.6%"), (0, "0%"), (1, "100%")]
)
def test_a_share_is_never_rounded_to_none_or_all(share: float, shown: str) -> None:
    assert percent(share) == shown
