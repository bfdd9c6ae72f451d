"""Sums over joint histograms of patches, by blocks of pixels: the costly part of ``parzen``."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.lmi.elementwise import elementwise
from lmidiff.lmi.reference import joint_histograms

# Pixels at a time. Small blocks stay in a CPU's cache, dense ones having all bins of every pixel;
# a GPU launches kernels per block.
BLOCK_CPU, BLOCK_CPU_DENSE, BLOCK_CUDA = 192, 64, 4096


class Patches(NamedTuple):
    """Where the patches of a batch's pixels lie in its padded images, flattened, and in the bins.

    Attributes, for the pixels in the order they are worked on:
        corners: positions of the patches' top left corners, (pixels, offsets).
        steps: from a corner to the patch's pixels, (p * p,).
        start: first bin in reach of each patch, (pixels, offsets).
        width: number of bins in reach, the most of any offset, (pixels,).
    """

    corners: Tensor
    steps: Tensor
    start: Tensor
    width: Tensor

    @classmethod
    def of(
        cls,
        order: Tensor,
        shape: tuple[int, int],
        patch_size: int,
        offsets: range,
        start: Tensor,
        width: Tensor,
    ) -> Patches:
        """Find the patches of pixels.

        Args:
            order: numbers of the batch's pixels, in the order to take them.
            shape: height and width of the images without padding.
            offsets: of the patch's corner along both axes, in the padded image.
            start: first bin in reach, by the padded pixel at a patch's corner, (N, lines, pitch).
            width: number of bins in reach, by pixel.
        """
        lines, pitch = start.shape[1:]
        image, inside = order // math.prod(shape), order % math.prod(shape)
        row, column = inside // shape[1], inside % shape[1]
        shifts, steps = (
            (torch.arange(r.start, r.stop)[:, None] * pitch + torch.arange(r.start, r.stop))
            .flatten()
            .to(order.device)
            for r in (offsets, range(patch_size))
        )
        corners = ((image * lines + row) * pitch + column)[:, None] + shifts
        start = start.flatten().index_select(0, corners.flatten()).view_as(corners)
        return cls(corners, steps, start, width[order])

    def positions(self, at: slice) -> Tensor:
        """Positions of the patches' pixels, (pixels, p * p, offsets)."""
        return self.corners[at, None] + self.steps[:, None]


class JointSums(torch.autograd.Function):
    """Sums of w log2 w over the joint histograms of all pixels and offsets: (pixels, offsets).

    The weights w are those of kernels (N, lines, pitch, bins) of the padded source and sample,
    summed over a patch. A joint histogram takes bins^2 numbers for each pixel and offset: both
    passes stream over blocks. The forward pass leaves out the bins out of a patch's reach.
    """

    @staticmethod
    def forward(
        ctx: Any,
        kernel_y: Tensor,
        kernel_x: Tensor,
        order: Tensor,
        patches_y: Patches,
        patches_x: Patches,
    ) -> Tensor:
        ctx.save_for_backward(kernel_y, kernel_x)
        ctx.patches = order, patches_y, patches_x
        offsets = patches_x.corners.shape[1]
        found = kernel_y.new_empty(len(order), offsets)
        for at, joint, memory in _joint_blocks((kernel_y, kernel_x), (patches_y, patches_x)):
            weighted = elementwise("log2", joint, out=memory).mul_(joint)
            # Over whole lines first.
            found[at] = weighted.sum(1).unflatten(1, (offsets, -1)).sum(-1)
        return torch.empty_like(found).index_copy_(0, order, found)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        kernel_y, kernel_x = ctx.saved_tensors
        order, patches_y, patches_x = ctx.patches
        table_y, table_x = kernel_y.flatten(0, 2), kernel_x.flatten(0, 2)
        gradient_y, gradient_x = torch.zeros_like(table_y), torch.zeros_like(table_x)
        block = BLOCK_CUDA if kernel_y.is_cuda else BLOCK_CPU_DENSE
        for start in range(0, len(order), block):
            at = slice(start, start + block)
            at_y, at_x = patches_y.positions(at)[..., 0], patches_x.positions(at)
            a, b = table_y[at_y], table_x[at_x]
            # The derivative of w log2 w is log2 w + 1 / ln 2.
            slope = elementwise("log2", joint_histograms(a, b)).add_(1 / math.log(2))
            step = slope.mul_(gradient[order[at], None, :, None]).flatten(2)
            step_y = torch.bmm(b.flatten(2), step.transpose(1, 2))
            gradient_y.index_add_(0, at_y.flatten(), step_y.flatten(0, 1))
            step_x = torch.bmm(a, step).view_as(b)
            gradient_x.index_add_(0, at_x.flatten(), step_x.flatten(0, 2))
        return gradient_y.view_as(kernel_y), gradient_x.view_as(kernel_x), None, None, None


def _joint_blocks(
    kernels: tuple[Tensor, Tensor], patches: tuple[Patches, Patches]
) -> Iterator[tuple[slice, Tensor, Tensor]]:
    """Joint histograms of the bins in reach, of a block of pixels at a time.

    Yields:
        The block among the pixels in their order; the histograms, (pixels, bins, offsets * bins);
        and memory of the same shape. Both are used again: fresh memory costs a CPU more than the
        arithmetic done in it.
    """
    bins, count = kernels[0].shape[-1], len(patches[0].width)
    block = BLOCK_CUDA if kernels[0].is_cuda else BLOCK_CPU
    widths, sides = [], []
    for kernel, patch in zip(kernels, patches, strict=True):
        # Windows are as wide as the block's widest, and end with the last bin.
        widest = F.pad(patch.width, (0, -count % block)).view(-1, block).amax(1)
        last = (bins - widest).repeat_interleave(block)[:count, None]
        # As positions in the table of all bins of all pixels.
        first = torch.minimum(patch.start, last).add_(patch.corners, alpha=bins)
        widths.append(widest.tolist())
        sides.append((kernel.flatten(), first[:, None], patch.steps[:, None] * bins))
    offsets = patches[1].corners.shape[1]
    largest = max(n * m for n, m in zip(*widths, strict=True))
    memory = kernels[0].new_empty(2, min(block, count) * offsets * largest)
    for start, *sizes in zip(range(0, count, block), *widths, strict=True):
        length = min(block, count - start)
        a, b = (
            table.unfold(0, size, 1)
            .index_select(0, (first.narrow(0, start, length) + steps).flatten())
            .view(length, len(steps), -1)
            for (table, first, steps), size in zip(sides, sizes, strict=True)
        )
        shape = length, a.shape[-1], b.shape[-1]
        joint, spare = memory.narrow(1, 0, math.prod(shape)).view(2, *shape)
        torch.bmm(a.transpose(1, 2), b, out=joint)
        yield slice(start, start + length), joint, spare
