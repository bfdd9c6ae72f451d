"""Intensities of a subject: by rank onto a histogram, and as a function of another image."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def by_subject(function: Callable[..., Tensor], subjects: Sequence[str], *images: Tensor) -> Tensor:
    """Apply ``function`` to the slices of each subject together.

    Args:
        function: maps images (n, 1, H, W) to one of that shape.
        subjects: the subject of each of the N slices, in any order.
        *images: (N, 1, H, W) each, such as images and a mask; the result is like the first.
    """
    output = torch.zeros_like(images[0])
    for subject in dict.fromkeys(subjects):
        rows = torch.tensor([s == subject for s in subjects], device=output.device)
        output[rows] = function(*(image[rows] for image in images))
    return output


def match_quantiles(images: Tensor, brain: Tensor, quantiles: Tensor) -> Tensor:
    """The brain's values mapped, rank by rank, onto ``quantiles``; 0 outside.

    Args:
        images: (N, 1, H, W), slices of one subject.
        brain: bool, same shape. Equal values share the middle of their ranks.
        quantiles: (Q,), rising, at equal steps of probability.
    """
    values = images[brain]
    if values.numel() == 0:
        return torch.zeros_like(images)
    _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
    upper = counts.cumsum(0).double()
    rank = (upper - counts / 2) / values.numel()
    quantiles = quantiles.to(images)
    position = rank[inverse] * (len(quantiles) - 1)
    left = position.floor().long().clamp(max=len(quantiles) - 2)
    weight = (position - left).to(images)
    matched = (1 - weight) * quantiles[left] + weight * quantiles[left + 1]
    return torch.zeros_like(images).masked_scatter(brain, matched)


def conditional_mean(images: Tensor, source: Tensor, brain: Tensor, bins: int) -> Tensor:
    """E[image | source intensity] over the brain of one subject: the best function of the source.

    The mean of the image in bins of equally many voxels of the source, linear between the bins'
    mean source values: the regression whose explained share is Pearson's correlation ratio.

    Args:
        images: (N, 1, H, W), slices of one subject.
        source: same shape.
        brain: bool, same shape: the voxels that the function is fitted on and asked for.
        bins: at most one a voxel.

    Returns:
        (N, 1, H, W), 0 outside the brain.
    """
    given, values = source[brain].double(), images[brain].double()
    if given.numel() == 0:
        return torch.zeros_like(images)
    order = given.argsort(stable=True)
    bins = min(bins, given.numel())
    rank = torch.arange(given.numel(), device=given.device)
    bin_of = rank * bins // given.numel()
    counts = torch.bincount(bin_of, minlength=bins)
    x = torch.zeros(bins, dtype=given.dtype, device=given.device)
    centres = x.index_add(0, bin_of, given[order]) / counts
    means = x.index_add(0, bin_of, values[order]) / counts
    # Bins of one repeated value count once, or the slope between them would be 0 / 0.
    centres, where = centres.unique_consecutive(return_inverse=True)
    sums = torch.zeros_like(centres).index_add(0, where, means * counts)
    means = sums / torch.zeros_like(centres).index_add(0, where, counts.double())
    if len(centres) == 1:
        fitted = means.expand_as(given)
    else:
        right = torch.searchsorted(centres, given).clamp(1, len(centres) - 1)
        width = centres[right] - centres[right - 1]
        share = ((given - centres[right - 1]) / width).clamp(0, 1)
        fitted = means[right - 1] + share * (means[right] - means[right - 1])
    return torch.zeros_like(images).masked_scatter(brain, fitted.to(images))


def explained(images: Tensor, fitted: Tensor, brain: Tensor) -> float:
    """The correlation ratio eta squared: the share of a variance that a function explains, 0..1.

    Args:
        images: (N, 1, H, W), slices of one subject.
        fitted: their mean given another image, as :func:`conditional_mean` gives it.
        brain: bool, same shape.
    """
    values, means = images[brain].double(), fitted[brain].double()
    total = values.var(unbiased=False) if values.numel() else torch.zeros(())
    if not total > 0:
        return 0.0
    return float((means.var(unbiased=False) / total).clamp(0, 1))
