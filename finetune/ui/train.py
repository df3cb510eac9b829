"""The tab Train: base, recipe and what they need; start, stop, resume; and the run as it goes."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.errors import FinetuneError
from finetune.model import gallery, memory
from finetune.runs import supervise
from finetune.runs.store import Status, create, find_run, model_cache
from finetune.training import loggers
from finetune.training.forecast import MEASURES
from finetune.training.recipe import Recipe
from finetune.ui import charts, desk, learning, need, sampled, settings, suits
from finetune.ui.desk import Data
from finetune.ui.notice import calm, sentence
from finetune.ui.progress import bar, choices_list, outcome
from finetune.ui.story import Story

ALIVE = ("queued", "running", "comparing", "stopping")
RAW_BYTES = 40_000  # of worker.log, from its end
# ZeroGPU lends its GPU to calls of the page's own process; a run is a process of its own, which gets none.
NO_TRAINING = (
    "This Space runs on ZeroGPU, which gives no GPU to a run that outlives the page. Upload, Preview and finished runs work "
    "here; to train, duplicate the Space and choose a GPU or the free CPU for it."
)

# The box's own autoscroll stays where it is from the first line on that does not fit. Who has scrolled up is left there.
FOLLOW = """
() => requestAnimationFrame(() => {
  const log = document.querySelector('#log textarea');
  if (!log) return;
  if (log.scrollTop + log.clientHeight > (log.dataset.end ?? 0) - 40) log.scrollTop = log.scrollHeight;
  log.dataset.end = log.scrollHeight;
})
"""


@dataclass(frozen=True)
class Train:
    """The components of the tab, and what they show of a run.

    Attributes:
        first_base: the one of the gallery that is chosen at first, None what fits here.
        advised: the preset for this machine, on its way to the form.
        unsettled: whether a visitor, named by session, waits for other rows than these.
    """

    root: Path
    unsettled: Callable[[Data | None, str], bool]
    first_base: str | None
    data: gr.State
    run: gr.State
    notice: gr.HTML
    form: gr.Accordion
    base: gr.Radio
    other: gr.Textbox
    preset: gr.Radio
    advised: gr.Textbox
    minutes: gr.Number
    more: dict[str, gr.components.Component]
    suits: gr.HTML
    need: gr.HTML
    start: gr.Button
    stop: gr.Button
    resume: gr.Button
    outcome: gr.HTML
    live: gr.Column
    bar: gr.HTML
    curves: gr.LinePlot
    scores: gr.LinePlot
    sampled: gr.HTML
    choices: gr.HTML
    log: gr.Textbox
    paused: gr.Checkbox
    raw: gr.Accordion
    raw_text: gr.Textbox
    see: gr.Button

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [
            self.form, self.start, self.stop, self.resume, self.outcome, self.live, self.bar, self.curves, self.scores,
            self.sampled, self.choices, self.log, self.raw, self.see,
        ]  # fmt: skip

    def view(self, story: Story, found: Status, *, paused: bool = False) -> dict:
        """A run as it stands. While the log is paused it is left as it is."""
        alive = found.state in ALIVE
        half = found.state == "finished" and not story.run.trained()  # stopped, then compared as it was
        resumable = half or found.state in ("stopped", "lost", "failed", "created")
        compared = found.state == "finished" and story.run.comparison() is not None
        losses = charts.losses(*story.curves())
        scores = charts.scores(*story.course())
        answers = learning.table(*story.learning()) + sampled.table(story.answers())
        updates = {
            self.start: gr.Button(
                "Start another" if alive else "Start",
                variant="secondary" if alive or compared or resumable else "primary",
            ),
            self.stop: gr.Button(visible=alive, interactive=found.state != "stopping"),
            self.resume: gr.Button(visible=resumable, variant="primary" if resumable else "secondary"),
            self.see: gr.Button(visible=compared),
            self.live: gr.Column(visible=True),
            self.outcome: gr.HTML(said := outcome(story, found), visible=bool(said)),
            self.bar: bar(story, found),
            self.curves: gr.LinePlot(losses, visible=charts.drawn(losses)),
            self.scores: gr.LinePlot(
                scores, visible=charts.drawn(scores), y_title=f"% {MEASURES.get(story.metric, 'right')}"
            ),
            self.sampled: gr.HTML(answers, visible=bool(answers)),
            self.choices: choices_list(story.choices),
            self.raw: gr.Accordion(visible=found.over and story.run.log_path.exists()),
        }
        if not paused:
            updates[self.log] = "\n".join(story.log)
        return updates

    def machine(self) -> dict:
        """The gallery as this machine can hold it, and the preset it should take; asked when the page opens."""
        device, _ = need.device_of(self.root)
        base, reason = memory.default_base(device)
        if self.first_base:
            base, reason = self.first_base, ""
        return {
            self.base: gr.Radio(choices=need.gallery(device), value=base, info=reason),
            self.advised: memory.default_preset(device),
        }

    def weigh(self, data: Data | None, *form) -> dict:
        """The memory that the form as it stands would need, and whether its base suits the data."""
        try:
            recipe = self.recipe(data, *form)
            longest, cache = desk.longest(data) if data else None, model_cache(self.root)
            device, later = need.device_of(self.root)
            return {
                self.need: need.bar(recipe.base, recipe, device, cache, longest, later=later),
                self.suits: gr.HTML(said := suits.view(data, recipe, cache), visible=bool(said)),
            }
        except FinetuneError as error:
            return {self.need: sentence(error)}

    def fields(self) -> list:
        return [self.base, self.other, self.preset, self.minutes, *self.more.values()]

    def of_presets(self) -> list:
        """What a preset fills, in the order of `settings.OF_PRESETS`."""
        boxes = {"max_minutes": self.minutes, **self.more}
        return [boxes[name] for name in settings.OF_PRESETS]

    def advising(self) -> dict:
        """The keywords of an event that takes the advised preset, unless the user was faster than the machine."""
        fields = [self.preset, *self.of_presets()]
        return {
            "fn": None, "inputs": [self.advised, *fields], "outputs": fields, "js": settings.FILL_UNTOUCHED,
            "api_visibility": "private",
        }  # fmt: skip

    def weighing(self) -> dict:
        """The keywords of an event that weighs the form anew: the last of several is what stays."""
        how = {"trigger_mode": "always_last", "concurrency_limit": None, "show_progress": "hidden"}
        return {
            "fn": self.weigh, "inputs": [self.data, *self.fields()], "outputs": [self.need, self.suits],
            "api_visibility": "private", **how,
        }  # fmt: skip

    def recipe(self, data: Data | None, base: str, other: str, preset: str, minutes: float | None, *more):
        """The recipe that the form says, with the split of the tab Preview."""
        chosen = (other or "").strip() or base or Recipe.base  # none is chosen before the machine was asked
        values = dict(zip(self.more, more, strict=True)) | {
            "base": chosen,
            "max_minutes": minutes,
        }
        if data is not None:
            values |= {"validation_share": data.validation, "test_share": data.test, "seed": data.seed}
        return settings.recipe_of(preset, values)

    def begin(self, visitor: gr.Request, data: Data | None, *form) -> dict:
        """Make the run and start its process, which does not need this page any more."""
        if self.unsettled(data, visitor.session_hash or ""):
            raise FinetuneError(
                "The rows are being read or changed still: a run would begin with those of before.",
                hint="Press Start again once Upload and Preview show that it is done.",
            )
        if data is None:
            raise FinetuneError(
                "There are no rows to train on.", hint="Drop a file or pick an example on the tab Upload."
            )
        recipe = self.recipe(data, *form)
        loggers.check(recipe.log_to)
        report = desk.report_for(data, recipe, model_cache(self.root))
        run = create(self.root, report=report, recipe=recipe, name=data.title)
        supervise.start(run)
        return {self.run: run.id, self.form: gr.Accordion(open=False)}

    def end(self, run_id: str) -> dict:
        supervise.stop(find_run(run_id, self.root), wait=False)
        return {self.stop: gr.Button(interactive=False)}

    def go_on(self, run_id: str) -> dict:
        supervise.resume(find_run(run_id, self.root))
        return {self.resume: gr.Button(visible=False)}

    def raw_log(self, run_id: str) -> str:
        """The end of what the process itself wrote."""
        path = find_run(run_id, self.root).log_path
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - RAW_BYTES))
            text = file.read().decode("utf-8", "replace")
        # A bar that was drawn again and again over itself is shown as it stood in the end.
        return "\n".join(line.rstrip("\r").rsplit("\r", 1)[-1] for line in text.split("\n"))


def build(
    data: gr.State, run: gr.State, root: Path, base_name: str | None, unsettled: Callable[[Data | None, str], bool]
) -> Train:
    """The components and their events, inside the tab that is open."""
    known = gallery.find(base_name) if base_name else None
    notice = gr.HTML(visible=False)
    outcome_line = gr.HTML(visible=False, elem_id="outcome")
    with gr.Accordion("What to train", open=True, elem_id="form") as form:
        base = gr.Radio(label="Base", elem_id="base", elem_classes="rows")
        base_suits = gr.HTML(visible=False, elem_id="suits")
        with gr.Row(elem_classes="sides"):
            preset = gr.Radio(
                settings.presets(), value=Recipe.preset, label="Preset", min_width=300,
                elem_id="preset", elem_classes="rows",
            )  # fmt: skip
            advised = gr.Textbox(elem_classes="carrier")
            with gr.Column(min_width=300):
                box = settings.field("max_minutes")
                minutes = gr.Number(
                    box.default,
                    label="Time box",
                    info=box.metadata["help"],
                    minimum=box.metadata["low"],
                    maximum=box.metadata["high"],
                    elem_id="minutes",
                )
                need_bar = gr.HTML(elem_id="need")
        with gr.Accordion("more", open=False, elem_id="more"):
            other = gr.Textbox(
                base_name if base_name and not known else "",
                label="Another base",
                info=settings.field("base").metadata["help"] + "; it overrules the choice above",
                placeholder="owner/name or /a/folder",
                elem_id="other",
            )
            more = settings.more()
    zero = bool(os.environ.get("SPACES_ZERO_GPU"))
    if zero:
        gr.HTML(f'<p class="quiet">{NO_TRAINING}</p>', elem_id="no-training")
        gr.DuplicateButton("Duplicate this Space", variant="primary", elem_id="duplicate")
    with gr.Row(elem_classes="actions", visible=not zero):
        start = gr.Button("Start", variant="primary", elem_id="start", min_width=110)
        stop = gr.Button("Stop", variant="stop", visible=False, elem_id="stop", min_width=110)
        resume = gr.Button("Resume", visible=False, elem_id="resume", min_width=110)
        see = gr.Button("See the comparison →", variant="primary", visible=False, elem_id="see", min_width=180)
    with gr.Column(visible=False, elem_classes="body") as live:
        progress = gr.HTML(elem_id="progress")
        with gr.Row(elem_classes="sides"):
            shared = {
                "x": "step",
                "color": "curve",
                "color_title": " ",
                "visible": False,
                "height": 260,
                "show_label": False,
            }
            curves = gr.LinePlot(
                y="loss", color_map=charts.LOSS_COLOURS, buttons=[], elem_id="curves", min_width=300, **shared
            )
            scores = gr.LinePlot(
                y="right", color_map=charts.SCORE_COLOURS, y_lim=[0, 100], buttons=[], elem_id="scores-live", min_width=300,
                **shared,
            )  # fmt: skip
        answers = gr.HTML(visible=False, elem_id="sampled")
        log = gr.Textbox(
            label="Log", lines=10, max_lines=10, interactive=False, autoscroll=False, buttons=["copy"],
            elem_id="log", elem_classes="mono",
        )  # fmt: skip
        paused = gr.Checkbox(label="pause the log", container=False, elem_id="pause")
        choices = gr.HTML(elem_id="choices")
        with gr.Accordion("raw output of the process", open=False, visible=False, elem_id="raw") as raw:
            raw_text = gr.Textbox(
                lines=12, max_lines=12, interactive=False, show_label=False, buttons=["copy"], elem_classes="mono"
            )

    tab = Train(
        root, unsettled, known.name if known else None, data, run, notice, form, base, other, preset, advised, minutes, more, base_suits,
        need_bar, start, stop, resume, outcome_line, live, progress, curves, scores, answers, choices, log, paused, raw, raw_text, see,
    )  # fmt: skip
    private = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
    quietly = calm(notice)
    weigh = tab.weighing()
    preset.input(None, [preset], tab.of_presets(), js=settings.FILL, api_visibility="private").then(**weigh)
    gr.on([base.input, other.blur, other.submit, *[more[name].change for name in need.FIELDS]], **weigh)
    start.click(quietly(tab.begin), [data, *tab.fields()], [notice, run, form], **private)
    stop.click(quietly(tab.end), [run], [notice, stop], **private)
    resume.click(quietly(tab.go_on), [run], [notice, resume], **private)
    log.change(None, None, None, js=FOLLOW, api_visibility="private")
    raw.expand(tab.raw_log, [run], [raw_text], **private)
    return tab
