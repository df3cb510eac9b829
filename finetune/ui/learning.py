"""What parts of the rows reached, and what twice the rows would probably bring, as a small table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from finetune.ui.notice import escape


def table(points: Sequence[Mapping], forecast: Mapping | None) -> str:
    """HTML of the learning curve; empty where none was measured.

    Args:
        points: `Point` as JSON, ascending.
        forecast: `Forecast` as JSON with its sentence as `text`.
    """
    if not points:
        return ""
    lines = [_line(f"{point['rows']:,}", f"{point['score']:.1%}", f"{point['loss']:.3f}") for point in points]
    right = "answers' tokens right" if points[-1].get("metric") == "token_accuracy" else "right"
    said = '<p class="quiet">The other parts, and all rows, are still to come.</p>'
    if forecast:
        low, high = (100 * (forecast["score"] - forecast["gain"] + end) for end in forecast["interval"])
        score = f"{forecast['score']:.1%} ({low:.0f} to {high:.0f})"
        lines.append(_line(f"{forecast['rows']:,} (expected)", score, "", "expected"))
        said = f"<p>{escape(forecast['text'])}</p>"
    return (
        f'<h3>With more rows</h3>{said}<div class="scroll"><table class="learning"><thead><tr><th>training rows</th>'
        f"<th>{right} on validation</th><th>validation loss</th></tr></thead><tbody>{''.join(lines)}</tbody></table></div>"
    )


def _line(rows: str, score: str, loss: str, kind: str = "") -> str:
    return f'<tr class="{kind}"><th scope="row">{rows}</th><td>{score}</td><td>{loss}</td></tr>'
