"""The systems and their scores: a table whose intervals are drawn in line, so that figure and picture are one."""

from __future__ import annotations

from finetune.evidence.systems import FINE_TUNED, NAMES, SHORT, SYSTEMS
from finetune.ui.notice import escape
from finetune.ui.story import clock

METRICS = {"accuracy": "accuracy", "exact_match": "exact match", "rouge_l": "ROUGE-L", "rougeL": "ROUGE-L"}
GIB = 1024**3


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def name_of(system: str) -> str:
    """What a person calls the system, to begin a line with."""
    return capital(NAMES.get(system, system))


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def table(comparison: dict) -> str:
    """HTML of all systems with score, interval and what a request takes."""
    against = comparison["paired"]["against"]
    systems = [system for system in SYSTEMS if system in comparison["systems"]]
    metric = METRICS.get(comparison["metric"], comparison["metric"])
    lines = "".join(_line(system, comparison["systems"][system], system == against) for system in systems)
    head = (
        f"<tr><th>system</th><th class='n'>{escape(metric)}</th>"
        "<th class='range'><span>0</span><span>50</span><span>100%</span></th>"
        "<th class='n'>95% interval</th><th class='n'>seconds</th><th class='n'>tokens</th></tr>"
    )
    return (
        f'<div class="scroll"><table class="scores"><thead>{head}</thead><tbody>{lines}</tbody></table></div>'
        f'<p class="quiet">Seconds and tokens are for all {comparison["test_rows"]:,} test rows. '
        f"The strongest alternative was chosen on the validation rows.</p>"
    )


def _line(system: str, found: dict, strongest: bool) -> str:
    low, high = found.get("interval") or (found["score"], found["score"])
    mark = " <em>strongest alternative</em>" if strongest else ""
    tone = "tuned" if system == FINE_TUNED else "strongest" if strongest else ""
    drawn = (
        f'<div class="interval"><i style="left:{100 * low:.1f}%;width:{100 * max(high - low, 0):.1f}%"></i>'
        f'<b style="left:{100 * found["score"]:.1f}%"></b></div>'
    )
    seconds = "" if found.get("seconds") is None else f"{found['seconds']:,.1f}"
    tokens = f"{found['tokens']:,}" if found.get("tokens") else "–"
    return (
        f'<tr class="{tone}"><th scope="row">{escape(name_of(system))}{mark}</th>'
        f'<td class="n"><b>{percent(found["score"])}</b></td>'
        f'<td class="range">{drawn}</td><td class="n">{100 * low:.0f} to {100 * high:.0f}%</td>'
        f'<td class="n">{seconds}</td><td class="n">{tokens}</td></tr>'
    )


def paired(comparison: dict) -> str:
    """Wins, losses and ties against the strongest alternative, the interval of the difference and p."""
    pair = comparison["paired"]
    low, high = pair["interval"]
    facts = (
        ("won", f"{pair['wins']:,}"),
        ("lost", f"{pair['losses']:,}"),
        ("tied", f"{pair['ties']:,}"),
        ("difference", f"{100 * pair['difference']:+.1f} points"),
        ("95% interval", f"{100 * low:+.1f} to {100 * high:+.1f}"),
        ("p", "under 0.0001" if pair["p_value"] < 0.0001 else f"{pair['p_value']:.2g}"),
    )
    shown = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    other = escape(NAMES.get(pair["against"], pair["against"]))
    return f"<h3>Fine-tuned against {other}</h3><dl class='numbers'>{shown}</dl>"


def proof(comparison: dict) -> str:
    """The line that says whether base and fine-tuned really are one model with the adapter off and on."""
    equal = comparison.get("adapter_off_equals_base")
    if equal is None:
        return ""
    word = "yes" if equal else "no: do not trust this comparison"
    tone = "good" if equal else "bad"
    return f'<p class="proof {tone}">With the adapter off the model equals the untouched base: <b>{word}</b></p>'


def training(comparison: dict) -> str:
    """What the training took."""
    found = comparison.get("training") or {}
    facts = []
    if found.get("rows"):
        facts.append(f"{found['rows']:,} training rows")
    if found.get("epochs"):
        facts.append(f"{found['epochs']:.2g} passes")
    if found.get("seconds") is not None:
        facts.append(f"{clock(found['seconds'])} of training")
    if found.get("tokens_per_second"):
        facts.append(f"{found['tokens_per_second']:,.0f} tokens/s")
    if found.get("peak_memory_bytes"):
        guess = found.get("estimated_memory_bytes")
        beside = f", {guess / GIB:.1f} estimated" if guess else ""
        facts.append(f"{found['peak_memory_bytes'] / GIB:.1f} GiB at most{beside}")
    if found.get("best_step") is not None:
        early = ", stopped early" if found.get("stopped_early") else ""
        facts.append(f"best at step {found['best_step']:,}{early}")
    return f'<p class="facts">{"".join(f"<span>{fact}</span>" for fact in facts)}</p>' if facts else ""


def next_steps(comparison: dict) -> str:
    """What to do now, the most useful first."""
    steps = comparison["verdict"].get("next_steps") or ()
    return (
        f"<h3>Next</h3><ol class='steps'>{''.join(f'<li>{escape(step)}</li>' for step in steps)}</ol>" if steps else ""
    )
