"""The top of Compare: what to do, why in plain words, and what it costs to be wrong. Every statistic is under a fold."""

from __future__ import annotations

import re

from finetune.dataset.finding import plural
from finetune.evidence.systems import FINE_TUNED, NAMES
from finetune.ui.banner import VERDICT, points
from finetune.ui.notice import escape

STEPS = 3  # more are under the fold: nobody acts on a list of ten

# What each decision means for somebody who knows no statistics; {other} is the strongest alternative.
MEANS = {
    "use_fine_tuned": "It answers texts it has never seen better than {other}, and the gap is too large to be luck.",
    "prompting_enough": "A prompt does the job: {other} is as good as your fine-tuned model, or nearly, without any "
    "model of your own to look after.",
    "retrieval_enough": "Showing the model similar examples does the job: that is as good as your fine-tuned model, "
    "or nearly, and new examples work at once, without training.",
    "classical_enough": "A much simpler method does the job: {other} is as good as your fine-tuned model, or nearly, "
    "and costs next to nothing to run.",
    "collect_more_data": "There are too few test rows to say whether the fine-tuned model is better than {other}: "
    "what you see here could be luck.",
    "no_clear_difference": "The fine-tuned model and {other} do about equally well: what sets them apart here could "
    "be luck.",
}
WRONG = {
    "use_fine_tuned": "You would look after a model of your own that a simpler way could have matched. That can be "
    "undone on any day: keep {other} ready for a while.",
    "prompting_enough": "You would miss a small gain. Nothing is lost: the adapter stays, and can be compared again.",
    "retrieval_enough": "You would miss a small gain. Nothing is lost: the adapter stays, and can be compared again.",
    "classical_enough": "You would miss a small gain. Nothing is lost: the adapter stays, and can be compared again.",
    "collect_more_data": "Deciding now would be a guess either way: a useless model in use, or a good one thrown away.",
    "no_clear_difference": "Taking the fine-tuned model now would probably buy you its costs without a gain.",
}


def trusted(comparison: dict) -> bool:
    """Whether the adapter-off proof held; a comparison without one is taken as it was told."""
    proof = comparison.get("proof") or {}
    return proof.get("equal") is not False and comparison.get("adapter_off_equals_base") is not False


def top(comparison: dict) -> str:
    """HTML of the banner: decision, plain reason, next steps, the price of an error, and the folds."""
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
        f'<p class="reason">{escape(means)}</p><p class="tally">{escape(_tally(comparison, other))}</p>',
        '<dl class="act">',
        f"<dt>What to do next</dt><dd>{_steps(said)}</dd>",
        f"<dt>If this is wrong</dt><dd>{escape(WRONG.get(said['decision'], '').format(other=other))}</dd>",
        f"</dl>{_folds(comparison, said)}",
    ]
    return f'<section class="banner {tone}">{"".join(parts)}</section>'


def _tally(comparison: dict, other: str) -> str:
    """Both scores as a person counts them."""
    systems = comparison["systems"]
    tuned, against = systems[FINE_TUNED]["score"], systems[comparison["paired"]["against"]]["score"]
    if comparison["metric"] in ("accuracy", "exact_match"):
        said = f"Of 100 such texts the fine-tuned model gets about {100 * tuned:.0f} right, {other} about {100 * against:.0f}"
    elif comparison["metric"] == "field_f1":
        said = (
            f"Of 100 fields the fine-tuned model fills about {100 * tuned:.0f} right, {other} about {100 * against:.0f}"
        )
    else:
        said = (
            f"Where 100 is the expected answer word for word, the fine-tuned model reaches {100 * tuned:.0f}, "
            f"{other} {100 * against:.0f}"
        )
    lost = comparison.get("regressions") or {}
    if lost.get("rows"):
        count = len(lost["rows"])
        said += (
            f". But {count:,} of the {lost['of']:,} {plural('text', 'texts', lost['of'])} that the untrained base "
            f"had right {plural('is', 'are', count)} wrong now"
        )
    return said + "."


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
