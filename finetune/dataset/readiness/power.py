"""How small a difference so many test rows can show, and how many rows a difference asks for."""

from __future__ import annotations

import math
from statistics import NormalDist


def rows_to_detect(difference: float, discordant: float = 0.25, power: float = 0.8, alpha: float = 0.05) -> int:
    """The test rows that would show a difference of two accuracies, judged on the same rows, by a McNemar test.

    n = (z(1 - alpha/2)·√p + z(power)·√(p - d²))² / d², where p is the share of rows on which exactly one of the two is
    right (Connor 1987, Sample size for testing differences in proportions for the paired-sample design, Biometrics 43,
    207-211). A difference cannot exceed p, so p is raised to d where d is larger.
    """
    return math.ceil(_needed(difference, discordant, power, alpha))


def detectable_difference(test_rows: int, discordant: float = 0.25, power: float = 0.8, alpha: float = 0.05) -> float:
    """The smallest difference of two systems' accuracies, judged on the same rows, that a McNemar test would show.

    The formula of `rows_to_detect`, solved for d.

    Returns:
        A share of the test rows, 0..1; 1.0 where even that would not be shown.
    """
    if test_rows < _needed(1.0, discordant, power, alpha):
        return 1.0
    low, high = 1e-6, 1.0
    for _ in range(60):  # bisection: the rows needed fall as the difference grows
        middle = (low + high) / 2
        low, high = (middle, high) if _needed(middle, discordant, power, alpha) > test_rows else (low, middle)
    return high


def _needed(difference: float, discordant: float, power: float, alpha: float) -> float:
    z_alpha, z_power = NormalDist().inv_cdf(1 - alpha / 2), NormalDist().inv_cdf(power)
    p = max(discordant, difference)
    return ((z_alpha * math.sqrt(p) + z_power * math.sqrt(p - difference**2)) / difference) ** 2
