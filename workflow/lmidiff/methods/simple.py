"""The rows that need no network: the untouched source, histogram matching, and the ceiling."""

import torch
from torch import Tensor

from lmidiff.methods.base import Method, SliceId, Translation


class Source(Method):
    """The source image as it is: what a segmenter gets without any translation."""

    label = "Source, untouched"

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """The source itself."""
        return Translation(source)


class HistogramMatching(Method):
    """The source's brain intensities mapped, rank by rank, onto the target's training histogram.

    The rank of a voxel is taken over all slices of its subject, so a slice with little
    cerebrospinal fluid keeps little.
    """

    label = "Histogram matching"
    family = "histogram"
    inverted = False

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Match each subject's slices to the quantiles of the target."""
        output = torch.zeros_like(source)
        subjects = [subject for subject, _ in ids]
        for subject in dict.fromkeys(subjects):
            rows = torch.tensor([s == subject for s in subjects], device=source.device)
            output[rows] = self._match(source[rows])
        return Translation(output)

    def _match(self, images: Tensor) -> Tensor:
        brain = images > 0
        values = images[brain]
        if values.numel() == 0:
            return images
        if self.inverted:
            values = -values
        _, inverse, counts = values.unique(return_inverse=True, return_counts=True)
        upper = counts.cumsum(0).double()
        rank = (upper - counts / 2) / values.numel()
        quantiles = self.model.to(images)
        position = rank[inverse] * (len(quantiles) - 1)
        left = position.floor().long().clamp(max=len(quantiles) - 2)
        weight = (position - left).to(images)
        matched = (1 - weight) * quantiles[left] + weight * quantiles[left + 1]
        return torch.zeros_like(images).masked_scatter(brain, matched)


class InvertedHistogramMatching(HistogramMatching):
    """The source's intensities reversed, then matched: proton density is dark where T1w is bright.

    It needs no training, and for PDw to T1w it is a strong row.
    """

    label = "Inverted, histogram matching"
    inverted = True


class Oracle(Method):
    """The true target image through the same segmenter: the ceiling, not a method.

    Its rule hands it the target in place of the source.
    """

    label = "True target (ceiling)"
    sees_test_target = True

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """What it was handed."""
        return Translation(source)
