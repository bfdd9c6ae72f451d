"""The rows that need no network: the untouched source, histogram matching, and the ceiling."""

from torch import Tensor

from lmidiff.images.intensities import by_subject, match_quantiles
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
        subjects = [subject for subject, _ in ids]
        return Translation(by_subject(self._match, subjects, source))

    def _match(self, images: Tensor) -> Tensor:
        ranked = -images if self.inverted else images
        return match_quantiles(ranked, images > 0, self.model)


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
