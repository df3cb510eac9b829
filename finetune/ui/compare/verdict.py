"""The top of Compare: what to do, why in plain words, and what it costs to be wrong. Every statistic is under a fold."""

from __future__ import annotations

import re

from finetune.dataset.finding import plural
from finetune.evidence.report.plain import MEANS, VERDICT, WRONG, tally, trusted
from finetune.evidence.systems import NAMES
from finetune.ui.banner import points
from finetune.ui.compare.scores import capital
from finetune.ui.notice import escape

STEPS = 3  # more are under the fold: nobody acts on a list of ten


def top(comparison: dict, money: str = "") -> str:
    """HTML of the banner: decision, plain reason, next steps, the price of an error, and the folds.

    Args:
        money: sentence that says when the training has paid for itself.
    """
    said = comparison["verdict"]
    question = f"The verdict on {comparison['test_rows']:,} test rows nobody trained on"
    other = NAMES.get(comparison["paired"]["against"], comparison["paired"]["against"])
    if not trusted(comparison):
        return (
            f'{_alarm(comparison)}<section class="banner bad"><p class="question">{escape(question)}</p>'
            '<h2>No verdict</h2><p class="reason">The scores below may compare the wrong things, so nothing should be '
            f"decided from them.</p>{_folds(comparison, said)}</section>"
        )
    answer, tone = VERDICT.get(said["decision"], (said["decision"].replace("_", " "), "plain"))
    means = MEANS.get(said["decision"], said["reason"]).format(other=other)
    parts = [
        f'<p class="question">{escape(question)}</p><h2>{escape(answer)}</h2>',
        f'<p class="reason">{escape(means)}</p><p class="tally">{escape(tally(comparison))}</p>',
        '<dl class="act">',
        f"<dt>What to do next</dt><dd>{_steps(said)}</dd>",
        f"<dt>In money</dt><dd>{escape(capital(money.removeprefix('In money ')))}</dd>" if money else "",
        f"<dt>If this is wrong</dt><dd>{escape(WRONG.get(said['decision'], '').format(other=other))}</dd>",
        f"</dl>{_folds(comparison, said)}",
    ]
    return f'<section class="banner {tone}">{"".join(parts)}</section>'


def _steps(said: dict) -> str:
    steps = [escape(step) for step in said.get("next_steps") or ()]
    if not steps:
        return "Nothing that has to be done."
    shown = "".join(f"<li>{step}</li>" for step in steps[:STEPS])
    rest = "".join(f"<li>{step}</li>" for step in steps[STEPS:])
    more = f"<details><summary>{len(steps) - STEPS} more</summary><ul>{rest}</ul></details>" if rest else ""
    return f'<ol class="steps">{shown}</ol>{more}'


def _alarm(comparison: dict) -> str:
    proof = comparison.get("proof") or {}
    size = proof.get("largest_difference")
    measured = (
        f" The largest difference of a logit was {size:.3g}, over {proof.get('probes', 0):,} probes." if size else ""
    )
    return (
        '<div class="notice" role="alert" id="alarm"><b>The verdict is withheld: with the adapter switched off, the '
        f"model does not answer like the untouched base.</b>{measured} <span>Base and fine-tuned could not be told "
        "apart cleanly. Compare again; if it stays so, train again, without quantisation where it was on.</span></div>"
    )


def _folds(comparison: dict, said: dict) -> str:
    rules = re.split(r"\n(?=\d+\. |[A-Z])", comparison.get("rules", "").strip())
    listed = "".join(f"<li>{escape(' '.join(re.sub(r'^[0-9]+[.] ', '', rule).split()))}</li>" for rule in rules if rule)
    return (
        f"<details><summary>the numbers behind it</summary><p>{escape(said['reason'])}</p>{_power(said)}"
        f"{_looks(comparison)}</details>"
        + (f"<details><summary>how this was decided</summary><ol>{listed}</ol></details>" if listed else "")
    )


def _power(said: dict) -> str:
    """The smallest difference that this test could have shown, where it was worked out."""
    smallest, needed, level = (said.get(name) for name in ("detectable_difference", "rows_needed", "level"))
    if smallest is None:
        return ""
    could = (
        "no difference at all"
        if smallest >= 1
        else f"a difference of {points(smallest)} or more, four times out of five"
    )
    rows = f" Settling this would take about {needed:,} test rows." if needed else ""
    at = f" at the level of {level:g}" if level is not None else ""
    return f'<p id="power">This test could have shown {could}{at}; a smaller one can stay hidden.{rows}</p>'


def _looks(comparison: dict) -> str:
    """How often these test rows were looked at: a test that is used often is used up."""
    looks = comparison.get("looks")
    if not looks:
        return ""
    models, total = looks["models"], looks["total"]
    told = (
        f"These test rows were looked at {total:,} {plural('time', 'times', total)}, for {models:,} different "
        f"fine-tuned {plural('model', 'models', models)}."
    )
    if models > 1:
        told += (
            f" Whoever tries often finds a winner by luck, so the verdict asks for {models:,} times as clear a result. "
            "Fresh test rows would start anew."
        )
    runs = ", ".join(escape(run) for run in looks.get("runs", ()))
    named = f"<details><summary>the runs</summary><p>{runs}</p></details>" if runs else ""
    return f'<p id="looks">{escape(told)}</p>{named}'
