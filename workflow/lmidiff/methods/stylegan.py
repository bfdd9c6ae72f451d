"""Zero-shot translation by inverting a GAN of the target (the paper's StyleGAN baseline).

A StyleGAN2 that knows target slices only is asked which of its images has the structure of the
source. As in the projector of StyleGAN2 (Karras et al. 2020, appendix D), latents and noise maps
are optimised by Adam under a loss, with the noise kept free of signal by equation 6's penalty.

Departures from that projector:

- The loss may not compare intensities, since the source's modality is another. ``loss`` names a
  contrast-blind one: ``edges``, unsigned normalised gradient fields
  (:mod:`lmidiff.images.structure`);
  ``lmi``, one minus the mean LMI (bits) over the brain and ``guidance.bandwidths``, by an estimator
  that passes a gradient; or the sum of ``both``. A config lists them under ``tune``, so that each
  study chooses on validation subjects. To either comes ``silhouette``, signal where the source has
  none or the reverse. The projector's perceptual loss compares contrast, and would need a
  downloaded network.
- A code for each layer (W+, Abdal et al. 2019), drawn to the mean of w by ``prior``: without
  it the styles of single layers leave what training produced, contrast included.
- Leaving 0..1, where training's images lie, costs OVERFLOW times the mean squared excess: what is
  cut off at 1 has no edges, and white tissue hid texture that does not fit.
- It starts at the best of ``candidates`` random samples by ``edges``, the same candidates for every
  slice, drawn to the mean by ``truncation``; 0 candidates start at the mean of w, as the projector.
- Tens of steps, not 1,000, the rate falls by a cosine, and the step of the lowest loss is kept.

The noise of a slice is seeded by subject and slice. Slices are optimised CHUNK at a time whatever
the batch, and a short chunk is filled up, so that a split into batches does not change a bit.
"""

from typing import Any

import torch
from torch import Tensor

from lmidiff.common.seeds import seed_of
from lmidiff.diffusion import SliceNoise
from lmidiff.guidance import lmi_maps
from lmidiff.images.structure import edge_features, silhouette_error
from lmidiff.methods.base import Method, SliceId, Translation

CHUNK = 10
OVERFLOW = 10.0


class StyleGANInversion(Method):
    """The image of a target-only StyleGAN2 whose structure is the source's."""

    def __init__(self, settings: Any, model: Any, seed: int, label: str) -> None:
        """Keep what is given, and room for the candidates, which are the same for every slice."""
        super().__init__(settings, model, seed, label)
        self._candidates: tuple[Tensor, Tensor] | None = None

    def translate(self, source: Tensor, ids: list[SliceId]) -> Translation:
        """The generator's image for the optimised codes and noise."""
        images = []
        for first in range(0, len(ids), CHUNK):
            rows = list(range(first, min(first + CHUNK, len(ids))))
            filled = [rows[n % len(rows)] for n in range(CHUNK)]
            with torch.enable_grad():
                image = self._invert(source[filled], [ids[row] for row in filled])
            images.append(image[: len(rows)])
        return Translation(torch.cat(images))

    def _invert(self, source: Tensor, ids: list[SliceId]) -> Tensor:
        settings, model = self.settings, self.model
        noise = model.noise(SliceNoise([seed_of(self.seed, *each) for each in ids], model.device))
        noise = [each.requires_grad_() for each in noise]
        features = self._edges(source)
        start = self._start(features).to(source)
        codes = start[:, None].repeat(1, model.generator.codes, 1).requires_grad_()
        free = [codes, *noise]
        optimizer = torch.optim.Adam(free, lr=settings.rate)
        best, lowest = torch.zeros_like(source), source.new_full((len(source),), float("inf"))
        for step in range(settings.steps + 1):
            raw = self._image(codes, noise)
            # Judged as it is given back, but a pixel out of range still passes a gradient.
            excess = raw - raw.clamp(0, 1)
            image = raw - excess.detach()
            loss = self.loss(image, source, features)
            loss = loss + OVERFLOW * excess.square().mean((1, 2, 3))
            loss = loss + settings.prior * codes.square().mean((1, 2))
            loss = loss + settings.noise * sum(map(autocorrelation, noise))
            better = (loss < lowest).detach()
            lowest = torch.where(better, loss.detach(), lowest)
            best = torch.where(better[:, None, None, None], image.detach().clamp(0, 1), best)
            if step == settings.steps:
                break
            # Slices are independent: the sum's gradient is each one's own, whatever the batch.
            gradients = torch.autograd.grad(loss.sum(), free)
            for parameter, gradient in zip(free, gradients, strict=True):
                parameter.grad = gradient
            optimizer.param_groups[0]["lr"] = settings.rate * _falling(step / settings.steps)
            optimizer.step()
            normalise(noise)
        return best

    def loss(self, image: Tensor, source: Tensor, features: Tensor | None = None) -> Tensor:
        """The contrast-blind distance of each image (N, 1, H, W) to its source, (N,)."""
        settings = self.settings
        brain = (source > 0).to(source)
        loss = settings.silhouette * silhouette_error(image, brain)
        if settings.loss != "lmi":
            features = self._edges(source) if features is None else features
            loss = loss + 1 - (features * self._edges(image)).sum(1)
        if settings.loss != "edges":
            maps = lmi_maps(source, image, settings.guidance).mean(1, keepdim=True) * brain
            area = brain.sum((1, 2, 3)).clamp(min=1)
            loss = loss + 1 - maps.sum((1, 2, 3)) / area
        return loss

    def _edges(self, images: Tensor) -> Tensor:
        return edge_features(images, self.settings.edge_noise, self.settings.scales)

    def _image(self, codes: Tensor, noise: list[Tensor]) -> Tensor:
        return self.model.images(self.model.centre + self.model.spread * codes, noise)

    def _start(self, features: Tensor) -> Tensor:
        """The best candidate's code for each slice, as (w - mean) / spread."""
        if not self.settings.candidates:
            return torch.zeros(len(features), self.model.generator.latent)
        if self._candidates is None:
            self._candidates = self._draw_candidates()
        codes, shown = self._candidates
        return codes[(features @ shown.t()).argmax(1)]

    @torch.no_grad()
    def _draw_candidates(self) -> tuple[Tensor, Tensor]:
        settings, model = self.settings, self.model
        codes, shown = [], []
        for first in range(0, settings.candidates, 64):
            numbers = range(first, min(first + 64, settings.candidates))
            draw = SliceNoise(
                [seed_of(self.seed, "candidate", each) for each in numbers], model.device
            )
            w = model.generator.map(draw((model.generator.latent,)))
            code = settings.truncation * (w - model.centre) / model.spread
            image = self._image(
                code[:, None].expand(-1, model.generator.codes, -1), model.noise(draw)
            )
            codes.append(code)
            shown.append(self._edges(image))
        return torch.cat(codes), torch.cat(shown)


def autocorrelation(noise: Tensor) -> Tensor:
    """Squared correlation of noise maps with their neighbours, at every halving (equation 6).

    Args:
        noise: (N, 1, H, W), unit variance.

    Returns:
        (N,); 0 in expectation over independent noise of infinite size.
    """
    total = noise.new_zeros(len(noise))
    while True:
        for dim in (-2, -1):
            total = total + (noise * noise.roll(1, dim)).mean((1, 2, 3)).square()
        if min(noise.shape[-2:]) <= 8:
            return total
        # Averaging four independent values halves the deviation, which 2 restores.
        noise = 2 * torch.nn.functional.avg_pool2d(noise, 2)


@torch.no_grad()
def normalise(noise: list[Tensor]) -> None:
    """Bring every noise map back to mean 0 and variance 1, in place (appendix D)."""
    for each in noise:
        each -= each.mean((1, 2, 3), keepdim=True)
        each *= torch.rsqrt(each.square().mean((1, 2, 3), keepdim=True) + 1e-8)


def _falling(along: float) -> float:
    return 0.5 + 0.5 * float(torch.cos(torch.tensor(torch.pi * along)))
