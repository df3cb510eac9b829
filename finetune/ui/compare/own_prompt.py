"""A prompt of one's own, answered by several systems at once as they write, with what each of them was shown."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import gradio as gr

from finetune.errors import FinetuneError
from finetune.evidence.alternatives.documents import PASSAGES_FILE, read_passages
from finetune.evidence.systems import FINE_TUNED, SHORT, SYSTEMS
from finetune.runs.store import Run, find_run
from finetune.ui.compare import fullrow, rows
from finetune.ui.notice import escape, sentence

if TYPE_CHECKING:
    from finetune.evidence.alternatives.asking import Asked

LANGUAGE = tuple(system for system in SYSTEMS if system not in ("majority", "tfidf"))
ALWAYS = ("base", FINE_TUNED)  # any run with an adapter has these, compared or not
MOST = 20_000  # characters
NEARLY = 0.97  # cut anew, an answer may have a token or two less than were written
BEAT_SECONDS = 0.1  # a page that is drawn at every token would be busy with nothing else


def _answers(run: Run, text: str, systems: Sequence[str]) -> Iterator[dict[str, str]]:
    """System → its answer so far. Loads torch."""
    from finetune.evidence.models.answer import answer

    return answer(run, text, systems)


@dataclass(eq=False)
class Wish:
    """What a visitor asked last. A later wish, told apart by identity, ends the work on this one."""

    text: str
    systems: tuple[str, ...]
    begun: bool = False


@dataclass(frozen=True)
class OwnPrompt:
    """The components, and what every visitor wants answered."""

    root: Path
    box: gr.Column
    prompt: gr.Textbox
    systems: gr.CheckboxGroup
    ask: gr.Button
    stop: gr.Button
    notice: gr.HTML
    answers: gr.HTML
    wishes: dict[str, Wish] = field(default_factory=dict)

    def shown(self) -> list:
        """Every component that `view` and `live` may change."""
        return [self.box, self.systems, self.ask]

    def live(self, run: Run, compared: bool) -> dict:
        """What changes while a run is at work."""
        updates: dict = {
            self.box: gr.Column(visible=run.adapter.exists()),
            self.ask: gr.Button(variant="primary" if compared else "secondary"),
        }
        return updates if compared else updates | {self.systems: _offered(ALWAYS)}

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """The systems of a comparison."""
        found = rows.present(outputs)
        return {self.systems: _offered([name for name in LANGUAGE if name in found or name in ALWAYS])}

    def wish(self, text: str, systems: list[str], request: gr.Request) -> None:
        """Written down at once, before its turn: what is being answered to this visitor ends now."""
        self.wishes[request.session_hash or ""] = Wish(text or "", tuple(systems))

    def give_up(self, request: gr.Request) -> dict:
        """End what is being answered to this visitor."""
        self.wishes.pop(request.session_hash or "", None)
        return {self.stop: gr.Button(visible=False)}

    def leave(self, request: gr.Request) -> dict:
        """Another run is opened: what is being answered is of the one before."""
        return self.give_up(request) | {self.answers: "", self.notice: gr.HTML("", visible=False)}

    def answered(self, run_id: str, request: gr.Request) -> Iterator[dict]:
        """All answers as they grow, to what the visitor asked for last, whatever stands in the form by now."""
        yield gr.skip()
        visitor = request.session_hash or ""
        wish = self.wishes.get(visitor)
        if wish is None or wish.begun:
            return  # an earlier turn took it, or the visitor gave it up
        wish.begun = True
        over = {self.stop: gr.Button(visible=False)}
        try:
            for updates in self._answering(run_id, wish):
                if self.wishes.get(visitor) is not wish:
                    # Stopped, or asked anew: then the button belongs to the next answer.
                    if visitor not in self.wishes:
                        yield over
                    return
                yield updates
            yield over
        except FinetuneError as error:
            yield over | {self.notice: gr.HTML(sentence(error), visible=True), self.answers: ""}
        except Exception:
            yield over | {self.answers: ""}
            raise
        finally:
            if self.wishes.get(visitor) is wish:
                del self.wishes[visitor]

    def _answering(self, run_id: str, wish: Wish) -> Iterator[dict]:
        run = find_run(run_id, self.root)
        systems = [name for name in LANGUAGE if name in wish.systems]
        if not wish.text.strip():
            raise FinetuneError("The prompt is empty.", hint="Write what the model should read.")
        if not systems:
            raise FinetuneError("Nobody is asked.", hint="Tick at least one of the systems.")
        yield {
            self.notice: gr.HTML("", visible=False), self.stop: gr.Button(visible=True),
            self.answers: _cards(systems, {}, {}, {}, "loading the model, which takes a moment the first time"),
        }  # fmt: skip
        from finetune.evidence.models import question

        asked = question.questions(run, wish.text, systems)
        extras = _extras(run, asked)
        said: dict[str, str] = {}
        ended: dict[str, float] = {}
        began = drawn = None
        with contextlib.closing(_answers(run, wish.text, systems)) as growing:
            for now in growing:
                moment = time.monotonic()
                began = began or moment
                ended |= {name: moment - began for name, answer in now.items() if answer != said.get(name)}
                said = now
                if drawn is None or moment - drawn >= BEAT_SECONDS:
                    drawn = moment
                    yield {self.answers: _cards(systems, said, extras, {}, "writing")}
        most = run.recipe().max_new_tokens
        written = dict(zip(said, question.lengths(run, list(said.values())), strict=True)) if said else {}
        facts = {name: _facts(asked.get(name), written.get(name, 0), most, ended.get(name)) for name in systems}
        yield {self.answers: _cards(systems, said, extras, facts, "")}


def _offered(names: Sequence[str]) -> gr.CheckboxGroup:
    return gr.CheckboxGroup(choices=[(SHORT.get(name, name), name) for name in names], value=list(ALWAYS))


def _extras(run: Run, asked: dict[str, Asked]) -> dict[str, str]:
    """System → HTML of the examples and passages that it was shown."""
    numbers = {number for one in asked.values() for number in one.rows}
    train = {one.row: one for one in run.examples("train") if one.row in numbers} if numbers else {}
    passages = read_passages(run.directory / PASSAGES_FILE) if any(one.passages for one in asked.values()) else []
    # The most similar stands nearest to the question in the prompt, and first for whoever reads this.
    return {
        name: fullrow.examples(one.rows[::-1] if name == "retrieval" else one.rows, train)
        + fullrow.documents(one.passages, passages)
        for name, one in asked.items()
    }


def _facts(asked: Asked | None, written: int, most: int, seconds: float | None) -> list[str]:
    facts = [f"{len(asked.prompt):,} tokens read, {written:,} written"] if asked is not None else []
    if written >= NEARLY * most:
        facts.append(f"perhaps cut, as an answer has at most {most:,} tokens")
    if seconds is not None:
        facts.append(f"done after {seconds:.1f} s")
    return facts


def _cards(
    systems: Sequence[str], said: dict[str, str], extras: dict[str, str], facts: dict[str, list[str]], doing: str
) -> str:  # fmt: skip
    """HTML of the answers side by side.

    Args:
        doing: what is done now; empty when all is written.
    """
    cards = []
    for name in systems:
        text = said.get(name, "")
        body = escape(text) if text.strip() else f'<span class="quiet">{"…" if doing else "wrote nothing"}</span>'
        small = "".join(f"<span>{fact}</span>" for fact in facts.get(name, ()))
        cards.append(
            f'<section data-system="{name}"><h4>{escape(SHORT.get(name, name))}</h4><div class="text">{body}</div>'
            f"{f'<p class=facts>{small}</p>' if small else ''}{extras.get(name, '')}</section>"
        )
    state = f'<p class="quiet" role="status">{doing[:1].upper()}{doing[1:]} …</p>' if doing else ""
    return f'{state}<div class="said">{"".join(cards)}</div>'


def build(run: gr.State, root: Path) -> OwnPrompt:
    """The components and their events, inside the tab."""
    with gr.Column(visible=False, elem_classes="body") as box:
        gr.HTML("<h3>A prompt of your own</h3>")
        prompt = gr.Textbox(
            lines=3, show_label=False, placeholder="What the models should read", elem_id="prompt", max_length=MOST
        )
        systems = gr.CheckboxGroup(
            [(SHORT[name], name) for name in ALWAYS], value=list(ALWAYS), label="Ask", elem_id="asked-systems"
        )
        with gr.Row(elem_classes="actions"):
            ask = gr.Button("Ask", elem_id="ask")
            stop = gr.Button("Stop", visible=False, elem_id="stop-asking")
        notice = gr.HTML(visible=False)
        answers = gr.HTML(elem_id="answers")
    tab = OwnPrompt(root, box, prompt, systems, ask, stop, notice, answers)
    private = {"api_visibility": "private", "show_progress": "hidden"}
    # The wish needs no turn of the model: it has to be heard while the model is at work on the one before.
    heard = gr.on(
        [ask.click, prompt.submit], tab.wish, [prompt, systems], None, queue=False, trigger_mode="multiple", **private
    )  # fmt: skip
    # The model answers one visitor at a time; the others wait in the queue.
    heard.then(
        tab.answered, [run], [notice, stop, answers], concurrency_id="gpu", concurrency_limit=1,
        trigger_mode="multiple", **private,
    )  # fmt: skip
    stop.click(tab.give_up, None, [stop], queue=False, **private)
    run.change(tab.leave, None, [stop, answers, notice], queue=False, **private)
    return tab
