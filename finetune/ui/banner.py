"""The answer at the top of a tab: one large line, one sentence of reason, the rest under a fold."""

from __future__ import annotations

from collections.abc import Iterable

from finetune.ui.notice import escape

READINESS = {
    "fine_tune": ("Worth fine-tuning", "good"),
    "pilot_first": ("Run a pilot first", "warn"),
    "prompt_first": ("Try prompting first", "warn"),
    "retrieval": ("Retrieval fits better", "warn"),
    "collect_data": ("Collect more data", "bad"),
}
VERDICT = {
    "use_fine_tuned": ("Use the fine-tuned model", "good"),
    "prompting_enough": ("Prompting is enough", "warn"),
    "retrieval_enough": ("Retrieval is enough", "warn"),
    "classical_enough": ("A classical model is enough", "warn"),
    "collect_more_data": ("Collect more data", "bad"),
    "no_clear_difference": ("No clear difference", "plain"),
}


def banner(question: str, answer: str, tone: str, sentence: str, *, fold: str = "", more: Iterable[str] = ()) -> str:
    """HTML of a banner.

    Args:
        question: the small line above the answer.
        answer: the large line.
        tone: good, warn, bad or plain.
        sentence: the reason in one sentence.
        fold: label of the fold; without `more` there is none.
        more: sentences under the fold.
    """
    points = "".join(f"<li>{escape(point)}</li>" for point in more)
    folded = f"<details><summary>{escape(fold)}</summary><ul>{points}</ul></details>" if points else ""
    return (
        f'<section class="banner {tone}"><p class="question">{escape(question)}</p><h2>{escape(answer)}</h2>'
        f'<p class="reason">{escape(sentence)}</p>{folded}</section>'
    )


def points(share: float) -> str:
    """0.112 → `11 points`."""
    whole = round(share * 100)
    return "1 point" if whole == 1 else f"{whole} points"


def readiness(report) -> str:
    """The banner of the preview, from a Report."""
    answer, tone = READINESS.get(report.readiness.decision, (report.readiness.decision, "plain"))
    rows = sum(len(part) for part in report.split.parts().values())
    facts = [f"{rows:,} rows"]
    if report.labels:
        facts.append(f"{len(report.labels)} labels")
    test = len(report.split.test)
    facts.append(
        f"the {test:,} test rows can show a difference of {points(report.readiness.detectable_difference)} or more"
    )
    return banner(
        "Is a fine-tune worth it?", answer, tone, " · ".join(facts), fold="why", more=report.readiness.reasons
    )


def verdict(comparison: dict) -> str:
    """The banner of the comparison, from the compare object of the contract."""
    said = comparison["verdict"]
    answer, tone = VERDICT.get(said["decision"], (said["decision"], "plain"))
    return banner(
        f"The verdict on {comparison['test_rows']:,} test rows nobody trained on",
        answer,
        tone,
        said["reason"],
        fold="how this was decided",
        more=[rule.split(". ", 1)[-1] for rule in comparison.get("rules", "").splitlines()],
    )
