"""The parts of a report, and how each is written: once as HTML that needs nothing beside itself, once as Markdown.

Every text is plain text of anybody; the writers escape it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

STYLE = Path(__file__).with_name("document.css")
# Nothing may be fetched or run, whatever stands in the texts.
POLICY = "default-src 'none'; style-src 'unsafe-inline'"


@dataclass(frozen=True)
class Text:
    """A paragraph; `quiet` is for what only some need to read."""

    text: str
    quiet: bool = False


@dataclass(frozen=True)
class Small:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Points:
    """A list; each point is one line, or several of which the first is the point."""

    items: Sequence[str | Sequence[str]]
    ordered: bool = False


@dataclass(frozen=True)
class Facts:
    """Names and values."""

    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Verbatim:
    """A command or a prompt, with every space and line as it is."""

    text: str


@dataclass(frozen=True)
class Drawn:
    """A cell with an interval and its middle on a scale from `least` to `most`; the figures stand in other cells."""

    low: float
    value: float
    high: float
    least: float = 0.0
    most: float = 1.0


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        head: names of the columns.
        rows: a cell for each column.
        words: how many columns at the left hold words; those after them hold figures.
        strong: places of the rows that stand out.
        numbered: the first column holds row numbers, and needs little room.
    """

    head: Sequence[str]
    rows: Sequence[Sequence[str | Drawn]]
    words: int = 1
    strong: Sequence[int] = ()
    numbered: bool = False


Block = Text | Small | Points | Facts | Verbatim | Table


@dataclass(frozen=True)
class Section:
    """A chapter; one without blocks is not written."""

    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """The whole.

    Attributes:
        title: of the page.
        line: what stands under the title.
        answer: the verdict in a few words; `tone`: good, warn, bad or plain.
        lead: what the verdict means and what follows from it.
    """

    title: str
    line: str
    question: str
    answer: str
    tone: str
    lead: Sequence[Block]
    sections: Sequence[Section]


def to_html(report: Report) -> str:
    """One HTML page: its style inside, nothing fetched, light and dark, made to be printed on A4 too."""
    chapters = "".join(
        f"<section><h2>{_escape(section.title)}</h2>{_all_html(section.blocks)}</section>\n"
        for section in report.sections
        if section.blocks
    )
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n'
        f"<title>{_escape(report.title)}</title>\n<style>\n{STYLE.read_text(encoding='utf-8')}</style>\n</head>\n<body>\n<main>\n"
        f'<header><h1>{_escape(report.title)}</h1><p class="quiet">{_escape(report.line)}</p></header>\n'
        f'<section class="verdict {report.tone}"><p class="question">{_escape(report.question)}</p>'
        f'<p class="answer">{_escape(report.answer)}</p>{_all_html(report.lead)}</section>\n{chapters}</main>\n</body>\n</html>\n'
    )


def to_markdown(report: Report) -> str:
    """The same as Markdown (GitHub's tables); drawings are left out, their figures stand beside them."""
    parts = [
        f"# {_mark(report.title)}",
        _line(report.line),
        f"## {_mark(report.answer)}",
        f"*{_mark(report.question)}*",
    ]
    parts += map(_markdown, report.lead)
    for section in report.sections:
        if section.blocks:
            parts += [f"## {_mark(section.title)}", *map(_markdown, section.blocks)]
    return "\n\n".join(parts) + "\n"


def _all_html(blocks: Sequence[Block]) -> str:
    return "\n".join(map(_html, blocks))


def _html(block: Block) -> str:
    match block:
        case Text():
            return f"<p{' class=quiet' * block.quiet}>{_escape(block.text)}</p>"
        case Small():
            return f"<h3>{_escape(block.text)}</h3>"
        case Points():
            lines = "".join(f"<li>{_point_html(item)}</li>" for item in block.items)
            return f"<ol>{lines}</ol>" if block.ordered else f"<ul>{lines}</ul>"
        case Facts():
            pairs = "".join(
                f"<div><dt>{_escape(name)}</dt><dd>{_escape(value)}</dd></div>" for name, value in block.pairs
            )
            return f"<dl>{pairs}</dl>"
        case Verbatim():
            return f"<pre>{_escape(block.text)}</pre>"
        case Table():
            return _table_html(block)


def _point_html(item: str | Sequence[str]) -> str:
    if isinstance(item, str):
        return _escape(item)
    first, *rest = item
    return f"<p>{_escape(first)}</p>" + "".join(f'<p class="quiet">{_escape(line)}</p>' for line in rest)


def _table_html(table: Table) -> str:
    def tag(name: str, place: int, content: str) -> str:
        return f"<{name}{'' if place < table.words else ' class=n'}>{content}</{name}>"

    drawn = {place for row in table.rows for place, cell in enumerate(row) if isinstance(cell, Drawn)}
    head = "".join(
        f'<th class="drawn">{_escape(name)}</th>' if place in drawn else tag("th", place, _escape(name))
        for place, name in enumerate(table.head)
    )
    lines = []
    for number, row in enumerate(table.rows):
        cells = "".join(
            f'<td class="drawn">{_svg(cell)}</td>' if isinstance(cell, Drawn) else tag("td", place, _escape(cell))
            for place, cell in enumerate(row)
        )
        lines.append(f"<tr{' class=strong' * (number in table.strong)}>{cells}</tr>")
    wide = f' class="texts{" numbered" * table.numbered}"' if table.words > 2 else ""
    return (
        f'<div class="scroll"><table{wide}><thead><tr>{head}</tr></thead><tbody>{"".join(lines)}</tbody></table></div>'
    )


def _svg(drawn: Drawn, width: int = 160, height: int = 16) -> str:
    """The interval as a bar, its middle as a stroke, with the ends and the zero of the scale behind them."""

    def place(value: float) -> float:
        share = (value - drawn.least) / (drawn.most - drawn.least)
        return round(1 + (width - 2) * min(1.0, max(0.0, share)), 1)

    low, value, high, middle = place(drawn.low), place(drawn.value), place(drawn.high), height / 2
    marks = [0.0] if drawn.least < 0 else [drawn.least, (drawn.least + drawn.most) / 2, drawn.most]
    ticks = "".join(f'<line class="tick" x1="{place(x)}" x2="{place(x)}" y1="0" y2="{height}"/>' for x in marks)
    told = f"{100 * drawn.value:.1f}, from {100 * drawn.low:.1f} to {100 * drawn.high:.1f}"
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" aria-label="{told}">{ticks}'
        f'<line class="range" x1="{low}" x2="{high}" y1="{middle}" y2="{middle}"/>'
        f'<line class="value" x1="{value}" x2="{value}" y1="2" y2="{height - 2}"/></svg>'
    )


def _escape(text: str) -> str:
    return html.escape(text, quote=True)


def _markdown(block: Block) -> str:
    match block:
        case Text():
            return _line(block.text)
        case Small():
            return f"### {_mark(block.text)}"
        case Points():
            return "\n".join(
                _point_mark(item, f"{place}." if block.ordered else "-") for place, item in enumerate(block.items, 1)
            )
        case Facts():
            return "\n".join(f"- **{_mark(name)}**: {_mark(value)}" for name, value in block.pairs)
        case Verbatim():
            # A fence longer than any inside ends where it should.
            fence = "`" * max(3, *(len(run) + 1 for run in re.findall("`+", block.text)), 0)
            return f"{fence}text\n{block.text}\n{fence}"
        case Table():
            kept = [
                place
                for place, _ in enumerate(block.head)
                if not any(isinstance(row[place], Drawn) for row in block.rows)
            ]
            lines = [[_mark(block.head[place]) for place in kept]]
            lines.append([":--" if place < block.words else "--:" for place in kept])
            for number, row in enumerate(block.rows):
                cells = [_mark(str(row[place])) for place in kept]
                if number in block.strong:
                    cells[0] = f"**{cells[0]}**"
                lines.append(cells)
            return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _point_mark(item: str | Sequence[str], mark: str) -> str:
    lines = [item] if isinstance(item, str) else list(item)
    # Two spaces at the end break the line inside a point.
    inside = "  \n" + " " * (len(mark) + 1)
    return f"{mark} {inside.join(map(_line, lines))}"


_SPECIAL = re.compile(r"([\\`*_\[\]|~])")
_ENTITY = re.compile(r"&(?=#?\w+;)")
_START = re.compile(r"^(?:([#+-]+)|(\d+)([.)]))(?=\s|$)")


def _mark(text: str) -> str:
    """Plain text inside a line of Markdown: nothing in it marks anything up, and no HTML comes through."""
    line = " ".join(text.split())
    return _SPECIAL.sub(r"\\\1", _ENTITY.sub("&amp;", line)).replace("<", "&lt;").replace(">", "&gt;")


def _line(text: str) -> str:
    """The same at the beginning of a line, where it must not begin a heading or a list."""

    def unmarked(found: re.Match) -> str:
        sign, number, stop = found.groups()
        return f"\\{sign}" if sign else f"{number}\\{stop}"

    return _START.sub(unmarked, _mark(text))
