"""The systems and their scores: a table whose intervals are drawn in line, so that figure and picture are one."""

from __future__ import annotations

from finetune.dataset.finding import plural
from finetune.evidence.report.plain import METRICS
from finetune.evidence.systems import FINE_TUNED, NAMES, SHORT, SYSTEMS
from finetune.ui.notice import escape
from finetune.ui.story import clock

GIB = 1024**3


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def name_of(system: str) -> str:
    """What a person calls the system, to begin a line with."""
    return capital(NAMES.get(system, system))


def percent(share: float | None) -> str:
    return "" if share is None else f"{100 * share:.1f}%"


def table(comparison: dict) -> str:
    """HTML of all systems with score, drawn interval, and what a request takes."""
    against = comparison["paired"]["against"]
    systems = [system for system in SYSTEMS if system in comparison["systems"]]
    found = comparison["systems"]
    metric = METRICS.get(comparison["metric"], comparison["metric"])
    classes = any(found[system].get("classes") for system in systems)
    lines = "".join(_line(system, found[system], system == against, classes) for system in systems)
    requests = max(comparison["test_rows"], 1)
    costs = "".join(_cost(system, found[system], requests) for system in systems)
    head = (
        f"<tr><th>system</th><th class='n'>{escape(metric)}</th>"
        "<th class='range'><span>0</span><span>50</span><span>100%</span></th>"
        f"<th class='n'>95% interval</th>{'<th class=n>macro-F1</th>' if classes else ''}</tr>"
    )
    columns = "".join(
        f"<th class='n'>{name}</th>" for name in ("tokens in", "tokens out", "seconds", "seconds alone", "all rows")
    )
    return (
        f'<h3>All systems</h3><div class="scroll"><table class="scores"><thead>{head}</thead><tbody>{lines}</tbody></table></div>'
        '<p class="quiet">The strongest alternative was chosen on the validation rows.</p>'
        "<details><summary>time and tokens of a request</summary>"
        f'<div class="scroll"><table class="plain"><thead><tr><th>system</th>{columns}</tr></thead><tbody>{costs}</tbody>'
        '</table></div><p class="quiet">Tokens and seconds of a request on average, many answered together; alone: '
        "when one request has the model to itself (median of a few). All rows: "
        f"seconds for the {comparison['test_rows']:,} test rows.</p></details>{_settings(found, systems)}"
        f"{_left_out(comparison)}"
    )


def _line(system: str, found: dict, strongest: bool, classes: bool) -> str:
    low, high = found.get("interval") or (found["score"], found["score"])
    mark = " <em>strongest alternative</em>" if strongest else ""
    tone = "tuned" if system == FINE_TUNED else "strongest" if strongest else ""
    drawn = (
        f'<div class="interval"><i style="left:{100 * low:.1f}%;width:{100 * max(high - low, 0):.1f}%"></i>'
        f'<b style="left:{100 * found["score"]:.1f}%"></b></div>'
    )
    macro = f'<td class="n">{percent((found.get("classes") or {}).get("macro_f1"))}</td>' if classes else ""
    return (
        f'<tr class="{tone}"><th scope="row">{escape(name_of(system))}{mark}</th>'
        f'<td class="n"><b>{percent(found["score"])}</b></td>'
        f'<td class="range">{drawn}</td><td class="n">{100 * low:.0f} to {100 * high:.0f}%</td>{macro}</tr>'
    )


def _cost(system: str, found: dict, requests: int) -> str:
    told = []
    if "tokens_in" in found:
        told += [f"{found[name] / requests:,.0f}" if found["tokens"] else "–" for name in ("tokens_in", "tokens_out")]
    else:  # before, reading and writing were counted together
        told += [f"{found['tokens'] / requests:,.0f} in all" if found.get("tokens") else "–", "–"]
    taken = found.get("seconds")
    alone = (found.get("latency") or {}).get("p50")
    told += [
        "–" if taken is None else f"{taken / requests:.3f}",
        "–" if alone is None else f"{alone:.2f}",
        "–" if taken is None else f"{taken:,.1f}",
    ]
    kept = f" <em>{found['cached_rows']:,} rows answered before</em>" if found.get("cached_rows") else ""
    cells = "".join(f'<td class="n">{cell}</td>' for cell in told)
    return f'<tr><th scope="row">{escape(SHORT.get(system, system))}{kept}</th>{cells}</tr>'


def _settings(found: dict, systems: list[str]) -> str:
    """How many examples stood in a prompt and what else was tried; the words of the better prompt."""
    lines = []
    for system in systems:
        setting = found[system].get("setting") or {}
        told = []
        if setting.get("count"):
            told.append(f"{setting['count']:,} {plural('example', 'examples', setting['count'])} in the prompt")
        if setting.get("tried"):
            tried = ", ".join(
                f"{one['count']}: {percent(one['score']) if 'accuracy' in one['by'] else format(one['score'], '.2f')}"
                for one in setting["tried"]
            )
            told.append(f"tried by {setting['tried'][0]['by']}: {tried}")
        prompt = f"<blockquote>{escape(setting['prompt'])}</blockquote>" if setting.get("prompt") else ""
        if told or prompt:
            lines.append(f"<dt>{escape(SHORT.get(system, system))}</dt><dd>{escape('; '.join(told))}{prompt}</dd>")
    return (
        f"<details><summary>the settings that were chosen</summary><dl class='points'>{''.join(lines)}</dl></details>"
        if lines
        else ""
    )


def _left_out(comparison: dict) -> str:
    """What was cut or left out, and the rules of the user that were broken."""
    told = []
    if comparison.get("test_rows_left_out"):
        told.append(f"{comparison['test_rows_left_out']:,} test rows were not compared, to save time.")
    words = {
        "cut_inputs": "inputs were too long and were cut",
        "cut_examples": "examples or passages were too long for the prompt and were cut",
        "cut_answers": "answers reached the longest length and were cut",
    }
    for key, said in words.items():
        counts = (comparison.get("left_out") or {}).get(key) or {}
        named = ", ".join(f"{SHORT.get(name, name)} {count:,}" for name, count in counts.items() if count)
        if named:
            told.append(f"Rows whose {said}: {named}.")
    broken = {name: one["rules_broken"] for name, one in comparison["systems"].items() if one.get("rules_broken")}
    if broken:
        told.append(
            "Rows whose answer breaks your rules: "
            + ", ".join(f"{SHORT.get(n, n)} {c:,}" for n, c in broken.items())
            + "."
        )
    return "".join(f'<p class="quiet">{escape(one)}</p>' for one in told)


def paired(comparison: dict) -> str:
    """Row by row against the strongest alternative in a sentence; against each alternative under a fold."""
    pair = comparison["paired"]
    other = escape(NAMES.get(pair["against"], pair["against"]))
    every = comparison.get("paired_all") or [pair]
    lines = "".join(_pair(one, one["against"] == pair["against"]) for one in every)
    head = "".join(f"<th class='n'>{name}</th>" for name in ("won", "lost", "tied", "difference", "95% interval", "p"))
    return (
        f"<h3>Row by row</h3><p>Against {other}, the fine-tuned model is better on {pair['wins']:,} test rows, worse on "
        f"{pair['losses']:,} and the same on {pair['ties']:,}.</p>"
        "<details><summary>against each alternative, with the statistics</summary>"
        f'<div class="scroll"><table class="plain"><thead><tr><th>against</th>{head}</tr></thead><tbody>{lines}</tbody>'
        "</table></div></details>"
    )


def _pair(pair: dict, strongest: bool) -> str:
    low, high = pair["interval"]
    p = "under 0.0001" if pair["p_value"] < 0.0001 else f"{pair['p_value']:.2g}"
    cells = [f"{pair[name]:,}" for name in ("wins", "losses", "ties")]
    cells += [f"{100 * pair['difference']:+z.1f} points", f"{100 * low:+z.1f} to {100 * high:+z.1f}", p]
    mark = " <em>strongest</em>" if strongest else ""
    told = "".join(f'<td class="n">{cell}</td>' for cell in cells)
    return f'<tr><th scope="row">{escape(SHORT.get(pair["against"], pair["against"]))}{mark}</th>{told}</tr>'


def proof(comparison: dict) -> str:
    """The line that says whether base and fine-tuned really are one model with the adapter off and on."""
    equal = comparison.get("adapter_off_equals_base")
    if equal is None:
        return ""
    word = "yes" if equal else "no: do not trust this comparison"
    tone = "good" if equal else "bad"
    found = comparison.get("proof")
    measured = (
        f"<details><summary>the proof</summary><p>On {found['probes']:,} inputs the outputs (logits) with the adapter off "
        f"differ from the untouched base by at most {found['largest_difference']:.3g}; with the adapter on, by "
        f"{found['adapter_difference']:.3g}.</p></details>"
        if found and "largest_difference" in found
        else ""
    )
    idle = "" if comparison.get("adapter_changes_output", True) else (
        '<p class="proof bad">The adapter <b>changes nothing</b>: it has not learned anything.</p>'
    )  # fmt: skip
    return (
        f'<h3>Is it a fair comparison?</h3><p class="proof {tone}">With the adapter off the model equals the untouched '
        f"base: <b>{word}</b></p>{idle}{measured}"
    )


def speed(comparison: dict) -> str:
    """How fast both write."""
    found = comparison.get("speed")
    if not found:
        return ""
    base, tuned = found["base"], found["fine_tuned"]
    return f"<p>Writing: base {base:,.1f} tokens a second, fine-tuned {tuned:,.1f} ({100 * (tuned / base - 1):+z.0f}%).</p>"


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
