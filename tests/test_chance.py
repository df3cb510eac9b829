"""Tail probabilities against scipy's."""

from __future__ import annotations

import pytest
from scipy import special

from finetune.dataset.splitting.chance import chi_square_tail, kolmogorov_tail, student_tail


@pytest.mark.parametrize("degrees", [1, 2, 3, 19, 76, 999, 1000])
@pytest.mark.parametrize("tail", [0.9, 0.5, 0.003, 1e-8])
def test_chi_square(degrees, tail):
    assert chi_square_tail(float(special.chdtri(degrees, tail)), degrees) == pytest.approx(tail, rel=1e-9)


def test_chi_square_of_nothing_and_of_much():
    assert chi_square_tail(0.0, 5) == 1.0 and chi_square_tail(1e5, 5) == 0.0


@pytest.mark.parametrize("degrees", [3, 5, 19])
@pytest.mark.parametrize("value", [-2.0, 0.0, 0.7, 3.1, 40.0])
def test_student(degrees, value):
    assert student_tail(value, degrees) == pytest.approx(special.stdtr(degrees, -value), rel=1e-6, abs=1e-12)


@pytest.mark.parametrize("scaled", [0.31, 0.5, 0.9, 1.36, 1.63, 2.5])
def test_kolmogorov(scaled):
    root = 10.0  # of 200 rows and 200 others
    distance = scaled / (root + 0.12 + 0.11 / root)
    assert kolmogorov_tail(distance, 200, 200) == pytest.approx(special.kolmogorov(scaled), rel=1e-9)


def test_no_distance_is_no_surprise():
    assert kolmogorov_tail(0.0, 200, 200) == 1.0
