"""Image and overlap scores of one translated volume against the true target.

Conventions, the same everywhere in the study:

- Images are in 0..1 and scored with ``data_range = 1``; nothing is rescaled or clipped here.
- SSIM (Wang et al. 2004, eq. 13; K1 = 0.01, K2 = 0.03) is computed per axial slice with an 11 x 11
  Gaussian window of standard deviation 1.5 px. Its *map* is averaged: over all pixels (region
  ``image``), over brain pixels (``brain``), or over those off the rim of the brain mask
  (``interior``, :func:`lmidiff.images.rim.inside_of`). Borders are mirrored, not cropped.
- PSNR = 10 log10(1 / MSE) in dB, with the squared error pooled over the region before the
  logarithm. A perfect match is ``inf``, kept as such: CSV files say ``inf``, tables say ``∞``.
- Dice = 2 |A and B| / (|A| + |B|), pooled over the volume, inside the brain mask, or over whole
  slices where the segmenter labels those. Where a tissue is absent from both, it is ``nan``:
  neither right nor wrong.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from lmidiff.common.errors import StudyError
from lmidiff.common.regions import BRAIN, HEAD
from lmidiff.evaluation.segmentation import NAMES
from lmidiff.images.similarity import DATA_RANGE, same_shape, ssim_map


class Score(NamedTuple):
    """One number: the slice index along z or ``"all"``, and what it measures."""

    slice: int | str
    region: str
    metric: str
    value: float


def psnr(
    a: NDArray[np.floating], b: NDArray[np.floating], mask: NDArray[np.bool_] | None = None
) -> float:
    """Peak signal-to-noise ratio in dB for a data range of 1, over the mask or everything.

    ``inf`` where the images agree exactly, ``nan`` where the mask is empty.

    Raises:
        StudyError: shapes differ.
    """
    difference = _difference(a, b, mask)
    if difference.size == 0:
        return float("nan")
    error = float(np.mean(difference**2))
    return float("inf") if error == 0 else float(10 * np.log10(DATA_RANGE**2 / error))


def mae(
    a: NDArray[np.floating], b: NDArray[np.floating], mask: NDArray[np.bool_] | None = None
) -> float:
    """Mean absolute error in intensity units (0..1), over the mask or everything; ``nan`` if empty.

    Raises:
        StudyError: shapes differ.
    """
    difference = _difference(a, b, mask)
    return float(np.mean(np.abs(difference))) if difference.size else float("nan")


def dice(labels_a: NDArray[np.integer], labels_b: NDArray[np.integer], label: int) -> float:
    """Dice overlap of one label, in 0..1; ``nan`` where neither image holds the label.

    Raises:
        StudyError: shapes differ.
    """
    if np.shape(labels_a) != np.shape(labels_b):
        raise StudyError(f"labels of shape {np.shape(labels_a)} and {np.shape(labels_b)} differ")
    a, b = np.asarray(labels_a) == label, np.asarray(labels_b) == label
    total = int(a.sum()) + int(b.sum())
    return 2 * int((a & b).sum()) / total if total else float("nan")


def score_subject(
    translated: NDArray[np.floating],
    target: NDArray[np.floating],
    mask: NDArray[np.bool_],
    labels_translated: NDArray[np.integer],
    labels_kmeans_truth: NDArray[np.integer],
    labels_truth: NDArray[np.integer] | None = None,
    *,
    subject: str,
    field: str = BRAIN,
) -> list[Score]:
    """All scores of one subject, for the volume (``slice == "all"``) and for each slice.

    Args:
        translated: (X, Y, Z) translated image, 0..1.
        target: (X, Y, Z) true target image, 0..1.
        mask: (X, Y, Z), non-zero is brain.
        labels_translated: (X, Y, Z) K-Means labels 1..3 of the translated image.
        labels_kmeans_truth: (X, Y, Z) K-Means labels of the true target, the paper's reference.
        labels_truth: (X, Y, Z) tissue labels 1..3 from elsewhere, where the data set has them.
        subject: names the subject in errors.
        field: what the segmenter labels; clusters of the "head" have no truth from elsewhere, and
            the brain's tissues are not compared with them.

    Returns:
        For ``"all"`` and every slice: ``ssim``, ``psnr``, ``mae`` of regions ``image``,
        ``brain`` and ``interior``; ``dice_kmeans``, and ``dice_truth`` if there is a truth, of
        ``csf``, ``gm``, ``wm`` (if the field is the head, ``dice_kmeans`` of the whole slice's
        ``dark``, ``middle``, ``bright``). A slice without brain has ``nan`` for all but region
        ``image`` and whole slices.

    Raises:
        StudyError: shapes differ, an image is not finite, or the mask is empty.
    """
    inside = np.asarray(mask) > 0
    images = {"translated image": translated, "target image": target}
    labels = {"labels": labels_translated, "K-Means reference labels": labels_kmeans_truth}
    if labels_truth is not None and field == BRAIN:
        labels["truth labels"] = labels_truth
    if inside.ndim != 3 or not inside.any():
        raise StudyError(f"{subject}: the brain mask {inside.shape} is empty or not a volume")
    for name, array in {**images, **labels}.items():
        if np.shape(array) != inside.shape:
            raise StudyError(f"{subject}: {name} {np.shape(array)} but mask {inside.shape}")
    for name, array in images.items():
        if not np.isfinite(array).all():
            raise StudyError(f"{subject}: the {name} holds values that are not finite")

    try:
        similarity = ssim_map(translated, target)
    except StudyError as error:
        raise StudyError(f"{subject}: {error}") from error
    a, b = np.asarray(translated, np.float64), np.asarray(target, np.float64)
    # A truth reaching beyond the mask would be held against every method alike.
    labelled = np.ones_like(inside) if field == HEAD else inside
    masked = {name: np.where(labelled, array, 0) for name, array in labels.items()}

    regions = {"image": np.ones_like(inside), "brain": inside, "interior": interior(inside)}
    scores: list[Score] = []
    for z in ("all", *range(inside.shape[2])):
        part = np.s_[...] if z == "all" else np.s_[..., z]
        for region, mask_of in regions.items():
            where = mask_of[part]
            found = similarity[part][where]
            mean = float(found.mean()) if found.size else float("nan")
            scores.append(Score(z, region, "ssim", mean))
            scores.append(Score(z, region, "psnr", psnr(a[part], b[part], where)))
            scores.append(Score(z, region, "mae", mae(a[part], b[part], where)))
        here = {name: array[part] for name, array in masked.items()}
        scores += [Score(z, *row) for row in _overlaps(here, NAMES[field])]
    return scores


def interior(brain: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """What :func:`lmidiff.images.rim.inside_of` calls inside, of a volume (X, Y, Z)."""
    inner = ndimage.binary_erosion(brain, np.ones((3, 3, 1)))
    return np.where(inner.any(axis=(0, 1)), inner, brain)


def _overlaps(
    labels: dict[str, NDArray[np.integer]], names: tuple[str, ...]
) -> Iterator[tuple[str, str, float]]:
    """Dice of each tissue of ``labels["labels"]`` against the other label images."""
    references = {"dice_kmeans": "K-Means reference labels", "dice_truth": "truth labels"}
    for metric, name in references.items():
        if name in labels:
            for label, tissue in enumerate(names, start=1):
                yield tissue, metric, dice(labels["labels"], labels[name], label)


def _difference(a, b, mask) -> NDArray[np.float64]:
    a, b = same_shape(a, b)
    if mask is None:
        return (a - b).ravel()
    if np.shape(mask) != a.shape:
        raise StudyError(f"images of shape {a.shape} and mask of shape {np.shape(mask)} differ")
    return (a - b)[np.asarray(mask) > 0]
