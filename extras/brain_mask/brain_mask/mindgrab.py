"""MindGrab (Fani et al. 2025, arXiv:2506.11860), which strangers trained to find brains.

Convolutions of 3 x 3 x 3 whose dilation falls and grows again and again, each normalised over the
whole volume, on 256^3 voxels of 1 mm. What a layer is normalised by depends on all of the volume,
so a scan is neither cut to its head nor run in parts.
"""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from lmidiff.data.volumes import Volume
from lmidiff.evaluation.meshnet import ACTIVATIONS, Layer, conform, read_layers

PLANES = 32
"""Planes that are convolved at once."""

EPSILON = 1e-5
"""Added to a variance, as torch's normalisations have it."""

BRAIN = 1
"""Its label of the brain."""


class MindGrab:
    """The network, read from its published files.

    Args:
        folder: with ``model.json`` and its weights.

    Raises:
        StudyError: the files are missing, cut short, or of another kind of network.
    """

    def __init__(self, folder: str | Path) -> None:
        self.layers = read_layers(Path(folder))

    @torch.no_grad()
    def find(self, scan: Volume) -> NDArray[np.bool_]:
        """The brain of a scan of any contrast, (X, Y, Z), as the largest piece of what is found.

        Intensities are brought to 0..1 by minimum and maximum.
        """
        cube, there = conform(scan)
        low, high = float(cube.min()), float(cube.max())
        x = torch.from_numpy((cube - low) / max(high - low, 1e-6))[None, None]
        for layer in self.layers:
            x = apply(layer, x)
        found = (x[0].argmax(0) == BRAIN).to(torch.uint8).numpy()
        onto = ndimage.affine_transform(
            found, there[:3, :3], there[:3, 3], output_shape=scan.data.shape, order=0
        )
        pieces, count = ndimage.label(onto)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
        return pieces == 1 + int(sizes.argmax()) if count else onto > 0


def apply(layer: Layer, x: Tensor) -> Tensor:
    """A layer on a whole volume (1, I, X, Y, Z), zeros beyond it; (1, O, X, Y, Z)."""
    planes, reach = x.shape[2], layer.reach
    result = torch.empty((1, len(layer.weight), *x.shape[2:]))
    for first in range(0, planes, PLANES):
        last = min(first + PLANES, planes)
        low, high = first - reach, last + reach
        ends = (max(-low, 0), max(high - planes, 0))
        part = F.pad(x[:, :, max(low, 0) : high], (reach, reach, reach, reach, *ends))
        part = part.contiguous(memory_format=torch.channels_last_3d)
        result[:, :, first:last] = F.conv3d(part, layer.weight, layer.bias, dilation=layer.dilation)
    # A channel at a time: the volume of all is a gigabyte.
    for channel in result[0]:
        if layer.normalised:
            mean, spread = channel.mean(), (channel.var(correction=0) + EPSILON).sqrt()
            channel.sub_(mean).div_(spread)
        channel.copy_(ACTIVATIONS[layer.activation](channel))
    return result
