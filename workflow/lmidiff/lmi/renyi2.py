"""The Renyi-2 LMI estimator: collision entropies in closed form, without bins.

Every map here is flat: a batch of padded images laid out in one row, of ``pitch`` values a line.
A shift by (rows, columns) is then one slice, rows * pitch + columns further on, and every operation
runs over contiguous memory. Values whose shift runs over the end of a line lie in the padding and
are dropped at the end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.lmi.elementwise import elementwise
from lmidiff.lmi.reference import GREY_LEVELS, NMI_EPS, offset_range

# Positions at a time: on a CPU the maps of a chunk stay in cache; a GPU launches kernels per chunk.
CHUNK_CPU, CHUNK_CUDA = 17000, 1 << 22

# expm1(-(v_a - v_b)^2 / (4 s^2)) of pixel pairs, keyed by the pair's |displacement| (rows,
# columns). The maps of one key are its diagonals, (images, positions); each value lies at the top
# left corner of the pair's bounding box. A pair's value depends on its displacement only, so a
# 3 x 3 patch needs 12 maps, not 36.
PairMaps = dict[tuple[int, int], list[Tensor]]


class Buffers(NamedTuple):
    """Memory that every chunk uses again: fresh memory costs a CPU more than the arithmetic in it.

    Attributes:
        products, columns, total: for the three stages of ``_patch_sum``; None takes fresh memory.
        nats: for the sum of both images' entropies; it lies over ``columns``.
    """

    products: Tensor | None = None
    columns: Tensor | None = None
    total: Tensor | None = None
    nats: Tensor | None = None

    @classmethod
    def allocate(cls, like: Tensor, side: int, sizes: tuple[int, int, int]) -> Buffers:
        """Room for ``sizes`` positions, of the three stages, at side x side offsets."""
        # In one piece, for which the C library keeps the memory from call to call.
        memory = like.new_empty(side * side * sum(sizes)).split([side * side * n for n in sizes])
        products, columns, total = (m.view(side, side, -1) for m in memory)
        return cls(products, columns, total, columns[..., : sizes[-1]])


FRESH = Buffers()


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
    padded = height + 2 * (patch_size - 1), width + 2 * (patch_size - 1)
    tracked = torch.is_grad_enabled() and (y.requires_grad or x.requires_grad)
    # Without PyTorch's records for gradients, a sixth less time; the result leaves that mode.
    with torch.inference_mode(not tracked):
        found = _best_offsets(y, x, patch_size, bandwidth, normalized, search)
    best = 2 * found if normalized else found.log1p() / math.log(2)
    best = F.pad(best, (0, count * math.prod(padded) - best.numel()))
    return best.view(count, *padded)[:, :height, :width]


def _best_offsets(
    y: Tensor, x: Tensor, patch_size: int, bandwidth: float, normalized: bool, search: bool
) -> Tensor:
    """The greatest over offsets of MI2 / (H2(y) + H2(x)), or of 2^MI2 - 1, as a flat map."""
    reach = patch_size - 1  # half a patch and half an offset window
    images = y[None] if y is x else torch.stack([y, x])
    images = F.pad(images, (reach,) * 4, mode="replicate")
    pitch = images.shape[-1]
    pairs = _pair_maps(images.flatten(1), patch_size, pitch, bandwidth)
    # Sums over the half of the ordered pairs that the maps hold; ``share`` makes them means.
    share = 2 / patch_size**4
    totals = _patch_sum(partial(_add_maps, pairs), patch_size, pitch)
    means = totals * share
    inverses = (1 + means).reciprocal_()
    nats = elementwise("log1p", means, out=torch.empty_like(means)).neg_()
    total_y, scale_y, nats_y = totals[0], inverses[0] * share, nats[0] + NMI_EPS

    halo = reach * (pitch + 1)
    centre = patch_size // 2 * (pitch + 1)
    offsets = offset_range(patch_size, search)
    corner, side = offsets.start * (pitch + 1), len(offsets)
    length = totals.shape[-1] - halo
    parts = math.ceil(length / (CHUNK_CUDA if y.is_cuda else CHUNK_CPU))
    size = math.ceil(length / parts)
    buffers = FRESH
    if not totals.requires_grad:
        buffers = Buffers.allocate(y, side, (size + halo, size + reach, size))

    def offset_views(flat: Tensor, start: int, size: int) -> Tensor:
        """Windows of x at every offset: (offset row, offset column, size)."""
        start += corner
        if not flat.requires_grad:
            strides = (pitch, 1, 1)
            return flat.as_strided((side, side, size), strides, flat.storage_offset() + start)
        # The same in more steps, whose gradient is the faster one.
        flat = flat.narrow(0, start, size + (side - 1) * (pitch + 1))
        return flat.unfold(0, size + side - 1, pitch).unfold(1, size, 1)

    def add_products(start: int, row: int, column: int, total: Tensor | None) -> Tensor:
        for pair in pairs[row, column]:
            at_y = pair[0].narrow(0, start + centre, size + halo)
            at_x = offset_views(pair[-1], start, size + halo)
            total = _add_product(total, at_y, at_x, buffers.products)
        return total

    found = y.new_empty(length)
    for part in range(parts):
        start = min(part * size, length - size)  # the last may overlap the one before
        total_at_y, scale_at_y, nats_at_y = (
            v.narrow(0, start + centre, size) for v in (total_y, scale_y, nats_y)
        )
        mean_at_x, inverse_at_x, nats_at_x = (
            offset_views(v[-1], start, size) for v in (means, inverses, nats)
        )
        joint = _patch_sum(partial(add_products, start), patch_size, pitch, buffers)
        covariance = joint.addcmul_(total_at_y, mean_at_x, value=-1)
        ratio = torch.mul(covariance, scale_at_y, out=buffers.total)
        ratio = torch.mul(ratio, inverse_at_x, out=buffers.total)
        if normalized:
            both = torch.add(nats_at_y, nats_at_x, out=buffers.nats)
            ratio = torch.div(elementwise("log1p", ratio), both, out=buffers.total)
        found[start : start + size] = ratio.amax((0, 1))
    return found


def _pair_maps(flat: Tensor, patch_size: int, pitch: int, bandwidth: float) -> PairMaps:
    """exp(-(v_a - v_b)^2 / (4 s^2)) - 1 for every displacement inside a patch, once per image."""
    scale = -((GREY_LEVELS / (2 * bandwidth)) ** 2)
    zero = flat.new_zeros(())
    length = flat.shape[1]
    flat = F.pad(flat, (0, (patch_size - 1) * (pitch + 1)))
    pairs: PairMaps = {}
    for column in range(patch_size):
        # From a pair's pixel in its upper line, the other is to the right and to the left.
        for near, far in [(0, column), (column, 0)] if column else [(0, 0)]:
            rows = range(0 if far else 1, patch_size)
            lower = flat.narrow(1, rows.start * pitch + far, length + (len(rows) - 1) * pitch)
            lower = lower.unfold(1, length, pitch)
            differences = flat[:, None].narrow(2, near, length) - lower
            out = None if flat.requires_grad else differences
            squares = torch.addcmul(zero, differences, differences, value=scale, out=out)
            maps = elementwise("expm1", squares).unbind(1)
            for row, values in zip(rows, maps, strict=True):
                pairs.setdefault((row, column), []).append(values)
    return pairs


def _add_maps(pairs: PairMaps, row: int, column: int, total: Tensor | None) -> Tensor:
    """Add the maps of a displacement to ``total``; None begins one."""
    for pair in pairs[row, column]:
        total = pair.clone() if total is None else total.add_(pair)
    return total


def _patch_sum(
    add_pairs: Callable[[int, int, Tensor | None], Tensor],
    patch_size: int,
    pitch: int,
    buffers: Buffers = FRESH,
) -> Tensor:
    """Sum over the pairs of each patch; a position needs those (p - 1)(pitch + 1) further on.

    A pair displaced by (r, c) fits into a patch at (p - r) x (p - c) places. The shift j takes part
    in the sums of all r < p - j, so the maps are accumulated over r, and one addition per shift
    is left; likewise over c.

    Args:
        add_pairs: adds the maps of |displacement| (row, column) to a total, in place; the total
            None begins one.
    """
    reach = patch_size - 1
    columns = total = None
    for column in range(patch_size):
        rows = None
        for row in range(0 if column else 1, patch_size):
            rows = add_pairs(row, column, rows)
            part = rows.narrow(-1, (reach - row) * pitch, rows.shape[-1] - reach * pitch)
            columns = _add(columns, part, buffers.columns)
        part = columns.narrow(-1, reach - column, columns.shape[-1] - reach)
        total = _add(total, part, buffers.total)
    return total


def _add(total: Tensor | None, part: Tensor, buffer: Tensor | None) -> Tensor:
    """``total`` plus ``part``, in place; a total of None begins in ``buffer``, or fresh memory."""
    if total is not None:
        return total.add_(part)
    return part.clone() if buffer is None else buffer.copy_(part)


def _add_product(total: Tensor | None, a: Tensor, b: Tensor, buffer: Tensor | None) -> Tensor:
    """``total`` plus a b, in place; a total of None begins in ``buffer``, or fresh memory."""
    if total is not None:
        return total.addcmul_(a, b)
    if buffer is not None:
        return torch.mul(a, b, out=buffer)
    # Of overlapping windows, torch.mul makes a tensor whose positions are not contiguous.
    return b.new_zeros(b.shape).addcmul_(a, b)
