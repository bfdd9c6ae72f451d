"""How far off a translation is likely to be, from the scan at hand alone.

The truth of a scan is unknown, but that of its translation is not: shown in random contrasts, as
training's images are, and translated back, it should come out as it went in. Where it does not,
the method knows too little of that tissue and place to be trusted with the scan either. No image
is needed but the scan: it is the test of :mod:`lmidiff.methods.tuning` on the person at hand.

It ranks voxels. Its size is a lower bound: the translation looks like the training's images, and a
scan of another scanner, age or disease does not.
"""

import torch
from torch import Tensor

from lmidiff.common.seeds import seed_of
from lmidiff.images.contrast import ContrastSettings
from lmidiff.images.recontrast import in_another_contrast
from lmidiff.methods.base import Method, SliceId

CONTRASTS = 4


@torch.no_grad()
def retracing_error(
    method: Method, image: Tensor, ids: list[SliceId], contrast: ContrastSettings
) -> Tensor:
    """Mean over random contrasts of |translation of ``image`` in that contrast - ``image``|.

    Args:
        method: ready to translate.
        image: (N, 1, H, W) in 0..1, slices of one person's translation, 0 outside the brain.
        ids: subject and number of each slice; with the method's seed they draw the contrasts.
        contrast: what the method was trained in.

    Returns:
        (N, 1, H, W), 0 outside the brain.
    """
    inside = image > 0
    total = torch.zeros_like(image)
    for number in range(CONTRASTS):
        generator = torch.Generator().manual_seed(
            seed_of(method.seed, ids[0][0], "retrace", number)
        )
        shown = in_another_contrast(image, generator, contrast)
        total += (method.translate(shown, ids).image.clamp(0, 1) - image).abs()
    return torch.where(inside, total / CONTRASTS, 0.0)
