"""What the training of a diffusion model minimises, and on which images and times."""

from dataclasses import dataclass

import torch
from torch import Tensor

from lmidiff.images.frequency import gaussian_blur

LOSSES, TIMES = ("mean", "sum"), ("independent", "antithetic")


@dataclass(frozen=True)
class Objective:
    """The ``objective`` block of a diffusion model; the authors' is ``sum, antithetic, .5, 2, .1``.

    Attributes:
        loss: the squared error's "mean" over pixels, or its "sum" over them (and mean over images).
        times: "independent" for each image, or "antithetic": t and T - 1 - t in halves of a batch.
        blurred: share of the images that are blurred, in 0..1.
        blur: largest standard deviation of that, in pixels; each image draws its own from 0.
        dropout: of the features before the second convolution of every residual block, in 0..1.
    """

    loss: str = "mean"
    times: str = "independent"
    blurred: float = 0.0
    blur: float = 0.0
    dropout: float = 0.0

    def __post_init__(self) -> None:
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {LOSSES}, got {self.loss!r}")
        if self.times not in TIMES:
            raise ValueError(f"times must be one of {TIMES}, got {self.times!r}")

    @property
    def blurs(self) -> bool:
        """Whether any image is blurred."""
        return self.blurred > 0 and self.blur > 0

    def images(self, images: Tensor, generator: torch.Generator) -> Tensor:
        """A batch (N, 1, H, W), some of it blurred."""
        if not self.blurs:
            return images
        chosen = torch.rand(len(images), generator=generator) < self.blurred
        sigmas = self.blur * torch.rand(len(images), generator=generator) * chosen
        return gaussian_blur(images, sigmas.to(images.device))

    def draw_times(self, length: int, size: int, generator: torch.Generator) -> Tensor:
        """Times of a batch: (size,) in 0..length - 1."""
        if self.times == "independent":
            return torch.randint(length, (size,), generator=generator)
        half = torch.randint(length, ((size + 1) // 2,), generator=generator)
        return torch.cat([half, length - 1 - half])[:size]

    def of(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of predictions (N, 1, H, W)."""
        error = (output.float() - target).square()
        return error.mean() if self.loss == "mean" else error.flatten(1).sum(1).mean()
