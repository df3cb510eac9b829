"""How likely a statistic so large is by chance. Closed forms, for scipy's take 0.1 to 0.5 s to import."""

from __future__ import annotations

import math


def chi_square_tail(value: float, degrees: int) -> float:
    """P(chi-square > value) by its finite series (Abramowitz and Stegun 1964, 26.4.4 and 26.4.5)."""
    if value <= 0:
        return 1.0
    half = value / 2
    odd = degrees % 2
    tail = math.erfc(math.sqrt(half)) if odd else 0.0
    # Terms e^-h h^k / Γ(k + 1) with k = 0, 1, … or 1/2, 3/2, …; as logarithms, for single factors overflow.
    powers = (step + odd / 2 for step in range((degrees - odd) // 2))
    return min(1.0, tail + sum(math.exp(power * math.log(half) - half - math.lgamma(power + 1)) for power in powers))


def student_tail(value: float, degrees: int) -> float:
    """P(t > value) of Student's t, for an odd number of degrees of freedom above 1 (Abramowitz and Stegun, 26.7.3)."""
    angle = math.atan(value / math.sqrt(degrees))
    term, total = math.cos(angle), math.cos(angle)
    for step in range(2, degrees - 2, 2):
        term *= step / (step + 1) * math.cos(angle) ** 2
        total += term
    return max(0.0, 0.5 - (angle + math.sin(angle) * total) / math.pi)


def kolmogorov_tail(distance: float, rows: float, others: float) -> float:
    """P of a larger distance between two samples of these sizes (asymptotic, with the correction of Stephens 1970)."""
    root = math.sqrt(rows * others / (rows + others))
    scaled = (root + 0.12 + 0.11 / root) * distance
    if scaled < 0.3:  # the series does not converge there, and p is 1 to 4 digits
        return 1.0
    series = sum((-1) ** (term - 1) * math.exp(-2 * (term * scaled) ** 2) for term in range(1, 101))
    return min(1.0, max(0.0, 2 * series))
