"""One training loop for every model: EMA, mixed precision, checkpoints, resume, progress.

Everything random in step i is drawn from generators seeded by (seed, i). A resumed run
therefore draws what an uninterrupted one would, with no generator state to save.
"""

import copy
import fcntl
import io
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
import torch
from torch import Tensor, nn

from lmidiff.devices import PRECISIONS, autocast
from lmidiff.errors import StudyError
from lmidiff.files import atomic
from lmidiff.progress import Progress
from lmidiff.seeds import seed_of

logger = logging.getLogger("lmidiff")


@dataclass(frozen=True)
class TrainingSettings:
    """How a model is trained; the units stand in config/README.md."""

    steps: int = 2000
    batch_size: int = 16
    learning_rate: float = 1e-3
    warmup: int = 100
    final_rate: float = 0.05
    ema: float = 0.999
    clip: float = 1.0
    precision: str = "auto"
    checkpoint_every: int = 250
    log_every: int = 25
    seed: int = 1

    def __post_init__(self) -> None:
        for key in ("steps", "batch_size", "checkpoint_every", "log_every"):
            if getattr(self, key) < 1:
                raise ValueError(f"{key} must be at least 1, got {getattr(self, key)}")
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {PRECISIONS}, got {self.precision!r}")

    def rate(self, step: int) -> float:
        """Learning rate at a step: linear warm-up, then a cosine down to ``final_rate`` of it."""
        if step < self.warmup:
            return self.learning_rate * (step + 1) / self.warmup
        along = (step - self.warmup) / max(self.steps - self.warmup, 1)
        cosine = 0.5 * (1 + torch.cos(torch.tensor(torch.pi * along)).item())
        return self.learning_rate * (self.final_rate + (1 - self.final_rate) * cosine)


class Learner(Protocol):
    """What the loop needs of a model: its networks, its optimizers, one step."""

    network: nn.Module
    optimizers: list[torch.optim.Optimizer]

    def step(self, generator: torch.Generator) -> dict[str, float]:
        """Take one optimisation step with everything random drawn from ``generator``."""


class LossLearner:
    """A learner with one network, Adam and one loss.

    Args:
        network: what is trained.
        loss: maps a CPU generator to a scalar loss; it draws its own batch.
        settings: learning rate, clipping and precision.
        device: where the network is.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[torch.Generator], Tensor],
        settings: TrainingSettings,
        device: torch.device,
    ) -> None:
        self.network, self.loss, self.settings, self.device = network, loss, settings, device
        self.optimizers = [torch.optim.Adam(network.parameters(), lr=settings.learning_rate)]

    def step(self, generator: torch.Generator) -> dict[str, float]:
        """One Adam step on the loss; raises StudyError if the loss is not finite."""
        with autocast(self.settings.precision, self.device):
            loss = self.loss(generator)
        value = loss.item()
        if value != value or abs(value) == float("inf"):
            raise StudyError(
                f"training: the loss became {value}; lower training.learning_rate in the config"
            )
        self.optimizers[0].zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        self.optimizers[0].step()
        return {"loss": value}


def draw_batch(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A random batch (size, 1, H, W) of slices, each mirrored left to right half of the time."""
    index = torch.randint(len(images), (size,), generator=generator)
    flip = torch.rand(size, generator=generator) < 0.5
    batch = images[index]
    return torch.where(flip.view(-1, 1, 1, 1), batch.flip(-2), batch)


def fit(
    learner: Learner, settings: TrainingSettings, state: Path, what: str
) -> tuple[dict[str, Tensor], pd.DataFrame]:
    """Train to ``settings.steps``, resuming from ``state`` if an earlier run left off there.

    Args:
        learner: the model.
        settings: lengths and rates.
        state: folder of checkpoints, named by a hash of all the result depends on. It is kept:
            a finished state gives the same weights again at once.
        what: name in progress lines.

    Returns:
        The exponential moving average of the weights (CPU, float32) and the learning curve
        with columns step, seconds, rate and the learner's losses.

    Raises:
        StudyError: another job is training in ``state``, or the loss diverged.
    """
    with _only_one(state):
        average = {k: v.detach().clone() for k, v in learner.network.state_dict().items()}
        step, seconds, curve, sums = _restore(state, learner, average)
        if step:
            logger.info("%s: resumes at step %d of %d", what, step, settings.steps)
        progress = Progress(f"train {what}", settings.steps, start=step)
        began = time.monotonic() - seconds
        learner.network.train()
        while step < settings.steps:
            for optimizer in learner.optimizers:
                for group in optimizer.param_groups:
                    group["lr"] = settings.rate(step) * group.get("rate_factor", 1.0)
            seed = seed_of(settings.seed, "step", step)
            torch.manual_seed(seed)
            losses = learner.step(torch.Generator().manual_seed(seed))
            _update_average(average, learner.network, min(settings.ema, (1 + step) / (10 + step)))
            step += 1
            for name, value in losses.items():
                sums[name] = sums.get(name, 0.0) + value / settings.log_every
            if step % settings.log_every == 0:
                elapsed = time.monotonic() - began
                curve.append(
                    {"step": step, "seconds": elapsed, "rate": settings.rate(step), **sums}
                )
                sums = {}
            progress.step(", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
            if step % settings.checkpoint_every == 0 or step == settings.steps:
                _save(state, learner, average, step, time.monotonic() - began, curve, sums)
        weights = {k: v.float().cpu().contiguous() for k, v in average.items()}
        return weights, pd.DataFrame(curve)


@torch.no_grad()
def _update_average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)


@contextmanager
def _only_one(state: Path) -> Iterator[None]:
    state.mkdir(parents=True, exist_ok=True)
    with open(state / "lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise StudyError(
                f"{state}: another job is training here; wait for it or stop it first"
            ) from None
        yield


def _save(state, learner, average, step, seconds, curve, sums) -> None:
    content = {
        **_content(learner, average),
        "step": step,
        "seconds": seconds,
        "curve": curve,
        "sums": sums,
    }
    latest = state / "checkpoint.pt"
    if latest.exists():
        latest.replace(state / "checkpoint-before.pt")
    with atomic(latest) as temporary:
        torch.save(content, temporary)


def _content(learner: Learner, average: dict[str, Tensor]) -> dict:
    return {
        "network": learner.network.state_dict(),
        "optimizers": [optimizer.state_dict() for optimizer in learner.optimizers],
        "average": average,
    }


def _put(content: dict, learner: Learner, average: dict[str, Tensor]) -> None:
    learner.network.load_state_dict(content["network"])
    for optimizer, saved in zip(learner.optimizers, content["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    for key, value in average.items():
        value.copy_(content["average"][key])


def _restore(
    state: Path, learner: Learner, average: dict[str, Tensor]
) -> tuple[int, float, list[dict], dict[str, float]]:
    # An unfit checkpoint may be half loaded before it shows; what it touched is put back.
    fresh = copy.deepcopy(_content(learner, average))
    for name in ("checkpoint.pt", "checkpoint-before.pt"):
        path = state / name
        if not path.exists():
            continue
        stream = io.BytesIO(path.read_bytes())  # a disk's error is not the checkpoint's
        try:
            content = torch.load(stream, map_location="cpu", weights_only=True)
            _put(content, learner, average)
            return content["step"], content["seconds"], content["curve"], content["sums"]
        except (MemoryError, torch.OutOfMemoryError):
            raise  # nor is a full memory
        except Exception as error:  # a damaged pickle can raise anything
            _put(fresh, learner, average)
            path.replace(path.with_suffix(".unreadable"))
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            logger.warning("%s: not a usable checkpoint, set aside (%s)", path, reason)
    return 0, 0.0, [], {}
