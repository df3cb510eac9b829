"""What a run needs of the memory, and what was chosen for that reason. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from finetune.model.gallery import EMBEDDED, GALLERY, Shape, find
from finetune.model.machine import Device, Split
from finetune.training.recipe import Recipe

GIB = 1024**3
# Room left for the fragments of the allocator, the workspace of the matrix library and the desktop.
HEADROOM = 0.9
# Libraries loaded before the first weight: torch, transformers and datasets on a CPU, the context on a GPU.
PROCESS_BYTES = {"cpu": 600 * 10**6, "cuda": 600 * 1024**2}


# What the heap of the C library keeps beside the activations while they live, as a share of them, by the bytes of a value:
# what lies free between two blocks in use is not given back. With checkpointing it is, see `training.watch.kept_small`.
HEAP = {2: 0.3, 4: 0.6}
# And what steps of rows of ever other lengths leave behind: what is freed after one step seldom fits the next. With
# checkpointing less of it.
LEFT_BEHIND, LEFT_BEHIND_KEPT_SMALL = 0.95, 0.4
# Logits that exist at one time: each takes some 14 bytes while its gradient is computed.
CHUNK_LOGITS = {"cpu": 2**23, "cuda": 2**26}


@dataclass(frozen=True, slots=True)
class Estimate:
    """Peak memory of a run, in bytes.

    Attributes:
        parts: bytes of each part.
        total: their sum.
        available: what the device can give to a run now, with headroom.
        fits: total is at most available.
        micro_batch: rows in one pass.
        checkpointing: activations are computed again in the backward pass to save memory.
        advice: what to do or why it fits, in one sentence.
        split: where the base lies on several GPUs; the sizes above are then those of the fullest.
    """

    parts: dict[str, int]
    total: int
    available: int
    fits: bool
    micro_batch: int
    checkpointing: bool
    advice: str
    split: Split = ()


def shape_of(base: str, cache: Path | None = None) -> Shape | None:
    """The shape of a gallery model, of a folder, or of a model in the cache; None where it is not known yet."""
    if entry := find(base):
        return entry.shape
    folder = Path(base).expanduser()
    if not (folder / "config.json").is_file() and cache is not None:
        folder = cache / base.replace("/", "--")
    return Shape.from_config(folder / "config.json")


@dataclass(frozen=True, slots=True)
class Pass:
    """What one forward and backward pass holds: `rows` of `tokens` tokens, of which the first `shared` are the same in
    all rows and computed once, and `scored` in each row are the answer's. `alike`: all passes have rows of this length."""

    rows: int
    tokens: int
    shared: int = 0
    scored: int = 64
    alike: bool = False

    @property
    def computed(self) -> int:
        """Tokens that go through the layers."""
        return self.rows * (self.tokens - self.shared) + self.shared if self.rows > 1 else self.tokens


def parts(shape: Shape, recipe: Recipe, where: Device, of: Pass, checkpointing: bool) -> dict[str, int]:
    """Bytes of each part of the peak, in a training with one pass of this size at a time.

    Weights: 4-bit NF4 with double quantisation takes 0.516 bytes a weight (Dettmers et al. 2023, QLoRA: 0.127 bits a
    parameter for the doubly quantised constants, blocks of 64), the rest what a value takes. LoRA weights are held in
    fp32 with a gradient and the two moments of AdamW: 16 bytes. Activations: what the layers of `training/layers.py`
    keep for their backward pass, with a byte a value for each mask of dropout. `tests/benchmarks/memory.py` measures it.
    """
    value, kind = where.value_bytes, where.kind
    per_weight = 0.516 if recipe.quantisation == "nf4" else value
    width, query, key, inner = (
        shape.hidden,
        shape.heads * shape.head_dim,
        shape.kv_heads * shape.head_dim,
        shape.intermediate,
    )
    # Inputs of the two norms and of the layers after them; of the attention q and its result, which is the input of the
    # layer after it; of the gated part its two inputs and the result.
    kept = value * (4 * width + 2 * query + 3 * inner)
    masks = 5 * width + query + inner if recipe.dropout else 0
    low = value * 7 * recipe.rank
    # k and v: behind a shared beginning, where the attention is told what is seen, they are laid out for each row and head.
    keys = 2 * value * (query * of.rows * of.tokens if of.shared and of.rows > 1 else key * of.computed)
    block = (kept + masks + low) * of.computed + keys
    boundary = value * width * shape.layers * of.computed
    # In the backward pass of a layer: the gradients of the gated part and of its inputs; and what each token sees, a byte a
    # pair of tokens, with the same in numbers.
    seen = (1 + value) * of.rows * (of.tokens - of.shared) * of.tokens if of.shared else 0
    passing = value * (3 * inner + 2 * width) * of.computed + seen
    packed = recipe.quantisation == "nf4"
    weights = 2 * value * width * inner if packed else 0
    logits = min(of.rows * of.scored, max(1, CHUNK_LOGITS[kind] // shape.vocabulary)) * shape.vocabulary
    needed = {
        "libraries": PROCESS_BYTES[kind],
        "base weights": int(per_weight * shape.linear_parameters + value * shape.embedding_parameters),
        "adapter and optimiser": 16 * shape.adapter_parameters(recipe.rank),
        "activations": boundary + block if checkpointing else shape.layers * block,
        "one layer at work": passing + weights,
        "output layer": 14 * logits,
    }
    if kind == "cpu":
        heap, left = (0.0, LEFT_BEHIND_KEPT_SMALL) if checkpointing else (HEAP[value], LEFT_BEHIND)
        needed["kept by the heap"] = int((heap + left * (not of.alike)) * needed["activations"])
    if kind == "cpu" and packed:
        # While it is read the base stands in memory as it lies in the file, beside what is packed already.
        reading = needed["libraries"] + needed["base weights"] + 2 * shape.parameters
        needed["reading the base"] = max(0, reading - sum(needed.values()))
    return needed


def estimate(
    shape: Shape, recipe: Recipe, where: Device, tokens: int | None = None, *, shared: int = 0, scored: int = 64
) -> Estimate:
    """Peak memory of training, and the largest micro-batch that fits.

    Args:
        shape: of the base, as `shape_of` tells it.
        recipe: settled.
        tokens: longest row in tokens; None takes the recipe's bound.
        shared: tokens that all rows begin with.
        scored: tokens of the longest answer.
    """
    tokens = min(tokens or recipe.max_tokens, recipe.max_tokens)
    refused: list[tuple[int, int, dict[str, int]]] = []
    for count in range(1, 2 + len(where.beside)):
        # The cards with the most memory free beside the first; one that does not fit on two may fit on three.
        cards = sorted(where.beside, key=lambda card: -card.free_bytes)[: count - 1]
        room = [int(free * HEADROOM) for free in (where.free_bytes, *(card.free_bytes for card in cards))]
        for checkpointing in (False, True):
            rows = recipe.batch_size
            while rows >= 1:
                # With checkpointing a pass computes every row whole.
                of = Pass(rows, tokens, 0 if checkpointing else min(shared, tokens - 1), min(scored, tokens))
                layers, needs = _split(shape, recipe, where, of, checkpointing, room)
                needed, available = max(zip(needs, room, strict=True), key=lambda one: sum(one[0].values()) - one[1])
                if (total := sum(needed.values())) <= available:
                    whole = rows == recipe.batch_size and not checkpointing
                    advice = "fits in one pass a step" if whole else (
                        f"fits with {rows} rows at a time" + (" and activations computed twice" if checkpointing else ""))  # fmt: skip
                    advice += f", split over {count} GPUs" if count > 1 else ""
                    split = tuple(zip((0, *(card.place for card in cards)), layers, strict=True)) if count > 1 else ()
                    return Estimate(needed, total, available, True, rows, checkpointing, advice, split)
                rows //= 2
        refused.append((count, available, needed))
    # What is told of a base that fits nowhere is where it would come nearest to it.
    count, available, needed = min(refused, key=lambda one: sum(one[2].values()) - one[1])
    total = sum(needed.values())
    remedy = "take a smaller base or a smaller max_tokens"
    if recipe.quantisation == "none":
        remedy = "set quantisation to nf4, or " + remedy
    on_each = f" on each of {count} GPUs" if count > 1 else ""
    advice = f"needs {total / GIB:.1f} GiB{on_each} and {available / GIB:.1f} GiB are free: {remedy}"
    return Estimate(needed, total, available, False, 1, True, advice)


def _split(
    shape: Shape, recipe: Recipe, where: Device, of: Pass, checkpointing: bool, room: Sequence[int]
) -> tuple[list[int], list[dict[str, int]]]:
    """How many layers go to each card, so that as much memory is left on each, and what each then needs, by parts.

    The first card holds the embedding and the head too.

    Args:
        room: bytes that each card can give.
    """

    def on_card(number: int, layers: int) -> dict[str, int]:
        needed = parts(dataclasses.replace(shape, layers=layers), recipe, where, of, checkpointing)
        if number:
            needed["base weights"] -= where.value_bytes * shape.embedding_parameters
            needed["output layer"] = 0
        return needed

    layer = sum(on_card(0, 1).values()) - sum(on_card(0, 0).values())
    left = [space - sum(on_card(number, 0).values()) for number, space in enumerate(room)]
    layers = [0] * len(room)
    for _ in range(shape.layers):
        most = left.index(max(left))
        layers[most] += 1
        left[most] -= layer
    return layers, [on_card(number, count) for number, count in enumerate(layers)]


def default_base(where: Device) -> tuple[str, str]:
    """The base that a newcomer should take on this device, and why.

    On a CPU the embedded one, since it is there without the Hub. On a GPU the largest ungated instruct model that
    fits without checkpointing, with a quarter of the memory to spare.
    """
    if where.kind == "cpu":
        return EMBEDDED, "no GPU here: the embedded model trains in minutes on a CPU"
    recipe = Recipe(batch_size=4, max_tokens=512)
    # The whole card: what another run holds now is free again when this one's turn comes.
    whole = dataclasses.replace(where, free_bytes=where.total_bytes, beside=())
    for entry in reversed(GALLERY):
        if not entry.gated:
            need = estimate(entry.shape, recipe, whole)
            if need.fits and not need.checkpointing and need.total < 0.75 * whole.total_bytes:
                room = f"{need.total / GIB:.1f} of {whole.total_bytes / GIB:.1f} GiB"
                return entry.name, f"the largest open model with room to spare: {room}"
    return EMBEDDED, "nothing larger fits in the memory of this GPU"


def default_preset(where: Device) -> str:
    """A pilot where there is no GPU, the standard recipe where there is one."""
    return "standard" if where.kind == "cuda" else "pilot"
