"""A page to look at volumes side by side, in three planes with one cross-hair.

Everything is in the page: the volumes, in 256 grey levels, and the viewer (NiiVue, BSD-2-Clause,
``vendor/``), so that it opens on a computer without a network and asks nobody for anything.
"""

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.common.regions import BRAIN
from lmidiff.data.volumes import check_place, read_stored
from lmidiff.evaluation.pictures import LEVELS, read_pictures, write_pictures
from lmidiff.figures.style import LABEL_COLOURS
from lmidiff.report.html import write_html

HERE = Path(__file__).parent
KINDS = ("image", "spread", "labels")
MOST = 12
"""Volumes a page: each is drawn by a WebGL context of its own, and browsers give few."""


@dataclass(frozen=True)
class Volume:
    """A volume as the page shows it.

    Attributes:
        title: printed above it.
        kind: "image" in grey, "spread" in a colour map with its scale, or "labels" 0..3 in the
            colours of the tissues.
        levels: (X, Y, Z) 8-bit: labels as they are, other values from ``low`` to ``high`` in 255
            steps.
        affine: (4, 4) voxels to mm, RAS.
        low, high: what black and white stand for, in the units of the volume.
    """

    title: str
    kind: str
    levels: NDArray[np.uint8]
    affine: NDArray[np.floating]
    low: float = 0.0
    high: float = 1.0


def volume_of(
    path: str | Path, title: str, kind: str = "image", top: float | None = None
) -> Volume:
    """Read a NIfTI volume for the page.

    Args:
        path: of three dimensions, or of four with one volume; ``scan.nii.gz#1`` is the second
            volume of a file that holds several.
        title: printed above it.
        kind: see :class:`Volume`.
        top: what white stands for, above black at 0; by default black is the 0.1th percentile,
            and white the 99.9th of what is above it.

    Raises:
        StudyError: no such file, no NIfTI volume, none of three dimensions, or nowhere in space.
    """
    data, affine = read_stored(path)
    check_place(path)
    if not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        raise StudyError(f"{path}: the affine is degenerate; set it from the original scan")
    data = np.nan_to_num(data, nan=0.0, posinf=0.0, neginf=0.0)
    if kind == "labels":
        return Volume(title, kind, np.clip(np.rint(data), 0, LEVELS).astype(np.uint8), affine)
    low = 0.0 if top is not None else float(np.percentile(data, 0.1))
    if top is None:
        above = data[data > low]
        # One grey: as far above as float32 tells from it.
        top = float(np.percentile(above, 99.9)) if above.size else low + max(1.0, abs(low) * 1e-3)
    if not _storable(low, top):
        raise StudyError(f"{path}: values from {low:g} to {top:g} cannot be shown; scale them")
    shares = np.subtract(data, low, dtype=np.float64) / max(top - low, 1e-12)
    levels = np.rint(np.clip(shares, 0, 1) * LEVELS)
    return Volume(title, kind, levels.astype(np.uint8), affine, low, top)


def _storable(low: float, high: float) -> bool:
    """Whether a NIfTI header, in float32, can say what 256 grey levels stand for."""
    slope = np.float32((high - low) / LEVELS)
    return bool(np.isfinite([slope, np.float32(low)]).all() and slope > 0)


def keep_volumes(path: str | Path, volumes: Sequence[Volume]) -> None:
    """Write volumes to one file, see :mod:`lmidiff.evaluation.pictures`; a record keeps it."""
    arrays = {f"{number:02d}": volume.levels for number, volume in enumerate(volumes)}
    index = [{**vars(volume), "affine": volume.affine.tolist()} for volume in volumes]
    for entry in index:
        del entry["levels"]
    write_pictures(path, arrays, index)


def kept_volumes(path: str | Path) -> list[Volume]:
    """Read what :func:`keep_volumes` wrote; raises StudyError if it is missing or damaged."""
    arrays, index = read_pictures(path)
    return [
        Volume(levels=arrays[f"{number:02d}"], **{**entry, "affine": np.array(entry["affine"])})
        for number, entry in enumerate(index)
    ]


def write_viewer(
    volumes: Sequence[Volume], path: str | Path, title: str, note: str, field: str = BRAIN
) -> None:
    """Write the page, the same bytes for the same volumes.

    Args:
        volumes: in the order of the page; grids may differ, places are matched in mm.
        path: the HTML file.
        title, note: at its head.
        field: what labels are of, a key of :data:`lmidiff.figures.style.LABEL_COLOURS`.

    Raises:
        StudyError: no volume, or more than ``MOST``.
    """
    if not 0 < len(volumes) <= MOST:
        raise StudyError(f"{path}: a page shows 1 to {MOST} volumes, {len(volumes)} were given")
    colours = LABEL_COLOURS[field]
    entries = [_entry(number, volume, colours) for number, volume in enumerate(volumes)]
    labelled = any(volume.kind == "labels" for volume in volumes)
    write_html(
        "viewer.html",
        path,
        title=title,
        note=note,
        tissues=colours if labelled else {},
        volumes=Markup(json.dumps(entries).replace("<", "\\u003c")),
        niivue=base64.b64encode((HERE / "vendor" / "niivue.umd.js.gz").read_bytes()).decode(),
        licence=Markup((HERE / "vendor" / "NIIVUE_LICENSE.txt").read_text()),
    )


def _entry(number: int, volume: Volume, colours: Mapping[str, str]) -> dict[str, Any]:
    entry: dict[str, Any] = {
        "key": f"volume-{number:02d}",
        "title": volume.title,
        "kind": volume.kind,
        "nifti": base64.b64encode(_nifti(volume)).decode(),
        "low": volume.low,
        "high": volume.high,
        "digits": 3 if volume.high <= 10 else 0,
    }
    if volume.kind == "labels":
        entry |= {"low": 0, "high": len(colours), "labels": ["", *colours]}
        entry["colours"] = _colours(colours)
    return entry


def _nifti(volume: Volume) -> bytes:
    image = nib.Nifti1Image(volume.levels, volume.affine)
    if volume.kind != "labels":
        image.header.set_slope_inter((volume.high - volume.low) / LEVELS, volume.low)
    return gzip.compress(image.to_bytes(), mtime=0)


def _colours(tissues: Mapping[str, str]) -> dict[str, Any]:
    """NiiVue's table of labels: air is clear, the tissues have their colours."""
    triples = [(0, 0, 0), *(tuple(bytes.fromhex(colour[1:])) for colour in tissues.values())]
    red, green, blue = (list(channel) for channel in zip(*triples, strict=True))
    alpha = [0, *[255] * len(tissues)]
    places, names = list(range(len(triples))), ["air", *tissues]
    return {"R": red, "G": green, "B": blue, "A": alpha, "I": places, "labels": names}
