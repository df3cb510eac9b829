"""How fast a step is, how much memory it takes and what is learned, against TRL's SFTTrainer on the same rows.

    pip install trl
    python tests/benchmarks/training.py FILE [--rows 600] [--rounds 5] [--steps 6]     tokens/s and peak memory
    python tests/benchmarks/training.py FILE --loss                                     one pass, then the validation loss
    python tests/benchmarks/training.py FILE --profile                                  where the time of our step goes

Each measurement is a process of its own; the systems take turns, so that a machine that slows down slows all of them. All
have the same base in NF4, the same LoRA, rows, tokens a step, learning rate and schedule, and the loss on the answers
alone; with --loss also the first weights and (packed rows apart) the order, and no dropout. `trl` is SFTTrainer at its
defaults; `trl-grouped` without checkpointing and with rows of like length in a batch; `trl-packed` without checkpointing
and with rows packed into one. Tokens are those of the rows, padding not counted.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

# Before torch is imported, for all systems alike: the default makes small operations on shared cores 10-30 times slower.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")
ROOT = Path(__file__).resolve().parents[2]
if str(ROOT) not in sys.path:
    sys.path.insert(0, str(ROOT))

from finetune import jobs  # noqa: E402
from finetune.model.prompt import Encoded, Prompt  # noqa: E402
from finetune.runs.store import default_root, model_cache  # noqa: E402
from finetune.training.recipe import Recipe  # noqa: E402

SYSTEMS = ("ours", "trl", "trl-grouped", "trl-packed")
STEP_ROWS = 16


@dataclasses.dataclass
class Clock:
    """When each step ended, and its loss."""

    ends: list[float] = dataclasses.field(default_factory=list)
    losses: list[float] = dataclasses.field(default_factory=list)

    def callback(self) -> Any:
        """What tells it, a callback of transformers."""
        from transformers import TrainerCallback

        class Ticking(TrainerCallback):
            def on_step_end(_, *args: Any, **__: Any) -> None:
                self.ends.append(time.perf_counter())

            def on_log(_, args: Any, state: Any, control: Any, logs: Any = None, **__: Any) -> None:
                if logs and "loss" in logs:
                    self.losses.append(logs["loss"])

        return Ticking()


def prepared(options: argparse.Namespace) -> tuple[Prompt, list[Encoded], list[Encoded], Path]:
    """The prompt, training and validation rows as tokens, and the folder of the base."""
    from finetune.model import base

    recipe = Recipe(base=options.base, quantisation="nf4")
    report = jobs.inspect(options.file, recipe=recipe)
    cache = model_cache(default_root())
    prompt = Prompt(base.tokenizer(recipe.base, cache=cache), report.task, report.labels, "", recipe.max_tokens)
    rows = [prompt.encode(example) for example in report.split.train[: options.rows]]
    held_out = [prompt.encode(example) for example in report.split.validation[:200]]
    return prompt, rows, held_out, base.resolve(recipe.base, cache)


def measured(options: argparse.Namespace) -> dict:
    """One system, in this process: `tokens_per_second`, `peak_bytes`, `losses`, and the validation loss with --loss."""
    import torch

    from finetune.model import base, machine
    from finetune.training.watch import peak_memory

    prompt, rows, held_out, folder = prepared(options)
    device = machine.device()
    dtype = base.precision(device.kind)[0]
    clock = Clock()
    steps = -(-len(rows) // STEP_ROWS) if options.loss else options.steps + 1
    with tempfile.TemporaryDirectory() as place:
        run = _ours if options.child == "ours" else _trl
        model, tokens, first = run(options, prompt, rows, folder, device, dtype, steps, clock, Path(place))
    told = {
        "system": options.child, "peak_bytes": peak_memory(device.kind), "steps": len(clock.ends),
        "tokens_per_second": (tokens - first) / (clock.ends[-1] - clock.ends[0]), "losses": clock.losses,
    }  # fmt: skip
    if options.loss:
        told["validation_loss"] = _loss(model.eval(), held_out, torch)
    return told


# Parts of a step, by what the names of the profiler's operations begin with; the first that fits counts.
PARTS = {
    "products of matrices": ("aten::mm", "aten::addmm", "aten::bmm", "aten::addbmm", "aten::baddbmm"),
    "attention": ("aten::_scaled_dot_product", "aten::_flash_attention"),
    "unpacking 4 bits": ("bitsandbytes::",),
    "copies": ("aten::copy_", "aten::clone", "aten::cat", "aten::index", "aten::gather"),
    "optimiser": ("aten::_foreach", "aten::_fused", "aten::lerp", "aten::addcdiv", "aten::sqrt", "Optimizer"),
    "draws of dropout": ("aten::random_", "aten::bernoulli", "aten::ge"),
    "sums and norms": ("aten::sum", "aten::mean", "aten::linalg_vector_norm", "aten::_log_softmax", "aten::argmax"),
    "element by element": (
        "aten::add",
        "aten::mul",
        "aten::sub",
        "aten::div",
        "aten::neg",
        "aten::silu",
        "aten::rsqrt",
        "aten::square",
    ),
}


def profiled(options: argparse.Namespace) -> None:
    """Prints where the processor's time goes, rehearsal included, and the speed that the products alone allow."""
    import torch
    from torch.profiler import ProfilerActivity, profile

    from finetune.model import base, machine, memory

    prompt, rows, _, folder = prepared(options)
    device = machine.device()
    dtype = base.precision(device.kind)[0]
    clock = Clock()
    with tempfile.TemporaryDirectory() as place, profile(activities=[ProfilerActivity.CPU]) as seen:
        _, tokens, first = _ours(options, prompt, rows, folder, device, dtype, options.steps + 1, clock, Path(place))
    spent = dict.fromkeys([*PARTS, "the rest"], 0.0)
    others: dict[str, float] = {}
    products = 0
    for event in seen.key_averages():
        part = next((part for part, names in PARTS.items() if event.key.startswith(names)), "the rest")
        spent[part] += event.self_cpu_time_total
        if part == "the rest":
            others[event.key] = event.self_cpu_time_total
        products += event.count if part == "products of matrices" else 0
    for part, time_ in sorted(spent.items(), key=lambda one: -one[1]):
        print(f"{part:24} {time_ / sum(spent.values()):6.1%}")
    largest = sorted(others.items(), key=lambda one: -one[1])[:6]
    print("largest of the rest:", ", ".join(f"{name} {time_ / sum(spent.values()):.1%}" for name, time_ in largest))
    # The first pass computes values, the backward one the gradients of inputs: two products with each frozen weight.
    shape = memory.shape_of(str(folder))
    rate = _product_rate(torch, shape.hidden, shape.intermediate, dtype, device.kind)
    seconds = (clock.ends[-1] - clock.ends[0]) / options.steps
    each = (tokens - first) / options.steps
    print(f"{each / seconds:.0f} tokens/s under the profiler, {products} products in all")
    print(
        f"{rate / 1e9:.0f} GFLOP/s in a product of its sizes: {rate / (4 * shape.linear_parameters):.0f} tokens/s, "
        "were there nothing but the products with the base and every token computed"
    )


def _product_rate(torch: Any, width: int, inner: int, dtype: str, kind: str) -> float:
    """FLOP/s of the product that a step has most of: rows of a micro-batch by the weight of a gated layer."""
    left = torch.randn(1024, width, device=kind, dtype=getattr(torch, dtype))
    right = torch.randn(inner, width, device=kind, dtype=getattr(torch, dtype))
    best = float("inf")
    for _ in range(30):
        began = time.perf_counter()
        torch.nn.functional.linear(left, right)
        if kind == "cuda":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - began)
    return 2 * 1024 * width * inner / best


def _ours(options, prompt, rows, folder, device, dtype, steps, clock, place) -> tuple[Any, int, int]:
    from finetune.model.base import load_model
    from finetune.model.memory import estimate, shape_of
    from finetune.training import train as training
    from finetune.training.plan import make_plan

    recipe = _recipe(options)
    model = load_model(folder, kind=device.kind, dtype=dtype, quantisation="nf4", trains=True)
    longest, shape = max(len(row) for row in rows), shape_of(str(folder))
    plan = make_plan(
        recipe, device=device, dtype=(dtype, ""), shape=shape, model_type=model.config.model_type,
        estimate=estimate(shape, recipe, device, longest), train_rows=len(rows), validation_rows=1, longest=longest,
    )  # fmt: skip
    plan = dataclasses.replace(plan, steps=steps, steps_per_look=10**6)
    kept: dict[str, Any] = {"tokens": []}

    class Trainer(training.AnswerTrainer):
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.add_callback(clock.callback())
            kept["trainer"] = self

        def training_step(self, *args: Any, **kwargs: Any) -> Any:
            done = super().training_step(*args, **kwargs)
            kept["tokens"].append(self.row_tokens)
            return done

    original, training.AnswerTrainer = training.AnswerTrainer, Trainer
    try:
        training.train(
            model, recipe, plan, rows, rows[:1], directory=place, pad=prompt.tokenizer.pad_token_id,
            emit=lambda *_, **__: None,
        )  # fmt: skip
    finally:
        training.AnswerTrainer = original
    return kept["trainer"].model, kept["tokens"][-1], kept["tokens"][plan.accumulation - 1]


def _trl(options, prompt, rows, folder, device, dtype, steps, clock, place) -> tuple[Any, int, int]:
    from datasets import Dataset
    from peft import LoraConfig
    from transformers import set_seed
    from trl import SFTConfig, SFTTrainer

    from finetune.model.base import load_model
    from finetune.training.batches import LengthGrouped, features

    recipe = _recipe(options)
    packs, plain = options.child == "trl-packed", options.child == "trl"
    changes: dict[str, Any] = {} if plain else {"gradient_checkpointing": False}
    if options.child == "trl-grouped":
        changes["train_sampling_strategy"] = "group_by_length"
    if packs:
        mean = sum(map(len, rows)) / len(rows)
        changes |= {"packing": True, "max_length": int(STEP_ROWS * mean)}
    counted: list[int] = []
    # With --loss the mathematics are compared: the same first weights, and the same rows in every step.
    order = LengthGrouped([len(row) for row in rows], STEP_ROWS, recipe.seed) if options.loss and not packs else None
    set_seed(recipe.seed)

    class Trainer(SFTTrainer):
        def _get_train_sampler(self, *args: Any) -> Any:
            return order or super()._get_train_sampler(*args)

        def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
            mask = inputs.get("attention_mask")
            counted.append(int(mask.sum()) if mask is not None else inputs["input_ids"].numel())
            return super().training_step(model, inputs, *args, **kwargs)

    trainer = Trainer(
        model=load_model(folder, kind=device.kind, dtype=dtype, quantisation="nf4", trains=True),
        args=SFTConfig(
            output_dir=str(place), per_device_train_batch_size=1 if packs else STEP_ROWS, max_steps=steps,
            learning_rate=options.learning_rate, lr_scheduler_type="linear", warmup_steps=recipe.warmup,
            weight_decay=recipe.weight_decay, seed=recipe.seed, report_to="none", save_strategy="no", logging_steps=1,
            disable_tqdm=True, use_cpu=device.kind == "cpu", bf16=dtype == "bfloat16", fp16=dtype == "float16",
            **changes,
        ),
        train_dataset=Dataset.from_list(
            [features(row) for row in rows]
        ),
        processing_class=prompt.tokenizer,
        peft_config=LoraConfig(
            r=recipe.rank, lora_alpha=recipe.alpha, lora_dropout=recipe.dropout, target_modules="all-linear",
            bias="none", task_type="CAUSAL_LM",
        ),
        callbacks=[clock.callback()],
    )  # fmt: skip
    trainer.train()
    return trainer.model, sum(counted), counted[0]


def _recipe(options: argparse.Namespace) -> Recipe:
    return Recipe(
        base=options.base, batch_size=STEP_ROWS, epochs=1.0, rank=16, alpha=32, weight_decay=0.01,
        warmup=0.06, learning_rate=options.learning_rate, quantisation="nf4",
        dropout=0.0 if options.loss else 0.05,
    )  # fmt: skip


def _loss(model: Any, rows: Sequence[Encoded], torch: Any) -> float:
    """Mean loss of the answers' tokens, row by row through the model's own forward pass."""
    lost = count = 0.0
    with torch.no_grad():
        for row in rows:
            logits = model(input_ids=torch.tensor([row.prompt + row.answer], device=model.device)).logits[0].float()
            answer = torch.tensor(row.answer, device=model.device)
            lost += float(torch.nn.functional.cross_entropy(logits[len(row.prompt) - 1 : -1], answer, reduction="sum"))
            count += len(row.answer)
    return lost / count


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--base", default="smollm2-135m")
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=6, help="steps measured, after one that warms up")
    parser.add_argument("--learning-rate", type=float, default=5e-4)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument(
        "--loss", action="store_true", help="a whole pass over the rows, and the validation loss after it"
    )
    parser.add_argument("--profile", action="store_true", help="where the time of our step goes; measures nothing else")
    parser.add_argument("--child", choices=SYSTEMS, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(measured(options)))
        return
    if options.profile:
        profiled(options)
        return
    found: dict[str, list[dict]] = {system: [] for system in options.systems}
    for turn in range(1 if options.loss else options.rounds):
        for system in options.systems:
            done = subprocess.run(
                [sys.executable, __file__, *sys.argv[1:], "--child", system], capture_output=True, text=True
            )
            if done.returncode:
                sys.exit(f"{system} failed:\n{done.stderr[-3000:]}")
            told = json.loads(done.stdout.splitlines()[-1])
            found[system].append(told)
            shown = {name: value for name, value in told.items() if name != "losses"}
            print(f"round {turn + 1}: {json.dumps(shown)}", file=sys.stderr, flush=True)
    speed = {name: [one["tokens_per_second"] for one in all_] for name, all_ in found.items()}
    print(f"{'system':12} {'tokens/s':>9} {'(range)':>15} {'ours is':>8} {'peak GB':>8}" + " loss" * options.loss)
    for name, all_ in found.items():
        ratios = [ours / other for ours, other in zip(speed.get("ours", speed[name]), speed[name], strict=True)]
        print(
            f"{name:12} {statistics.median(speed[name]):9.0f} {min(speed[name]):7.0f}-{max(speed[name]):<7.0f} "
            f"{statistics.median(ratios):7.2f}x {max(one['peak_bytes'] for one in all_) / 1e9:8.2f}"
            + (f" {all_[0]['validation_loss']:.4f}" if options.loss else "")
        )


if __name__ == "__main__":
    main()
