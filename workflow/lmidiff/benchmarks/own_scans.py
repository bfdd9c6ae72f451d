"""``lmidiff translate`` on real scans that no training saw, at their own resolution, with a truth.

What a user gets is measured as a user gets it: by the command, with the weights that come with it.
A segmenter that strangers trained on T1w (:mod:`lmidiff.evaluation.meshnet`) labels the true T1w
and each row; its Dice with itself is the gap that is left for such a tool. What becomes
of marked lesions is measured by the same labels (:mod:`lmidiff.evaluation.lesions`).
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.data.brain import find_brain
from lmidiff.data.preprocess import FULL_SHARE, normalise
from lmidiff.data.volumes import Volume, read_volume, require_same_grid
from lmidiff.evaluation.crossed import mean_interval
from lmidiff.evaluation.lesions import CSF, GM, WM, measure_lesions
from lmidiff.evaluation.meshnet import MeshNet
from lmidiff.evaluation.metrics import dice, psnr
from lmidiff.evaluation.spectrum import fine_power
from lmidiff.evaluation.through_plane import step_between_slices
from lmidiff.evaluation.uncertainty import rank_correlation
from lmidiff.images.similarity import ssim_map
from lmidiff.methods.simple import matched
from lmidiff.models.histogram import load, part
from lmidiff.models.shipped import weights_of
from lmidiff.models.weights import read_weights
from lmidiff.report.summary import interval

MODEL = "T1w"
LABELS = {"white": 1, "grey": 2}
"""Of the network ``model5_gw_ae``."""

TISSUES = np.array([CSF, WM, GM], np.uint8)
"""Of the brain's voxels, by label; the network's own 0 is all that is neither white nor grey."""

DETAIL = {"detail": fine_power, "steps": step_between_slices}
"""What is told as a ratio to the true target's: power within slices, and steps between them."""

BINS = 256
HEIGHT = 0.55
"""Where in the brain the slice that is drawn lies, from below."""

SEED = 1
"""Of the bootstrap."""

ROWS = {
    "source": "source, untouched",
    "inverted_histogram": "inverted histogram",
    "lmidiff": "lmidiff translate",
    "as_translated": "the same, lesions as translated",
    "lookup": "table fitted on the answer",
}


def measure(
    network: str | Path,
    source: str | Path,
    target: str | Path,
    lesions: str | Path | None = None,
    mask: str | Path | None = None,
) -> tuple[pd.DataFrame, dict[str, NDArray[np.floating]], NDArray[np.floating]]:
    """Translate a scan and compare every row with the true target.

    Args:
        network: folder of the segmenter.
        source, target: NIfTI volumes of one person on one grid.
        lesions: of white matter, on the same grid.
        mask: of the brain, handed to the command.

    Returns:
        A row for each of ``ROWS``, the ``as_translated`` with ``lesions`` alone: brain SSIM of
        axial slices, PSNR in dB, Dice of the segmenter's white and grey matter with what it says of
        the true target, the ratios of ``DETAIL`` to the true target's, seconds of translating, and
        Spearman's correlation of the uncertainty with the absolute error; with ``lesions`` what
        :func:`~lmidiff.evaluation.lesions.measure_lesions` measures, its ``kmeans_`` being
        ``labelled_`` here; the volumes by row with ``target``, and what is marked as ``lesions``,
        beside them, (X, Y, Z) in 0..1; size of a voxel in mm.

    Raises:
        StudyError: a file cannot be read, or the command failed.
    """
    scan, truth = read_volume(source, role="source"), read_volume(target, role="target")
    require_same_grid(scan, truth)
    marked = None if lesions is None else read_volume(lesions, role="lesions")
    if marked is not None:
        require_same_grid(scan, marked)
    translation, doubt, seconds = _translate(source, mask)
    brain = _brain(scan, mask) & (truth.data > 0)  # a 0 of the translation is an answer as any
    images = rows_of(scan.data, truth.data, brain) | {"lmidiff": np.where(brain, translation, 0)}
    if marked is not None:
        images["as_translated"] = np.where(brain, _as_translated(source, mask), 0)
    segmenter = MeshNet(network)
    wanted = segmenter.segment(Volume(images["target"], truth.affine, str(target)))
    true = {name: of(images["target"], brain) for name, of in DETAIL.items()}
    rows = []
    for key in (each for each in ROWS if each in images):
        image, label = images[key], ROWS[key]
        found = segmenter.segment(Volume(image, truth.affine, key))
        overlaps = {f"dice_{n}": dice(found, wanted, value) for n, value in LABELS.items()}
        similarity = float(ssim_map(image, images["target"])[brain].mean())
        row = {"row": key, "label": label, "ssim_brain": similarity}
        row |= {"psnr_brain_db": psnr(image, images["target"], brain), **overlaps}
        row |= {name: of(image, brain) / true[name] for name, of in DETAIL.items()}
        if marked is not None:
            tissues = [np.where(brain, TISSUES[labels], 0) for labels in (found, wanted)]
            inside = (marked.data > 0) & brain
            seen = measure_lesions(image, images["target"], *tissues, inside)
            row |= {name.replace("kmeans", "labelled"): value for name, value in seen.items()}
        if key == "lmidiff":
            errors = np.abs(image - images["target"])[brain]
            row |= {"rank_uncertainty": rank_correlation(doubt[brain], errors), "seconds": seconds}
        rows.append(row)
    shown = {} if marked is None else {"lesions": ((marked.data > 0) & brain).astype(np.float32)}
    return pd.DataFrame(rows), images | shown, scan.voxel_mm


def rows_of(
    source: NDArray[np.floating], target: NDArray[np.floating], brain: NDArray[np.bool_]
) -> dict[str, NDArray[np.floating]]:
    """The true target in 0..1 and the rows that need no network, (X, Y, Z) float32."""
    truth, plain = normalise(target, brain), normalise(source, brain)
    intensities = load({}, part(read_weights(weights_of(MODEL)))[1], torch.device("cpu"))
    slices = torch.from_numpy(plain.transpose(2, 0, 1)[:, None].copy())
    inverted = matched(slices, ["scan"] * len(slices), intensities, inverted=True)
    places = np.minimum((plain * BINS).astype(int), BINS - 1)[brain]
    counts = np.maximum(np.bincount(places, minlength=BINS), 1)
    means = np.bincount(places, weights=truth[brain], minlength=BINS) / counts
    lookup = np.zeros_like(truth)
    lookup[brain] = means[places]
    return {
        "source": plain,
        "target": truth,
        "inverted_histogram": np.where(brain, inverted[:, 0].numpy().transpose(1, 2, 0), 0),
        "lookup": lookup,
    }


def crops(images: Mapping[str, NDArray[np.floating]]) -> dict[str, NDArray[np.floating]]:
    """One axial slice of each volume, cropped to the brain: that with most of the ``lesions``.

    Without any, that which lies ``HEIGHT`` of the way up the brain.
    """
    brain = images["target"] > 0
    heights = np.flatnonzero(brain.any(axis=(0, 1)))
    z = int(heights[0] + HEIGHT * (heights[-1] - heights[0]))
    if "lesions" in images and images["lesions"].any():
        z = int(images["lesions"].sum(axis=(0, 1)).argmax())
    shown = np.argwhere(brain[:, :, z])
    low, high = np.maximum(shown.min(0) - 2, 0), shown.max(0) + 3
    box = np.s_[low[0] : high[0], low[1] : high[1], z]
    return {key: volume[box] for key, volume in images.items()}


def measure_raw(
    network: str | Path, source: str | Path, target: str | Path, lesions: str | Path
) -> tuple[pd.DataFrame, dict[str, NDArray[np.floating]], NDArray[np.floating]]:
    """:func:`measure` of raw scans with skull: ``lmidiff preprocess`` first lays the target over
    the source and finds the brain.

    Raises:
        StudyError: a file cannot be read, the scans are flagged, or a command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        scans = (f"source={source}", f"target={target}")
        _run("preprocess", "--scans", *scans, "--out", folder)
        laid, over, mask = (f"{folder}/{n}.nii.gz" for n in ("source", "target", "brain_mask"))
        return measure(network, laid, over, lesions, mask)


def _brain(scan: Volume, mask: str | Path | None) -> NDArray[np.bool_]:
    """The given mask; or what a stripped scan shows; or, of a head, what the command finds."""
    if mask is not None:
        return read_volume(mask, role="mask").data > 0
    shown = scan.data > 0
    return shown if shown.mean() <= FULL_SHARE else find_brain(scan)


def summary(people: pd.DataFrame, measures: Sequence[str]) -> pd.DataFrame:
    """Means over people with their 95 % intervals, as text.

    Args:
        people: ``scan, row, label`` and the measures; a row a person and row of the table.
        measures: columns of it.

    Returns:
        ``row, label, people``, and each measure as "mean [low, high]".
    """
    rows = []
    for key, label in ROWS.items():
        own = people[people["row"] == key]
        row = {"row": key, "label": label, "people": len(own)}
        for measured in measures:
            row[measured] = interval(mean_interval(own[[measured]], seed=SEED)[:3])
        rows.append(row)
    return pd.DataFrame(rows)


def _translate(
    source: str | Path, mask: str | Path | None
) -> tuple[NDArray[np.float32], NDArray[np.float32], float]:
    with tempfile.TemporaryDirectory() as folder:
        out, doubt = (Path(folder) / f"{name}.nii.gz" for name in ("a", "a_uncertainty"))
        begin = time.monotonic()
        _run("translate", str(source), *_given(mask), "-o", str(out), "--uncertainty")
        seconds = time.monotonic() - begin
        return read_volume(out).data, read_volume(doubt).data, seconds


def _as_translated(source: str | Path, mask: str | Path | None) -> NDArray[np.float32]:
    """The translation without what the command knows of lesions."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "a.nii.gz"
        _run("translate", str(source), *_given(mask), "-o", str(out), "--lesions-as-translated")
        return read_volume(out).data


def _given(mask: str | Path | None) -> tuple[str, ...]:
    return ("--mask", str(mask)) if mask else ()


def _run(command: str, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", "lmidiff", command, *arguments], check=False)
    if done.returncode:
        raise StudyError(
            f"lmidiff {command} {' '.join(arguments)}: ended with status {done.returncode}"
        )
