"""CycleGAN (Zhu et al. 2017): two generators and two critics on unpaired target and source slices.

Minimised in turns, with y a source and x a target slice (equations of the paper):

    generators  E (D_x(G(y)) - 1)^2 + E (D_y(F(x)) - 1)^2                       (1, least squares)
                + lambda_cycle (E |F(G(y)) - y| + E |G(F(x)) - x|)              (2)
                + lambda_identity (E |G(x) - x| + E |F(y) - y|)                 (section 5.2)
    critics     1/2 E (D(real) - 1)^2 + 1/2 E D(generated, from the pool)^2

Departures: fewer and narrower layers, for small images; the published generator is the moving
average of the trained one; gradients are clipped and the rate warms up, as in the other models.
With ``normalisation: images`` the paper's instance normalisation goes too. It removes from every
image what tells contrasts apart, the intensities, and differently in each slice, by its share of
air. In its stead intensities are standardised once, by the training slices of their modality, so
that tissues which differ little in one modality (white and grey matter in PDw) are no nearer to
each other for generator and critic than those of the other.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from lmidiff.common.errors import StudyError
from lmidiff.common.settings import settings_of
from lmidiff.data.training_data import TrainingData
from lmidiff.models.checks import check_size, fill
from lmidiff.networks.cyclegan import (
    NORMALISATIONS,
    Critic,
    Generator,
    ImagePool,
    Standardised,
)
from lmidiff.sampler import autocast, resolve_precision
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import draw_batch
from lmidiff.training.loop import fit as train
from lmidiff.training.previews import COUNT

BETAS = (0.5, 0.999)
PUBLISHED = "to_target."


@dataclass(frozen=True)
class CycleGANSettings:
    """The ``cyclegan`` block of a model.

    Attributes:
        channels, levels, blocks, kernel: of :class:`lmidiff.networks.cyclegan.Generator`.
        normalisation: of generators and critics, see there: "instance" or "images".
        critic_channels, critic_layers, spectral: of :class:`lmidiff.networks.cyclegan.Critic`.
        lambda_cycle: weight of the cycle loss; its L1 is taken on the paper's range, -1..1.
        lambda_identity: weight of the identity loss; the paper's is half of ``lambda_cycle``.
        pool: generated images kept for each critic.
        decay_from: share of the steps after which the rate falls, in a straight line.
    """

    channels: int = 16
    levels: int = 1
    blocks: int = 4
    kernel: int = 7
    normalisation: str = "instance"
    critic_channels: int = 24
    critic_layers: int = 2
    spectral: bool = True
    lambda_cycle: float = 10.0
    lambda_identity: float = 5.0
    pool: int = 50
    decay_from: float = 0.5

    def __post_init__(self) -> None:
        if self.kernel < 1 or self.kernel % 2 == 0:
            raise ValueError(f"kernel must be odd and positive, got {self.kernel}")
        if self.normalisation not in NORMALISATIONS:
            raise ValueError(
                f"normalisation must be one of {NORMALISATIONS}, got {self.normalisation!r}"
            )


@dataclass(frozen=True)
class LinearDecay(TrainingSettings):
    """Training settings whose rate is constant, then falls in a straight line, as in the paper."""

    decay_from: float = 0.5

    def rate(self, step: int) -> float:
        """Learning rate at a step: warm-up, constant, linear down to ``final_rate`` of it."""
        start = self.decay_from * self.steps
        along = max(step - start, 0.0) / max(self.steps - start, 1.0)
        warm = min((step + 1) / self.warmup, 1.0) if self.warmup else 1.0
        return self.learning_rate * warm * (1 - (1 - self.final_rate) * along)


def fools(verdict: Tensor) -> Tensor:
    """What a generator minimises: (D - 1)^2 over the patches of what it made."""
    return (verdict - 1).square().mean()


def tells_apart(real: Tensor, made: Tensor) -> Tensor:
    """What a critic minimises: half of (D(real) - 1)^2 + D(made)^2; halved as in the paper."""
    return 0.5 * ((real - 1).square().mean() + made.square().mean())


def distance(a: Tensor, b: Tensor) -> Tensor:
    """Mean absolute difference of images in 0..1, in units of the paper's range -1..1."""
    return 2 * (a - b).abs().mean()


class CycleLearner:
    """Both generators and both critics, one alternating step at a time.

    Args:
        settings: sizes and weights of the losses.
        training: batch, rates, clipping, precision and seed.
        target, source: all slices of each, (N, 1, H, W) in 0..1, air 0, of different people.
        device: where to train.
    """

    def __init__(
        self,
        settings: CycleGANSettings,
        training: TrainingSettings,
        target: Tensor,
        source: Tensor,
        device: torch.device,
    ) -> None:
        self.settings, self.training, self.device = settings, training, device
        self.target, self.source = target.to(device), source.to(device)
        torch.manual_seed(training.seed)
        self.network = nn.ModuleDict(
            {
                "to_target": _generator(settings),
                "to_source": _generator(settings),
                "target_critic": _critic(settings),
                "source_critic": _critic(settings),
                "target_pool": ImagePool(settings.pool, target.shape[1:]),
                "source_pool": ImagePool(settings.pool, source.shape[1:]),
            }
        )
        if settings.normalisation != "instance":  # which torch computes plane by plane
            self.network.to(memory_format=torch.channels_last)
        self.network.to(device)
        sees = {"to_target": self.source, "to_source": self.target}
        sees |= {"target_critic": self.target, "source_critic": self.source}
        for name, images in sees.items():
            if isinstance(view := self.network[name].view, Standardised):
                view.measure(images)
        self.generators = self._parameters("to_target", "to_source")
        self.critics = self._parameters("target_critic", "source_critic")
        self.optimizers: list[torch.optim.Optimizer] = [
            torch.optim.Adam(parameters, lr=training.learning_rate, betas=BETAS)
            for parameters in (self.generators, self.critics)
        ]

    def _parameters(self, *names: str) -> list[nn.Parameter]:
        return [p for name in names for p in self.network[name].parameters()]

    def step(self, generator: torch.Generator) -> dict[str, float]:
        """One step of the generators, then one of the critics.

        Raises:
            StudyError: a loss is not finite.
        """
        size, net = self.training.batch_size, self.network
        target = draw_batch(self.target, size, generator)
        source = draw_batch(self.source, size, generator)
        for parameter in self.critics:
            parameter.requires_grad_(False)
        with autocast(self.training.precision, self.device):
            made_target, same_target = self._generate("to_target", source, target)
            made_source, same_source = self._generate("to_source", target, source)
            cycle = distance(net["to_source"](made_target), source)
            cycle = cycle + distance(net["to_target"](made_source), target)
            adversarial = fools(net["target_critic"](made_target))
            adversarial = adversarial + fools(net["source_critic"](made_source))
        identity = distance(same_target, target) + distance(same_source, source)
        weights = self.settings
        loss = adversarial + weights.lambda_cycle * cycle + weights.lambda_identity * identity
        self._descend(0, loss, self.generators)

        for parameter in self.critics:
            parameter.requires_grad_(True)
        old_target = net["target_pool"].exchange(made_target, generator)
        old_source = net["source_pool"].exchange(made_source, generator)
        with autocast(self.training.precision, self.device):
            critic = tells_apart(net["target_critic"](target), net["target_critic"](old_target))
            critic = critic + tells_apart(
                net["source_critic"](source), net["source_critic"](old_source)
            )
        self._descend(1, critic, self.critics)
        return {
            "loss": loss.item(),
            "adversarial": adversarial.item(),
            "cycle": cycle.item(),
            "identity": identity.item(),
            "critic": critic.item(),
        }

    def show(self) -> Tensor:
        """A few training slices of the source, translated: (COUNT, 1, H, W)."""
        rows = torch.linspace(0, len(self.source) - 1, COUNT).long()
        return self.network["to_target"](self.source[rows])

    def _generate(self, name: str, other: Tensor, own: Tensor) -> tuple[Tensor, Tensor]:
        """``other`` translated, and what becomes of ``own``, which should stay as it is."""
        if not self.settings.lambda_identity:
            return self.network[name](other), own
        # In one pass: instance normalisation keeps the images of a batch apart.
        made, same = self.network[name](torch.cat([other, own])).chunk(2)
        return made, same

    def _descend(self, which: int, loss: Tensor, parameters: list[nn.Parameter]) -> None:
        if not bool(torch.isfinite(loss)):
            raise StudyError(
                f"training: the loss became {loss.item()}; "
                "lower training.learning_rate in the config"
            )
        self.optimizers[which].zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(parameters, self.training.clip)
        self.optimizers[which].step()


def _generator(settings: CycleGANSettings) -> Generator:
    sizes = settings.channels, settings.levels, settings.blocks, settings.kernel
    return Generator(*sizes, settings.normalisation)


def _critic(settings: CycleGANSettings) -> Critic:
    sizes = settings.critic_channels, settings.critic_layers
    return Critic(*sizes, settings.normalisation, settings.spectral)


def fit(
    settings: Mapping[str, Any],
    data: TrainingData,
    workspace: Path,
    device: torch.device,
    name: str,
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train on unpaired slices; see :func:`lmidiff.training.loop.fit` for the result.

    The weights are those of the generator from source to target, without its opponents.
    """
    sizes = settings_of(CycleGANSettings, settings.get("cyclegan", {}), "cyclegan")
    training = settings_of(TrainingSettings, settings["training"], "training")
    precision = resolve_precision(training.precision, device)
    schedule = LinearDecay(
        **{**asdict(training), "precision": precision, "decay_from": sizes.decay_from}
    )
    learner = CycleLearner(sizes, schedule, data.images("target"), data.images("source"), device)
    check_size(learner.target, learner.network["to_target"].multiple)
    weights, curve = train(learner, schedule, workspace, name)
    return {
        key.removeprefix(PUBLISHED): value
        for key, value in weights.items()
        if key.startswith(PUBLISHED)
    }, curve


def load(
    settings: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device
) -> Generator:
    """The trained generator; raises StudyError if the weights do not fit."""
    generator = _generator(settings_of(CycleGANSettings, settings.get("cyclegan", {}), "cyclegan"))
    fill(generator, weights)
    return generator.to(device)
