"""Segmenters that strangers trained on T1w: MeshNet (Fedorov et al. 2017), as Brainchop has it.

A model is a folder with ``model.json`` (layers of a Keras model, in the form of TensorFlow.js) and
its weights as little-endian float32: 3 x 3 x 3 convolutions whose dilation grows and falls again,
each with an activation, then a 1 x 1 x 1 one. It sees 256^3 voxels of 1 mm in FreeSurfer's
orientation (left, inferior, anterior). Nobody here trained it, so it says of a translation what a
user's own tool would.
"""

import json
from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from nibabel import orientations
from numpy.typing import NDArray
from scipy import ndimage
from torch import Tensor

from lmidiff.common.errors import StudyError
from lmidiff.data.volumes import Volume

SIDE = 256
HELD = 2**26
"""Numbers of one layer that are held at once, about: a volume is labelled in slabs of planes."""

PLANES = 32
"""Planes a slab at least."""

AXES = "LIA"
Range = tuple[int, int]
"""First voxel and the one after the last, along an axis."""

ACTIVATIONS = {"relu": F.relu, "elu": F.elu, "gelu": F.gelu, "linear": lambda x: x}


@dataclass(frozen=True)
class Layer:
    """A convolution and what follows it.

    Attributes:
        weight: (O, I, k, k, k).
        bias: (O,).
        dilation: of the kernel, in voxels.
        activation: a key of ``ACTIVATIONS``.
        normalised: whether each channel is brought to mean 0 and variance 1 over the whole volume
            before the activation; such a layer cannot be run in slabs.
    """

    weight: Tensor
    bias: Tensor
    dilation: int
    activation: str
    normalised: bool = False

    @property
    def reach(self) -> int:
        """Voxels to either side that it looks at."""
        return self.dilation * (self.weight.shape[-1] // 2)


class MeshNet:
    """A network read from its files.

    Args:
        folder: with ``model.json`` and the file of weights it names.
        scaling: how intensities are brought to 0..1: "range" by minimum and maximum, "quantiles"
            by the 2 % and 98 % quantiles, as each model's authors do.
        reverse: whether the network wants its axes in the order z, y, x.

    Raises:
        StudyError: the files are missing, cut short, or of another kind of network.
    """

    def __init__(self, folder: str | Path, scaling: str = "range", reverse: bool = False) -> None:
        if scaling not in ("range", "quantiles"):
            raise ValueError(f"scaling must be range or quantiles, got {scaling!r}")
        self.layers = read_layers(Path(folder))
        if any(layer.normalised for layer in self.layers):
            raise StudyError(f"{folder}: looks at a whole volume in each layer: not run in slabs")
        self.scaling, self.reverse = scaling, reverse

    @property
    def reach(self) -> int:
        """Voxels to either side on which a label depends."""
        return sum(layer.reach for layer in self.layers)

    @torch.no_grad()
    def segment(self, volume: Volume, margin: int | None = None) -> NDArray[np.uint8]:
        """Labels on the grid of a T1w volume, (X, Y, Z), axes closest to RAS.

        Args:
            volume: 0 outside the brain.
            margin: voxels around the bounding box of the brain that are labelled too, 0 to the
                network's reach, which is the default; what is in the box gets the same labels.
        """
        cube, there = conform(volume)
        brain = _box(cube, 0)
        wanted = _box(cube, self.reach if margin is None else margin)
        part = torch.from_numpy(self._scaled(cube))
        ends = [[(each.start, each.stop) for each in box] for box in (brain, wanted)]
        if self.reverse:
            part, ends = part.permute(2, 1, 0).contiguous(), [each[::-1] for each in ends]
        labels = self._in_slabs(part, *ends)
        if self.reverse:
            labels = labels.permute(2, 1, 0)
        found = np.zeros(cube.shape, np.uint8)
        found[wanted] = labels.numpy()
        return ndimage.affine_transform(
            found, there[:3, :3], there[:3, 3], output_shape=volume.data.shape, order=0
        )

    def _scaled(self, cube: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.scaling == "range":
            low, high = float(cube.min()), float(cube.max())
        else:
            low, high = (float(q) for q in np.quantile(cube, (0.02, 0.98)))
        scaled = (cube - low) / max(high - low, 1e-6)
        return scaled if self.scaling == "range" else np.clip(scaled, 0, 1)

    def _in_slabs(self, part: Tensor, box: list[Range], wanted: list[Range]) -> Tensor:
        """Labels of the voxels of the cube between the ends of ``wanted``, one pair an axis.

        Args:
            part: (D, H, W) the whole cube, scaled.
            box: what is not background, one pair of ends an axis.
            wanted: the voxels to label.
        """
        levels = self._background(float(part.min()))
        channels = max(len(layer.weight) for layer in self.layers)
        # Middle layers see most around the box: about half the reach on either side.
        plane = prod(last - first + self.reach for first, last in box[1:])
        planes = max(PLANES, HELD // (channels * plane) - self.reach)
        begin, end = wanted[0]
        slabs = []
        for first in range(begin, end, planes):
            last = min(first + planes, end)
            slabs.append(self._labels(part, box, [(first, last), *wanted[1:]], levels))
        return torch.cat(slabs)

    def _background(self, level: float) -> list[Tensor]:
        """Each layer's input, (I,), where the volume is background as far as the network looks."""
        levels = [torch.tensor([level])]
        for layer in self.layers:
            value = layer.weight.sum(dim=(2, 3, 4)) @ levels[-1] + layer.bias
            levels.append(ACTIVATIONS[layer.activation](value))
        return levels

    def _labels(
        self, part: Tensor, box: list[Range], wanted: list[Range], levels: list[Tensor]
    ) -> Tensor:
        """Each layer only where later ones look and earlier ones have seen something.

        Beyond the cube there are zeros, as published. Their influence reaches as far inward as the
        brain's does outward; on a side where the two can meet, the layer is run up to the edge.
        """
        far = [
            (min(a, c) >= self.reach, max(b, d) <= n - self.reach)
            for (a, b), (c, d), n in zip(box, wanted, part.shape, strict=True)
        ]
        ahead, behind = self.reach, 0
        here = self._seen(wanted, box, far, ahead, behind, part.shape)
        x = part[tuple(slice(*ends) for ends in here)][None, None]
        for layer, level in zip(self.layers, levels, strict=False):
            ahead -= layer.reach
            behind += layer.reach
            there = self._seen(wanted, box, far, ahead, behind, part.shape)
            x = _framed(x, here, _grown(there, layer.reach), level, part.shape)
            x = F.conv3d(x, layer.weight, layer.bias, dilation=layer.dilation)
            x, here = ACTIVATIONS[layer.activation](x), there
        return x[0].argmax(0).to(torch.uint8)

    @staticmethod
    def _seen(
        wanted: list[Range],
        box: list[Range],
        far: list[tuple[bool, bool]],
        ahead: int,
        behind: int,
        shape: torch.Size,
    ) -> list[Range]:
        """Where a layer is run: what later layers look at, less what is background to it."""
        needed = _within(_grown(wanted, ahead), shape)
        reached = _grown(box, behind)
        return [
            # A slab may look at no voxel that is reached: one plane of background stands for it.
            (min(max(a, c), b - 1) if low else a, max(min(b, d), a + 1) if high else b)
            for (a, b), (c, d), (low, high) in zip(needed, reached, far, strict=True)
        ]


def _grown(ends: list[Range], by: int) -> list[Range]:
    """Ranges grown to both sides."""
    return [(a - by, b + by) for a, b in ends]


def _within(ends: list[Range], shape: torch.Size) -> list[Range]:
    return [(max(a, 0), min(b, n)) for (a, b), n in zip(ends, shape, strict=True)]


def _framed(
    x: Tensor, here: list[Range], there: list[Range], level: Tensor, shape: torch.Size
) -> Tensor:
    """A layer's input over ``there``: ``x`` in its place, background around it, 0 off the cube.

    Args:
        x: (1, I, D, H, W) over ``here``.
        level: (I,) the background.
    """
    # A third faster than with channels first, on a processor.
    framed = torch.zeros((1, x.shape[1], *(b - a for a, b in there))).contiguous(
        memory_format=torch.channels_last_3d
    )
    held = _within(there, shape)
    framed[_at(held, there)] = level[:, None, None, None]
    both = [(max(a, c), max(a, c, min(b, d))) for (a, b), (c, d) in zip(here, there, strict=True)]
    framed[_at(both, there)] = x[_at(both, here)]
    return framed


def _at(ends: list[Range], origin: list[Range]) -> tuple[slice, ...]:
    """Slices of what lies between ``ends`` in an array (1, I, D, H, W) over ``origin``."""
    places = (slice(a - o, b - o) for (a, b), (o, _) in zip(ends, origin, strict=True))
    return slice(None), slice(None), *places


def read_layers(folder: Path) -> list[Layer]:
    """The layers of a published network; raises StudyError if they are none that are run here."""
    try:
        model = json.loads((folder / "model.json").read_text())
        groups = model["weightsManifest"]
        raw = b"".join((folder / path).read_bytes() for group in groups for path in group["paths"])
        specs = [spec for group in groups for spec in group["weights"]]
        layers = model["modelTopology"]["model_config"]["config"]["layers"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StudyError(f"{folder}: no readable MeshNet ({error})") from error
    sizes = [prod(spec["shape"]) for spec in specs]
    if 4 * sum(sizes) != len(raw) or any(spec["dtype"] != "float32" for spec in specs):
        raise StudyError(f"{folder}: its weights have {len(raw)} bytes, not {4 * sum(sizes)}")
    values = np.split(np.frombuffer(raw, "<f4"), np.cumsum(sizes)[:-1])
    arrays = {
        spec["name"]: torch.from_numpy(v.copy()).reshape(spec["shape"])
        for spec, v in zip(specs, values, strict=True)
    }
    found: list[Layer] = []
    for layer in layers:
        kind, config = layer["class_name"], layer["config"]
        if kind == "Conv3D":
            found.append(_convolution(config, arrays, folder))
        elif kind == "Activation" and found:
            last = found.pop()
            found.append(replace(last, activation=config["activation"]))
        elif kind != "InputLayer":
            raise StudyError(f"{folder}: has a layer {kind}, which is not run here")
    if not found or {layer.activation for layer in found} - set(ACTIVATIONS):
        raise StudyError(f"{folder}: has no convolution, or an activation that is not run here")
    return found


def _convolution(config: dict[str, Any], arrays: dict[str, Tensor], folder: Path) -> Layer:
    dilations = set(config["dilation_rate"])
    if len(dilations) != 1 or config["padding"] != "same" or set(config["strides"]) != {1}:
        raise StudyError(f"{folder}: layer {config['name']} is no convolution that is run here")
    kernel = arrays[f"{config['name']}/kernel"].permute(4, 3, 0, 1, 2)
    kernel = kernel.contiguous(memory_format=torch.channels_last_3d)
    normalised = config["name"].endswith("_gn")
    # What is normalised has no bias: it would be taken away again.
    bias = torch.zeros(len(kernel)) if normalised else arrays[f"{config['name']}/bias"]
    return Layer(kernel, bias, dilations.pop(), config["activation"], normalised)


def conform(volume: Volume) -> tuple[NDArray[np.float32], NDArray[np.floating]]:
    """The volume on 256^3 voxels of 1 mm around its middle, and where its voxels lie there.

    Returns:
        The cube, axes left, inferior, anterior; and the (4, 4) from indices of ``volume`` to it.
    """
    turned = orientations.axcodes2ornt(AXES)
    turn = np.zeros((4, 4))
    for out, (axis, flip) in enumerate(turned):
        turn[int(axis), out] = flip
    turn[3, 3] = 1
    middle = volume.affine @ [*(np.array(volume.data.shape) - 1) / 2, 1]
    cube_affine = turn.copy()
    cube_affine[:3, 3] = middle[:3] - turn[:3, :3] @ np.full(3, (SIDE - 1) / 2)
    onto = np.linalg.inv(volume.affine) @ cube_affine
    cube = ndimage.affine_transform(
        volume.data, onto[:3, :3], onto[:3, 3], output_shape=(SIDE,) * 3, order=1
    )
    return cube.astype(np.float32), np.linalg.inv(cube_affine) @ volume.affine


def _box(cube: NDArray[np.float32], margin: int) -> tuple[slice, ...]:
    """What is not zero, and so many voxels around it."""
    places = np.argwhere(cube > 0)
    if not len(places):
        raise StudyError("MeshNet: the volume is empty")
    low = np.maximum(places.min(axis=0) - margin, 0)
    high = np.minimum(places.max(axis=0) + margin + 1, SIDE)
    return tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
