"""The training loop of both mask networks: a head a step, averaged weights, resumable."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional

from lmidiff.common.files import atomic, write_json
from lmidiff.common.progress import Progress
from lmidiff.training.optimizers import optimizers_of

Example = tuple[Tensor, Tensor]
"""What the network sees, (1, C, X, Y, Z), and the share of brain, (1, 1, X, Y, Z)."""


@dataclass(frozen=True)
class BrainTraining:
    """How a network is trained.

    Attributes:
        steps: one head each.
        optimizer: "adam" or "muon", see :mod:`lmidiff.training.optimizers`.
        learning_rate: at its height; rises over ``warmup`` steps and falls along a cosine to 0.
        warmup: steps.
        rounds: how many times the rate rises and falls.
        ema: decay of the averaged weights.
        seed: of weights and heads.
        checkpoint_s: seconds between checkpoints.
    """

    steps: int = 4500
    optimizer: str = "adam"
    learning_rate: float = 3e-3
    warmup: int = 50
    rounds: int = 1
    ema: float = 0.99
    seed: int = 1
    checkpoint_s: float = 20.0


def fit(
    network: nn.Module,
    examples: Callable[[int], Iterable[Example]],
    output: Path,
    settings: BrainTraining,
    record: Mapping[str, Any],
    credit: Mapping[str, str],
    *,
    stop_after_s: float | None = None,
) -> bool:
    """Train, or go on training, and write the weights in half precision when done.

    Args:
        network: untrained.
        examples: those from a step on, to the last.
        output: the safetensors file; its checkpoint lies beside it until the end.
        settings: of the training.
        record: written beside the weights, with the settings.
        credit: written into the file of the weights: what they saw, under which licences.
        stop_after_s: leave a checkpoint and stop after this many seconds.

    Returns:
        Whether training is complete.
    """
    average = {name: value.clone() for name, value in network.state_dict().items()}
    optimizers = optimizers_of(network, settings)
    for group in optimizers[-1].param_groups:
        group["betas"] = (0.9, 0.98)
    state, first, losses = output.with_suffix(".state"), 0, []
    if state.is_file():
        saved = torch.load(state, weights_only=True)
        network.load_state_dict(saved["network"])
        for optimizer, kept in zip(optimizers, saved["optimizers"], strict=True):
            optimizer.load_state_dict(kept)
        average, first, losses = saved["average"], saved["step"], saved["losses"]
    began = last_save = time.monotonic()
    progress = Progress(f"train {output.stem}", settings.steps, start=first)
    for step, (image, target) in enumerate(examples(first), first):
        for optimizer in optimizers:
            for group in optimizer.param_groups:
                group["lr"] = settings.learning_rate * _rate(step, settings)
        loss = loss_of(network(image), target)
        network.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        for optimizer in optimizers:
            optimizer.step()
        with torch.no_grad():
            for name, value in network.state_dict().items():
                average[name].lerp_(value, 1 - min(settings.ema, (step + 1) / (step + 10)))
        losses.append(float(loss.detach()))
        progress.step(f"loss {np.mean(losses[-50:]):.4f}")
        now = time.monotonic()
        stop = stop_after_s is not None and now - began > stop_after_s
        if stop or now - last_save > settings.checkpoint_s:
            last_save = now
            saved = {"network": network.state_dict(), "average": average}
            saved |= {"optimizers": [optimizer.state_dict() for optimizer in optimizers]}
            saved |= {"step": step + 1, "losses": losses}
            with atomic(state) as temporary:
                torch.save(saved, temporary)
        if stop:
            return False
    with atomic(output) as temporary:
        halves = {name: value.half().contiguous() for name, value in average.items()}
        save_file(halves, temporary, metadata=dict(credit))
    made = {"training": asdict(settings), **record, "last_losses": float(np.mean(losses[-100:]))}
    write_json(output.with_suffix(".json"), made)
    state.unlink(missing_ok=True)
    return True


def loss_of(logits: Tensor, target: Tensor) -> Tensor:
    """Cross entropy and one minus the soft Dice."""
    entropy = functional.binary_cross_entropy_with_logits(logits, target)
    share = logits.sigmoid()
    overlap = 2 * (share * target).sum() / (share.sum() + target.sum() + 1)
    return 5 * entropy + 1 - overlap


def _rate(step: int, settings: BrainTraining) -> float:
    length = settings.steps // settings.rounds
    at = step % length
    warm = min((at + 1) / settings.warmup, 1.0)
    return float(warm * 0.5 * (1 + np.cos(np.pi * at / length)))
