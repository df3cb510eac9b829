"""Where else a training is logged, if that is asked for: TensorBoard, trackio or wandb, through transformers."""

from __future__ import annotations

import importlib.util
import netrc
import os
from pathlib import Path

from finetune.errors import FinetuneError

FOLDER = "logs"  # in the directory of the run
# What to import, and what to install where it is not there.
PACKAGES = {"tensorboard": ("tensorboard", "tensorboardX"), "trackio": ("trackio",), "wandb": ("wandb",)}


def check(log_to: str) -> None:
    """Raises FinetuneError where the library that is asked for is not installed; before a run starts."""
    if log_to == "none" or any(importlib.util.find_spec(name) for name in PACKAGES[log_to]):
        return
    raise FinetuneError(
        f"{log_to} is not installed, and log_to asks for it.", hint=f"`pip install {log_to}`, or set log_to to none."
    )


def prepare(log_to: str, directory: Path) -> list[str]:
    """What transformers is to report to. The folder of the logs is told to the library by this process's environment.

    Args:
        log_to: value of the recipe.
        directory: of the run; logs go to `directory/logs`.
    """
    if log_to == "none":
        return []
    check(log_to)
    folder = directory / FOLDER
    folder.mkdir(exist_ok=True)
    if log_to == "tensorboard":
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder)
    elif log_to == "trackio":
        os.environ["TRACKIO_DIR"] = str(folder)
    else:
        os.environ["WANDB_DIR"] = str(folder)
        os.environ.setdefault("WANDB_PROJECT", "finetune")
        if not _logged_in_to_wandb():
            # It would ask for a key, and there is nobody to answer. What is logged can be sent later: `wandb sync`.
            os.environ.setdefault("WANDB_MODE", "offline")
    return [log_to]


def _logged_in_to_wandb() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        return netrc.netrc().authenticators("api.wandb.ai") is not None
    except (OSError, netrc.NetrcParseError):
        return False
