"""Rows that say what local mutual information is worth: the same diffusion, told something else."""

from lmidiff.methods.lmidiffusion import LMIDiffusion


class ImageGuidedDiffusion(LMIDiffusion):
    """Contrast-randomised diffusion whose condition is the image itself: no mutual information."""


class EdgeGuidedDiffusion(LMIDiffusion):
    """The magnitude of the image's gradient as condition, in place of its LMI.

    Contours as what two contrasts share: after ContourDiff (Chen et al. 2024, arXiv 2403.10786),
    which takes Canny contours. The magnitude of the gradient is their continuous form
    (:func:`lmidiff.guidance.edges`) and has the same training and budget as the LMI here.
    """
