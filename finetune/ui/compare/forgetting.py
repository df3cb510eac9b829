"""What the model forgot of everything else: general texts and general questions, before and after the training."""

from __future__ import annotations

from finetune.ui.findings import shorten
from finetune.ui.notice import escape

TONES = {"warning": "notice", "note": "notice mild"}


def told(comparison: dict) -> str:
    """The section; a comparison of before holds the losses alone."""
    found = comparison.get("forgetting")
    if not found:
        return ""
    if "message" in found:
        tone = TONES.get(found.get("severity", ""))
        said = f'<div class="{tone}">{escape(found["message"])}</div>' if tone else f"<p>{escape(found['message'])}</p>"
    else:
        word = "less" if found["difference"] > 0 else "more"
        said = f"<p>On general text the model is {word} sure of the next word than before the training.</p>"
    measured = (
        f"Loss on general text {found['loss_before']:.3f} before, {found['loss_after']:.3f} after "
        f"({found['difference']:+z.3f} nats a token), over {found['tokens']:,} tokens."
    )
    return (
        f"<h3>What it forgot</h3>{said}{_prompts(found)}"
        f"<details><summary>the numbers</summary><p>{measured}{_chance(found)}</p>{_rules(found)}</details>"
    )


def _chance(found: dict) -> str:
    if found.get("p_value") is None:
        return ""
    return f" Of the questions {found['lost']} were lost and {found['gained']} gained (p {found['p_value']:.2g})."


def _rules(found: dict) -> str:
    return f'<p class="quiet">{escape(found["rules"])}</p>' if found.get("rules") else ""


def _prompts(found: dict) -> str:
    prompts = found.get("prompts")
    if not prompts:
        return ""
    # The lost ones first: they are what this is looked at for.
    ordered = sorted(prompts, key=lambda one: (one["passed_after"], not one["passed_before"]))
    lines = "".join(
        f'<tr><td data-label="question">{escape(one["prompt"])}{_expected(one)}</td>{_cell("before", one)}{_cell("after", one)}</tr>'
        for one in ordered
    )
    before, after = (sum(one[f"passed_{when}"] for one in prompts) for when in ("before", "after"))
    return (
        f"<details><summary>{len(prompts)} general questions: {before} right before, {after} after</summary>"
        '<div class="scroll"><table class="beside few"><thead><tr><th>question</th><th>before</th><th>after</th></tr>'
        f"</thead><tbody>{lines}</tbody></table></div></details>"
    )


def _expected(one: dict) -> str:
    return f"<small>right: {escape(one['expected'])}</small>" if one.get("expected") else ""


def _cell(when: str, one: dict) -> str:
    passed = one[f"passed_{when}"]
    tone, mark, spoken = ("right", "✓", "right") if passed else ("wrong", "✗", "wrong")
    text = escape(shorten(str(one[when]), 200))
    return f'<td class="{tone}" data-label="{when}"><i aria-label="{spoken}">{mark}</i> {text}</td>'
