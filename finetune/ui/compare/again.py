"""“Compare again with other settings”: which systems, a prompt and documents of one's own, rules for the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import gradio as gr

from finetune.errors import FinetuneError
from finetune.evidence import options
from finetune.evidence.alternatives.documents import TABLES, TEXTS
from finetune.evidence.options import Options
from finetune.evidence.systems import ALTERNATIVES, CLASSICAL, NAMES
from finetune.runs import supervise
from finetune.runs.store import find_run, status
from finetune.ui.compare.scores import capital
from finetune.ui.notice import calm, sentence


@dataclass(frozen=True)
class Again:
    """The components."""

    root: Path
    fold: gr.Accordion
    systems: gr.CheckboxGroup
    prompt: gr.Textbox
    documents: gr.File
    kept: gr.Checkbox
    must: gr.Textbox
    must_not: gr.Textbox
    pattern: gr.Textbox
    go: gr.Button
    notice: gr.HTML

    def shown(self) -> list:
        """Every component that `view` may change."""
        return [
            self.systems, self.prompt, self.documents, self.kept, self.must, self.must_not, self.pattern, self.go,
            self.notice,
        ]  # fmt: skip

    def view(self, story, comparison: dict, outputs: Sequence[dict]) -> dict:
        """The settings that the next comparison of this run would take."""
        told = gr.HTML("", visible=False)
        try:
            now = Options.of(story.run)
        except FinetuneError as error:
            now, told = Options(), gr.HTML(sentence(error), visible=True)
        classification = comparison.get("task") == "classification"
        usable = [name for name in ALTERNATIVES if classification or name not in CLASSICAL]
        passages = (comparison.get("options") or {}).get("documents") or 0
        return {
            self.systems: gr.CheckboxGroup(
                choices=[(capital(NAMES[name]), name) for name in usable],
                value=[name for name in usable if name in now.systems],
            ),
            self.prompt: now.prompt,
            self.documents: None,
            self.kept: gr.Checkbox(
                label=f"keep the {passages:,} passages of the documents given before", value=True, visible=passages > 0
            ),
            self.must: "\n".join(now.must),
            self.must_not: "\n".join(now.must_not),
            self.pattern: now.pattern,
            self.notice: told,
        } | self.ready()

    def ready(self) -> dict:
        """The run is not at work: it can be compared again."""
        return {self.go: gr.Button("Compare again", interactive=True)}

    def begin(
        self, run_id: str, systems: list[str], prompt: str, files: list[str] | None, kept: bool, must: str, must_not: str,
        pattern: str,
    ) -> dict:  # fmt: skip
        """Keep the settings and start the comparison. Raises FinetuneError."""
        run = find_run(run_id, self.root)
        if not status(run).over:
            raise FinetuneError("This run is at work.", hint="Wait until it has ended, then compare again.")
        # What does not fit the task is not on offer; it stays as it is, and the comparison passes over it.
        chosen = tuple(name for name in ALTERNATIVES if name in systems)
        said = Options(chosen, (prompt or "").strip(), _lines(must), _lines(must_not), (pattern or "").strip())
        options.save(run, said, options.passages_of(list(files) if files else None if kept else []))
        supervise.start(run, phase="compare")
        return {self.go: gr.Button("Started", interactive=False), self.fold: gr.Accordion(open=False)}


def _lines(text: str) -> tuple[str, ...]:
    return tuple(line.strip() for line in (text or "").splitlines() if line.strip())


def build(run: gr.State, root: Path) -> Again:
    """The components and their events, inside the tab."""
    with gr.Accordion("Compare again with other settings", open=False, elem_id="again") as fold:
        systems = gr.CheckboxGroup(label="Compare the fine-tuned model with", elem_id="again-systems")
        prompt = gr.Textbox(
            label="A better prompt of your own", lines=3, max_length=options.MOST_PROMPT, elem_id="again-prompt",
            info="Instruction of the system “base model with a better prompt”. Left empty, one is made from the task.",
        )  # fmt: skip
        documents = gr.File(
            label="Documents that retrieval may look things up in", file_count="multiple", file_types=[*TEXTS, *TABLES],
            elem_id="again-documents", height=120,
        )  # fmt: skip
        kept = gr.Checkbox(True, visible=False, label="keep the documents given before", elem_id="again-kept")
        with gr.Row(elem_classes="sides"):
            must = gr.Textbox(label="Each answer must contain", lines=2, info="One text a line.", elem_id="again-must")
            must_not = gr.Textbox(
                label="Each answer must not contain", lines=2, info="One text a line.", elem_id="again-must-not"
            )
        pattern = gr.Textbox(
            label="Each answer must match this pattern", info="A regular expression, for instance ^[A-Z].*\\.$",
            elem_id="again-pattern",
        )  # fmt: skip
        notice = gr.HTML(visible=False)
        go = gr.Button("Compare again", variant="primary", elem_id="again-go")
        gr.HTML(
            '<p class="quiet">Answers that were given before are kept, so only what is new is asked. Each further model '
            "that is compared on the same test rows makes the verdict stricter.</p>"
        )
    tab = Again(root, fold, systems, prompt, documents, kept, must, must_not, pattern, go, notice)
    go.click(
        calm(notice)(tab.begin), [run, systems, prompt, documents, kept, must, must_not, pattern], [notice, go, fold],
        concurrency_limit=None, api_visibility="private", show_progress="hidden",
    )  # fmt: skip
    return tab
