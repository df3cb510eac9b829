"""The answer at the top of a tab: one large line, one sentence of reason, the rest under a fold."""

from __future__ import annotations

from collections.abc import Iterable

from finetune.dataset.finding import plural, rows_text
from finetune.dataset.readiness.readiness import Readiness
from finetune.dataset.readiness.rules import Point, decide
from finetune.dataset.report import Report
from finetune.errors import FinetuneError
from finetune.ui.notice import escape

READINESS = {
    "fine_tune": ("Worth fine-tuning", "good"),
    "pilot_first": ("Run a pilot first", "warn"),
    "prompt_first": ("Try prompting first", "warn"),
    "retrieval": ("Retrieval fits better", "warn"),
    "collect_data": ("Collect more data", "bad"),
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


def readiness(report: Report) -> str:
    """The banner of the preview: the decision, the facts in one sentence, and the points it rests on under a fold."""
    said = report.readiness
    answer, tone = READINESS.get(said.decision, (said.decision, "plain"))
    facts = [rows_text(report.rows)]
    if report.labels:
        facts.append(f"{len(report.labels):,} {plural('label', 'labels', len(report.labels))}")
    facts.append(_shown(len(report.split.test), said.compared_rows, said.detectable_difference))
    return (
        f'<section class="banner {tone}"><p class="question">Is a fine-tune worth it?</p><h2>{escape(answer)}</h2>'
        f'<p class="reason">{escape(" · ".join(facts))}</p>{_why(said)}</section>'
    )


def refused(error: FinetuneError) -> str:
    """The banner of the preview where no report can be made: what is wrong and what to do."""
    return banner("Is a fine-tune worth it?", "It cannot be said yet", "bad", str(error))


def _shown(test: int, compared: int, difference: float) -> str:
    which = f"the {test:,} test rows" if compared >= test else f"the {compared:,} test rows that are compared"
    if difference >= 1:
        return f"{which} can show no difference at all"
    return f"{which} can show a difference of {points(difference)} or more"


def _why(said: Readiness) -> str:
    """The points, those that made the decision first, and what would change it."""
    # Nothing decides for a fine-tune: it is what is left where nothing stands against it.
    made = () if said.decision == "fine_tune" else decide(said.points)[1]
    rank = {True: 0, False: 2}
    ordered = sorted(
        said.points, key=lambda one: 1 if one not in made and one.leans != "fine_tune" else rank[one in made]
    )
    lines = "".join(_point(one, one in made) for one in ordered)
    change = "".join(f"<li>{escape(sentence)}</li>" for sentence in said.would_change)
    changes = f"<h4>What would change it</h4><ul>{change}</ul>" if change else ""
    return f'<details><summary>why</summary><dl class="points">{lines}</dl>{changes}</details>'


def _point(one: Point, decides: bool) -> str:
    speaks = "decides" if decides else "for" if one.leans == "fine_tune" else "against"
    spoken = {"decides": "this decides", "for": "no obstacle", "against": "holds back"}[speaks]
    topic = one.topic.replace("_", " ")
    return (
        f'<dt class="{speaks}">{escape(topic)}<small>{spoken}</small></dt>'
        f"<dd>{escape(one.reason)}<small>{escape(one.rule)}</small></dd>"
    )
