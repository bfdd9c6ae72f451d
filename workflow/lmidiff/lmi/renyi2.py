"""The Renyi-2 LMI estimator: collision entropies in closed form, without bins.

Every map here is flat: a batch of padded images laid out in one row, of ``pitch`` values a line.
A shift by (rows, columns) is then one slice, rows * pitch + columns further on, and every operation
runs over contiguous memory. Values whose shift runs over the end of a line lie in the padding and
are dropped at the end.
"""

from __future__ import annotations

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.lmi.reference import GREY_LEVELS, NMI_EPS, offset_range

# Positions at a time: on a CPU the maps of a chunk stay in cache; a GPU launches kernels per chunk.
CHUNK_CPU, CHUNK_CUDA = 8800, 1 << 22

# expm1(-(v_a - v_b)^2 / (4 s^2)) of pixel pairs, keyed by the pair's |displacement| (rows,
# columns). The maps of one key are its diagonals; each value lies at the top left corner of the
# pair's bounding box. A pair's value depends on its displacement only, so a 3 x 3 patch needs 12
# maps, not 36.
PairMaps = dict[tuple[int, int], list[Tensor]]


def estimate(
    y: Tensor, x: Tensor, patch_size: int, bandwidth: float, normalized: bool, search: bool
) -> Tensor:
    """Renyi-2 LMI of (N, H, W) images; computed faster if ``y`` is ``x``.

    With k_ab = exp(-(v_a - v_b)^2 / (4 s^2)), n = p^2 and H2 = -log2 V, V = mean over a, b of k_ab.
    Written by k - 1, which stays accurate in flat patches: A = mean of (k - 1), V = 1 + A, and with
    C = mean of (k^y - 1)(k^x - 1) the joint V_yx = 1 + A_y + A_x + C, so that

        MI2 = H2(y) + H2(x) - H2(y, x) = log2(1 + (C - A_y A_x) / (V_y V_x)).
    """
    count, height, width = y.shape
    reach = patch_size - 1  # half a patch and half an offset window
    images = y[None] if y is x else torch.stack([y, x])
    images = F.pad(images, (reach,) * 4, mode="replicate")
    lines, pitch = images.shape[-2:]
    pairs = _pair_maps(images.flatten(1), patch_size, pitch, bandwidth)
    # Sums over the half of the ordered pairs that the maps hold; ``share`` makes them means.
    share = 2 / patch_size**4
    totals = _patch_sum({key: sum(maps) for key, maps in pairs.items()}, patch_size, pitch)
    means = totals * share
    inverses, nats = 1 / (1 + means), -torch.log1p(means)

    centre = patch_size // 2 * (pitch + 1)
    offsets = offset_range(patch_size, search)
    corner, side = offsets.start * (pitch + 1), len(offsets)
    length = totals.shape[-1] - reach * (pitch + 1)
    total_y, inverse_y, nats_y = totals[0], inverses[0] * share, nats[0] + NMI_EPS

    def offset_views(flat: Tensor, start: int, size: int) -> Tensor:
        """Windows of x at every offset: (offset row, offset column, size)."""
        flat = flat.narrow(0, start + corner, size + (side - 1) * (pitch + 1))
        return flat.unfold(0, size + side - 1, pitch).unfold(1, size, 1)

    chunk = CHUNK_CUDA if y.is_cuda else CHUNK_CPU
    found = []
    for start in range(0, length, chunk):
        size = min(chunk, length - start)
        joint = {}
        for (row, column), maps in pairs.items():
            longer = size + (reach - row) * pitch + reach - column
            joint[row, column] = y.new_zeros(side, side, longer)
            for pair in maps:
                at_y = pair[0].narrow(0, start + centre, longer)
                joint[row, column].addcmul_(at_y, offset_views(pair[-1], start, longer))
        at = slice(start + centre, start + centre + size)
        mean_x, inverse_x, nats_x = (
            offset_views(v[-1], start, size) for v in (means, inverses, nats)
        )
        covariance = _patch_sum(joint, patch_size, pitch).addcmul_(total_y[at], mean_x, value=-1)
        ratio = covariance * inverse_y[at] * inverse_x
        if normalized:
            found.append((torch.log1p(ratio) / nats_x.contiguous().add_(nats_y[at])).amax((0, 1)))
        else:
            found.append(torch.log1p(ratio.amax((0, 1))))
    best = torch.cat(found) * (2.0 if normalized else 1 / math.log(2))
    best = F.pad(best, (0, count * lines * pitch - length))
    return best.view(count, lines, pitch)[:, :height, :width]


def _pair_maps(flat: Tensor, patch_size: int, pitch: int, bandwidth: float) -> PairMaps:
    """exp(-(v_a - v_b)^2 / (4 s^2)) - 1 for every displacement inside a patch, once per image."""
    scale = -((GREY_LEVELS / (2 * bandwidth)) ** 2)
    length = flat.shape[-1]
    pairs: PairMaps = {}
    for row in range(patch_size):
        for column in range(patch_size):
            if row == column == 0:
                continue
            down, size = row * pitch, length - row * pitch - column
            ends = [(0, down + column)] + ([(column, down)] if row and column else [])
            differences = (flat.narrow(1, a, size) - flat.narrow(1, b, size) for a, b in ends)
            pairs[row, column] = [_expm1(d.square().mul_(scale)) for d in differences]
    return pairs


def _expm1(values: Tensor) -> Tensor:
    """exp(values) - 1, in place where no gradient is wanted."""
    if values.requires_grad or values.is_cuda:
        return values.expm1()
    # NumPy's is vectorised, three times as fast as PyTorch's on a CPU.
    np.expm1(values.numpy(), out=values.numpy())
    return values


def _patch_sum(maps: dict[tuple[int, int], Tensor], patch_size: int, pitch: int) -> Tensor:
    """Sum over the pairs of each patch, from one summed map per |displacement|.

    A pair displaced by (r, c) fits into a patch at (p - r) x (p - c) places.
    """
    columns = []
    for column in range(patch_size):
        rows = [maps[row, column] for row in range(patch_size) if row or column]
        columns.append(_nested_sum(rows, pitch, patch_size, skipped=0 if column else 1))
    return _nested_sum(columns, 1, patch_size)


def _nested_sum(maps: list[Tensor], stride: int, patch_size: int, skipped: int = 0) -> Tensor:
    """Sum of running sums at ``stride``, of length p - d for the map of displacement d.

    The shift j takes part in the sums of all d < p - j: accumulating the maps first leaves one
    addition per shift. ``maps`` begins at displacement ``skipped``.
    """
    length = maps[0].shape[-1] + (skipped - patch_size + 1) * stride
    accumulated = maps[0]
    terms = [accumulated.narrow(-1, (patch_size - 1 - skipped) * stride, length)]
    for distance, following in enumerate(maps[1:], start=skipped + 1):
        accumulated = following.add_(accumulated.narrow(-1, 0, following.shape[-1]))
        terms.append(accumulated.narrow(-1, (patch_size - 1 - distance) * stride, length))
    total = terms[0] + terms[1]
    for term in terms[2:]:
        total.add_(term)
    return total
