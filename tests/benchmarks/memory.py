"""The estimated peak memory of a training against the measured one, over sizes, lengths, batches and ways of holding the base.

    python tests/benchmarks/memory.py [--only N …]      about half a minute a setting on 2 cores

Each setting is a process of its own that trains two steps of rows of one length, with random tokens, and looks once at
as many rows; what rows of other lengths leave behind is not in it. The base is the default one; other sizes are models
with random weights and the shape of the gallery's.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from finetune.model import machine, memory  # noqa: E402
from finetune.model.gallery import EMBEDDED, find  # noqa: E402
from finetune.model.prompt import Encoded  # noqa: E402
from finetune.runs.store import default_root, model_cache  # noqa: E402
from finetune.training.recipe import Recipe  # noqa: E402


@dataclasses.dataclass(frozen=True)
class Setting:
    """One training: `shared` tokens begin every row, `scored` tokens are its answer."""

    base: str = EMBEDDED
    rows: int = 16
    tokens: int = 128
    shared: int = 0
    scored: int = 4
    rank: int = 16
    dropout: float = 0.05
    quantisation: str = "nf4"
    checkpointing: bool = False
    dtype: str = "bfloat16"


SETTINGS = (
    Setting(),
    Setting(shared=96),
    Setting(rows=8, tokens=512),
    Setting(rows=8, tokens=512, checkpointing=True),
    Setting(rows=16, tokens=256, scored=200, dropout=0.0),
    Setting(rows=4, tokens=96, quantisation="none", rank=64),
    Setting(rows=1, tokens=1024),
    Setting(rows=32, tokens=64, quantisation="none"),
    Setting("smollm2-360m", rows=8, tokens=128),
    Setting("smollm2-360m", rows=4, tokens=512, checkpointing=True, quantisation="none"),
    Setting(rows=8, tokens=256, quantisation="none", dtype="float32"),
    Setting(rows=16, tokens=128, dtype="float32"),
)


def measured(setting: Setting) -> dict:
    """Peak and estimate in bytes, with the parts of the estimate, of one setting in this process."""
    from finetune.model import base
    from finetune.training.plan import make_plan
    from finetune.training.train import train
    from finetune.training.watch import peak_memory

    dtype = setting.dtype
    device = dataclasses.replace(machine.device(), value_bytes=4 if dtype == "float32" else 2)
    recipe = Recipe(
        base=setting.base, batch_size=setting.rows, rank=setting.rank, alpha=2 * setting.rank, dropout=setting.dropout,
        quantisation=setting.quantisation, max_tokens=4096,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as place:
        if setting.base == EMBEDDED:
            folder = base.resolve(EMBEDDED, model_cache(default_root()))
        else:
            folder = Path(place) / "base"
            _random_model(setting.base, folder)
        before = peak_memory(device.kind)
        model = base.load_model(folder, kind=device.kind, dtype=dtype, quantisation=setting.quantisation, trains=True)
        loaded = peak_memory(device.kind)
        vocabulary = model.config.vocab_size
        draw = random.Random(0)
        start = [draw.randrange(100, vocabulary) for _ in range(setting.shared)]
        rows = [
            Encoded(
                number,
                start
                + [draw.randrange(100, vocabulary) for _ in range(setting.tokens - setting.shared - setting.scored)],
                [draw.randrange(100, vocabulary) for _ in range(setting.scored)],
                0,
            )
            for number in range(2 * setting.rows)
        ]
        shape = memory.shape_of(str(folder))
        need = memory.estimate(shape, recipe, device, setting.tokens, shared=setting.shared, scored=setting.scored)
        need = dataclasses.replace(need, checkpointing=setting.checkpointing, micro_batch=setting.rows)
        parts = memory.parts(
            shape, recipe, device,
            memory.Pass(setting.rows, setting.tokens, setting.shared, setting.scored, alike=True), setting.checkpointing,
        )  # fmt: skip
        plan = make_plan(
            recipe, device=device, dtype=(dtype, ""), shape=shape, model_type="llama",
            estimate=need, train_rows=len(rows), validation_rows=8, longest=setting.tokens,
        )  # fmt: skip
        plan = dataclasses.replace(plan, steps=2, steps_per_look=2)
        train(model, recipe, plan, rows, rows[:8], directory=Path(place), pad=0, emit=lambda *_, **__: None)
        peak = peak_memory(device.kind)
    return {"peak": peak, "estimate": sum(parts.values()), "parts": parts, "before": before, "loaded": loaded}


def _random_model(name: str, folder: Path) -> None:
    """A model with the shape of a gallery entry, in a process of its own: what it takes must not count here."""
    shape = find(name).shape
    code = f"""
import torch
from transformers import LlamaConfig, LlamaForCausalLM
torch.set_default_dtype(torch.bfloat16)
LlamaForCausalLM(LlamaConfig(
    vocab_size={shape.vocabulary}, hidden_size={shape.hidden}, intermediate_size={shape.intermediate},
    num_hidden_layers={shape.layers}, num_attention_heads={shape.heads}, num_key_value_heads={shape.kv_heads},
    head_dim={shape.head_dim}, tie_word_embeddings={shape.tied},
)).save_pretrained({str(folder)!r})
"""
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=int, nargs="+", help="numbers of settings, from 0")
    parser.add_argument("--child", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--parts", action="store_true", help="show the parts of each estimate")
    options = parser.parse_args()
    if options.child is not None:
        print(json.dumps(measured(SETTINGS[options.child])))
        return
    worst = 0.0
    for number in options.only or range(len(SETTINGS)):
        done = subprocess.run([sys.executable, __file__, "--child", str(number)], capture_output=True, text=True)
        if done.returncode:
            sys.exit(done.stderr[-3000:])
        told = json.loads(done.stdout.splitlines()[-1])
        error = told["estimate"] / told["peak"] - 1
        worst = max(worst, abs(error))
        print(
            f"{number} measured {told['peak'] / 1e9:6.2f} GB, estimated {told['estimate'] / 1e9:6.2f} GB, "
            f"{error:+.1%}  {SETTINGS[number]}", flush=True,
        )  # fmt: skip
        if options.parts:
            print(
                "  ",
                {
                    k: round(v / 1e6)
                    for k, v in (told["parts"] | {"before": told["before"], "loaded": told["loaded"]}).items()
                },
            )
    print(f"largest error {worst:.1%}")


if __name__ == "__main__":
    main()
