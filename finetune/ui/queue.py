"""Who waits for the one device, in the tab Train: a short list, seen only while something waits, that can be changed."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import gradio as gr

from finetune.errors import FinetuneError
from finetune.runs import queue, supervise
from finetune.runs.queue import Line, Move, Place
from finetune.runs.store import Run
from finetune.ui.notice import escape, sentence

MOVES = {"first": ("to the front", "⤒"), "up": ("up by one", "↑"), "down": ("down by one", "↓")}
CANCEL = "cancel"

# The list is drawn anew after each change: the button that was pressed keeps the focus, or its neighbour where it is gone.
# Another page may change it just as somebody presses a button here, and another row then lies under the pointer: to cancel
# takes a second press.
_ON_LOAD = """
let wanted = null;
watch('value', () => {
  if (!wanted) return;
  const row = [...element.querySelectorAll('li')].find((one) => one.dataset.key === wanted.key);
  const button = row?.querySelector(`button[data-to=${wanted.to}]`);
  (button?.disabled ? row.querySelector('button:enabled') : button)?.focus({preventScroll: true});
  wanted = null;
});
element.addEventListener('click', (event) => {
  const button = event.target.closest('button[data-to]');
  if (!button) return;
  if (button.dataset.to === 'cancel' && !button.dataset.sure) {
    const label = button.ariaLabel;
    Object.assign(button, {textContent: 'sure?', ariaLabel: `${label}, press once more`});
    button.dataset.sure = 'yes';
    setTimeout(() => {
      Object.assign(button, {textContent: 'cancel', ariaLabel: label});
      delete button.dataset.sure;
    }, 5000);
    return;
  }
  wanted = {key: button.closest('li').dataset.key, to: button.dataset.to};
  trigger('select', wanted);
});
"""


@dataclass(frozen=True)
class Queue:
    """The components, and what they show. `shown` is what this page shows of the line."""

    root: Path
    notice: gr.HTML
    line: gr.HTML
    shown: gr.State

    def outputs(self) -> list:
        return [self.notice, self.line, self.shown]

    def follow(self, shown: str):
        """The line as it stands, where it is not what the page shows. Cheap while nobody waits."""
        drawn = draw(queue.line_of(self.root)) if queue.waits(self.root) else ""
        if drawn == shown:
            return gr.skip()
        closed = {} if drawn else {self.notice: gr.HTML("", visible=False)}
        return {self.line: gr.HTML(drawn, visible=bool(drawn)), self.shown: drawn} | closed

    def act(self, event: gr.EventData) -> dict:
        """One of the buttons. The line of this moment counts: another page may have changed it, or the run may be at work."""
        key, to = str(event.key), str(event.to)
        said = {self.notice: gr.HTML("", visible=False)}
        try:
            if to in get_args(Move):
                queue.move(self.root, key, to)
            elif to == CANCEL:
                supervise.cancel(self.root, key)
        except FinetuneError as caught:
            error = caught
            # The key says nothing to a person; what the list shows now does.
            if not _stands(self.root, key):
                error = FinetuneError("It does not wait any more.", hint="It is at work by now, or was taken out.")
            said = {self.notice: gr.HTML(sentence(error), visible=True)}
        drawn = draw(queue.line_of(self.root))
        return said | {self.line: gr.HTML(drawn, visible=bool(drawn)), self.shown: drawn}


def build(root: Path) -> Queue:
    """The components and their events, inside the tab that is open."""
    notice = gr.HTML(visible=False)
    line = gr.HTML(visible=False, elem_id="queue", js_on_load=_ON_LOAD)
    made = Queue(root, notice, line, gr.State(""))

    def act(event: gr.EventData):
        return made.act(event)

    line.select(
        act, None, made.outputs(), queue=False, api_visibility="private", concurrency_limit=None, show_progress="hidden"
    )
    return made


def draw(line: Line) -> str:
    """HTML of the line; nothing while nobody waits."""
    if not line.waiting:
        return ""
    busy = line.at_work
    has = (
        f"<b>{escape(_title(busy.directory, busy.name or 'another run'))}</b> has it"
        if busy
        else "It is about to begin"
    )
    count = len(line.waiting)
    rows = "".join(_row(place, number, count) for number, place in enumerate(line.waiting, start=1))
    return f"<h3>In line for the device</h3><p class='quiet'>{has}; one run at a time.</p><ol class='queue'>{rows}</ol>"


def _row(place: Place, number: int, count: int) -> str:
    name = escape(_title(place.directory, place.name))
    off = {"first": number == 1, "up": number == 1, "down": number == count}
    buttons = "".join(
        f'<button type="button" data-to="{to}" title="{words}" aria-label="{name}: {words}"{" disabled" * off[to]}>'
        f"{sign}</button>"
        for to, (words, sign) in MOVES.items()
    )
    if place.directory is not None:
        buttons += f'<button type="button" data-to="{CANCEL}" aria-label="{name}: cancel">cancel</button>'
    return f'<li data-key="{escape(place.key)}"><span>{name}</span><div>{buttons}</div></li>'


def _title(directory: str | None, name: str) -> str:
    """What a person knows the run by. Two runs of one file and one preset are told apart by the time they were made at."""
    if directory is None:
        return name
    try:
        record = Run(Path(directory)).record()
        made = f"{record['created'][11:16]} UTC"
        return " · ".join([record.get("name") or name, str(record["base"]).rpartition("/")[2], record["preset"], made])
    except (FinetuneError, OSError, KeyError, TypeError):
        return name


def _stands(root: Path, key: str) -> bool:
    return any(place.key == key for place in queue.line_of(root).waiting)
