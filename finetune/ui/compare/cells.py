"""What one system answered to one row, as HTML: right or wrong, where it differs, how sure it was, what it breaks."""

from __future__ import annotations

from finetune.evidence.systems import SHORT
from finetune.ui.compare import rows
from finetune.ui.compare.difference import difference, marked, plain
from finetune.ui.findings import shorten
from finetune.ui.notice import escape

LONG = 600  # characters of a cell; the rest is under a fold
INPUT = 280  # of the input: the row in full has all of it
RIGHT, WRONG = 0.999, 0.001
FREE = 120  # characters of what is written freely, in a cell; the row in full has all of it


def row(line: dict, systems: list[str], against: str, *, labelled: bool, opened: bool) -> str:
    """One row of the table.

    Args:
        systems: whose answers are shown, as columns.
        against: the system that the outcome is told against.
        labelled: the answers are labels, in which no words are compared.
        opened: the row stands in full below.
    """
    outcome = rows.outcome(line, against)
    number = line["row"]
    said = f"row {number}, {outcome or 'not scored'}, {'close' if opened else 'open in full'}"
    # The coloured edge alone would tell nothing to those who do not see colours.
    sign = f"<small>{outcome}</small>" if outcome in ("better", "worse") else ""
    cells = "".join(_cell(line, system, labelled) for system in systems)
    return (
        f'<tr class="row {escape(outcome)}"><td class="n"><button type="button" class="open" data-row="{number}" '
        f'aria-expanded="{str(opened).lower()}" aria-label="{escape(said)}">{number}</button>{sign}</td>'
        f'<td data-label="input">{plain(line["input"], INPUT)}</td>'
        f'<td data-label="expected">{plain(line["expected"], LONG)}</td>{cells}</tr>'
    )


def _cell(line: dict, system: str, labelled: bool) -> str:
    label = f'data-label="{escape(SHORT.get(system, system))}"'
    if line["outputs"].get(system) is None:
        return f"<td {label}>–</td>"
    tone, sign = mark(line, system)
    notes = facts(line, system, labelled)
    small = "".join(f"<small>{note}</small>" for note in notes)
    return f'<td class="{tone}" {label}>{sign} {answer(line, system, labelled, LONG)}{small}</td>'


def mark(line: dict, system: str) -> tuple[str, str]:
    """(right, wrong, partly or nothing; the sign for it as HTML)."""
    score = line["scores"].get(system)
    if score is None:
        return "", ""
    tone, sign = ("right", "✓") if score >= RIGHT else ("wrong", "✗") if score <= WRONG else ("partly", f"{score:.2f}")
    spoken = f"score {sign}" if tone == "partly" else tone
    return tone, f'<i role="img" aria-label="{spoken}" title="{spoken}">{sign}</i>'


def answer(line: dict, system: str, labelled: bool, most: int | None = None) -> str:
    """The answer, with what it adds to the expected one and what it lacks marked.

    Args:
        most: characters that are shown at once; None shows all.
    """
    text = str(line["outputs"][system])
    if labelled or not text.strip() or (line["scores"].get(system) or 0) >= RIGHT:
        return plain(text, most)
    pieces = difference(str(line["expected"]), text)
    return plain(text, most) if isinstance(pieces, str) else marked(pieces, most)


def facts(line: dict, system: str, labelled: bool, *, whole: bool = False) -> list[str]:
    """What else is known of an answer, each as HTML.

    Args:
        whole: for the row in full, which has the probabilities and the examples elsewhere and cuts nothing.
    """
    text = str(line["outputs"][system])
    told: list[str] = []
    share = line.get("probabilities", {}).get(system, {}).get(text)
    if share is not None and not whole:
        told.append(f"{share:.0%} likely")
    written = line.get("generated", {}).get(system)
    if labelled and written is not None and written.strip() != text.strip():
        shown = written.strip() if whole else shorten(written, FREE)
        told.append(f"writes “{escape(shown)}”" if shown else "writes nothing")
    if not labelled and text.strip() and (line["scores"].get(system) or 0) < RIGHT:
        pieces = difference(str(line["expected"]), text)
        if isinstance(pieces, str):
            told.append(pieces)
    if wrong := [path for path, score in _fields(line, system).items() if score < 1]:
        told.append("wrong or missing: " + ", ".join(f"<code>{escape(path)}</code>" for path in wrong))
    told += [f'<b class="broken">! breaks a rule</b>: {escape(rule)}' for rule in rows.broken(line, system)]
    if system in (line.get("cut") or ()):
        told.append("cut at the longest answer allowed")
    if system == "retrieval" and not whole and (shown := line.get("shown", {}).get(system)):
        told.append(f"was shown {'row' if len(shown) == 1 else 'rows'} {', '.join(f'{number:,}' for number in shown)}")
    return told


def _fields(line: dict, system: str) -> dict[str, float]:
    """Path → 1.0 or 0.0 for answers in JSON."""
    if (found := (line.get("fields") or {}).get(system)) is not None:
        return found
    if not str(line["expected"]).lstrip().startswith("{"):
        return {}
    from finetune.evidence.measures.texts import fields

    found = fields(str(line["outputs"][system]), str(line["expected"]))
    return found["fields"] if found else {}
