"""What a sampler can be told about the source: maps of it as condition, or the LMI's gradient."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lmidiff.diffusion import Denoiser, Schedule
from lmidiff.lmi import ESTIMATORS, local_mutual_information

LIMIT = 4.0
"""Root mean squares of a high-pass; more is rare and says nothing more."""

CONDITIONS = ("none", "self", "cross", "both", "image", "edges", "frequency")


@dataclass(frozen=True)
class Guidance:
    """The LMI condition of a denoiser (the paper's three-channel input, one channel x_t).

    Attributes:
        condition: "none", "self" = LMI(y, y), "cross" = LMI(y, x_t), "both" = cross then self,
            "image", the (contrast-randomised) image itself instead of a map of it,
            "edges", the magnitude of its gradient (:func:`edges`), or "frequency", high-pass
            filtered images (:mod:`lmidiff.methods.fgdm`).
        estimator: see :mod:`lmidiff.lmi`.
        patch_size: pixels, odd.
        bandwidths: kernel standard deviations in grey levels of 0..255, a channel each.
        normalized: NMI (0..1) instead of MI (bits).
        search: maximise over the offsets of a patch.
        cross_time: the noise level of x in the cross map during training: "same" as the
            network's, or "next", one step noisier, as the authors' code has it.
        cutoffs: of "frequency", standard deviations of the low-passes in pixels, a channel each.
        signed: of "frequency", keep the sign of the high-pass, which a reversed contrast turns.
    """

    condition: str = "both"
    estimator: str = "renyi2"
    patch_size: int = 3
    bandwidths: tuple[float, ...] = (8.0,)
    normalized: bool = True
    search: bool = True
    cross_time: str = "same"
    cutoffs: tuple[float, ...] = (1.0, 3.0)
    signed: bool = False

    def __post_init__(self) -> None:
        for key, value, allowed in (
            ("condition", self.condition, CONDITIONS),
            ("estimator", self.estimator, ESTIMATORS),
            ("cross_time", self.cross_time, ("same", "next")),
        ):
            if value not in allowed:
                raise ValueError(f"{key} must be one of {allowed}, got {value!r}")
        if self.patch_size < 3 or self.patch_size % 2 == 0:
            raise ValueError(f"patch_size must be odd and at least 3, got {self.patch_size}")
        for key in ("bandwidths", "cutoffs"):
            values = getattr(self, key)
            if not values or not all(value > 0 for value in values):
                raise ValueError(f"{key} must be positive and at least one, got {values}")

    @property
    def channels(self) -> int:
        """Number of condition channels that :meth:`maps` gives."""
        if self.condition in ("none", "image", "edges"):
            return int(self.condition != "none")
        if self.condition == "frequency":
            return len(self.cutoffs)
        return len(self.bandwidths) * (2 if self.condition == "both" else 1)

    @property
    def needs_sample(self) -> bool:
        """Whether the condition changes from step to step."""
        return self.condition in ("cross", "both")

    @property
    def has_static(self) -> bool:
        """Whether a part of the condition is the same at every step."""
        return self.condition not in ("none", "cross")

    def lmi(self, source: Tensor, sample: Tensor) -> Tensor:
        """LMI maps of images in 0..1, (N, 1, H, W) each, to (N, len(bandwidths), H, W)."""
        maps = [
            local_mutual_information(
                source,
                sample,
                estimator=self.estimator,
                patch_size=self.patch_size,
                bandwidth=bandwidth,
                normalized=self.normalized,
                search=self.search,
            )
            for bandwidth in self.bandwidths
        ]
        return torch.cat(maps, 1)

    def static(self, source: Tensor) -> Tensor | None:
        """The part of the condition that no step changes, once an image; None if there is none."""
        if self.condition == "image":
            return source
        if self.condition == "edges":
            return edges(source)
        if self.condition == "frequency":
            return high_pass(source, self.cutoffs, self.signed)
        return self.lmi(source, source) if self.condition in ("self", "both") else None

    def maps(self, source: Tensor, sample: Tensor, static: Tensor | None) -> Tensor | None:
        """The condition (N, channels, H, W) for a sample x_t shown as intensities in 0..1."""
        if self.condition == "none":
            return None
        parts = [self.lmi(source, sample)] if self.needs_sample else []
        return torch.cat([*parts, static] if static is not None else parts, 1)


#: The authors' settings (public code, commit d2d05f3), see docs/method.md.
PAPER = Guidance(condition="both", estimator="reference", normalized=True, cross_time="next")


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
            score = guidance.lmi(source, to_image(x0)).mean((1, 2, 3)).sum()
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
