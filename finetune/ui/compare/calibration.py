"""Whether the model knows when it is wrong: how sure it says it is against how often it is right."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.dataset.finding import plural
from finetune.evidence.systems import FINE_TUNED, SHORT
from finetune.ui.compare.regressions import rows
from finetune.ui.notice import escape

SIZE, LEFT, TOP = 200, 38, 10  # of a drawing, in its own units


def told(comparison: dict, outputs: Sequence[dict]) -> str:
    """The section; empty where no probabilities were kept."""
    found = comparison["systems"].get(FINE_TUNED, {}).get("calibration")
    if not found:
        return ""
    others = {name: entry["calibration"] for name, entry in comparison["systems"].items() if entry.get("calibration")}
    return (
        f"<h3>Does it know when it is wrong?</h3>{_sentence(found)}{_sure(found, outputs)}{_human(comparison.get('human'))}"
        f"<details><summary>how sure it is against how often it is right</summary>{reliability(found['bins'])}"
        f"{_table(others)}</details>"
    )


def _sentence(found: dict) -> str:
    off = 100 * found["ece"]
    word = "Its certainty can be trusted" if off < 5 else "Its certainty is a fair guide" if off < 10 else (
        "Its certainty cannot be taken at its word"
    )  # fmt: skip
    return f"<p>{word}: how sure it is and how often it is right lie {off:.0f} in 100 apart on average.</p>"


def _sure(found: dict, outputs: Sequence[dict]) -> str:
    count = found["sure_but_wrong"]
    if not count:
        return "<p>It was never wrong where it was surer than 90 in 100.</p>"
    numbers = [line["row"] for line in outputs if line.get("sure_but_wrong")]
    said = f"{count:,} {plural('answer', 'answers', count)} given with 90 in 100 certainty or more {plural('is', 'are', count)} wrong."
    listed = f"<details><summary>sure but wrong</summary>{rows(numbers, outputs)}</details>" if numbers else ""
    return f"<p>{said}</p>{listed}"


def _human(human: dict | None) -> str:
    """From which certainty on an answer can go out unseen, and how many then go to a person."""
    if not human:
        return ""
    target = 100 * human["target"]
    if human.get("threshold") is None:
        said = f"No certainty is high enough for {target:.0f} in 100 right answers: every answer should be seen by a person."
    else:
        kept = 100 * human["handled"]
        right = (
            "" if human.get("accuracy") is None else f" {100 * human['accuracy']:.0f} in 100 of those were right here"
        )
        if right and human.get("interval"):
            low, high = human["interval"]
            right += f" (95% interval {100 * low:.0f} to {100 * high:.0f})"
        said = (
            f"To have {target:.0f} in 100 answers right, send everything below {human['threshold']:.2f} certainty to a "
            f"person: the model then answers {kept:.0f} of 100 by itself and a person {100 - kept:.0f}.{right}{'.' if right else ''}"
        )
    curve = f"<details><summary>other thresholds</summary>{_curve(human)}</details>" if human.get("curve") else ""
    return f'<div id="human"><h4>When to ask a person</h4><p>{escape(said)}</p>{curve}</div>'


def _at(across: float, up: float) -> str:
    return f"{LEFT + SIZE * across:.1f},{TOP + SIZE * (1 - up):.1f}"


def _frame(label: str, across: str, up: str, inside: str) -> str:
    """A square drawing from 0 to 100% on both axes."""
    ticks = "".join(
        f'<text x="{LEFT + SIZE * share}" y="{TOP + SIZE + 14}" text-anchor="middle">{100 * share:.0f}</text>'
        f'<text x="{LEFT - 6}" y="{TOP + SIZE * (1 - share) + 4}" text-anchor="end">{100 * share:.0f}</text>'
        for share in (0, 0.5, 1)
    )
    return (
        f'<svg class="drawn" viewBox="0 0 {LEFT + SIZE + 14} {TOP + SIZE + 36}" role="img" aria-label="{escape(label)}">'
        f'<rect x="{LEFT}" y="{TOP}" width="{SIZE}" height="{SIZE}" class="frame"/>{ticks}{inside}'
        f'<text x="{LEFT + SIZE / 2}" y="{TOP + SIZE + 31}" text-anchor="middle">{escape(across)}</text>'
        f'<text x="11" y="{TOP + SIZE / 2}" text-anchor="middle" transform="rotate(-90 11 {TOP + SIZE / 2})">'
        f"{escape(up)}</text></svg>"
    )


def reliability(bins: Sequence[dict]) -> str:
    """Inline SVG: a dot a bin, as large as its rows; on the dashed line certainty and truth agree."""
    filled = [one for one in bins if one["rows"] and one.get("confidence") is not None]
    most = max((one["rows"] for one in filled), default=1)
    dots = []
    for one in filled:
        across, up = _at(one["confidence"], one["accuracy"]).split(",")
        radius = 2.5 + 6 * (one["rows"] / most) ** 0.5
        hint = f"{100 * one['confidence']:.0f}% sure, {100 * one['accuracy']:.0f}% right, {one['rows']} rows"
        dots.append(f'<circle cx="{across}" cy="{up}" r="{radius:.1f}" class="dot"><title>{hint}</title></circle>')
    line = f'<polyline points="{_at(0, 0)} {_at(1, 1)}" class="even"/>'
    return (
        _frame("certainty against truth", "how sure it is, %", "how often it is right, %", line + "".join(dots))
        + '<p class="quiet">Under the dashed line it is surer than it should be. A larger dot stands for more rows.</p>'
    )


def _curve(human: dict) -> str:
    points = sorted(human["curve"], key=lambda one: one["threshold"])
    drawn = [one for one in points if one.get("accuracy") is not None]
    line = f'<polyline points="{" ".join(_at(one["handled"], one["accuracy"]) for one in drawn)}" class="line"/>'
    target = f'<polyline points="{_at(0, human["target"])} {_at(1, human["target"])}" class="even"/>'
    picked = ""
    if human.get("threshold") is not None and human.get("accuracy") is not None:
        across, up = _at(human["handled"], human["accuracy"]).split(",")
        picked = f'<circle cx="{across}" cy="{up}" r="5" class="dot"/>'
    step = max(1, -(-len(drawn) // 12))
    lines = "".join(
        f'<tr><td class="n">{one["threshold"]:.2f}</td><td class="n">{100 * one["handled"]:.0f}%</td>'
        f'<td class="n">{100 * one["accuracy"]:.0f}%</td></tr>'
        for one in drawn[::step]
    )
    return (
        '<div class="matrices">'
        + _frame(
            "answered alone against right", "answered without a person, %", "of those right, %", line + target + picked
        )
        + '<div class="scroll"><table class="plain"><thead><tr><th class="n">threshold</th><th class="n">answered alone'
        f'</th><th class="n">right</th></tr></thead><tbody>{lines}</tbody></table></div></div>'
        '<p class="quiet">The threshold was chosen on the validation rows; the curve is measured on the test rows.</p>'
    )


def _table(found: dict[str, dict]) -> str:
    lines = "".join(
        f'<tr><th scope="row">{escape(SHORT.get(name, name))}</th><td class="n">{100 * one["ece"]:.1f}%</td>'
        f'<td class="n">{one["brier"]:.3f}</td><td class="n">{one["log_loss"]:.3f}</td>'
        f'<td class="n">{one["sure_but_wrong"]:,}</td></tr>'
        for name, one in found.items()
    )
    return (
        '<div class="scroll"><table class="plain"><thead><tr><th>system</th><th class="n">gap (ECE)</th>'
        '<th class="n">Brier</th><th class="n">log loss</th><th class="n">sure but wrong</th></tr></thead>'
        f"<tbody>{lines}</tbody></table></div>"
    )
