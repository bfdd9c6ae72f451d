"""How a model is trained, and what the loop needs of it."""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import nn

from lmidiff.options import PRECISIONS

OPTIMIZERS = ("adam", "muon")


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; the units stand in config/README.md."""

    steps: int = 2000
    batch_size: int = 16
    optimizer: str = "adam"
    learning_rate: float = 1e-3
    warmup: int = 100
    final_rate: float = 0.05
    ema: float = 0.999
    ema_warmup: bool = True
    clip: float = 1.0
    precision: str = "auto"
    checkpoint_every: int = 250
    checkpoint_minutes: float = 10.0
    log_every: int = 25
    processes: int = 1
    crop: float = 1.0
    seed: int = 1

    def __post_init__(self) -> None:
        for key in ("steps", "batch_size", "checkpoint_every", "log_every", "processes"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, got {getattr(self, key)}")
        if not 0 < self.crop <= 1:
            raise ValueError(f"crop must be in (0, 1], got {self.crop}")
        if self.batch_size % self.processes:
            raise ValueError(
                f"batch_size {self.batch_size} does not split over {self.processes} processes"
            )
        if self.optimizer not in OPTIMIZERS:
            raise ValueError(f"optimizer must be one of {OPTIMIZERS}, got {self.optimizer!r}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")

    def decay(self, step: int) -> float:
        """Of the averaged weights at a step; with a warm-up, early weights are soon forgotten."""
        return min(self.ema, (1 + step) / (10 + step)) if self.ema_warmup else self.ema

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then a cosine down to ``final_rate`` of it."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        along = (step - self.warmup) / max(self.steps - self.warmup, 1)
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * along)).item())
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)


class Learner(Protocol):
    """What the loop needs of a model: its networks, its optimizers, one step.

    A learner may have a ``show``, as :class:`LossLearner` does.

    A checkpoint holds these and nothing else, so whatever outlives a step (a pool of images, a
    count) is a buffer of ``network``.
    """

    network: nn.Module
    optimizers: list[torch.optim.Optimizer]

    def step(self, generator: torch.Generator) -> dict[str, float]:
        """Take one optimisation step with everything random drawn from ``generator``."""
