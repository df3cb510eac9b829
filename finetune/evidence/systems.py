"""The systems that are compared: their names in files, and what a person calls them."""

from __future__ import annotations

FINE_TUNED = "fine_tuned"

# The simplest first: where two alternatives score the same on validation, the simpler one is taken as the strongest.
ALTERNATIVES: tuple[str, ...] = ("majority", "tfidf", "base", "prompted", "few_shot", "retrieval")
# They answer with one of the labels and ask no language model.
CLASSICAL: tuple[str, ...] = ("majority", "tfidf")
SYSTEMS: tuple[str, ...] = (*ALTERNATIVES, FINE_TUNED)

NAMES: dict[str, str] = {
    "majority": "always the most frequent answer",
    "tfidf": "TF-IDF + logistic regression",
    "base": "the base model",
    "prompted": "the base model with a better prompt",
    "few_shot": "few-shot prompt",
    "retrieval": "retrieval (similar rows in the prompt)",
    "fine_tuned": "the fine-tuned model",
}

# The heads of columns have no room for the full names.
SHORT: dict[str, str] = {
    "majority": "Most frequent",
    "tfidf": "TF-IDF",
    "base": "Base",
    "prompted": "Better prompt",
    "few_shot": "Few-shot",
    "retrieval": "Retrieval",
    "fine_tuned": "Fine-tuned",
}
