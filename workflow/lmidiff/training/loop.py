"""One training loop for every model: EMA, mixed precision, resume, several processes, progress.

Everything random in step i is drawn from generators seeded by (seed, i). A resumed run
therefore draws what an uninterrupted one would, with no generator state to save.
"""

import logging
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor, nn

from lmidiff.common.errors import Interrupted, StudyError
from lmidiff.common.progress import Progress
from lmidiff.common.seeds import seed_of
from lmidiff.sampler import autocast
from lmidiff.training import ranks
from lmidiff.training.learner import Learner, TrainingSettings
from lmidiff.training.lease import lease
from lmidiff.training.optimizers import optimizers_of
from lmidiff.training.previews import Previews
from lmidiff.training.state import Checkpoints, Position
from lmidiff.training.stopping import StopRequest

logger = logging.getLogger("lmidiff")


class LossLearner:
    """A learner with one network and one loss.

    Args:
        network: what is trained.
        loss: maps a CPU generator to a scalar loss; it draws its own batch.
        settings: optimizer, learning rate, clipping and precision.
        device: where the network is.
        show: gives pictures of the network's work, see :class:`lmidiff.training.previews.Previews`.
    """

    def __init__(
        self,
        network: nn.Module,
        loss: Callable[[torch.Generator], Tensor],
        settings: TrainingSettings,
        device: torch.device,
        show: Callable[[], Tensor] | None = None,
    ) -> None:
        self.network, self.loss, self.settings, self.device = network, loss, settings, device
        self.show = show
        self.optimizers = optimizers_of(network, settings)

    def step(self, generator: torch.Generator) -> dict[str, float]:
        """One step on the loss; raises StudyError if the loss is not finite."""
        with autocast(self.settings.precision, self.device):
            loss = self.loss(generator)
        value = ranks.mean(loss.item())
        if value != value or abs(value) == float("inf"):
            raise StudyError(
                f"training: the loss became {value}; lower training.learning_rate in the config"
            )
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.settings.clip)
        for optimizer in self.optimizers:
            optimizer.step()
        return {"loss": value}


def draw_batch(images: Tensor, size: int, generator: torch.Generator) -> Tensor:
    """A random batch (size, 1, H, W) of slices, each mirrored left to right half of the time."""
    index = torch.randint(len(images), (size,), generator=generator).to(images.device)
    flip = (torch.rand(size, generator=generator) < 0.5).to(images.device)
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
        Interrupted: a signal asked to stop; a checkpoint of the last step was saved.
    """
    first = ranks.rank() == 0
    with lease(state) if first else nullcontext() as held, StopRequest(ranks.lifeline()) as stop:
        average = {k: v.detach().clone() for k, v in learner.network.state_dict().items()}
        checkpoints = Checkpoints(state, learner, average)
        show = getattr(learner, "show", None) if first else None
        previews = Previews(state, settings.steps, show)
        at = checkpoints.restore()
        if first and at.step:
            logger.info("%s: resumes at step %d of %d", what, at.step, settings.steps)
        progress = Progress(f"train {what}", settings.steps, start=at.step)
        began, saved = time.monotonic() - at.seconds, time.monotonic()
        learner.network.train()
        while at.step < settings.steps:
            losses = _step(learner, settings, at.step)
            _update_average(average, learner.network, settings.decay(at.step))
            at.seconds = time.monotonic() - began
            _note(at, losses, settings)
            if first:
                progress.step(", ".join(f"{name} {value:.4f}" for name, value in losses.items()))
            previews.take(at.step, learner.network, average)
            done = at.step == settings.steps
            stopping = ranks.anywhere(bool(stop)) and not done
            late = time.monotonic() - saved > 60 * settings.checkpoint_minutes
            if first and (at.step % settings.checkpoint_every == 0 or late or stopping or done):
                held.check()
                checkpoints.save(at)
                saved = time.monotonic()
            if stopping:
                ranks.wait()  # until the checkpoint is whole
                why = stop.reason or "another process was"
                raise Interrupted(
                    f"{what}: asked to stop ({why}) at step {at.step} of {settings.steps}; "
                    f"saved in {state}, and the same job goes on from there"
                )
        weights = {k: v.float().cpu().contiguous() for k, v in average.items()}
        return weights, pd.DataFrame(at.curve)


def _step(learner: Learner, settings: TrainingSettings, step: int) -> dict[str, float]:
    for optimizer in learner.optimizers:
        for group in optimizer.param_groups:
            group["lr"] = settings.rate(step) * group.get("rate_factor", 1.0)
    seed = seed_of(settings.seed, "step", step)
    # What a network draws by itself (dropout) is for its own share of the batch.
    torch.manual_seed(seed_of(seed, ranks.rank()) if ranks.rank() else seed)
    return learner.step(torch.Generator().manual_seed(seed))


def _note(at: Position, losses: dict[str, float], settings: TrainingSettings) -> None:
    """Count a step and its losses; every ``log_every`` steps their mean is a row of the curve."""
    at.step += 1
    for name, value in losses.items():
        at.sums[name] = at.sums.get(name, 0.0) + value / settings.log_every
    if at.step % settings.log_every == 0:
        row = {"step": at.step, "seconds": at.seconds, "rate": settings.rate(at.step)}
        at.curve.append({**row, **at.sums})
        at.sums = {}


@torch.no_grad()
def _update_average(average: dict[str, Tensor], network: nn.Module, decay: float) -> None:
    for name, value in network.state_dict().items():
        if value.is_floating_point():
            average[name].lerp_(value, 1 - decay)
        else:
            average[name].copy_(value)
