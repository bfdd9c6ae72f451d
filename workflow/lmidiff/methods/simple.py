"""The rows that need no network: the untouched source, matched histograms, and the ceilings."""

from torch import Tensor

from lmidiff.images.intensities import by_subject, conditional_mean, match_quantiles
from lmidiff.images.rim import dimming, inside_of, through_the_inside
from lmidiff.methods.base import Ceiling, Method, SliceId, Translation
from lmidiff.models.histogram import TargetIntensities


class Source(Method):
    """The source image as it is: what a segmenter gets without any translation."""

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """The source itself."""
        return Translation(source)


def matched(
    source: Tensor, subjects: list[str], target: TargetIntensities, *, inverted: bool
) -> Tensor:
    """Each subject's intensities mapped, rank by rank, onto the target's training histogram.

    The rank of a voxel is taken over all slices of its subject, so a slice with little
    cerebrospinal fluid keeps little. The rim of the brain shows no tissue's intensity: it is what
    lies beside it, as dim as the target's rim is in the median.

    Args:
        source: (N, 1, H, W) in 0..1, 0 outside the brain.
        subjects: of each of the N slices.
        target: its histogram and rim.
        inverted: whether the brightest becomes the darkest.
    """
    ranked = -source if inverted else source

    def match(inside: Tensor) -> Tensor:
        return by_subject(
            lambda image, where: match_quantiles(image, where, target.quantiles),
            subjects,
            ranked,
            inside,
        )

    return through_the_inside(match, source, source > 0, dim=target.dimming)


class HistogramMatching(Method):
    """The source's brain intensities mapped onto the target's histogram (:func:`matched`)."""

    inverted = False

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """Match each subject's slices to the quantiles of the target."""
        subjects = [subject for subject, _ in ids]
        return Translation(matched(source, subjects, self.model, inverted=self.inverted))


class InvertedHistogramMatching(HistogramMatching):
    """The source's intensities reversed, then matched: proton density is dark where T1w is bright.

    It needs no training, and for PDw to T1w it is a strong row.
    """

    inverted = True


class Lookup(Ceiling):
    """The best table from source intensity to target intensity, fitted on the answer.

    E[target | source intensity] of the person at hand, one table for the inside of the brain and
    one for the dimming of its rim: the most that any method can have that looks at one voxel.
    """

    def answer(self, source: Tensor, target: Tensor, ids: list[SliceId]) -> Translation:
        """The mean of ``target`` given the intensity of ``source``, in each subject."""
        subjects = [subject for subject, _ in ids]
        brain = source > 0
        inside = inside_of(brain)

        def fitted(image: Tensor, given: Tensor, where: Tensor) -> Tensor:
            return by_subject(
                lambda x, y, w: conditional_mean(x, y, w, self.settings.bins),
                subjects,
                image,
                given,
                where,
            )

        dim = fitted(dimming(target, brain), dimming(source, brain), brain & ~inside)
        return Translation(
            through_the_inside(lambda inside: fitted(target, source, inside), source, brain, dim)
        )


class Oracle(Ceiling):
    """The true target image through the same segmenter: the ceiling, not a method."""

    def answer(self, source: Tensor, target: Tensor, ids: list[SliceId]) -> Translation:  # noqa: ARG002
        """The answer."""
        return Translation(target)
