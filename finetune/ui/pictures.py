"""Two pictures of the rows: how long they are, with what would be cut, and a map on which like texts stand together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable
from dataclasses import dataclass

import gradio as gr
import numpy as np
import pandas

from finetune.dataset.checks.lengths import Histogram, Lengths, measure
from finetune.dataset.checks.rowmap import RowMap
from finetune.dataset.examine import Examined
from finetune.dataset.finding import plural, rows_text
from finetune.dataset.report import Report
from finetune.ui import desk
from finetune.ui.desk import Data
from finetune.ui.findings import shorten
from finetune.ui.notice import escape
from finetune.ui.theme import AMBER, INK

FITS, CUT = "fits", "too long"
LENGTH_COLOURS = {FITS: INK, CUT: AMBER}
# Eight hues that are told apart by people who see red and green alike, on a light ground and on a dark one.
HUES = ("#2f8f83", "#d0893a", "#5b8fd9", "#c76fa6", "#8f9a2e", "#8a6bd1", "#4bb3d4", "#b5654a")
OTHERS = "#9a9a94"
RING = "#7f7f7f"  # only a name: the style sheet draws it in the colour of the text, which a chart cannot know
OTHERS_NAME, SUSPECT, ROWS = "others", "suspect", "rows"
ESTIMATED = 20_000  # rows whose characters are counted where their tokens cannot be
EDGE = 1.2  # where the few points that lie far outside are drawn
COUNTING = '<p class="quiet">Counting the tokens…</p>'


@dataclass(frozen=True)
class Pictures:
    """The components, and what they show. `drawn`: what the map in the browser was drawn from."""

    lengths_said: gr.HTML
    lengths: gr.BarPlot
    map_said: gr.HTML
    map: gr.ScatterPlot
    drawn: gr.State

    def outputs(self) -> list:
        return [getattr(self, name) for name in self.__dataclass_fields__]

    def measure(self, report: Report) -> dict:
        """The histogram of lengths in tokens; while nobody has counted them, the word that they are being counted."""
        if report.lengths is None:
            return {self.lengths_said: COUNTING, self.lengths: gr.BarPlot(visible=False)}
        return self._lengths(report.lengths, report.choices.max_tokens)

    def estimate(self, examined: Examined, max_tokens: int) -> dict:
        """The same by characters, where the tokens cannot be had."""
        rows = examined.examples
        sample = rows[:: -(-len(rows) // ESTIMATED)]
        return self._lengths(measure(sample, None, max_tokens=max_tokens), max_tokens)

    def _lengths(self, lengths: Lengths, max_tokens: int) -> dict:
        frame, width = lengths_frame(lengths.histogram)
        return {
            self.lengths_said: lengths_sentence(lengths, max_tokens),
            self.lengths: gr.BarPlot(frame, x_bin=width, x_title="tokens", visible=True),
        }

    def draw(self, data: Data, drawn: Hashable) -> dict:
        """The map of the rows, unless it is there already."""
        examined = desk.examined_of(data)
        if drawn == (key := desk.map_key(data)):
            return {self.drawn: key}
        seen = desk.map_of(data)
        if not seen.xy.any():
            said = '<p class="quiet">There are too few rows for a map of them.</p>'
            return {self.drawn: key, self.map_said: said, self.map: gr.ScatterPlot(visible=False)}
        frame, colours = map_frame(seen, examined)
        return {
            self.drawn: key,
            self.map_said: map_sentence(seen, frame, colours),
            self.map: gr.ScatterPlot(frame, color_map=colours, visible=True),
        }


def build() -> Pictures:
    """The section, in the column that is open."""
    gr.HTML("<h3>Lengths, and a map of the rows</h3>")
    with gr.Row(elem_classes="sides"):
        with gr.Column(min_width=300):
            lengths_said = gr.HTML(elem_classes="says")
            lengths = gr.BarPlot(
                x="length", y="rows", color="part", color_map=LENGTH_COLOURS, colors_in_legend=[], x_title="tokens",
                y_title="rows", height=280, show_label=False, buttons=[], elem_id="lengths", visible=False,
            )  # fmt: skip
        with gr.Column(min_width=300):
            map_said = gr.HTML(elem_classes="says")
            points = gr.ScatterPlot(
                x="x", y="y", color="label", colors_in_legend=[], x_title=" ", y_title=" ", x_axis_labels_visible=False,
                tooltip=["row", "text", "output"], height=300, show_label=False, buttons=[], elem_id="map",
                visible=False,
            )  # fmt: skip
    return Pictures(lengths_said, lengths, map_said, points, gr.State(None))


def lengths_frame(histogram: Histogram) -> tuple[pandas.DataFrame, int]:
    """Columns `length`, `rows`, `part` for every bin, and the width of a bin.

    A native plot has bins of one width: each bin stands in its middle, and the last one, which may reach far, beside
    the one before.
    """
    edges = histogram.edges
    width = max(1, int(np.median(np.diff(edges[:-1]))) if len(edges) > 2 else edges[1] - edges[0])
    middles = [first + min(width, end - first) / 2 for first, end in zip(edges, edges[1:], strict=False)]
    records = [
        {"length": middle, "rows": rows, "part": CUT if beyond else FITS}
        for middle, rows, beyond in zip(middles, histogram.counts, histogram.beyond, strict=True)
    ]
    return pandas.DataFrame(records), width


def lengths_sentence(lengths: Lengths, max_tokens: int) -> str:
    """What the histogram shows, with its legend."""
    about = "about " if lengths.by_characters else ""
    said = f"Half of the rows have up to {about}{lengths.p50:,} tokens, 95% up to {lengths.p95:,}, the longest {lengths.max:,}"
    cut = lengths.truncated_rows
    if cut:
        said += f"; {rows_text(cut)} {plural('is', 'are', cut)} longer than the {max_tokens:,} that the model reads"
    else:
        said += f": all fit into the {max_tokens:,} that the model reads"
    how = []
    if lengths.examined is not None:
        how.append(f"seen in a sample of {lengths.examined:,} rows")
    if lengths.by_characters:
        how.append("estimated from the characters, for there is no tokenizer")
    if lengths.histogram.edges[-1] - lengths.histogram.edges[-2] > 2 * np.median(np.diff(lengths.histogram.edges)):
        how.append("the last bar holds all that are longer")
    told = f"{said}. " + "; ".join(how).capitalize() + ("." if how else "")
    parts = () if not cut else (FITS, CUT) if cut < lengths.rows else (CUT,)
    return f"<p>{escape(told)}</p>{_legend({name: LENGTH_COLOURS[name] for name in parts})}"


def _legend(colours: dict[str, str]) -> str:
    dots = "".join(
        f'<span><i class="{"ring" if name == SUSPECT else "dot"}" style="--dot:{hue}"></i>{escape(name)}</span>'
        for name, hue in colours.items()
    )
    return f'<p class="dots">{dots}</p>' if dots else ""


def map_frame(seen: RowMap, examined: Examined) -> tuple[pandas.DataFrame, dict[str, str]]:
    """Columns x, y, label, row, text, output: the largest labels by name, all else grey; suspects once more as rings.

    Returns:
        The points, grey ones first and rings last as they are drawn in this order, and the colour of each label.
    """
    examples, suspects = examined.examples, examined.suspects
    labelled = examined.mapping.task == "classification"
    doubted = dict(zip(suspects.flagged.tolist(), suspects.suggested, strict=True)) if suspects is not None else {}
    counts = Counter(examples[place].output for place in seen.indices.tolist()) if labelled else Counter()
    names = [label for label, _ in counts.most_common(len(HUES) if len(counts) <= len(HUES) else len(HUES) - 1)]
    shown = {label: shorten(label, 40) for label in names}
    records = []
    for place, (x, y) in zip(seen.indices.tolist(), seen.xy.clip(-EDGE, EDGE).tolist(), strict=True):
        example = examples[place]
        label = shown.get(example.output, OTHERS_NAME) if labelled else ROWS
        output = shorten(example.output, 60)
        record = {"x": x, "y": y, "label": label, "row": f"{example.row:,}", "text": shorten(example.input, 90)}
        records.append(record | {"output": output})
        if place in doubted:
            records.append(record | {"label": SUSPECT, "output": f"{output}; reads like {shorten(doubted[place], 60)}"})
    order = {OTHERS_NAME: 0, SUSPECT: 2}
    frame = pandas.DataFrame(sorted(records, key=lambda record: order.get(record["label"], 1)))
    colours = dict(zip([shown[label] for label in names] or [ROWS], HUES, strict=False))
    return frame, colours | {OTHERS_NAME: OTHERS, SUSPECT: RING}


def map_sentence(seen: RowMap, frame: pandas.DataFrame, colours: dict[str, str]) -> str:
    """What the map shows, with its legend and the style of its points."""
    shown, rings = len(seen.indices), int((frame["label"] == SUSPECT).sum())
    which = rows_text(shown) if shown == seen.total else f"{shown:,} of {seen.total:,} rows"
    said = f"{which}: those with the same words lie together"
    if seen.by_labels:
        said += ", and labels lie apart where their words differ"
    if rings:
        said += f"; {rings:,} {plural('row', 'rows', rings)} with a doubtful label {plural('is', 'are', rings)} ringed"
    there = {name: hue for name, hue in colours.items() if name != ROWS and (frame["label"] == name).any()}
    # The points of a native plot are hollow: filled here, each with its own colour.
    filled = "".join(
        f'#map path[stroke="{hue}" i]{{fill:{hue};stroke-width:0}}' for hue in colours.values() if hue != RING
    )
    ring = f'#map path[stroke="{RING}" i]{{stroke:var(--body-text-color);fill:none;opacity:1;stroke-width:1.6}}'
    return f"<p>{escape(said)}.</p>{_legend(there)}<style>{filled}{ring}</style>"
