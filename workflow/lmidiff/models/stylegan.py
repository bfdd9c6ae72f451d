"""StyleGAN2 of the target's slices (Karras et al., CVPR 2020, arXiv 1912.04958).

Training is the paper's: the non-saturating logistic loss, lazy R1 (appendix B; Mescheder et al.
2018, equation 9) on the discriminator, an optimiser step of its own every few steps with the rates
and moments of Adam corrected for it, and the exponential average of the generator as the result.
Lazy path-length regularisation (equation 4) and style mixing are there to be switched on (``path``,
``mixing``); the studies' configs set both to 0.

Departures: images of one channel and few features; the learning rate falls by a cosine, as that of
every model of the study; gradients are not clipped and precision is float32, so ``training.clip``
and ``training.precision`` have no effect; the discriminator is shown the images that the generator
was just corrected for, which saves drawing others; real slices are mirrored left to right half of
the time; and the discriminator sees everything, real and generated, moved by up to ``shift`` pixels
(DiffAugment, Zhao et al. 2020), without which it would know the few slices of a study by heart.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lmidiff.common.errors import StudyError
from lmidiff.common.seeds import seed_of
from lmidiff.common.settings import settings_of
from lmidiff.data.training_data import TrainingData
from lmidiff.diffusion import SliceNoise
from lmidiff.models.checks import check_size, fill
from lmidiff.models.penalties import path_lengths, r1_penalty
from lmidiff.networks.stylegan import Discriminator, Generator, shifted
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import draw_batch
from lmidiff.training.loop import fit as train
from lmidiff.training.previews import COUNT

PREFIX = "generator."
BETAS = (0.0, 0.99)
STATISTICS = 4096
"""Samples that the mean and the spread of w are taken over."""


@dataclass(frozen=True)
class StyleGANSettings:
    """The ``stylegan`` block of a model.

    Attributes:
        channels: features of each level, coarsest first; the finest has the image's size.
        latent: numbers in z and in w.
        mapping_layers: of the mapping network.
        mapping_rate: its learning rate as a share of the others'.
        group: samples whose standard deviation the discriminator sees together.
        r1: gamma of the gradient penalty on real images.
        r1_every: discriminator steps between two of the penalty's.
        path: weight of the path-length regulariser.
        path_every: generator steps between two of the regulariser's.
        path_decay: how fast the running mean of the path length follows.
        path_share: batch of the regulariser as a share of ``training.batch_size``.
        mixing: share of samples whose coarse and fine styles come from two latents.
        shift: largest move of an image before the discriminator, in pixels along either axis.
    """

    channels: tuple[int, ...] = (64, 48, 32, 24, 16)
    latent: int = 64
    mapping_layers: int = 4
    mapping_rate: float = 0.01
    group: int = 4
    r1: float = 0.2
    r1_every: int = 16
    path: float = 2.0
    path_every: int = 8
    path_decay: float = 0.01
    path_share: float = 0.5
    mixing: float = 0.9
    shift: int = 0

    def __post_init__(self) -> None:
        if not self.channels:
            raise ValueError("channels must name at least one level")
        for key in ("r1_every", "path_every", "group", "latent"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, got {getattr(self, key)}")


class StyleGAN(nn.Module):
    """Generator, discriminator, and what the regularisers carry from step to step."""

    def __init__(self, settings: StyleGANSettings, base: tuple[int, int]) -> None:
        super().__init__()
        self.generator = generator_of(settings, base)
        self.discriminator = Discriminator(settings.channels, base, settings.group)
        self.register_buffer("taken", torch.zeros((), dtype=torch.long))
        self.register_buffer("path_mean", torch.zeros(()))


def generator_of(settings: StyleGANSettings, base: tuple[int, int]) -> Generator:
    """An untrained generator whose coarsest level is of size ``base``."""
    mapping = settings.mapping_layers, settings.mapping_rate
    return Generator(settings.channels, base, settings.latent, *mapping)


class StyleGANLearner:
    """One step of each network and, now and then, of each regulariser.

    Args:
        network: what is trained.
        images: every training slice (N, 1, H, W) in -1..1, on the device.
        settings: of the networks and their losses.
        training: rates and batch size.
    """

    def __init__(
        self,
        network: StyleGAN,
        images: Tensor,
        settings: StyleGANSettings,
        training: TrainingSettings,
    ) -> None:
        self.network, self.images, self.settings = network, images, settings
        self.batch = training.batch_size
        lazy = (network.generator, settings.path_every), (network.discriminator, settings.r1_every)
        self.optimizers = [self._adam(part, every, training) for part, every in lazy]

    @staticmethod
    def _adam(network: nn.Module, every: int, training: TrainingSettings) -> torch.optim.Adam:
        # Appendix B: k steps become k + 1, so rate and betas shrink to keep their time scales.
        share = every / (every + 1)
        groups = [{"params": network.parameters(), "rate_factor": share}]
        betas = tuple(beta**share for beta in BETAS)
        return torch.optim.Adam(groups, lr=training.learning_rate * share, betas=betas, eps=1e-8)

    def step(self, generator: torch.Generator) -> dict[str, float]:
        """The generator's, the discriminator's and the due regularisers' Adam steps.

        Regularisers are told as they enter the loss: times their interval when due, else 0.
        """
        settings, network, number = self.settings, self.network, int(self.network.taken)
        network.taken += 1
        losses = {"loss": 0.0, "discriminator": 0.0, "r1": 0.0, "path": 0.0}
        fake = self._fake(self.batch, generator)[0]
        loss = F.softplus(-network.discriminator(self._moved(fake, generator))).mean()
        losses["loss"] = self._descend(0, loss)
        if number % settings.path_every == 0 and settings.path > 0:
            losses["path"] = self._descend(0, self._path(generator) * settings.path_every)

        real = self._moved(draw_batch(self.images, self.batch, generator), generator)
        fake = self._moved(fake.detach(), generator)
        loss = F.softplus(network.discriminator(fake)).mean()
        loss = loss + F.softplus(-network.discriminator(real)).mean()
        losses["discriminator"] = self._descend(1, loss)
        if number % settings.r1_every == 0 and settings.r1 > 0:
            penalty = r1_penalty(network.discriminator, real) * settings.r1
            losses["r1"] = self._descend(1, penalty * settings.r1_every)
        return losses

    def show(self) -> Tensor:
        """Random images in 0..1, (COUNT, 1, H, W): the same draws at every call."""
        images, _ = self._fake(COUNT, torch.Generator().manual_seed(0))
        return (images + 1) / 2

    def _fake(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Images and their W+ codes; styles are mixed at a random layer (StyleGAN, section 3.1)."""
        network, device = self.network.generator, self.images.device
        z = torch.randn(2 * count, network.latent, generator=generator).to(device)
        cut = torch.randint(1, network.codes, (count,), generator=generator)
        mixed = torch.rand(count, generator=generator) < self.settings.mixing
        cut = torch.where(mixed, cut, network.codes)
        first, second = network.map(z).chunk(2)
        coarse = (torch.arange(network.codes) < cut[:, None]).to(device)[:, :, None]
        w = torch.where(coarse, first[:, None], second[:, None])
        noise = [
            torch.randn(count, *shape, generator=generator).to(device)
            for shape in network.noise_shapes
        ]
        return network(w, noise), w

    def _moved(self, images: Tensor, generator: torch.Generator) -> Tensor:
        if not (reach := self.settings.shift):
            return images
        by = torch.randint(-reach, reach + 1, (len(images), 2), generator=generator)
        return shifted(images, by)

    def _path(self, generator: torch.Generator) -> Tensor:
        """Squared distance of path lengths to their running mean (equation 4)."""
        count = max(1, round(self.batch * self.settings.path_share))
        images, w = self._fake(count, generator)
        noise = torch.randn(images.shape, generator=generator).to(images)
        lengths = path_lengths(images, w, noise)
        self.network.path_mean.lerp_(lengths.detach().mean(), self.settings.path_decay)
        return self.settings.path * (lengths - self.network.path_mean.clone()).square().mean()

    def _descend(self, which: int, loss: Tensor) -> float:
        value = loss.item()
        if value != value or abs(value) == float("inf"):
            raise StudyError(
                f"training: the loss became {value}; lower training.learning_rate in the config"
            )
        optimizer = self.optimizers[which]
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        gradients = torch.autograd.grad(loss, parameters, allow_unused=True)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        return value


class StyleGANModel:
    """A trained generator, with the mean and the spread of its w.

    Attributes:
        centre: mean of w, (latent,).
        spread: root mean square distance to it of one number of w, a float.
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator.eval().requires_grad_(False)
        self.device = generator.constant.device
        draws = torch.Generator().manual_seed(seed_of("stylegan", "w"))
        z = torch.randn(STATISTICS, generator.latent, generator=draws).to(self.device)
        w = generator.map(z)
        self.centre = w.mean(0)
        self.spread = float((w - self.centre).square().mean().sqrt())

    def images(self, w: Tensor, noise: list[Tensor]) -> Tensor:
        """Codes (N, codes, latent) and noise maps to images (N, 1, H, W), about 0..1."""
        return (self.generator(w, noise) + 1) / 2

    def noise(self, draw: SliceNoise) -> list[Tensor]:
        """Noise maps of every layer, one generator a sample."""
        return [draw(shape) for shape in self.generator.noise_shapes]

    @torch.no_grad()
    def sample(self, seeds: list[int]) -> Tensor:
        """An image (N, 1, H, W) in 0..1 for each seed; no truncation."""
        draw = SliceNoise(seeds, self.device)
        w = self.generator.map(draw((self.generator.latent,)))
        w = w[:, None].expand(-1, self.generator.codes, -1)
        return self.images(w, self.noise(draw)).clamp(0, 1)


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train on the target's slices alone; the weights are the averaged generator's.

    Raises:
        StudyError: the image size does not halve as often as the levels need.
    """
    own, training = _settings(settings)
    images = data.images("target").to(device) * 2 - 1
    factor = 2 ** (len(own.channels) - 1)
    check_size(images, factor)
    torch.manual_seed(training.seed)
    base = images.shape[-2] // factor, images.shape[-1] // factor
    network = StyleGAN(own, base).to(device)
    learner = StyleGANLearner(network, images, own, training)
    weights, curve = train(learner, training, workspace, name)
    return {key: value for key, value in weights.items() if key.startswith(PREFIX)}, curve


def load(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device
) -> StyleGANModel:
    """A trained model, ready to sample; raises StudyError if the weights do not fit."""
    own, _ = _settings(settings)
    state = {key.removeprefix(PREFIX): value for key, value in weights.items()}
    if "constant" not in state:
        raise StudyError("weights do not fit the model's config: not a StyleGAN generator's")
    generator = generator_of(own, tuple(state["constant"].shape[-2:]))
    fill(generator, state)
    return StyleGANModel(generator.to(device))


def _settings(settings: Mapping[str, Any]) -> tuple[StyleGANSettings, TrainingSettings]:
    own = settings_of(StyleGANSettings, settings.get("stylegan", {}), "stylegan")
    return own, settings_of(TrainingSettings, settings["training"], "training")
