"""For tasks that are answered in free text: several measures side by side, JSON field by field, and broken rules."""

from __future__ import annotations

from finetune.evidence.systems import FINE_TUNED, SHORT, SYSTEMS
from finetune.ui.notice import escape

MEASURES = {
    "exact_match": "exact match", "token_f1": "word F1", "rouge_l": "ROUGE-L", "chrf": "chrF",
    "json_valid": "valid JSON", "empty": "empty answers",
}  # fmt: skip
FIELDS = 100  # lines


def told(comparison: dict) -> str:
    """The section; empty for tasks with labels and for comparisons of before."""
    found = {
        system: comparison["systems"][system]["text"]
        for system in SYSTEMS
        if comparison["systems"].get(system, {}).get("text")
    }
    if not found:
        return ""
    return (
        f"<h3>The answers, measured in several ways</h3>{_reference(comparison.get('reference'))}{_measures(found)}"
        f"{_fields(found)}"
    )


def _reference(found: dict | None) -> str:
    """How likely the models hold the expected answer: tells apart what counted words cannot."""
    if not found:
        return ""
    low, high = found["interval"]
    word = "likelier" if found["difference"] > 0 else "less likely"
    sure = "" if low > 0 or high < 0 else ", but that could be luck"
    return (
        f"<p>The fine-tuned model holds the expected answers for {word} than the base does{sure}.</p>"
        f"<details><summary>the numbers</summary><p>Mean log-likelihood of a token of the expected answer: base "
        f"{found['base']:.2f}, fine-tuned {found['fine_tuned']:.2f}, difference {found['difference']:+z.2f} (95% interval "
        f"{low:+z.2f} to {high:+z.2f}, p {found['p_value']:.2g}).</p></details>"
    )


def _share(value: object) -> str:
    return f"{100 * value:.0f}%" if isinstance(value, int | float) else "–"


def _measures(found: dict[str, dict]) -> str:
    names = [name for name in MEASURES if any(name in one for one in found.values())]
    lines = []
    for system, one in found.items():
        cells = "".join(f'<td class="n">{_share(one.get(name))}</td>' for name in names)
        tone = "tuned" if system == FINE_TUNED else ""
        lines.append(f'<tr class="{tone}"><th scope="row">{escape(SHORT.get(system, system))}</th>{cells}</tr>')
    head = "".join(f'<th class="n">{MEASURES[name]}</th>' for name in names)
    return (
        f'<div class="scroll"><table class="plain"><thead><tr><th>system</th>{head}</tr></thead>'
        f"<tbody>{''.join(lines)}</tbody></table></div>"
        '<p class="quiet">Each measures likeness to the expected answer; none can tell whether a sentence is true.</p>'
    )


def _fields(found: dict[str, dict]) -> str:
    tuned = found.get(FINE_TUNED, {}).get("fields") or {}
    if not tuned:
        return ""
    ordered = sorted(tuned, key=lambda path: tuned[path]["f1"])
    lines = "".join(
        f'<tr><th scope="row">{escape(path)}</th><td class="n">{tuned[path]["rows"]:,}</td>'
        + "".join(
            f'<td class="n">{_share((one.get("fields") or {}).get(path, {}).get("f1"))}</td>' for one in found.values()
        )
        + "</tr>"
        for path in ordered[:FIELDS]
    )
    head = "".join(f'<th class="n">{escape(SHORT.get(system, system))}</th>' for system in found)
    rest = f'<p class="quiet">The {FIELDS} weakest of {len(tuned):,} fields.</p>' if len(tuned) > FIELDS else ""
    return (
        f"<details><summary>{len(tuned):,} JSON fields, the weakest first</summary>"
        f'<div class="scroll"><table class="plain"><thead><tr><th>field</th><th class="n">rows</th>{head}</tr></thead>'
        f"<tbody>{lines}</tbody></table></div>{rest}</details>"
    )
