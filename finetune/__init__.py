"""Should you fine-tune a model for this, or is a good prompt, or retrieval, enough? Answered on your own data.

The public face, lazy: importing the package loads neither torch nor gradio.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from finetune.dataset.reading.load import load
    from finetune.jobs import compare, inspect, train
    from finetune.ui.page import studio

# Read when torch loads, which no module of this package does before it is needed: the default policy makes small
# operations on shared cores 10-30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

__version__ = "0.1.0"
__all__ = ["compare", "inspect", "load", "studio", "train"]

_HOMES = {
    "load": "finetune.dataset.reading.load",
    "inspect": "finetune.jobs",
    "train": "finetune.jobs",
    "compare": "finetune.jobs",
    "studio": "finetune.ui.page",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
