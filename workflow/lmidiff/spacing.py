"""Which times of a schedule a sampler visits.

``trailing`` times (Lin et al. 2024, arXiv 2305.08891) are even; the last step is then a long one,
onto the mean of all images that the sample may still become, which takes fine detail away. The
others end at time 0 and are even in another measure of time: ``quadratic`` in its square root (Song
et al. 2021, DDIM, appendix D.2), ``log_snr`` in the half log-SNR, log(alpha_t / sigma_t), in which
the error of DPM-Solver is of one size a step (Lu et al. 2022).
"""

import torch
from torch import Tensor

from lmidiff.diffusion import Schedule

SPACINGS = ("trailing", "quadratic", "log_snr")


def timesteps(schedule: Schedule, steps: int, start: int, spacing: str) -> list[int]:
    """``steps`` strictly falling times from ``start``, the place of each as ``spacing`` has it.

    Raises:
        ValueError: fewer times than ``steps`` lie in 0..start, or an unknown spacing.
    """
    if spacing not in SPACINGS:
        raise ValueError(f"spacing must be one of {SPACINGS}, got {spacing!r}")
    even = schedule.timesteps(steps, start)
    if spacing == "trailing":
        return even
    places = _places(schedule, start, spacing)
    wanted = torch.linspace(float(places[start]), float(places[0]), steps, dtype=torch.float64)
    nearest = (places - wanted[:, None]).abs().argmin(1).tolist()
    # Where times lie farther apart than the places wanted, none is visited twice.
    times = [start]
    for left, time in zip(range(steps - 2, -1, -1), nearest[1:], strict=True):
        times.append(min(max(time, left), times[-1] - 1))
    return times


def _places(schedule: Schedule, start: int, spacing: str) -> Tensor:
    """Where the times 0..start lie in the measure that ``spacing`` is even in; float64."""
    times = torch.arange(start + 1)
    if spacing == "quadratic":
        return times.double().sqrt()
    alpha, sigma = schedule.alpha_sigma(times)
    return (alpha / sigma).log()
