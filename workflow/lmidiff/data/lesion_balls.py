"""Lesions of white matter, as balls."""

from collections.abc import Sequence

import numpy as np

from lmidiff.common.seeds import generator_of

Ball = tuple[list[float], float]
"""Centre (x, y, z) and radius, in mm."""


def lesion_balls(
    white: np.ndarray, axes: Sequence[np.ndarray], mean: float, *seed_parts: object
) -> list[Ball]:
    """Balls of 2 to 6 mm radius about random points of white matter.

    Args:
        white: (X, Y, Z), the fraction of white matter, 0..1; centres lie where it is above 0.9.
        axes: coordinates of its voxels in mm.
        mean: of their number, which is Poisson.
        *seed_parts: name the draw.
    """
    rng = generator_of(*seed_parts, "lesions")
    points = np.argwhere(white > 0.9)
    balls: list[Ball] = []
    for _ in range(rng.poisson(mean) if len(points) else 0):
        centre = points[rng.integers(len(points))]
        balls.append(([a[c] for a, c in zip(axes, centre, strict=True)], rng.uniform(2, 6)))
    return balls


def lesion_share(balls: Sequence[Ball], axes: Sequence[np.ndarray]) -> np.ndarray:
    """The share of white matter that is lesion, (X, Y, Z) in 0..1, at ``axes`` in mm."""
    share = np.zeros([len(a) for a in axes])
    grid = np.meshgrid(*axes, indexing="ij")
    for centre, radius in balls:
        away = sum((g - c) ** 2 for g, c in zip(grid, centre, strict=True))
        share = np.maximum(share, np.clip(1.5 - np.sqrt(away) / radius, 0, 1))
    return share
