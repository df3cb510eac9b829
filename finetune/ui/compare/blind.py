"""Blind judging: two answers to the same input as A and B, in an order drawn anew for each row, the names hidden."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.dataset.finding import plural
from finetune.evidence.judging import preference
from finetune.evidence.judging.preference import Pair, Standing
from finetune.evidence.systems import FINE_TUNED, NAMES, SHORT
from finetune.runs.store import Run, find_run
from finetune.ui.compare import rows
from finetune.ui.compare.difference import plain
from finetune.ui.compare.scores import name_of
from finetune.ui.notice import calm, escape

LONG = 1_500  # characters of the input; the answers are never folded
WORDS = {"equal": "equal", "both_bad": "both bad"}
INTRO = (
    '<p class="quiet">Scores measure likeness to the expected answer; what you prefer they cannot know. Which answer '
    "stands as A is drawn anew for each row, and the rows come in random order. Decide beforehand how many you will "
    "judge: whoever looks again and again, and stops at a good moment, makes luck look like skill.</p>"
)
HINT = (
    '<p class="quiet keys">Click the answers, then: <kbd>a</kbd> A is better, <kbd>b</kbd> B is better, <kbd>e</kbd> equal, '
    "<kbd>n</kbd> neither is good, <kbd>u</kbd> take the last one back.</p>"
)
# The keys count only while the focus is in this part of the page and not in a field that is written in. One listener
# stands for all, also after the part was drawn anew.
KEYS = """
element.tabIndex = 0;
element.setAttribute('role', 'group');
element.setAttribute('aria-label', 'Two answers, A and B');
// A second key while the first is on its way would judge a pair that nobody has seen yet.
let until = 0;
watch('value', () => {
  until = 0;
  element.scrollIntoView({block: 'nearest'});
});
document.removeEventListener('keydown', window.finetuneBlind);
window.finetuneBlind = (event) => {
  if (event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  if (!event.target.closest?.('#blind') || event.target.closest('input, textarea, select')) return;
  const name = {a: 'a', b: 'b', e: 'equal', n: 'bad', u: 'undo'}[event.key.toLowerCase()];
  const button = name && document.querySelector('#blind-' + name);
  if (!button || button.disabled || performance.now() < until) return;
  event.preventDefault();
  until = performance.now() + 3000;
  button.click();
};
document.addEventListener('keydown', window.finetuneBlind);
"""


Asked = tuple[str, int, int | None]


@dataclass(frozen=True)
class Blind:
    """The components."""

    root: Path
    asked: gr.State  # (system held against, pass, row or None) that is on the page
    fold: gr.Accordion
    notice: gr.HTML
    against: gr.Dropdown
    where: gr.HTML
    card: gr.HTML
    choices: gr.Row
    undo: gr.Button
    reveal: gr.Button
    again: gr.Button
    outcome: gr.HTML

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [
            self.asked, self.fold, self.notice, self.against, self.where, self.card, self.choices, self.undo, self.reveal,
            self.again, self.outcome,
        ]  # fmt: skip

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """The next pair of the pass that was begun last."""
        others = [system for system in rows.present(outputs) if system != FINE_TUNED]
        strongest = comparison.get("paired", {}).get("against")
        against = next((name for name in (strongest, "base", *others) if name in others), None)
        updates = {
            self.fold: gr.Accordion(visible=against is not None),
            self.notice: gr.HTML("", visible=False),
            self.against: gr.Dropdown(choices=[(SHORT.get(name, name), name) for name in others], value=against),
        }
        return updates | (self._drawn(story.run, outputs, against) if against else {})

    def show(self, run_id: str, against: str | None, asked: Asked) -> dict:
        """The pass on another pair of systems, where it was left; nothing where it is the one on the page."""
        if against is None or against == asked[0]:
            return {}  # the dropdown was only left
        run = find_run(run_id, self.root)
        return self._drawn(run, rows.lines_of(run), against)

    def say(self, said: str, run_id: str, asked: Asked) -> dict:
        """Keep a judgement of the pair that is on the page, and go to the next. Raises FinetuneError."""
        run = find_run(run_id, self.root)
        lines = rows.lines_of(run)
        against, rater, row = asked
        pairs, _ = preference.pairs(lines, against, seed=int(run.record()["seed"]), rater=rater)
        pair = next((pair for pair in pairs if pair.row == row), None)
        if pair is not None:
            preference.judge(run, against, rater, pair, pair.choice(said))
        return self._drawn(run, lines, against)

    def take_back(self, run_id: str, asked: Asked) -> dict:
        """Ask the row that was judged last once more; from a pass that holds nothing, back to the one before."""
        run = find_run(run_id, self.root)
        against = asked[0]
        lines = rows.lines_of(run)
        now = preference.standing(run, lines, against)
        if now.judged:
            preference.take_back(run, against, now.rater, list(now.judged)[-1])
        elif now.rater > 1:
            preference.begin(run, against, now.rater - 1)
        return self._drawn(run, lines, against)

    def show_result(self, run_id: str, asked: Asked) -> dict:
        """What was preferred so far, and whose the answers were."""
        run = find_run(run_id, self.root)
        against = asked[0]
        lines = rows.lines_of(run)
        now = preference.standing(run, lines, against)
        return {self.outcome: gr.HTML(_result(run, lines, against, now), visible=True)}

    def start_over(self, run_id: str, asked: Asked) -> dict:
        """A pass of another person over the same rows."""
        run = find_run(run_id, self.root)
        against = asked[0]
        lines = rows.lines_of(run)
        now = preference.standing(run, lines, against)
        if now.judged:
            last = max(one.rater for one in preference.passes(run, lines, against))
            preference.begin(run, against, last + 1)
        return self._drawn(run, lines, against)

    def _drawn(self, run: Run, lines: Sequence[dict], against: str) -> dict:
        now = preference.standing(run, lines, against)
        left = now.left
        over = not left and bool(now.judged)
        labelled = run.record()["task"] == "classification"
        line = next((line for line in lines if left and line["row"] == left[0].row), None)
        return {
            self.asked: (against, now.rater, left[0].row if left else None),
            self.where: _where(now, labelled),
            self.card: _card(left[0], line, against, labelled) if line else _over(now, labelled),
            self.choices: gr.Row(visible=bool(left)),
            self.undo: gr.Button(interactive=bool(now.judged) or now.rater > 1),
            self.reveal: gr.Button(visible=bool(now.judged) and not over),
            self.again: gr.Button(visible=bool(now.judged)),
            # Hidden again with each further judgement: who knows the result does not judge blindly.
            self.outcome: gr.HTML(_result(run, lines, against, now) if over else "", visible=over),
        }


def _where(now: Standing, labelled: bool) -> str:
    what = "label" if labelled else "answer"
    facts = [f"{len(now.judged):,} of {len(now.pairs):,} judged"]
    if now.rater > 1:
        facts.insert(0, f"person {now.rater}")
    if now.same:
        facts.append(f"{now.same:,} {plural('row', 'rows', now.same)} with the same {what} from both skipped")
    if now.changed:
        facts.append(
            f"{now.changed:,} earlier {plural('judgement', 'judgements', now.changed)} left out, as the answers have changed"
        )
    return f'<p class="facts">{"".join(f"<span>{fact}</span>" for fact in facts)}</p>'


def _over(now: Standing, labelled: bool) -> str:
    if now.pairs:
        return '<p class="empty">Every row is judged.</p>'
    what = "label" if labelled else "answer"
    return f'<p class="empty">Both gave the same {what} on every row: there is nothing to choose between.</p>'


def _card(pair: Pair, line: dict, against: str, labelled: bool) -> str:
    systems = (FINE_TUNED, against) if pair.tuned_first else (against, FINE_TUNED)
    written = line.get("generated") or {}
    # Shown for both or for none: who has something to read and who has not would tell them apart.
    free = (
        [str(written[system]) for system in systems]
        if labelled and all(system in written for system in systems)
        else ["", ""]
    )
    sides = "".join(
        f'<section><h4>{name}</h4><div class="text">{plain(text)}</div>'
        + (f"<small>left to write freely: “{escape(said.strip())}”</small>" if any(free) else "")
        + "</section>"
        for name, text, said in zip("AB", (pair.first, pair.second), free, strict=True)
    )
    return f'<div class="pair"><h4>Input</h4><div class="text">{plain(pair.input, LONG)}</div><div class="said">{sides}</div></div>'


def _result(run: Run, lines: Sequence[dict], against: str, now: Standing) -> str:
    found = preference.result(list(now.judged.values()))
    tone = ("good" if (found.share or 0) > 0.5 else "bad") if found.settled else "warn"
    told = "".join(f"<p>{escape(sentence)}</p>" for sentence in preference.told(found, len(now.left)))
    agreed, both = preference.with_scores(now.judged, lines, against)
    if both:
        told += f"<p>The scores took the same side on {agreed:,} of the {both:,} rows on which they differ.</p>"
    for other in preference.passes(run, lines, against):
        if other.rater == now.rater or not other.judged:
            continue
        share = preference.result(list(other.judged.values())).share
        told += f"<p>Person {other.rater} judged {len(other.judged):,}" + (
            f", {share:.0%} of the preferences for the fine-tuned answer."
            if share is not None
            else ", without a preference."
        )
        same, shared = preference.agreement(now, other)
        told += (
            (f" On {same:,} of {shared:,} rows that both of you judged you said the same.</p>") if shared else "</p>"
        )
    words = WORDS | {"fine_tuned": SHORT[FINE_TUNED], "other": SHORT.get(against, against)}
    each = "".join(f"<li>row {row:,}: {escape(words[choice])}</li>" for row, choice in now.judged.items())
    head = f"{name_of(FINE_TUNED)} against {NAMES.get(against, against)}"
    return (
        f'<div class="banner {tone}"><p class="question">{escape(head)}, by your judgement</p>{told}'
        f"<details><summary>row by row</summary><ul class=\"each\">{each}</ul></details>"
        f'<details><summary>the numbers</summary><p>{found.wins:,} won, {found.losses:,} lost, {found.equal:,} equal, '
        f"{found.both_bad:,} both bad. Exact sign test: p {found.p_value:.2g}. The interval is Wilson’s.</p></details></div>"
    )  # fmt: skip


def build(run: gr.State, root: Path) -> Blind:
    """The components and their events, inside the tab."""
    asked = gr.State(("", 1, None))
    with gr.Accordion("Judge for yourself which answers are better, blind", open=False, elem_id="blind-fold") as fold:
        gr.HTML(INTRO)
        with gr.Column(elem_id="blind"):
            against = gr.Dropdown(label="Fine-tuned against", elem_id="blind-against", min_width=150)
            notice = gr.HTML(visible=False)
            where = gr.HTML(elem_id="blind-where")
            card = gr.HTML(elem_id="blind-card", js_on_load=KEYS)
            with gr.Row(elem_classes="actions") as choices:
                buttons = {
                    name: gr.Button(text, size="sm", min_width=90, elem_id=f"blind-{name}")
                    for name, text in (
                        ("a", "A is better"),
                        ("b", "B is better"),
                        ("equal", "Equal"),
                        ("bad", "Both bad"),
                    )
                }
            with gr.Row(elem_classes="actions"):
                undo = gr.Button("Take the last one back", size="sm", min_width=90, elem_id="blind-undo")
                reveal = gr.Button("Show the result", size="sm", min_width=90, elem_id="blind-reveal")
                again = gr.Button("Let another person judge", size="sm", min_width=90, elem_id="blind-again")
            gr.HTML(HINT)
            outcome = gr.HTML(visible=False, elem_id="blind-result")
    tab = Blind(root, asked, fold, notice, against, where, card, choices, undo, reveal, again, outcome)
    private = {"api_visibility": "private", "show_progress": "hidden", "concurrency_limit": None}
    drawn = [notice, asked, where, card, choices, undo, reveal, again, outcome]
    quietly = calm(notice)

    def saying(said: str):
        return quietly(lambda *values: tab.say(said, *values))

    for name, said in (("a", "a"), ("b", "b"), ("equal", "equal"), ("bad", "both_bad")):
        buttons[name].click(saying(said), [run, asked], drawn, **private)
    against.input(quietly(tab.show), [run, against, asked], drawn, **private)
    undo.click(quietly(tab.take_back), [run, asked], drawn, **private)
    reveal.click(quietly(tab.show_result), [run, asked], [notice, outcome], **private)
    again.click(quietly(tab.start_over), [run, asked], drawn, **private)
    return tab
