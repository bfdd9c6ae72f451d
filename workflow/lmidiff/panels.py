"""The panels of Figure 2, cut from the study's volumes."""

from collections.abc import Mapping, Sequence
from typing import Any

from lmidiff.data.volumes import read_array
from lmidiff.figure_grid import Panel


def read_panels(
    files: Sequence[Mapping[str, Any]], settings: Mapping[str, Any], pixel_size: float
) -> list[Panel]:
    """Panels from the study's volumes, each the same share of the way up through its volume.

    Args:
        files: see :meth:`lmidiff.study.Study.figure2_files`.
        settings: the config's ``figures.figure2``; ``slice`` is a share of the slices, ``roi``
            left, back and side of the close-up as fractions of the image.
        pixel_size: mm.
    """
    panels = []
    for entry in files:
        volumes = {
            kind: {key: read_array(path) for key, path in entry[kind].items()}
            for kind in ("images", "labels")
        }
        width, _, depth = volumes["images"]["target"].shape
        z = min(int(settings["slice"] * depth), depth - 1)
        roi = None
        if "roi" in settings:
            x, y, side = (round(width * share) for share in settings["roi"])
            roi = (x, y, side, side)
        slices = {kind: {k: v[:, :, z] for k, v in volumes[kind].items()} for kind in volumes}
        labels = {key: image.astype(int) for key, image in slices["labels"].items()}
        title = f"{entry['subject']}, slice {z + 1} of {depth}"
        panels.append(Panel(entry["source"], title, slices["images"], labels, pixel_size, roi))
    return panels
