"""What the top half of Compare tells of a comparison, without a browser."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import pytest
from compared import make_run

from finetune.ui.compare import forgetting, regressions, scores, verdict
from finetune.ui.compare import tab as compare
from finetune.ui.story import Story


def opened(root: Path, run) -> str:
    """All HTML that is put on the page for a run."""
    with gr.Blocks():
        tab = compare.build(gr.State(""), root)
    updates = tab.view(Story(run))
    assert set(updates) <= set(tab.shown())
    return "".join(value for value in updates.values() if isinstance(value, str))


@pytest.mark.parametrize("task", ["classification", "instruction"])
@pytest.mark.parametrize("decision", ["use_fine_tuned", "no_clear_difference"])
@pytest.mark.parametrize("old", [False, True])
def test_comparisons_new_and_old_open_with_the_texts_of_users_escaped(
    tmp_path: Path, task: str, decision: str, old: bool
) -> None:
    told = opened(tmp_path, make_run(tmp_path, task, decision=decision, old=old))
    assert "The fine-tuned model" in told and "equals the untouched base: <b>yes" in told.replace("\n", " ")
    assert "<img" not in told
    assert ("What got worse" in told) is not old
    assert ("Why there was no gain" in told) is (not old and decision != "use_fine_tuned")
    if not old:
        assert ("Label by label" in told) is (task == "classification")
        assert ("JSON fields" in told) is (task == "instruction")
        assert told.index("What got worse") < told.index("What it forgot")


def test_the_top_has_no_statistics_outside_its_folds(tmp_path: Path) -> None:
    told = verdict.top(make_run(tmp_path).comparison())
    above = told.split("<details>")[0]
    assert "What to do next" in above and "If this is wrong" in above
    assert "interval" not in above and "p 0" not in above
    assert "could have shown a difference of 11 points" in told and "3 times, for 2 different" in told


def test_a_failed_proof_withholds_the_verdict(tmp_path: Path) -> None:
    comparison = make_run(tmp_path).comparison()
    comparison["proof"] |= {"equal": False, "largest_difference": 0.3}
    told = verdict.top(comparison)
    assert "withheld" in told and "Use the fine-tuned model" not in told
    old = make_run(tmp_path, old=True).comparison() | {"adapter_off_equals_base": False}
    old.pop("proof", None)
    assert "No verdict" in verdict.top(old)


def test_each_row_that_got_worse_is_listed(tmp_path: Path) -> None:
    run = make_run(tmp_path)
    comparison, outputs = run.comparison(), run.outputs()
    lost = comparison["regressions"]["rows"]
    told = regressions.told(comparison, outputs)
    assert f"{len(lost)} of {comparison['regressions']['of']} rows" in told
    assert all(f'<td class="n">{row}</td>' in told for row in lost)


def test_every_alternative_has_its_line_and_the_lost_questions_come_first(tmp_path: Path) -> None:
    comparison = make_run(tmp_path).comparison()
    assert scores.paired(comparison).count("<tr>") == 1 + len(comparison["paired_all"])
    told = forgetting.told(comparison)
    assert told.index("What is 6 plus 7") < told.index("What is 1 plus 2")
