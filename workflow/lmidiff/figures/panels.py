"""The panels of Figure 2: cut from the study's volumes, kept as pictures, read back."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lmidiff.data.volumes import read_array
from lmidiff.evaluation.panel import SOURCE, TARGET, Panel
from lmidiff.evaluation.pictures import intensities, read_pictures, write_pictures

KINDS = ("images", "labels")
CLOSEUP = 21
"""Least side of a close-up in pixels."""


def cut_panels(
    files: Sequence[Mapping[str, Any]], slice_share: float, pixel_size: float, path: str | Path
) -> None:
    """Keep one axial slice of every panel, each the same share of the way up through its volume.

    Args:
        files: see :meth:`lmidiff.study.study.Study.figure2_files`.
        slice_share: 0 is the lowest slice, 1 the highest.
        pixel_size: mm.
        path: the file of pictures to write.
    """
    pictures, index = {}, []
    for number, entry in enumerate(files):
        volumes = {
            kind: {key: read_array(path) for key, path in entry[kind].items()} for kind in KINDS
        }
        depth = volumes["images"][TARGET].shape[2]
        z = min(int(slice_share * depth), depth - 1)
        for kind in KINDS:
            for key, volume in volumes[kind].items():
                chosen = volume[:, :, z]
                stored = chosen.astype(np.uint8) if kind == "labels" else chosen
                pictures[f"{number}/{kind}/{key}"] = stored
        place = {"source": entry["source"], "subject": entry["subject"], "slice": z}
        index.append({**place, "slices": depth, "pixel_size": pixel_size})
    write_pictures(path, pictures, index)


def read_panels(path: str | Path, settings: Mapping[str, Any]) -> list[Panel]:
    """The panels that :func:`cut_panels` kept.

    Args:
        path: the file of pictures.
        settings: the config's ``figures.figure2``; ``roi`` is left, back and side of the close-up
            as fractions of the image, or a list of several such.
    """
    pictures, index = read_pictures(path)
    panels = []
    for number, entry in enumerate(index):
        found: dict[str, dict[str, Any]] = {kind: {} for kind in KINDS}
        for key, picture in pictures.items():
            place, kind, column = key.split("/", 2)
            if int(place) == number:
                image = intensities(picture) if kind == "images" else picture.astype(int)
                found[kind][column] = image
        title = f"{entry['subject']}, slice {entry['slice'] + 1} of {entry['slices']}"
        rois = [
            pixels_of(roi, found["images"][TARGET].shape) for roi in _several(settings.get("roi"))
        ]
        looks = (entry["pixel_size"], tuple(rois))
        panels.append(Panel(entry["source"], title, found["images"], found["labels"], *looks))
    return panels


def drawn_cells(panels: Sequence[Panel], methods: Mapping[str, str]) -> pd.DataFrame:
    """What Figure 2 shows, a row a cell: for the CSV beside it.

    Returns:
        ``source, slice, column, label, mean_intensity, mae`` (of the slice's brain, against the
        true target; the brain is where that has a K-Means label, else where it is above 0).
    """
    rows = []
    for panel in panels:
        truth = np.asarray(panel.images[TARGET])
        brain = np.asarray(panel.labels.get(TARGET, truth)) > 0
        for key, label in {SOURCE: "source", TARGET: "true target", **methods}.items():
            row = {"source": panel.title, "slice": panel.subtitle, "column": key, "label": label}
            image = panel.images.get(key)
            if image is not None:
                row["mean_intensity"] = f"{image[brain].mean():.4f}"
                row["mae"] = f"{np.abs(image - truth)[brain].mean():.4f}"
            rows.append(row)
    return pd.DataFrame(rows)


def pixels_of(roi: Sequence[float], shape: tuple[int, int]) -> tuple[int, int, int, int]:
    """Left, back and side as fractions of the width to ``(x, y, width, height)`` in pixels.

    The side is at least ``CLOSEUP``, if the image has that; the box moves to stay inside it.
    """
    x, y, side = (round(shape[0] * share) for share in roi)
    side = min(max(side, CLOSEUP), *shape)
    return min(x, shape[0] - side), min(y, shape[1] - side), side, side


def _several(roi: Any) -> list[Sequence[float]]:
    if roi is None:
        return []
    return list(roi) if isinstance(roi[0], Sequence) else [roi]
