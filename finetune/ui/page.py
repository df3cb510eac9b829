"""The page that holds the four tabs, follows the current run, and finds it again after a reload."""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import gradio as gr

from finetune.dataset.reading.records import MAX_BYTES
from finetune.errors import FinetuneError
from finetune.runs.store import default_root, model_cache
from finetune.ui import api, desk, earlier, preview, queue, recipes, strip, train, upload
from finetune.ui.compare import tab as compare
from finetune.ui.notice import sentence
from finetune.ui.story import Story, story_of
from finetune.ui.theme import looks

TICK_SECONDS = 1.0
# Fixed, so that the run is found again when the server was started anew. It is an id and no secret.
STORAGE_KEY, STORAGE_SECRET = "finetune-run", "finetune-run-v1"
# Twice what `load` takes: a file somewhat too large gets its sentence, and no bare refusal of the upload.
MAX_FILE = 2 * MAX_BYTES
QUEUE = 64

# The address carries the run, so that it can be kept or sent; nothing is loaded again.
ADDRESS = """
(id) => {
  const url = new URL(window.location.href);
  if (id) url.searchParams.set('run', id); else url.searchParams.delete('run');
  window.history.replaceState(null, '', url);
}
"""

# One that was filled while hidden stands at its beginning.
LOG_END = """
() => setTimeout(() => {
  const log = document.querySelector('#log textarea');
  if (log) log.scrollTop = log.scrollHeight;
}, 200)
"""

HEADER = "<header><h1>finetune</h1><p>Is a fine-tune worth it on your data? Upload, look, train, compare.</p></header>"


class Studio(gr.Blocks):
    """The page. `launch` takes what `gr.Blocks.launch` takes; the look and the safe settings are its defaults."""

    def launch(self, *args, **options):
        defaults = looks() | {
            "share": False,  # left open, Gradio decides for itself, and shares on some hosted notebooks
            "show_error": True,
            "footer_links": [],
            "height": 900,  # in a notebook, where the default cuts every tab
            "run_history": False,  # it would keep the visitors' texts in their browsers
            "max_file_size": MAX_FILE,
            "ssr_mode": False,
        }
        options = defaults | options
        if options["share"] and not (options.get("auth") or options.get("auth_dependency")):
            raise FinetuneError(
                "A share link can be opened by anybody on the internet, with your data and your GPU behind it.",
                hint='Give `auth=("user", "password")` too.',
            )
        return super().launch(*args, **options)


def studio(*, root: Path | str | None = None, examples: Path | str = desk.EXAMPLES, base: str | None = None) -> Studio:
    """The page, not launched yet.

    Args:
        root: directory of the runs; None takes FINETUNE_HOME or the user's data directory.
        examples: folder of the examples that the tab Upload offers.
        base: the base chosen at first, a name of the gallery, a Hub name or a folder; None takes what fits this device.
    """
    root = Path(root).expanduser().absolute() if root else default_root()
    with Studio(title="finetune", analytics_enabled=False, delete_cache=(3600, 7 * 86400)) as page:
        data, run = gr.State(None), gr.State("")
        seen = gr.State(("", "", 0))  # run, mark of what was shown of it, time of its comparison
        remembered = gr.BrowserState("", storage_key=STORAGE_KEY, secret=STORAGE_SECRET)
        # What the browser remembers changes as the page opens, before the address is read: a place of its own carries
        # the run to the address.
        address = gr.Textbox(visible="hidden")
        timer = gr.Timer(TICK_SECONDS, active=False)
        with gr.Row(elem_classes="top"):
            gr.HTML(HEADER, scale=0, min_width=0)
            line = strip.build()
        missing = gr.HTML(visible=False)
        with gr.Tabs(selected="upload", elem_id="tabs", overflow_behavior="wrap") as tabs:
            with gr.Tab("Upload", id="upload"):
                up = upload.build(data, Path(examples))
            with gr.Tab("Preview", id="preview") as preview_tab:
                pre = preview.build(data, model_cache(root))

            def unsettled(rows: desk.Data | None, visitor: str) -> bool:
                return any(jobs.passed(rows, visitor=visitor) for jobs in (up.opening, up.counting, pre.jobs))

            with gr.Tab("Train", id="train") as train_tab:
                line_up = queue.build(root)
                tr = train.build(data, run, root, base, unsettled)
                with gr.Accordion("Earlier runs", open=False, visible=False, elem_id="earlier") as earlier_fold:
                    earlier_runs = gr.Radio(show_label=False, container=False, elem_classes="rows")
                    earlier_problems = gr.HTML()
                    again = recipes.build(run, root, tr, pre.splitting.settings())
            with gr.Tab("Compare", id="compare"):
                co = compare.build(run, root)
        private = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}

        def views(story: Story, shown: tuple, paused: bool) -> dict:
            """All that this page does not show yet of the run."""
            found = story.follow()
            mark = f"{story.heard} {found} {paused}"
            comparison = story.run.directory / "comparison.json"
            compared = comparison.stat().st_mtime_ns if comparison.exists() else 0
            if shown == (story.run.id, mark, compared):
                return {}
            updates = {seen: (story.run.id, mark, compared)} | line.view(story, found)
            updates |= tr.view(story, found, paused=paused) | co.live(story, found)
            if compared and shown[::2] != (story.run.id, compared):
                updates |= co.view(story)
            return updates

        def attach(run_id: str):
            """Everything of a run, from its first event."""
            if not run_id:
                return gr.skip()
            try:
                shown = views(story_of(run_id, root), ("", "", 0), False)
            except FinetuneError as error:
                return {run: "", remembered: "", address: "", timer: gr.Timer(active=False)} | {
                    missing: gr.HTML(sentence(error), visible=True)
                }
            closed = gr.HTML("", visible=False)
            return shown | {
                remembered: run_id,
                address: run_id,
                tr.form: gr.Accordion(open=False),
                timer: gr.Timer(active=True),
                missing: closed,
                tr.paused: False,
            }

        def follow(run_id: str, shown: tuple, paused: bool):
            # Until `attach` has answered there is nothing to go on from: all of it would be drawn twice.
            if not run_id or shown[0] != run_id:
                return gr.skip()
            try:
                updates = views(story_of(run_id, root), tuple(shown), paused)
            except FinetuneError as error:
                return {missing: gr.HTML(sentence(error), visible=True), timer: gr.Timer(active=False)}
            return updates or gr.skip()

        def arrive(request: gr.Request, kept: str) -> dict:
            """The run of the address, else the one this browser saw last, else one that is at work."""
            wanted = dict(request.query_params).get("run", "")
            tab = gr.Tabs(selected="train") if wanted or kept else gr.skip()
            # On a Space it may be somebody else's, who has not given away its address.
            living = "" if "SPACE_ID" in os.environ else earlier.living(root)
            return {run: wanted or kept or living, tabs: tab}

        def list_earlier(run_id: str, *, opened: bool = False) -> dict:
            found, problems = earlier.choices(root)
            ids = [name for _, name in found]
            return {
                earlier_fold: gr.Accordion(visible=bool(found or problems)),
                earlier_runs: gr.Radio(choices=found, value=run_id if run_id in ids else None),
                earlier_problems: problems,
            } | again.offer(found, run_id, opened=opened)

        following = [seen, line.line, missing, timer, *tr.shown(), *co.shown()]
        listed = [earlier_fold, earlier_runs, earlier_problems, *again.offered()]
        opened = page.load(tr.machine, None, [tr.base, tr.advised], **private)
        opened.then(**tr.advising()).then(**tr.weighing())
        page.load(arrive, [remembered], [run, tabs], **private)
        run.change(attach, [run], [run, remembered, address, tr.paused, *following], **private).then(
            partial(list_earlier, opened=True), [run], listed, **private
        )
        address.change(None, [address], None, js=ADDRESS, api_visibility="private")
        timer.tick(follow, [run, seen, tr.paused], following, queue=False, **private)
        timer.tick(line_up.follow, [line_up.shown], line_up.outputs(), queue=False, **private)
        # Whoever looks at this tab sees who waits, with or without a run of their own.
        train_tab.select(lambda: gr.Timer(active=True), None, [timer], **private)
        tr.paused.input(follow, [run, seen, tr.paused], following, queue=False, **private)
        train_tab.select(None, None, None, js=LOG_END, api_visibility="private")
        address.change(None, None, None, js=LOG_END, api_visibility="private")
        train_tab.select(list_earlier, [run], listed, **private).then(**tr.weighing())
        earlier_runs.input(lambda chosen: chosen, [earlier_runs], [run], **private)
        line.line.click(lambda: gr.Tabs(selected="train"), None, [tabs], **private)
        tr.see.click(lambda: gr.Tabs(selected="compare"), None, [tabs], **private)
        up.go.click(lambda: gr.Tabs(selected="preview"), None, [tabs], **private)
        pre.go.click(lambda: gr.Tabs(selected="train"), None, [tabs], **private)
        form = [tr.base, tr.other, *(tr.more[name] for name in preview.MORE)]
        preview.connect(pre, [preview_tab.select], form)
        api.publish(root)
    page.queue(max_size=QUEUE)
    return page
