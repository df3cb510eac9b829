"""A run in a few lines of HTML: how far it is, how it ended, and what the program chose with its reasons."""

from __future__ import annotations

from collections.abc import Sequence

from finetune.evidence.money.cost import money
from finetune.runs.queue import place_words
from finetune.runs.store import Status
from finetune.training.expected import span
from finetune.ui.notice import escape
from finetune.ui.story import PHASES, Story, clock

GIB = 1024**3


def bar(story: Story, found: Status) -> str:
    """The progress bar of the phase that the run is in, with the numbers that matter."""
    if found.state == "queued":
        words = f", {words}" if (words := place_words(found.place, found.of)) else ""
        behind = f"Waiting for {found.behind}{words}: one run at a time has the device." if found.behind else "Waiting."
        return _bar(0.0, [behind], waiting=True)
    if found.state == "finished":
        return _bar(1.0, ["done"])
    if not found.steps and found.over:
        return ""  # its end is told above
    if not found.steps:
        if found.state == "stopping":
            return _bar(0.0, ["Stopping."], waiting=True)
        if story.expected_seconds is None or found.state == "comparing":
            return _bar(0.0, [found.message or "Starting: the model is loaded first."], waiting=True)
        return _bar(
            0.0, ["The first look at the validation rows.", f"{span(story.expected_seconds)} in all"], waiting=True
        )
    share = min(1.0, (found.step or 0) / found.steps)
    facts = [f"{share:.0%}", f"{story.unit} {found.step or 0:,} of {found.steps:,}"]
    if found.loss is not None:
        facts.append(f"loss {found.loss:.3f}")
    if found.eta_seconds is not None and not found.over:
        facts.append(f"{clock(found.eta_seconds)} left")
    event = story.progress or {}
    if event.get("tokens_per_second") and found.state in ("running", "stopping"):
        facts.append(f"{event['tokens_per_second']:,.0f} tokens/s")
    if event.get("memory_bytes") and not found.over:
        facts.append(f"{event['memory_bytes'] / GIB:.1f} GiB")
    if found.state in ("running", "stopping"):
        facts += _more(event)
    if found.state == "comparing" and event.get("text"):
        facts.append(event["text"])
    words = {"stopping": f"stopping after this {story.unit}", "stopped": "stopped"}
    word = words.get(found.state) or (PHASES.get(story.phase) if found.state in ("running", "comparing") else None)
    return _bar(share, [word, *facts] if word else facts) + _cost(story, event)


def _more(event: dict) -> list[str]:
    """What a step tells of the rate and of the GPU."""
    facts = []
    if event.get("learning_rate") is not None:
        facts.append(f"rate {event['learning_rate']:.2g}")
    if event.get("celsius") is not None:
        facts.append(f"GPU {event['celsius']:.0f} °C")
    if event.get("watts") is not None:
        facts.append(f"{event['watts']:.0f} W")
    return facts


def _cost(story: Story, event: dict) -> str:
    """What the training has cost so far. It is an estimate, and says by which price."""
    if event.get("cost") is None or not story.price:
        return ""
    return f'<p class="quiet">cost so far: about {money(event["cost"])} ({escape(story.price)})</p>'


def _bar(share: float, facts: Sequence[str], *, waiting: bool = False) -> str:
    shown = "".join(f"<span>{escape(fact)}</span>" for fact in facts)
    classes, now = "progress waiting" if waiting else "progress", round(100 * share)
    return (
        f'<div class="{classes}" role="progressbar" aria-valuemin="0" aria-valuemax="100" aria-valuenow="{now}">'
        f'<i style="width:{share:.1%}"></i></div><p class="facts">{shown}</p>'
    )


def outcome(story: Story, found: Status) -> str:
    """How the run ended, where that needs a word; and the warnings it gave."""
    parts = []
    if found.state in ("failed", "lost", "stopped"):
        title = {"failed": "The run failed.", "lost": "The run is gone.", "stopped": "The run was stopped."}[
            found.state
        ]
        tone = "" if found.state != "stopped" else " mild"
        message = f"{found.message} {found.hint}".strip()
        parts.append(f'<div class="notice{tone}"><b>{title}</b> <span>{escape(message)}</span></div>')
    parts += [f'<div class="notice mild"><span>{escape(warning)}</span></div>' for warning in story.warnings]
    return "".join(parts)


def choices_list(choices: Sequence[dict]) -> str:
    """What the program chose itself, each value with its reason."""
    if not choices:
        return ""
    lines = "".join(
        f"<dt>{escape(str(choice['name']).replace('_', ' '))}</dt><dd><b>{escape(choice['value'])}</b> "
        f"<span>{escape(choice.get('reason', ''))}</span></dd>"
        for choice in choices
    )
    return f"<h3>What was chosen, and why</h3><dl class='choices'>{lines}</dl>"
