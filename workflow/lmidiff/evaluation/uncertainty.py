"""Does the standard deviation over draws know where a translation is wrong?

Two questions, both inside the brain of one subject: does the spread rank the voxels as their
absolute errors do (Spearman's rank correlation), and does the error of what is left fall when the
most uncertain voxels are set aside (sparsification, Ilg et al. 2018)? The area between that curve
and the one of an oracle, which sets aside the largest errors first, is the AUSE: 0 is perfect.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import spearmanr

from lmidiff.data.volumes import read_array

FRACTIONS = np.linspace(0, 0.95, 20)
CURVE = ("source", "method", "subject", "removed", "error", "oracle")
SUMMARY = ("source", "method", "subject", "spearman", "ause", "ause_of_chance", "mae")


def rank_correlation(spread: NDArray[np.floating], error: NDArray[np.floating]) -> float:
    """Spearman's correlation of spread and absolute error; ``nan`` where either is constant."""
    if len(error) < 2 or np.ptp(spread) == 0 or np.ptp(error) == 0:
        return float("nan")
    return float(spearmanr(spread, error).statistic)


def sparsification(order: NDArray[np.floating], error: NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean error of what is left after the share ``FRACTIONS`` of highest ``order`` is removed.

    Voxels of equal order are removed in the order of the array, so a constant order is chance only
    if the array is in no order of its own.

    Args:
        order: (N,) what to remove first.
        error: (N,) absolute errors.

    Returns:
        One value a fraction, in units of the mean error of all: the first is 1.
    """
    kept = error[np.argsort(order, kind="stable")]
    means = np.cumsum(kept) / np.arange(1, len(kept) + 1)
    left = np.maximum(np.rint((1 - FRACTIONS) * len(kept)).astype(int), 1)
    return means[left - 1] / means[-1] if means[-1] > 0 else np.ones(len(FRACTIONS))


def area_between(curve: NDArray[np.floating], oracle: NDArray[np.floating]) -> float:
    """The area between two curves over ``FRACTIONS``, divided by their range (AUSE)."""
    return float(np.trapezoid(curve - oracle, FRACTIONS) / np.ptp(FRACTIONS))


def measure(
    source: str, method: str, subjects: Mapping[str, Mapping[str, str]]
) -> tuple[list[tuple], list[tuple]]:
    """Rows of ``SUMMARY`` and of ``CURVE`` for every subject that has a map of its spread.

    Args:
        subjects: subject -> ``image, target, mask, spread`` -> volume; a spread that is no file
            belongs to a method that draws once, which has no uncertainty to test.
    """
    summary, curves = [], []
    for subject, files in subjects.items():
        if not Path(files["spread"]).is_file():
            continue
        mask = read_array(files["mask"]) > 0
        error = np.abs(read_array(files["image"])[mask] - read_array(files["target"])[mask])
        spread = read_array(files["spread"])[mask]
        curve, oracle = sparsification(spread, error), sparsification(error, error)
        areas = (area_between(curve, oracle), area_between(np.ones_like(oracle), oracle))
        row = (rank_correlation(spread, error), *areas, float(error.mean()))
        summary.append((source, method, subject, *row))
        points = zip(FRACTIONS, curve, oracle, strict=True)
        curves += [(source, method, subject, *point) for point in points]
    return summary, curves
