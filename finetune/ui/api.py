"""The few doors for programs (`gradio_client`): inspect, start, status, compare. All else on the page is private."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path

import gradio as gr

from finetune.dataset.checks.likeness import LOWEST, THRESHOLD
from finetune.dataset.example import TASKS
from finetune.dataset.mapping.columns import guess
from finetune.dataset.mending import DEFAULT_MENDS, check_mends
from finetune.errors import FinetuneError
from finetune.runs import supervise
from finetune.runs.store import create, find_run, model_cache, status
from finetune.training.recipe import PRESETS, Recipe
from finetune.ui import desk, sources
from finetune.ui.desk import Data


def publish(root: Path) -> None:
    """Add the endpoints to the page that is open.

    They stand on hidden components and not on `gr.api`: a `gr.File` takes only what this visitor uploaded, while a
    plain path as text would let anybody read any file of this machine. What came later stands at the end with a
    default, so that a program of yesterday still works.
    """
    with gr.Column(visible=False):
        file = gr.File(label="file")
        input = gr.Textbox(label="input", info="columns, separated by commas; empty guesses")
        output = gr.Textbox(label="output", info="column; empty guesses")
        task = gr.Dropdown(["", *TASKS], value="", label="task")
        base = gr.Textbox(Recipe.base, label="base")
        preset = gr.Dropdown(list(PRESETS), value="pilot", label="preset")
        minutes = gr.Number(0, label="max_minutes")
        seed = gr.Number(0, label="seed", precision=0)
        run = gr.Textbox(label="run")
        template = gr.Textbox("", label="template", info="the input over several columns: {subject}: {body}")
        group = gr.Textbox("", label="group", info="column whose values stay on one side of the split")
        time = gr.Textbox("", label="time", info="column with dates, for a split in time order")
        test_file = gr.File(label="test_file")
        mends = gr.Textbox(",".join(DEFAULT_MENDS), label="mends", info="separated by commas; empty mends nothing")
        near = gr.Number(
            THRESHOLD, label="near", info=f"words in common that make inputs nearly the same, {LOWEST} to 1"
        )
        more_files = gr.File(label="more_files", file_count="multiple")
        answer = gr.JSON(label="answer")
        door = gr.Button()

    def read(path, input, output, task, seed, template, group, time, test_file, mends, near, more_files) -> Data:
        if not path:
            raise FinetuneError("There is no file.", hint="Give one as `handle_file(path)`.")
        paths = [path, *(more_files or ())]
        data = Data(tuple(paths), sources.name_of(paths), test_path=test_file)
        mapping = guess(
            desk.table(data), input=_names(input), output=output, task=task or None, template=template or "", group=group,
            time=time,
        )  # fmt: skip
        return replace(
            data,
            input=mapping.input or (mapping.messages,),
            output=mapping.output,
            task=mapping.task,
            template=mapping.template,
            group=mapping.group,
            time=mapping.time,
            seed=int(seed or 0),
            mends=check_mends(_names(mends)),
            near=THRESHOLD if near is None else float(near),
        )

    def inspect(
        path, input, output, task, seed,
        template="", group="", time="", test_file=None, mends=None, near=None, more_files=None,
    ) -> dict:  # fmt: skip
        """What a file holds: rows, columns, task, split, findings, readiness."""
        data = read(path, input, output, task, seed, template, group, time, test_file, mends, near, more_files)
        return desk.report_of(data).as_json()

    def start(
        path, input, output, task, base, preset, minutes, seed,
        template="", group="", time="", test_file=None, mends=None, near=None, more_files=None,
    ) -> dict:  # fmt: skip
        """Start a run on a file; it goes on without the caller. Returns its id."""
        data = read(path, input, output, task, seed, template, group, time, test_file, mends, near, more_files)
        recipe = Recipe.from_preset(
            preset, base=base, seed=data.seed, validation_share=data.validation, test_share=data.test,
            **({"max_minutes": minutes} if minutes else {}),
        )  # fmt: skip
        made = create(root, report=desk.report_for(data, recipe, model_cache(root)), recipe=recipe, name=data.title)
        supervise.start(made)
        return {"run": made.id}

    def state(run_id) -> dict:
        """Where a run stands: state, step, steps, loss, time left, and what it has to say."""
        return {"run": run_id} | asdict(status(find_run(run_id, root)))

    def compare(run_id) -> dict:
        """The comparison of a run; one that has none yet is sent to make it."""
        found = find_run(run_id, root)
        if (comparison := found.comparison()) is not None:
            return comparison
        if status(found).over:
            supervise.start(found, phase="compare")
        return {"run": run_id} | asdict(status(found))

    how_read = [file, input, output, task]
    later = [template, group, time, test_file, mends, near, more_files]
    for name, handler, inputs in (
        ("inspect", inspect, [*how_read, seed, *later]),
        ("start", start, [*how_read, base, preset, minutes, seed, *later]),
        ("status", state, [run]),
        ("compare", compare, [run]),
    ):
        door.click(_told(handler), inputs, answer, api_name=name, concurrency_limit=4)


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(name.strip() for name in (text or "").split(",") if name.strip())


def _told(handler: Callable) -> Callable:
    """A mendable error reaches the caller as its sentence."""

    @functools.wraps(handler)  # the parameters get their names from it, and `None` as a default where it says so
    def wrapped(*values):
        try:
            return handler(*values)
        except FinetuneError as error:
            raise gr.Error(str(error), print_exception=False) from error

    return wrapped
