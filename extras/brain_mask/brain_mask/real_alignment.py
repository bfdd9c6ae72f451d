"""Registration of real scans: a person's FLAIR and T1w as they came, moved, and of two people.

The scans' headers put a person's two scans near each other already. What registration adds is seen
in what it does not optimise, the agreement of edges and of the brains found in each scan; whether
it is right, in a T1w whose header is turned and shifted by a known motion, which it has to find
again. Two people's scans fit nowhere and have to be flagged.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import ndimage

from brain_mask.heads import rigid
from lmidiff.common.progress import Progress
from lmidiff.common.seeds import generator_of
from lmidiff.data.bias import correct_bias
from lmidiff.data.brain import find_brain
from lmidiff.data.quality import scan_quality
from lmidiff.data.registration import distances, register, resample_onto, surface_points
from lmidiff.data.volumes import Volume, read_volume

SHIFT_MM, TURN_DEG = 10.0, 5.0
"""How far a scan is moved, in a direction of its own, and turned about an axis of its own."""


def edge_agreement(one: np.ndarray, other: np.ndarray, brain: np.ndarray) -> float:
    """Correlation, -1..1, of the magnitudes of two images' gradients.

    Args:
        one, other: (X, Y, Z), any units; the gradient is of a Gaussian of one voxel.
        brain: (X, Y, Z) bool; taken three voxels inside, where no gradient is the mask's.
    """
    inside = ndimage.binary_erosion(brain, iterations=3)
    edges = [ndimage.gaussian_gradient_magnitude(image, 1.0)[inside] for image in (one, other)]
    return float(np.corrcoef(*edges)[0, 1])


def compare_pairs(pairs: Sequence[tuple[str, str]], seed: int = 1) -> pd.DataFrame:
    """Register each person's T1w onto the FLAIR: as it came, moved, and the next person's.

    Args:
        pairs: FLAIR and T1w of one person each, at least two people.
        seed: of the motions.

    Returns:
        One row a registration: ``kind, flair, t1w``; ``edges_before, edges_after`` (see
        :func:`edge_agreement`) and ``masks_before, masks_after`` (Dice) where the headers put the
        scans and where registration does; ``error95_mm``, of a moved scan, how far 95 % of the
        brain's surface lies from where the scan as it came was put; ``distinct`` and ``flags``.
    """
    progress = Progress("register real scans", 5 * len(pairs))
    people = []
    for files in pairs:
        scans = []
        for path in files:
            raw = read_volume(path)
            brain = find_brain(raw)
            corrected, field = correct_bias(raw, brain)
            scans.append((raw, brain, corrected, field))
            progress.step(f"{raw.name}: prepared")
        people.append(scans)
    rows = []
    for number, (flair, t1w) in enumerate(people):
        for row in _registered(flair, t1w, people[(number + 1) % len(people)][1], seed, number):
            rows.append(row)
            progress.step(f"{row['kind']}: {row['flags'] or 'not flagged'}")
    return pd.DataFrame(rows)


def _registered(
    flair: tuple, t1w: tuple, other: tuple, seed: int, number: int
) -> Iterator[dict[str, object]]:
    fixed, brain = flair[2], flair[1]
    axis, way = generator_of(seed, number, "motion").normal(size=(2, 3))
    centre = (fixed.affine @ [*(np.array(brain.shape) / 2), 1])[:3]
    motion = rigid(
        TURN_DEG * axis / np.linalg.norm(axis), SHIFT_MM * way / np.linalg.norm(way), centre
    )
    surface, came = surface_points(brain, fixed.affine), None
    for kind, (raw, found_brain, moving, field), where in (
        ("as it came", t1w, np.eye(4)),
        ("moved", t1w, motion),
        ("of two people", other, np.eye(4)),
    ):
        placed = Volume(moving.data, where @ moving.affine, moving.name)
        found = register(fixed, brain, placed, found_brain)
        quality = scan_quality("T1w", raw, moving, found_brain, field, found)
        laid = [resample_onto(placed, matrix, fixed) for matrix in (np.eye(4), found.matrix)]
        before, after = (edge_agreement(fixed.data, image, brain) for image in laid)
        row = {"kind": kind, "flair": Path(fixed.name).name, "t1w": Path(moving.name).name}
        row |= {"edges_before": before, "edges_after": after}
        row |= {"masks_before": found.dice_before, "masks_after": found.dice_after}
        if kind == "as it came":
            came = found.matrix
        error = distances(surface, found.matrix, motion @ came) if kind == "moved" else [np.nan]
        row |= {"error95_mm": float(np.percentile(error, 95)), "distinct": found.distinct}
        yield row | {"flags": "; ".join(quality.flags)}


def summarise_pairs(table: pd.DataFrame) -> pd.DataFrame:
    """One line a kind: how many, the share that is flagged, means, and the worst error in mm."""
    groups = table.assign(flagged=table["flags"] != "").groupby("kind", sort=False)
    summary = groups.agg(
        pairs=("kind", "size"),
        flagged=("flagged", "mean"),
        edges_before=("edges_before", "mean"),
        edges_after=("edges_after", "mean"),
        masks_before=("masks_before", "mean"),
        masks_after=("masks_after", "mean"),
        error95_worst_mm=("error95_mm", "max"),
    )
    return summary.reset_index()
