"""What TRL's SFTTrainer reaches at its defaults in the time that a finished run took, on the same rows.

    pip install trl
    python tests/benchmarks/same_time.py RUN COPY

RUN is the directory of a finished run; COPY is made: the run with the adapter of SFTTrainer in place of ours, compared on the
same test rows. It has the run's base, precision, tokens, adapter, learning rate and warm-up (with its own rate of 2e-5 a
LoRA hardly moves), and all else at its defaults: 8 rows a step in random order, a linear decay, checkpointing. A few steps
are measured first, and its number of steps is what fits into the seconds of the run's training, looks and all.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

# As the worker has it, before torch is imported: the default makes small operations on shared cores 10-30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from finetune.evidence.measures import metrics  # noqa: E402
from finetune.runs.store import Run, model_cache  # noqa: E402

MEASURED, WARM = 16, 2  # steps that tell how long one takes, and those before the clock starts
MADE = ("checkpoints", "adapter", "comparison.json", "outputs.jsonl", "scores.jsonl", "worker.lock")


def trainer(run: Run, steps: int, place: str) -> Any:
    """SFTTrainer over the training rows of the run, as the worker encodes them."""
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import set_seed
    from trl import SFTConfig, SFTTrainer

    from finetune.model import base, machine
    from finetune.training.batches import features
    from finetune.training.choose import settled
    from finetune.training.session import prompt_of

    recipe, prompt, device = settled(run), prompt_of(run), machine.device()
    prompt.max_tokens = recipe.max_tokens
    dtype = base.precision(device.kind)[0]
    set_seed(recipe.seed)
    return SFTTrainer(
        model=base.load_model(
            base.resolve(recipe.base, model_cache(run.root)), kind=device.kind, dtype=dtype,
            quantisation=recipe.quantisation, trains=True,
        ),
        args=SFTConfig(
            output_dir=place, max_steps=steps, learning_rate=recipe.learning_rate, lr_scheduler_type="linear",
            warmup_steps=recipe.warmup, weight_decay=recipe.weight_decay, seed=recipe.seed, report_to="none",
            save_strategy="no", logging_steps=10, disable_tqdm=True, use_cpu=device.kind == "cpu",
            bf16=dtype == "bfloat16", fp16=dtype == "float16",
        ),
        train_dataset=Dataset.from_list([features(prompt.encode(example)) for example in run.examples("train")]),
        processing_class=prompt.tokenizer,
        peft_config=LoraConfig(
            r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear",
            bias="none", task_type="CAUSAL_LM",
        ),
    )  # fmt: skip


def seconds_a_step(run: Run, place: str) -> float:
    from transformers import TrainerCallback

    ends: list[float] = []

    class Ticking(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

    measured = trainer(run, MEASURED, place)
    measured.add_callback(Ticking())
    measured.train()
    return (ends[-1] - ends[WARM - 1]) / (MEASURED - WARM)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("copy", type=Path)
    options = parser.parse_args()
    run = Run(options.run.absolute())
    took = run.comparison()["training"]["seconds"]
    rows = len(run.examples("train"))
    shutil.copytree(run.directory, options.copy, ignore=shutil.ignore_patterns(*MADE))
    with tempfile.TemporaryDirectory() as place:
        each = seconds_a_step(run, place)
        steps = int(took / each)
        began = time.perf_counter()
        its = trainer(run, steps, place)
        its.train()
        spent = time.perf_counter() - began
    passes = steps * its.args.per_device_train_batch_size / rows
    print(f"ours took {took:.0f} s; SFTTrainer {spent:.0f} s for {steps} steps, {passes:.2f} passes", flush=True)
    its.model.save_pretrained(options.copy / "adapter")
    subprocess.run([sys.executable, "-m", "finetune", "compare", str(options.copy)], cwd=ROOT, check=True)
    for name, directory in (("ours", run.directory), ("SFTTrainer", options.copy)):
        found = Run(directory).comparison()["systems"]["fine_tuned"]
        low, high = found["interval"]
        print(f"{name}: {found['score']:.1%} ({low:.1%} to {high:.1%}), validation {found['validation_score']:.1%}")
    ours, theirs = scores(run), scores(Run(options.copy))
    print(metrics.paired(list(ours.values()), [theirs[row] for row in ours], name="SFTTrainer", seed=0))


def scores(run: Run) -> dict[int, float]:
    """What the fine-tuned model scored, by test row."""
    lines = (run.directory / "scores.jsonl").read_text(encoding="utf-8").splitlines()
    records = [json.loads(line) for line in lines]
    return {record["id"]: record["scores"]["fine_tuned"] for record in records if record["part"] == "test"}


if __name__ == "__main__":
    main()
