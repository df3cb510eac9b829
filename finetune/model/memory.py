"""What this machine has, what a run needs of it, and what was chosen for that reason. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import functools
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import psutil

from finetune.model.gallery import EMBEDDED, GALLERY, Shape, find
from finetune.training.recipe import Recipe

GIB = 1024**3
# Room left for the fragments of the allocator, the workspace of the matrix library and the desktop.
HEADROOM = 0.9
# Libraries loaded before the first weight: torch, transformers and datasets on a CPU, the context on a GPU.
PROCESS_BYTES = {"cpu": 600 * 10**6, "cuda": 600 * 1024**2}
PAIR_BYTES = {"cpu": 9, "cuda": 0}
# bitsandbytes, and what the CPU's allocator does not give back of the packing.
PACKING_BYTES = {"cpu": 165 * 10**6, "cuda": 0}


# What steps of rows of ever other lengths leave behind, by the activations: the matrix library keeps a kernel for each length
# that it has met, and what is freed after one step seldom fits the next. In five runs of 26 to 315 steps the peak was 0.65 to
# 1.27 of the activations above the need of the largest pass.
LEFT_BEHIND = {"cpu": 0.9, "cuda": 0.0}
# Logits that exist at one time: each takes some 14 bytes while its gradient is computed.
CHUNK_LOGITS = {"cpu": 2**23, "cuda": 2**26}


@dataclass(frozen=True, slots=True)
class Device:
    """Where a run computes: `kind` is "cuda" or "cpu"; memory in bytes, that of the card or of the machine.

    `value_bytes` is what a number takes in the format that it computes in: two, and four on a CPU without bfloat16.
    """

    kind: str
    name: str
    total_bytes: int
    free_bytes: int
    cores: int
    value_bytes: int = 2


@functools.lru_cache(maxsize=1)
def _nvidia_smi() -> str | None:
    return shutil.which("nvidia-smi")


@functools.lru_cache(maxsize=1)
def _torch_has_cuda() -> bool:
    """Whether the installed torch is a CUDA build, told by its version file, so that torch need not be loaded."""
    spec = importlib.util.find_spec("torch")
    if spec is None or not spec.submodule_search_locations:
        return False
    try:
        text = (Path(spec.submodule_search_locations[0]) / "version.py").read_text(encoding="utf-8")
    except OSError:
        return True
    return not re.search(r"^cuda\b[^=]*=\s*None", text, re.MULTILINE)


def visible_cards() -> tuple[str, ...]:
    """The GPUs that this process may use, by the names that CUDA_VISIBLE_DEVICES has for them; none on a CPU.

    Of slices of a GPU (MIG) the first alone: CUDA gives a process no more than one.
    """
    visible = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not _nvidia_smi() or not _torch_has_cuda():
        return ()
    if visible is not None:
        names = [name.strip() for name in visible.split(",")]
        # CUDA leaves out what stands behind a name that is none.
        names = list(itertools.takewhile(lambda name: name and not name.startswith("-"), names))
    else:
        try:
            answer = subprocess.run(
                [_nvidia_smi(), "--query-gpu=index", "--format=csv,noheader"],
                capture_output=True, text=True, timeout=10, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError):
            return ()
        names = answer.stdout.split()
    return tuple(names[:1] if names and names[0].startswith("MIG") else names)


def device(card: str | None = None) -> Device:
    """The first visible GPU by `nvidia-smi`, else the CPU, with the memory free at this moment.

    Args:
        card: name of another GPU than the first visible one.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    visible = card or os.environ.get("CUDA_VISIBLE_DEVICES")
    if _nvidia_smi() and visible not in ("", "-1") and _torch_has_cuda():
        try:
            answer = subprocess.run(
                [
                    _nvidia_smi(), "--query-gpu=name,memory.total,memory.free", "--format=csv,noheader,nounits",
                    *(["-i", visible.split(",")[0]] if visible else []),
                ],
                capture_output=True, text=True, timeout=10, check=True,
            )  # fmt: skip
            name, total, free = (part.strip() for part in answer.stdout.splitlines()[0].rsplit(",", 2))
            return Device("cuda", name, int(total) * 1024**2, int(free) * 1024**2, cores)
        except (OSError, subprocess.SubprocessError, ValueError, IndexError):
            pass  # No driver, or a card that does not tell its memory: the CPU is what is sure to work.
    memory = psutil.virtual_memory()
    total, free = within_container(memory.total, memory.available)
    return Device("cpu", f"CPU, {cores} cores", total, free, cores, 2 if _computes_in_bfloat16() else 4)


def within_container(total: int, free: int, groups: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Bytes in all and free as a container may use them: the system tells those of the machine, and kills beyond the limit.

    Args:
        groups: where Linux tells the limits of control groups, of the second version or the first.
    """
    for limit, used, stat, cached in (
        ("memory.max", "memory.current", "memory.stat", "inactive_file"),
        (
            "memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat", "total_inactive_file",
        ),
    ):  # fmt: skip
        try:
            most, taken = (int((groups / name).read_text(encoding="ascii")) for name in (limit, used))
            told = dict(line.split() for line in (groups / stat).read_text(encoding="ascii").splitlines())
        except (OSError, ValueError):
            continue  # no such group, or “max”: no limit
        # Files that were read and are not in use are given back before anybody is killed.
        taken -= int(told.get(cached, 0))
        return min(total, most), max(0, min(free, most - taken))
    return total, free


@functools.lru_cache(maxsize=1)
def _computes_in_bfloat16() -> bool:
    """Whether this CPU has instructions for it, as torch asks; a system that tells its flags elsewhere counts as without."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return False
    return bool(flags and {"avx512_bf16", "amx_tile"} & set(flags[1].split()))


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
    """

    parts: dict[str, int]
    total: int
    available: int
    fits: bool
    micro_batch: int
    checkpointing: bool
    advice: str


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
    # Inputs of the two norms and of the layers after them; of the attention q, k, v, its result and the same as the input
    # of the layer after it; of the gated part its two inputs and the result.
    kept = value * (4 * width + 3 * query + 2 * query + 3 * inner)
    masks = 5 * width + query + inner if recipe.dropout else 0
    low = value * 7 * recipe.rank
    block = (kept + masks + low) * of.computed + 2 * value * key * of.rows * of.shared
    boundary = value * width * shape.layers * of.computed
    # In the backward pass of a layer: the gradients of the gated part and of its inputs; on a CPU also the scores of the
    # attention with their gradients (nine bytes a pair of tokens, measured), which kernels for CUDA never write down.
    pairs = of.rows * (of.tokens - of.shared) * of.tokens + of.shared**2
    passing = value * (3 * inner + 2 * width) * of.computed + PAIR_BYTES[kind] * shape.heads * pairs
    packed = recipe.quantisation == "nf4"
    weights = 2 * value * width * inner if packed else 0
    logits = min(of.rows * of.scored, max(1, CHUNK_LOGITS[kind] // shape.vocabulary)) * shape.vocabulary
    needed = {
        "libraries": PROCESS_BYTES[kind] + packed * PACKING_BYTES[kind],
        "base weights": int(per_weight * shape.linear_parameters + value * shape.embedding_parameters),
        "adapter and optimiser": 16 * shape.adapter_parameters(recipe.rank),
        "activations": boundary + block if checkpointing else shape.layers * block,
        "one layer at work": passing + weights,
        "output layer": 14 * logits,
    }
    if not of.alike:
        needed["left behind by other lengths"] = int(LEFT_BEHIND[kind] * needed["activations"])
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
    available = int(where.free_bytes * HEADROOM)
    smallest: dict[str, int] = {}
    for checkpointing in (False, True):
        rows = recipe.batch_size
        while rows >= 1:
            # With checkpointing a pass computes every row whole.
            of = Pass(rows, tokens, 0 if checkpointing else min(shared, tokens - 1), min(scored, tokens))
            needed = parts(shape, recipe, where, of, checkpointing)
            total = sum(needed.values())
            if total <= available:
                advice = "fits in one pass a step" if rows == recipe.batch_size and not checkpointing else (
                    f"fits with {rows} rows at a time" + (" and activations computed twice" if checkpointing else ""))  # fmt: skip
                return Estimate(needed, total, available, True, rows, checkpointing, advice)
            smallest = needed
            rows //= 2
    total = sum(smallest.values())
    remedy = "take a smaller base or a smaller max_tokens"
    if recipe.quantisation == "none":
        remedy = "set quantisation to nf4, or " + remedy
    advice = f"needs {total / GIB:.1f} GiB and {available / GIB:.1f} GiB are free: {remedy}"
    return Estimate(smallest, total, available, False, 1, True, advice)


def default_base(where: Device) -> tuple[str, str]:
    """The base that a newcomer should take on this device, and why.

    On a CPU the embedded one, since it is there without the Hub. On a GPU the largest ungated instruct model that
    fits without checkpointing, with a quarter of the memory to spare.
    """
    if where.kind == "cpu":
        return EMBEDDED, "no GPU here: the embedded model trains in minutes on a CPU"
    recipe = Recipe(batch_size=4, max_tokens=512)
    # The whole card: what another run holds now is free again when this one's turn comes.
    whole = dataclasses.replace(where, free_bytes=where.total_bytes)
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
