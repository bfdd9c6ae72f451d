"""A segmenter that others trained on T1w, as a judge of translations: does it still work on them?

It labels the translation of a whole brain and the true target of the same person; the Dice of the
two is the agreement of the network with itself. A network of three dimensions sees far: the study's
few slices are too far apart for it, and a slab of a brain gets other labels than the brain has, so
it is given all of a brain, and compared over the heights that the study's slices cover.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import Volume
from lmidiff.evaluation.meshnet import MeshNet
from lmidiff.evaluation.metrics import Score, dice
from lmidiff.evaluation.published import METRIC, MOST_MM


def label_whole(network: MeshNet, volume: Volume) -> NDArray[np.uint8]:
    """Labels of a whole brain, (X, Y, Z), 0 outside its bounding box.

    Args:
        network: see :class:`lmidiff.evaluation.meshnet.MeshNet`.
        volume: 0 outside the brain.

    Raises:
        StudyError: the slices are further apart than ``MOST_MM``, or the volume is empty.
    """
    apart = float(volume.voxel_mm.max())
    if apart > MOST_MM:
        raise StudyError(
            f"{volume.name}: voxels up to {apart:.1f} mm apart are too far for a network that sees "
            f"1 mm ({MOST_MM:g} at most); raise segmentation.network.slices"
        )
    return network.segment(volume, margin=0)


def score_labels(
    found: NDArray[np.integer],
    wanted: NDArray[np.integer],
    mask: NDArray[np.bool_],
    labels: Mapping[str, int],
    extent: tuple[float, float] = (0.0, 1.0),
) -> list[Score]:
    """Dice of each tissue, ``nan`` where neither has it.

    Args:
        found, wanted: (X, Y, Z) the network's labels of the translation and of the true target.
        mask: (X, Y, Z), the brain.
        labels: tissue to its label.
        extent: shares of the height, first slice to last, between which slices count.
    """
    heights = np.linspace(0, 1, mask.shape[2])
    inside = mask & (heights >= extent[0]) & (heights <= extent[1])
    one, other = (np.where(inside, each, 0) for each in (found, wanted))
    return [Score("all", name, METRIC, dice(one, other, label)) for name, label in labels.items()]
