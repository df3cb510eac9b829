"""Whether a system knows when it is wrong: its probabilities against the truth, and what to hand to a human."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from finetune.evidence.measures.metrics import interval

SURE = 0.9
TARGET = 0.95
BINS = 10


def calibration(probabilities: np.ndarray, truth: np.ndarray) -> dict:
    """How far probabilities (rows, labels) are from how often the answers are right.

    Args:
        truth: (rows,) place of the right label; -1 where it is none of the labels: every answer is then wrong.

    Returns:
        "ece": expected calibration error in ten bins of equal width (Naeini 2015; Guo 2017); "brier": mean squared
        error over all labels, 0..2 (Brier 1950); "log_loss" in nats; "bins"; "sure_but_wrong": rows with a
        probability of `SURE` or more whose answer is wrong.
    """
    confidence, hit = probabilities.max(1), probabilities.argmax(1) == truth
    of_truth = np.zeros_like(probabilities)
    known = truth >= 0
    of_truth[np.flatnonzero(known), truth[known]] = 1.0
    right = np.where(known, probabilities[np.arange(len(truth)), np.maximum(truth, 0)], 0.0)
    place = np.minimum((confidence * BINS).astype(int), BINS - 1)
    bins, error = [], 0.0
    for number in range(BINS):
        inside = place == number
        rows = int(inside.sum())
        entry = {"low": number / BINS, "high": (number + 1) / BINS, "rows": rows, "confidence": None, "accuracy": None}
        if rows:
            entry |= {"confidence": float(confidence[inside].mean()), "accuracy": float(hit[inside].mean())}
            error += rows / len(truth) * abs(entry["confidence"] - entry["accuracy"])
        bins.append(entry)
    return {
        "ece": error,
        "brier": float(((probabilities - of_truth) ** 2).sum(1).mean()),
        "log_loss": float(-np.log(np.maximum(right, 1e-12)).mean()),
        "bins": bins,
        "sure_but_wrong": int((~hit & (confidence >= SURE)).sum()),
    }


def human(
    validation: tuple[Sequence[float], Sequence[float]],
    test: tuple[Sequence[float], Sequence[float]],
    *,
    target: float = TARGET,
    seed: int = 0,
) -> dict:
    """From which confidence on the answers can stand, and what goes to a human.

    The threshold is the lowest confidence of a validation row from which on `target` of the validation answers are
    right; what it then does is measured on the test rows, which did not choose it.

    Args:
        validation, test: (confidence, 1.0 where right and 0.0 where wrong), each (rows,).

    Returns:
        "threshold": None where no threshold reaches the target; "handled": share of the test rows at or above it;
        "accuracy" of those with its "interval", None where there are none; "curve" on the test rows.
    """
    sure, hits = (np.asarray(values, dtype=float) for values in validation)
    threshold = None
    order = np.argsort(-sure, kind="stable")
    if len(order):
        reached = np.cumsum(hits[order]) / np.arange(1, len(order) + 1) >= target
        # A threshold takes all rows of one confidence or none of them.
        last = np.append(sure[order][1:] != sure[order][:-1], True)
        if (usable := np.flatnonzero(reached & last)).size:
            threshold = float(sure[order][usable[-1]])
    found = {"target": target, "threshold": threshold, "handled": 0.0, "accuracy": None, "interval": None}
    confidence, right = (np.asarray(values, dtype=float) for values in test)
    if threshold is not None and (stands := confidence >= threshold).any():
        found |= {
            "handled": float(stands.mean()),
            "accuracy": float(right[stands].mean()),
            "interval": list(interval(right[stands], seed=seed)),
        }
    curve = []
    for level in sorted({*np.round(np.arange(0, 1, 0.05), 2).tolist(), 0.97, 0.99}):
        stands = confidence >= level
        if stands.any():
            curve.append({"threshold": level, "handled": float(stands.mean()), "accuracy": float(right[stands].mean())})
    return found | {"curve": curve}
