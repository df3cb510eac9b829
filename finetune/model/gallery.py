"""The base models that the page offers, with the shapes that the memory estimate needs. Nothing here loads a model."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Shape:
    """The sizes of a decoder-only transformer, as in its `config.json`."""

    layers: int
    hidden: int
    intermediate: int
    heads: int
    kv_heads: int
    head_dim: int
    vocabulary: int
    tied: bool

    @property
    def linear_parameters(self) -> int:
        """Weights of the linear layers inside the blocks: those that 4-bit quantisation and LoRA touch."""
        attention = 2 * self.hidden * self.heads * self.head_dim + 2 * self.hidden * self.kv_heads * self.head_dim
        return self.layers * (attention + 3 * self.hidden * self.intermediate)

    @property
    def embedding_parameters(self) -> int:
        """Weights of the embedding, and of the head where it is not tied to it."""
        return self.vocabulary * self.hidden * (1 if self.tied else 2)

    @property
    def parameters(self) -> int:
        """All weights (norms, under a thousandth, are left out)."""
        return self.linear_parameters + self.embedding_parameters

    def adapter_parameters(self, rank: int) -> int:
        """Weights of a LoRA of this rank on all linear layers of the blocks."""
        query, key = self.heads * self.head_dim, self.kv_heads * self.head_dim
        sides = 2 * (self.hidden + query) + 2 * (self.hidden + key) + 3 * (self.hidden + self.intermediate)
        return self.layers * rank * sides

    @classmethod
    def from_config(cls, path: Path) -> Shape | None:
        """The shape in a `config.json`, or None where the file names its sizes otherwise."""
        try:
            config = json.loads(path.read_text(encoding="utf-8"))
            heads, hidden = config["num_attention_heads"], config["hidden_size"]
            return cls(
                config["num_hidden_layers"],
                hidden,
                config["intermediate_size"],
                heads,
                config.get("num_key_value_heads") or heads,
                config.get("head_dim") or hidden // heads,
                config["vocab_size"],
                bool(config.get("tie_word_embeddings", False)),
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None


@dataclass(frozen=True, slots=True)
class BaseModel:
    """One entry of the gallery.

    Attributes:
        name: what the user types.
        repo: its name on the Hub.
        shape: sizes, from the `config.json` of the repository.
        licence: short name of its licence.
        gated: the Hub asks for a login and an accepted licence first.
        note: one line for the page.
        context: tokens that it can take.
        languages: English names of those it was made for, `MANY`, or () where its card names none.
        condition: what its licence asks of those who use it beyond naming it, in one sentence; "" nothing.
    """

    name: str
    repo: str
    shape: Shape
    licence: str
    gated: bool
    note: str
    context: int
    languages: tuple[str, ...] = ()
    condition: str = ""

    @property
    def parameters(self) -> int:
        return self.shape.parameters


EMBEDDED = "smollm2-135m"
# Qwen3 names 119 languages and dialects, among them all that the check of the data tells apart.
MANY = ("many languages",)
ENGLISH = ("English",)
LLAMA_LANGUAGES = ("English", "German", "French", "Italian", "Portuguese", "Hindi", "Spanish", "Thai")
LLAMA_CONDITION = (
    "What is made of it has to carry “Llama” at the beginning of its name and say “Built with Llama”; a company with over 700 "
    "million monthly users has to ask Meta."
)

GALLERY: tuple[BaseModel, ...] = (
    BaseModel(EMBEDDED, "HuggingFaceTB/SmolLM2-135M-Instruct", Shape(30, 576, 1536, 9, 3, 64, 49152, True),
              "Apache-2.0", False, "English; small enough for a CPU, and there without the Hub", 8192, ENGLISH),
    BaseModel("smollm2-360m", "HuggingFaceTB/SmolLM2-360M-Instruct", Shape(32, 960, 2560, 15, 5, 64, 49152, True),
              "Apache-2.0", False, "English", 8192, ENGLISH),
    BaseModel("qwen3-0.6b", "Qwen/Qwen3-0.6B", Shape(28, 1024, 3072, 16, 8, 128, 151936, True),
              "Apache-2.0", False, "many languages", 40960, MANY),
    BaseModel("llama-3.2-1b", "meta-llama/Llama-3.2-1B-Instruct", Shape(16, 2048, 8192, 32, 8, 64, 128256, True),
              "Llama 3.2 Community", True, "eight languages", 131072, LLAMA_LANGUAGES, LLAMA_CONDITION),
    BaseModel("smollm2-1.7b", "HuggingFaceTB/SmolLM2-1.7B-Instruct", Shape(24, 2048, 8192, 32, 32, 64, 49152, True),
              "Apache-2.0", False, "English", 8192, ENGLISH),
    BaseModel("qwen3-1.7b", "Qwen/Qwen3-1.7B", Shape(28, 2048, 6144, 16, 8, 128, 151936, True),
              "Apache-2.0", False, "many languages", 40960, MANY),
    BaseModel("llama-3.2-3b", "meta-llama/Llama-3.2-3B-Instruct", Shape(28, 3072, 8192, 24, 8, 128, 128256, True),
              "Llama 3.2 Community", True, "eight languages", 131072, LLAMA_LANGUAGES, LLAMA_CONDITION),
    BaseModel("qwen3-4b", "Qwen/Qwen3-4B-Instruct-2507", Shape(36, 2560, 9728, 32, 8, 128, 151936, True),
              "Apache-2.0", False, "many languages", 262144, MANY),
    BaseModel("mistral-7b", "mistralai/Mistral-7B-Instruct-v0.3", Shape(32, 4096, 14336, 32, 8, 128, 32768, False),
              "Apache-2.0", False, "English; the Hub may ask for a login", 32768),
    BaseModel("llama-3.1-8b", "meta-llama/Llama-3.1-8B-Instruct", Shape(32, 4096, 14336, 32, 8, 128, 128256, False),
              "Llama 3.1 Community", True, "eight languages", 131072, LLAMA_LANGUAGES, LLAMA_CONDITION),
    BaseModel("qwen3-8b", "Qwen/Qwen3-8B", Shape(36, 4096, 12288, 32, 8, 128, 151936, False),
              "Apache-2.0", False, "many languages", 40960, MANY),
)  # fmt: skip


def find(name: str) -> BaseModel | None:
    """The entry of that name or Hub name, case ignored."""
    wanted = name.strip().lower()
    return next((entry for entry in GALLERY if wanted in (entry.name, entry.repo.lower())), None)


def context_of(base: str, folder: Path | None = None) -> int | None:
    """Tokens that a base can take, by the gallery or by the `config.json` in its folder; None where neither says it."""
    if entry := find(base):
        return entry.context
    try:
        config = json.loads(((folder or Path(base).expanduser()) / "config.json").read_text(encoding="utf-8"))
        found = config.get("max_position_embeddings") or config.get("text_config", {}).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 0 else None
