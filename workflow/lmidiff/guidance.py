"""What a sampler can be told about the source: maps of it as condition, or the LMI's gradient."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.diffusion import Denoiser, Schedule
from lmidiff.lmi import local_mutual_information
from lmidiff.options import Guidance

LIMIT = 4.0
"""Root mean squares of a high-pass; more is rare and says nothing more."""


def lmi_maps(source: Tensor, sample: Tensor, guidance: Guidance) -> Tensor:
    """LMI maps of images in 0..1, (N, 1, H, W) each, to (N, len(bandwidths), H, W)."""
    maps = [
        local_mutual_information(
            source,
            sample,
            estimator=guidance.estimator,
            patch_size=guidance.patch_size,
            bandwidth=bandwidth,
            normalized=guidance.normalized,
            search=guidance.search,
        )
        for bandwidth in guidance.bandwidths
    ]
    return torch.cat(maps, 1)


def static_maps(source: Tensor, guidance: Guidance) -> Tensor | None:
    """The part of the condition that no step changes, once an image; None if there is none."""
    if guidance.condition == "image":
        return source
    if guidance.condition == "edges":
        return edges(source)
    if guidance.condition == "frequency":
        return high_pass(source, guidance.cutoffs, guidance.signed)
    return lmi_maps(source, source, guidance) if guidance.condition in ("self", "both") else None


def condition_maps(
    source: Tensor, sample: Tensor, static: Tensor | None, guidance: Guidance
) -> Tensor | None:
    """The condition (N, channels, H, W) of a denoiser; None if there is none.

    Args:
        source: (N, 1, H, W) in 0..1.
        sample: x_t, shown as intensities in 0..1; same shape.
        static: what :func:`static_maps` gives for ``source``.
        guidance: which maps.
    """
    if guidance.condition == "none":
        return None
    parts = [lmi_maps(source, sample, guidance)] if guidance.needs_sample else []
    return torch.cat([*parts, static] if static is not None else parts, 1)


def steer(
    schedule: Schedule,
    denoise: Denoiser,
    source: Tensor,
    guidance: Guidance,
    scale: float,
    to_image: Callable[[Tensor], Tensor],
) -> Denoiser:
    """A denoiser whose guess of x_0 follows the gradient of mean LMI(source, x_0).

    Classifier guidance (Dhariwal and Nichol 2021) with the log-likelihood of the source given
    the sample replaced by the mean LMI over the pixels of a slice; it needs a differentiable
    estimator and no condition in training. A gradient of the likelihood would shift x_0 by
    sigma_t^2 / alpha_t of it; here it is brought to unit root mean square first, and the shift is
    ``scale`` times sigma_t: as large as the noise of that time allows, in the gradient's direction.

    Args:
        denoise: unconditional, maps (x_t, t) to x_0.
        source: (N, 1, H, W) in 0..1.
        scale: guidance strength; 0 gives ``denoise`` back. The gradient of each slice is
            normalised to unit root mean square, so the scale means the same at any size.
        to_image: maps the model's range to 0..1.
    """
    if scale == 0:
        return denoise

    def guided(x: Tensor, t: int) -> Tensor:
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            x0 = denoise(x, t)
            score = lmi_maps(source, to_image(x0), guidance).mean((1, 2, 3)).sum()
            (gradient,) = torch.autograd.grad(score, x)
        size = gradient.square().mean((1, 2, 3), keepdim=True).sqrt().clamp(min=1e-12)
        _, sigma = schedule.coefficients(t, x)
        return (x0 + scale * sigma * gradient / size).detach()

    return guided


def edges(image: Tensor) -> Tensor:
    """The magnitude of the gradient (Sobel), in units of its root mean square over the brain.

    Pixels whose window holds air have none: preprocessing cut that edge.

    Args:
        image: (N, 1, H, W) in 0..1, exactly 0 outside the brain.

    Returns:
        (N, 1, H, W) in 0..1, ``LIMIT`` root mean squares being 1; 0 where the image is constant.
    """
    smooth, slope = image.new_tensor([1, 2, 1]) / 4, image.new_tensor([-1, 0, 1]) / 2
    kernels = torch.stack([torch.outer(smooth, slope), torch.outer(slope, smooth)])[:, None]
    air = (image <= 0).to(image)
    whole = F.max_pool2d(F.pad(air, (1, 1, 1, 1), value=1.0), 3, stride=1) == 0
    gradient = F.conv2d(image, kernels, padding=1).square().sum(1, keepdim=True).sqrt() * whole
    pixels = whole.sum((1, 2, 3), keepdim=True).clamp(min=1)
    size = (gradient.square().sum((1, 2, 3), keepdim=True) / pixels).sqrt()
    # Rounding in a constant image must not be blown up to edges.
    scaled = gradient / size.clamp(min=1e-5) / LIMIT
    return torch.where(size > 1e-5, scaled, torch.zeros_like(scaled)).clamp(max=1)


def high_pass(image: Tensor, cutoffs: tuple[float, ...], signed: bool) -> Tensor:
    """What Gaussian low-passes leave of an image, in units of its root mean square.

    The low-pass is normalised by the brain's share of its window, so that the brain's outline,
    which preprocessing cut, does not outshine the edges of the anatomy.

    Args:
        image: (N, 1, H, W) in 0..1, exactly 0 outside the brain.
        cutoffs: standard deviations of the low-passes in pixels, a channel each.
        signed: keep the sign, which a reversed contrast reverses; else the magnitude.

    Returns:
        (N, len(cutoffs), H, W) in -1..1, 0 outside the brain and where the image is constant.
    """
    brain = (image > 0).to(image)
    pixels = brain.sum((1, 2, 3), keepdim=True).clamp(min=1)
    maps = []
    for cutoff in cutoffs:
        low = _gaussian(image, cutoff) / _gaussian(brain, cutoff).clamp(min=1e-6)
        high = (image - low) * brain
        size = (high.square().sum((1, 2, 3), keepdim=True) / pixels).sqrt()
        # Rounding in a constant image must not be blown up to structure.
        high = torch.where(size > 1e-5, high / size.clamp(min=1e-5), torch.zeros_like(high))
        high = (high / LIMIT).clamp(-1, 1)
        maps.append(high if signed else high.abs())
    return torch.cat(maps, 1)


def _gaussian(image: Tensor, deviation: float) -> Tensor:
    radius = max(int(3 * deviation + 0.5), 1)
    at = torch.arange(-radius, radius + 1, dtype=image.dtype, device=image.device)
    weights = torch.exp(-(at**2) / (2 * deviation**2))
    weights = weights / weights.sum()
    rows = F.conv2d(image, weights.view(1, 1, -1, 1), padding=(radius, 0))
    return F.conv2d(rows, weights.view(1, 1, 1, -1), padding=(0, radius))
