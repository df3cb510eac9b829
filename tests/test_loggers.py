"""Where else a training is logged: refused where the library is missing, and put into the run's directory where not."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

import pytest

from finetune.errors import FinetuneError
from finetune.model.base import load_model
from finetune.training import loggers
from finetune.training.recipe import Recipe
from finetune.training.sensors import Sensors
from finetune.training.train import train

WRITER = """
import json, os
class SummaryWriter:
    def __init__(self, log_dir=None):
        os.makedirs(log_dir, exist_ok=True)
        self.file = open(os.path.join(log_dir, "scalars.jsonl"), "a")
    def add_text(self, *_): pass
    def add_scalar(self, name, value, step):
        self.file.write(json.dumps([name, value, step]) + "\\n")
    def flush(self): self.file.flush()
    def close(self): self.file.close()
"""


@pytest.fixture(autouse=True)
def environment(monkeypatch):
    for name in ("TENSORBOARD_LOGGING_DIR", "TRACKIO_DIR", "WANDB_DIR", "WANDB_MODE", "WANDB_API_KEY", "WANDB_PROJECT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)


def lacking(monkeypatch, *names: str) -> None:
    whole = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: None if name in names else whole(name, *args))


@pytest.mark.parametrize("library", ["tensorboard", "trackio", "wandb"])
def test_a_library_that_is_not_installed_is_named_before_the_start(monkeypatch, library):
    lacking(monkeypatch, "tensorboard", "tensorboardX", "trackio", "wandb")
    with pytest.raises(FinetuneError, match=f"{library} is not installed") as raised:
        loggers.check(Recipe(log_to=library).log_to)
    assert f"pip install {library}" in raised.value.hint
    loggers.check("none")


def test_a_library_that_nobody_knows_is_refused_by_the_recipe():
    with pytest.raises(FinetuneError, match="log_to"):
        Recipe(log_to="paper")


def test_wandb_asks_nobody_for_a_key(monkeypatch, tmp_path: Path):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *args: object())
    monkeypatch.setattr("netrc.netrc", lambda: (_ for _ in ()).throw(FileNotFoundError))
    assert loggers.prepare("wandb", tmp_path) == ["wandb"]
    assert os.environ["WANDB_MODE"] == "offline" and os.environ["WANDB_DIR"] == str(tmp_path / "logs")
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    loggers.prepare("wandb", tmp_path)
    assert "WANDB_MODE" not in os.environ


def test_losses_and_looks_reach_the_writer_in_the_directory_of_the_run(monkeypatch, tmp_path, tiny_model):
    """The interface of TensorBoard's writer, played by a module of the name that transformers looks for second."""
    from test_train import ROWS, plan_for

    (tmp_path / "tensorboardX.py").write_text(WRITER)
    monkeypatch.syspath_prepend(str(tmp_path))
    recipe = Recipe(batch_size=8, epochs=1, evaluations=1, log_to="tensorboard")
    model = load_model(tiny_model, kind="cpu", dtype="float32", quantisation="none", trains=True)
    run = tmp_path / "run"
    run.mkdir()
    train(
        model,
        recipe,
        plan_for(recipe, len(ROWS)),
        ROWS,
        ROWS[:8],
        directory=run,
        pad=0,
        emit=lambda kind, **fields: None,
    )
    written = (run / "logs" / "scalars.jsonl").read_text()
    for name in ("train/loss", "train/learning_rate", "eval/loss", "eval/score"):
        assert f'"{name}"' in written


def test_without_a_gpu_or_its_library_nothing_is_told(monkeypatch):
    assert Sensors("cpu").read() == {}
    monkeypatch.setitem(__import__("sys").modules, "pynvml", None)
    assert Sensors("cuda").read() == {}


def test_a_card_that_tells_one_thing_and_not_the_other(monkeypatch):
    class Nvml:
        NVML_TEMPERATURE_GPU = 0
        nvmlInit = staticmethod(lambda: None)
        nvmlDeviceGetHandleByIndex = staticmethod(lambda number: number)
        nvmlDeviceGetTemperature = staticmethod(lambda card, kind: 71)

        @staticmethod
        def nvmlDeviceGetPowerUsage(card):
            raise RuntimeError("not supported")

    monkeypatch.setitem(__import__("sys").modules, "pynvml", Nvml)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    assert Sensors("cuda").read() == {"celsius": 71.0}
    monkeypatch.setattr(Nvml, "nvmlDeviceGetPowerUsage", staticmethod(lambda card: 312_400))
    assert Sensors("cuda").read() == {"celsius": 71.0, "watts": 312.4}
