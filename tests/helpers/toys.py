"""A model that trains in a moment, and a process of its own that trains it."""

import os
import subprocess
import sys
import time
from pathlib import Path

import torch
from torch import nn

import lmidiff
from lmidiff.training.learner import TrainingSettings
from lmidiff.training.loop import LossLearner

CPU = torch.device("cpu")
PACKAGE = Path(lmidiff.__file__).parents[1]
BRIEF = {
    "steps": 40,
    "batch_size": 4,
    "learning_rate": 1e-2,
    "warmup": 5,
    "precision": "float32",
    "checkpoint_every": 10,
    "log_every": 4,
}


def settings_of(**changes) -> TrainingSettings:
    return TrainingSettings(**{**BRIEF, **changes})


class Toy(nn.Module):
    """A line to be fitted, with dropout (drawn from torch's global generator) and a buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Dropout(0.2), nn.Linear(8, 1))
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))

    def forward(self, x):
        self.seen += len(x)
        return self.net(x)


def line_of(settings: TrainingSettings, delay: float = 0.0) -> LossLearner:
    """Fits a line by one loss; ``delay`` seconds a step."""
    torch.manual_seed(settings.seed)
    network = Toy()

    def loss(generator):
        x = torch.randn(settings.batch_size, 3, generator=generator)
        time.sleep(delay)
        return (network(x) - x.sum(1, keepdim=True)).square().mean()

    return LossLearner(network, loss, settings, CPU)


class Duel:
    """Two networks, two optimizers at their own rates, two losses: what a GAN asks of the loop."""

    def __init__(self, settings: TrainingSettings, delay: float = 0.0) -> None:
        torch.manual_seed(settings.seed)
        self.network = nn.ModuleDict({"maker": Toy(), "judge": Toy()})
        rate = settings.learning_rate
        self.optimizers = [
            torch.optim.Adam(net.parameters(), rate) for net in self.network.values()
        ]
        self.optimizers[1].param_groups[0]["rate_factor"] = 0.5
        self.settings, self.delay = settings, delay

    def step(self, generator: torch.Generator) -> dict[str, float]:
        time.sleep(self.delay)
        x = torch.randn(self.settings.batch_size, 3, generator=generator)
        losses = {}
        for name, optimizer in zip(self.network, self.optimizers, strict=True):
            made = self.network["maker"](x)
            score = self.network["judge"](torch.cat([made, x[:, :2]], 1)).mean()
            loss = score.square() if name == "maker" else (score - 1).square()
            self.network.zero_grad()
            loss.backward()
            optimizer.step()
            losses[name] = loss.item()
        return losses


SCRIPT = """
import sys
sys.path[:0] = [{tests!r}, {package!r}]
import torch
torch.set_num_threads(1)
from pathlib import Path
import toys
from lmidiff.common.jobs import job
from lmidiff.training.loop import fit
with job():
    settings = toys.settings_of(**{changes!r})
    fit(toys.{kind}(settings, delay={delay!r}), settings, Path({state!r}), "toy")
"""


def start(
    state: Path, kind: str = "line_of", delay: float = 0.05, before: str = "", **changes
) -> subprocess.Popen:
    """Train in a process of its own, in the frame of a job; ``before`` is code to run first."""
    code = before + SCRIPT.format(
        tests=str(Path(__file__).parent),
        package=str(PACKAGE),
        changes=changes,
        kind=kind,
        delay=delay,
        state=str(state),
    )
    return subprocess.Popen(
        [sys.executable, "-c", code],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )


def wait_for(reached, process: subprocess.Popen, seconds: float = 40.0) -> None:
    """Wait until ``reached()``; fails if the process ends before."""
    end = time.monotonic() + seconds
    while not reached():
        assert process.poll() is None, f"the run ended first: {process.communicate()}"
        assert time.monotonic() < end
        time.sleep(0.02)


def same_bits(a, b) -> None:
    """The same weights, and the same curve but for its seconds."""
    weights_a, curve_a, *_ = a
    weights_b, curve_b, *_ = b
    assert weights_a.keys() == weights_b.keys()
    assert all(torch.equal(weights_a[key], weights_b[key]) for key in weights_a)
    assert curve_a.drop(columns="seconds").equals(curve_b.drop(columns="seconds"))
