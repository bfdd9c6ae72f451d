"""Two things that are known of a translation without having seen a source image before.

1. Within a person, the target's intensity is nearly a function of the source's. An image is moved
   a share of the way to its own mean given the source's intensity
   (:func:`lmidiff.images.intensities.conditional_mean`), which is the function of the source that
   explains most of it: the correlation ratio, registration's asymmetric sibling of mutual
   information (Roche et al. 1998). The function is estimated from the image itself.
2. The target's histogram is known from its training images. A mean of draws, or what a regression
   gives, is flatter than what it averages, and is moved a share of the way to that histogram, rank
   by rank.

Both are of tissue: they are fitted inside the rim of the mask and carried to it
(:mod:`lmidiff.images.rim`).
"""

from torch import Tensor

from lmidiff.images.intensities import by_subject, conditional_mean, explained, match_quantiles
from lmidiff.images.rim import through_the_inside
from lmidiff.methods.settings import Consistency
from lmidiff.models.histogram import TargetIntensities


def towards_function(
    image: Tensor, source: Tensor, subjects: list[str], held: Consistency
) -> Tensor:
    """``image`` moved towards its mean given the intensity of ``source``, in each subject.

    Args:
        image: (N, 1, H, W).
        source: same shape, 0 outside the brain, where ``image`` is left as it is.
        subjects: of each of the N slices.
        held: how far.
    """
    if held.consistency == 0:
        return image

    def moved(image: Tensor, source: Tensor, inside: Tensor) -> Tensor:
        mean = conditional_mean(image, source, inside, held.bins)
        share = held.consistency
        if isinstance(share, str):
            share = explained(image, mean, inside)
        return (1 - share) * image + share * mean

    return through_the_inside(
        lambda inside: by_subject(moved, subjects, image, source, inside),
        image,
        source > 0,
    )


def towards_histogram(
    image: Tensor,
    source: Tensor,
    subjects: list[str],
    target: TargetIntensities,
    held: Consistency,
) -> Tensor:
    """``image`` moved towards the target's training histogram, in each subject.

    Args:
        image, source, subjects: as in :func:`towards_function`.
        target: the histogram.
        held: how far.
    """
    if held.prior == 0:
        return image

    def moved(image: Tensor, inside: Tensor) -> Tensor:
        matched = match_quantiles(image, inside, target.quantiles)
        return (1 - held.prior) * image + held.prior * matched

    return through_the_inside(
        lambda inside: by_subject(moved, subjects, image, inside), image, source > 0
    )
