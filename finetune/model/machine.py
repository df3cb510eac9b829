"""What this machine computes on: its GPUs, or its CPU, and the memory that is free there. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
import functools
import gc
import importlib.util
import itertools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

# Of a base that lies on several GPUs: their places among the visible ones, and the layers that each of them holds.
Split = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Beside:
    """Another GPU of the same make as the first: its place among the visible ones, and its free memory in bytes."""

    place: int
    free_bytes: int


@dataclass(frozen=True, slots=True)
class Device:
    """Where a run computes: `kind` is "cuda" or "cpu"; memory in bytes, that of the card or of the machine.

    `value_bytes` is what a number takes in the format that it computes in: two, and four on a CPU without bfloat16.
    `beside` are the GPUs that a base may be split over with the first one, where it does not fit there.
    """

    kind: str
    name: str
    total_bytes: int
    free_bytes: int
    cores: int
    value_bytes: int = 2
    beside: tuple[Beside, ...] = ()

    def split(self, trained: Sequence[Sequence[int]]) -> Split:
        """Where a base goes that lay on several GPUs before: there again, else on as many others; none: one has to do.

        Args:
            trained: as `Split`, of the training.
        """
        places = [0, *(card.place for card in sorted(self.beside, key=lambda card: -card.free_bytes))]
        if not {place for place, _ in trained} <= set(places):
            trained = [(place, layers) for place, (_, layers) in zip(places, trained, strict=False)]
        return tuple((place, layers) for place, layers in trained) if 1 < len(trained) <= len(places) else ()


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
        # The names are those of nvidia-smi, which counts in the order of the slots.
        os.environ.setdefault("CUDA_DEVICE_ORDER", "PCI_BUS_ID")
        names = _slots(_nvidia_smi())
    return tuple(names[:1] if names and names[0].startswith("MIG") else names)


@functools.lru_cache(maxsize=1)
def _slots(nvidia_smi: str) -> list[str]:
    """The numbers of all GPUs of this machine."""
    return [line.strip() for line in _asked(nvidia_smi, "index")]


def _asked(nvidia_smi: str, what: str, card: str | None = None) -> list[str]:
    """What nvidia-smi answers, a line for each GPU; nothing where there is no driver."""
    command = [nvidia_smi, f"--query-gpu={what}", "--format=csv,noheader,nounits", *(["-i", card] if card else [])]
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.splitlines()
    except (OSError, subprocess.SubprocessError):
        return []


def _gpu(name: str, lines: Sequence[str], cores: int) -> Device | None:
    """The GPU of that number or identifier; None for one that does not tell its memory."""
    for line in lines:
        try:
            number, identifier, rest = (part.strip() for part in line.split(",", 2))
            make, total, free = (part.strip() for part in rest.rsplit(",", 2))
            if number == name or identifier.startswith(name):
                return Device("cuda", make, int(total) * 1024**2, int(free) * 1024**2, cores)
        except ValueError:
            continue
    return None


def device(card: str | None = None) -> Device:
    """The first visible GPU by `nvidia-smi` with those of its make beside it, else the CPU, with the memory free now.

    Args:
        card: name of one GPU, which is told alone.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    if names := (card,) if card else visible_cards():
        # A slice of a GPU (MIG) is told only where it is asked for.
        alone = names[0] if names[0].startswith("MIG") else None
        lines = _asked(_nvidia_smi(), "index,uuid,name,memory.total,memory.free", alone)
        first, *others = (_gpu("" if alone else name, lines, cores) for name in names)
        if first is not None:
            beside = [Beside(n, one.free_bytes) for n, one in enumerate(others, 1) if one and one.name == first.name]
            return dataclasses.replace(first, beside=tuple(beside))
    memory = psutil.virtual_memory()
    total, free = within_container(memory.total, memory.available)
    return Device("cpu", f"CPU, {cores} cores", total, free, cores, 2 if cpu_has_bfloat16() else 4)


def release() -> None:
    """Give back what nobody holds any more: a model is full of circles, one in training and one in 4 bits above all."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


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
def cpu_has_bfloat16() -> bool:
    """Whether this CPU has instructions for it; a system that tells its flags elsewhere counts as without."""
    try:
        flags = re.search(r"^flags\s*:(.*)$", Path("/proc/cpuinfo").read_text(encoding="utf-8"), re.MULTILINE)
    except OSError:
        return False
    return bool(flags and {"avx512_bf16", "amx_tile"} & set(flags[1].split()))
