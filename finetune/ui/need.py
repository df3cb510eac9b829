"""What a run needs of this machine: the gallery with what fits, and the memory as a bar."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from finetune.model import machine
from finetune.model.gallery import GALLERY, BaseModel, context_of
from finetune.model.machine import Device
from finetune.model.memory import GIB, estimate, shape_of
from finetune.runs import queue
from finetune.training.choose import without_data
from finetune.training.recipe import Recipe
from finetune.ui.notice import escape

# The fields under «more» that change the estimate.
FIELDS = ("batch_size", "rank", "quantisation", "max_tokens")


def device_of(root: Path) -> tuple[Device, bool]:
    """The device as the next run of this root will find it, and whether that has to wait for another one.

    What a run at work holds of a GPU is free again when its turn comes; of the memory of a machine nobody can say.
    """
    device = machine.device()
    if device.kind != "cuda" or queue.line_of(root).at_work is None:
        return device, False
    whole = device.total_bytes
    beside = tuple(replace(card, free_bytes=whole) for card in device.beside)
    return replace(device, free_bytes=whole, beside=beside), True


def gallery(device: Device) -> list[tuple[str, str]]:
    """Labels and names of the bases: size, licence, and whether it fits here."""
    return [(_label(entry, device), entry.name) for entry in GALLERY]


def _label(entry: BaseModel, device: Device) -> str:
    fetched = f"{2 * entry.parameters / 1e9:.1f} GB"  # two bytes a weight, as the Hub keeps them
    facts = [entry.name, fetched, entry.licence + (" (asks for a login)" if entry.gated else "")]
    recipe = without_data(Recipe.from_preset("standard"), context=entry.context, shape=entry.shape, device=device)
    need = estimate(entry.shape, recipe, device)
    held = " in 4 bits" if recipe.quantisation == "nf4" else ""
    held += f" over {len(need.split)} GPUs" if need.split else ""
    facts.append(f"fits{held}" if need.fits else "too large for this machine")
    return " · ".join([*facts, entry.note])


def bar(
    base: str, recipe: Recipe, device: Device, cache: Path, longest: int | None = None, *, later: bool = False
) -> str:
    """HTML of the memory that a run would take, part by part, of what is free.

    Args:
        longest: tokens of the longest row, None unknown.
        later: it is free once the run at work is over.
    """
    shape = shape_of(base, cache)
    if shape is None:
        return '<p class="quiet">The memory this base needs is known once it has been fetched.</p>'
    settled = without_data(recipe, context=context_of(base), longest=longest, shape=shape, device=device)
    need = estimate(shape, settled, device, longest)
    scale = max(need.total, need.available) or 1
    parts = "".join(
        f'<i style="width:{100 * size / scale:.2f}%" title="{escape(name)}: {size / GIB:.2f} GiB"></i>'
        for name, size in need.parts.items()
    )
    largest = sorted(need.parts.items(), key=lambda part: -part[1])
    detail = "".join(f"<li>{escape(name)} <b>{size / GIB:.2f} GiB</b></li>" for name, size in largest if size)
    tone = "fits" if need.fits else "over"
    when = " once the run at work is over" if later else ""
    return (
        f'<div class="need {tone}"><p><b>{need.total / GIB:.1f} of {need.available / GIB:.1f} GiB</b> free on '
        f'{escape(device.name)}{when}</p><div class="stack" role="img" aria-label="memory">{parts}</div>'
        f'<p class="quiet">{escape(need.advice)}</p><details><summary>what takes it</summary>'
        f"<ul>{detail}</ul></details></div>"
    )
