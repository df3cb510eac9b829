"""The recipe of an earlier run in the tab Train: copied into the form, or held against that of another run."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import gradio as gr

from finetune.evidence.systems import NAMES
from finetune.model import gallery
from finetune.runs.recipes import Compared, Difference, compare_recipes, told
from finetune.runs.store import find_run
from finetune.show import data_sentences
from finetune.ui import settings
from finetune.ui.desk import Data
from finetune.ui.notice import calm, escape
from finetune.ui.train import Train


@dataclass(frozen=True)
class Recipes:
    """The components, and what they show. They are seen once there are two runs and one of them is open.

    Attributes:
        split: of the tab Preview the shares of validation and test, and the seed.
    """

    root: Path
    train: Train
    split: Sequence[gr.components.Component]
    box: gr.Column
    notice: gr.HTML
    copy: gr.Button
    copied: gr.HTML
    other: gr.Dropdown
    table: gr.HTML

    def offer(self, runs: Sequence[tuple[str, str]], run_id: str, *, opened: bool) -> dict:
        """The other runs to choose from.

        Args:
            runs: labels and ids of all.
            run_id: the one that is open.
            opened: whether it was opened just now: what is shown is then of another run.
        """
        others = [(label, name) for label, name in runs if name != run_id]
        updates = {self.box: gr.Column(visible=bool(others) and len(others) < len(runs))}
        if not opened:
            return updates | {self.other: gr.Dropdown(choices=others)}
        return updates | {
            self.other: gr.Dropdown(choices=others, value=None),
            self.table: gr.HTML("", visible=False),
            self.copied: gr.HTML("", visible=False),
            self.notice: gr.HTML("", visible=False),
        }

    def offered(self) -> list:
        return [self.box, self.other, self.table, self.copied, self.notice]

    def put(self, run_id: str, data: Data | None) -> dict:
        """The recipe of the open run, in every field of the form and in the split of the rows that lie on the desk."""
        run, form = find_run(run_id, self.root), self.train
        recipe = run.recipe()
        known = gallery.find(recipe.base)
        names = ["max_minutes", *form.more]
        values = settings.form_of(recipe, names)
        updates = {
            form.form: gr.Accordion(open=True),
            form.other: "" if known else recipe.base,
            form.preset: recipe.preset,
            form.minutes: values.pop("max_minutes"),
        } | {form.more[name]: value for name, value in values.items()}
        if known:
            updates[form.base] = known.name
        split = f"seed {recipe.seed}, {recipe.validation_share:.0%} to validate, {recipe.test_share:.0%} to test"
        said = f"Every field of the form above is now that of {escape(run.record().get('name') or run.id)}."
        if data is None:
            said += f" How it split its rows is set on the tab Preview, once there are rows: {split}."
        else:
            same = replace(data, seed=recipe.seed, validation=recipe.validation_share, test=recipe.test_share)
            if same != data:
                updates[form.data] = same
                updates |= dict(zip(self.split, (same.validation, same.test, same.seed), strict=True))
                said += f" The rows are split as it did, too: {split}."
        return updates | {self.copied: gr.HTML(f'<p class="quiet">{said}</p>', visible=True)}

    def puts(self) -> list:
        form = self.train
        return [
            self.notice, self.copied, form.data, form.form, form.base, form.other, form.preset, form.minutes,
            *form.more.values(), *self.split,
        ]  # fmt: skip

    def against(self, run_id: str, other: str | None) -> dict:
        """What differs between the open run and the chosen one."""
        if not other:
            return {self.table: gr.HTML("", visible=False)}
        found = compare_recipes(find_run(run_id, self.root), find_run(other, self.root))
        return {self.table: gr.HTML(draw(found), visible=True)}


def build(run: gr.State, root: Path, form: Train, split: Sequence[gr.components.Component]) -> Recipes:
    """The components and their events, under the list of earlier runs."""
    with gr.Column(visible=False, elem_id="recipes", elem_classes="body") as box:
        notice = gr.HTML(visible=False)
        with gr.Row(elem_classes="actions"):
            copy = gr.Button("Copy the recipe of this run into the form", size="sm", elem_id="copy-recipe")
        copied = gr.HTML(visible=False, elem_id="copied")
        other = gr.Dropdown([], label="Compare its recipe with that of", value=None, elem_id="other-run")
        table = gr.HTML(visible=False, elem_id="differs")
    made = Recipes(root, form, split, box, notice, copy, copied, other, table)
    private = {"api_visibility": "private", "concurrency_limit": None, "show_progress": "hidden"}
    quietly = calm(notice)
    copy.click(quietly(made.put), [run, form.data], made.puts(), **private).then(**form.weighing())
    other.input(quietly(made.against), [run, other], [notice, table], trigger_mode="always_last", **private)
    return made


def draw(found: Compared) -> str:
    """HTML of what differs; a sentence where nothing does."""
    rows = [_row(settings.label(one.name), one) for one in found.fields]
    rows += [_row(f"version of {one.name}", one) for one in found.versions]
    if found.verdict:
        words = Difference(
            "verdict", *(str(one).replace("_", " ") for one in (found.verdict.this, found.verdict.other))
        )
        rows += [_row("verdict", words)]
        rows += [_row(NAMES.get(one.name, one.name), _percents(one)) for one in found.scores]
    said = "" if found.fields else "<p>The recipes are the same.</p>"
    notes = f'<p class="quiet">{escape(" ".join(data_sentences(found)))}</p>'
    if not rows:
        return said + notes
    head = f"<tr><th></th><th>{escape(found.this)}</th><th>{escape(found.other)}</th></tr>"
    return (
        f'{said}<div class="scroll"><table class="plain differs"><thead>{head}</thead><tbody>{"".join(rows)}</tbody></table>'
        f"</div>{notes}"
    )


def _row(name: str, one: Difference) -> str:
    return (
        f"<tr><th scope=row>{escape(name)}</th><td>{escape(told(one.this))}</td><td>{escape(told(one.other))}</td></tr>"
    )


def _percents(one: Difference) -> Difference:
    shares = ("–" if score is None else f"{score:.1%}" for score in (one.this, one.other))
    return Difference(one.name, *shares)
