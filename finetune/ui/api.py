"""The few doors for programs (`gradio_client`): inspect, start, status, compare. All else on the page is private."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import gradio as gr

from finetune.dataset.example import TASKS
from finetune.errors import FinetuneError
from finetune.runs import supervise
from finetune.runs.store import create, find_run, status
from finetune.training.recipe import PRESETS, Recipe
from finetune.ui import desk
from finetune.ui.desk import Data


def publish(root: Path) -> None:
    """Add the endpoints to the page that is open.

    They stand on hidden components and not on `gr.api`: a `gr.File` takes only what this visitor uploaded, while a
    plain path as text would let anybody read any file of this machine.
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
        answer = gr.JSON(label="answer")
        door = gr.Button()

    def read(path: str | None, input: str, output: str, task: str, seed: int | None) -> Data:
        if not path:
            raise FinetuneError("There is no file.", hint="Give one as `handle_file(path)`.")
        data = desk.open_file(path, Path(path).name)
        columns = tuple(name.strip() for name in (input or "").split(",") if name.strip())
        return Data(
            path, data.name, columns or data.input, output or data.output, task or data.task, seed=int(seed or 0)
        )

    def inspect(path, input, output, task, seed) -> dict:
        """What a file holds: rows, columns, task, split, findings, readiness."""
        return desk.report_of(read(path, input, output, task, seed)).as_json()

    def start(path, input, output, task, base, preset, minutes, seed) -> dict:
        """Start a run on a file; it goes on without the caller. Returns its id."""
        data = read(path, input, output, task, seed)
        recipe = Recipe.from_preset(
            preset, base=base, seed=data.seed, validation_share=data.validation, test_share=data.test,
            **({"max_minutes": minutes} if minutes else {}),
        )  # fmt: skip
        made = create(root, report=desk.report_of(data), recipe=recipe, name=data.title)
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
    for name, handler, inputs in (
        ("inspect", inspect, [*how_read, seed]),
        ("start", start, [*how_read, base, preset, minutes, seed]),
        ("status", state, [run]),
        ("compare", compare, [run]),
    ):
        door.click(_told(handler), inputs, answer, api_name=name, concurrency_limit=4)


def _told(handler):
    """A mendable error reaches the caller as its sentence."""

    def wrapped(*values):
        try:
            return handler(*values)
        except FinetuneError as error:
            raise gr.Error(str(error), print_exception=False) from error

    wrapped.__doc__ = handler.__doc__
    return wrapped
