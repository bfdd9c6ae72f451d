"""The diffusion core: a variance-preserving schedule, its parameterisations and its samplers.

A sampler is a generator that yields every step, so a caller can stop, film or steer it.

References: DDPM (Ho et al. 2020), v-prediction (Salimans and Ho 2022), DDIM (Song et al. 2021),
DPM-Solver++ 2M (Lu et al. 2022).

Which times of a schedule a sampler visits: ``trailing`` ones (Lin et al. 2024, arXiv 2305.08891)
are even; the last step is then a long one, onto the mean of all images that the sample may still
become, which takes fine detail away. The others end at time 0 and are even in another measure of
time: ``quadratic`` in its square root (Song et al. 2021, appendix D.2), ``log_snr`` in the half
log-SNR, log(alpha_t / sigma_t), in which the error of DPM-Solver is of one size a step (Lu et al.
2022).
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from lmidiff.options import SPACINGS, VARIANCES

PARAMETERISATIONS = ("epsilon", "velocity", "x0")
Denoiser = Callable[[Tensor, int], Tensor]


class Schedule:
    """A discrete variance-preserving schedule, x_t = alpha_t x_0 + sigma_t epsilon.

    ``alphas_cumprod`` has shape (T,), float64 on the CPU; alpha_t is the square root of its
    entry t and sigma_t the square root of one minus it. Time -1 is clean data.
    """

    def __init__(self, alphas_cumprod: Tensor) -> None:
        if alphas_cumprod.ndim != 1 or not bool((alphas_cumprod.diff() < 0).all()):
            raise ValueError("alphas_cumprod must be one-dimensional and strictly decreasing")
        self.alphas_cumprod = alphas_cumprod.double()
        self._with_clean = torch.cat([self.alphas_cumprod, torch.ones(1, dtype=torch.float64)])

    @classmethod
    def linear(cls, length: int = 1000, start: float = 1e-4, end: float = 0.02) -> "Schedule":
        """The linear beta schedule of DDPM."""
        betas = torch.linspace(start, end, length, dtype=torch.float64)
        return cls(torch.cumprod(1 - betas, 0))

    def __len__(self) -> int:
        return len(self.alphas_cumprod)

    def alpha_sigma(self, t: Tensor | int) -> tuple[Tensor, Tensor]:
        """(alpha_t, sigma_t) in float64 on the CPU, of the shape of ``t``; t = -1 gives (1, 0)."""
        signal = self._with_clean[t]
        return signal.sqrt(), (1 - signal).sqrt()

    def coefficients(self, t: Tensor | int, like: Tensor) -> tuple[Tensor, Tensor]:
        """alpha_t and sigma_t, broadcastable against ``like`` (N, C, H, W), on its device."""
        times = torch.as_tensor(t).cpu().reshape(-1, *[1] * (like.ndim - 1))
        alpha, sigma = self.alpha_sigma(times)
        return alpha.to(like), sigma.to(like)

    def add_noise(self, x0: Tensor, noise: Tensor, t: Tensor | int) -> Tensor:
        """A draw of x_t given x_0 (Ho et al., equation 4)."""
        alpha, sigma = self.coefficients(t, x0)
        return alpha * x0 + sigma * noise

    def training_target(self, x0: Tensor, noise: Tensor, t: Tensor | int, kind: str) -> Tensor:
        """What a network of parameterisation ``kind`` should output for x_t."""
        alpha, sigma = self.coefficients(t, x0)
        targets = {"epsilon": noise, "x0": x0, "velocity": alpha * noise - sigma * x0}
        return _pick(targets, kind)

    def to_x0(self, prediction: Tensor, x_t: Tensor, t: Tensor | int, kind: str) -> Tensor:
        """x_0 implied by a network output of parameterisation ``kind``."""
        alpha, sigma = self.coefficients(t, x_t)
        options = {
            "epsilon": lambda: (x_t - sigma * prediction) / alpha,
            "x0": lambda: prediction,
            "velocity": lambda: alpha * x_t - sigma * prediction,
        }
        return _pick(options, kind)()

    def to_epsilon(self, x0: Tensor, x_t: Tensor, t: Tensor | int) -> Tensor:
        """The noise implied by x_t and a guess of x_0; t must not be -1."""
        alpha, sigma = self.coefficients(t, x_t)
        return (x_t - alpha * x0) / sigma

    def timesteps(self, steps: int, start: int | None = None) -> list[int]:
        """``steps`` falling times that end with a positive stride from 0 ("trailing" spacing).

        Args:
            steps: number of network evaluations, 1..len(self).
            start: first time, default T - 1; SDEdit starts lower.
        """
        top = len(self) - 1 if start is None else start
        if not 1 <= steps <= top + 1:
            raise ValueError(f"steps must be in 1..{top + 1}, got {steps}")
        grid = torch.linspace(top + 1, 0, steps + 1, dtype=torch.float64)[:-1]
        return [int(t) - 1 for t in grid.round()]


class Step(NamedTuple):
    """One step of a sampler: the time reached (-1 is clean), the sample, the x_0 it followed."""

    t: int
    x: Tensor
    x0: Tensor


class SliceNoise:
    """Gaussian noise with one CPU generator a slice.

    What a slice is given depends on its seed alone, not on its neighbours in the batch, the
    batch size or the device.
    """

    def __init__(self, seeds: Sequence[int], device: torch.device | str = "cpu") -> None:
        self.generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        self.device = torch.device(device)

    def __call__(self, shape: Sequence[int]) -> Tensor:
        """The next draw, shape (len(seeds), *shape), float32."""
        draws = [torch.randn(*shape, generator=generator) for generator in self.generators]
        return torch.stack(draws).to(self.device)


def ancestral(
    schedule: Schedule,
    denoise: Denoiser,
    x: Tensor,
    times: Sequence[int],
    noise: SliceNoise,
    *,
    variance: str = "small",
    final_noise: bool = False,
) -> Iterator[Step]:
    """DDPM's ancestral sampler on any falling list of times (Ho et al., equations 6 and 7).

    Args:
        denoise: maps (x_t, t) to a guess of x_0.
        x: (N, C, H, W), noise at ``times[0]``.
        variance: "small" is the posterior variance of q(x_s | x_t, x_0), "large" is
            1 - alpha_t^2 / alpha_s^2, which is beta_t when no time is skipped.
        final_noise: add noise at the last step too, as the authors' code does.
    """
    if variance not in VARIANCES:
        raise ValueError(f"variance must be one of {VARIANCES}, got {variance!r}")
    for t, s in _pairs(times):
        x0 = denoise(x, t)
        signal_t, signal_s = schedule.alpha_sigma(t)[0] ** 2, schedule.alpha_sigma(s)[0] ** 2
        beta = 1 - signal_t / signal_s
        mean_x0 = signal_s.sqrt() * beta / (1 - signal_t)
        mean_xt = (signal_t / signal_s).sqrt() * (1 - signal_s) / (1 - signal_t)
        x = float(mean_x0) * x0 + float(mean_xt) * x
        if s >= 0 or final_noise:
            small = beta * (1 - signal_s) / (1 - signal_t)
            spread = beta if variance == "large" else small
            x = x + float(spread.sqrt()) * noise(x.shape[1:])
        yield Step(s, x, x0)


def ddim(
    schedule: Schedule,
    denoise: Denoiser,
    x: Tensor,
    times: Sequence[int],
    noise: SliceNoise | None = None,
    *,
    eta: float = 0.0,
) -> Iterator[Step]:
    """DDIM (Song et al. 2021, equation 12): deterministic for ``eta`` 0, ancestral for 1."""
    for t, s in _pairs(times):
        x0 = denoise(x, t)
        epsilon = schedule.to_epsilon(x0, x, t)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
        beta = 1 - (alpha_t / alpha_s) ** 2
        spread = eta * (sigma_s / sigma_t) * beta.sqrt()
        x = float(alpha_s) * x0 + float((sigma_s**2 - spread**2).clamp(min=0).sqrt()) * epsilon
        if eta > 0 and s >= 0:
            if noise is None:
                raise ValueError("ddim with eta > 0 needs a noise source")
            x = x + float(spread) * noise(x.shape[1:])
        yield Step(s, x, x0)


def dpm_solver(
    schedule: Schedule,
    denoise: Denoiser,
    x: Tensor,
    times: Sequence[int],
    noise: SliceNoise | None = None,  # noqa: ARG001 - one signature for every sampler
) -> Iterator[Step]:
    """DPM-Solver++ 2M (Lu et al. 2022, algorithm 2): second order, one evaluation a step.

    The step onto clean data is first order, where the half log-SNR has no finite value.
    """
    previous: tuple[float, Tensor] | None = None
    for t, s in _pairs(times):
        x0 = denoise(x, t)
        (alpha_t, sigma_t), (alpha_s, sigma_s) = schedule.alpha_sigma(t), schedule.alpha_sigma(s)
        if s < 0:
            yield Step(s, x0, x0)
            return
        h = float((alpha_s / sigma_s).log() - (alpha_t / sigma_t).log())
        guess = x0
        if previous is not None:
            weight = h / (2 * previous[0])
            guess = (1 + weight) * x0 - weight * previous[1]
        decay = torch.expm1(torch.tensor(-h, dtype=torch.float64))
        x = float(sigma_s / sigma_t) * x - float(alpha_s * decay) * guess
        previous = (h, x0)
        yield Step(s, x, x0)


SAMPLERS: dict[str, Callable[..., Iterator[Step]]] = {
    "ancestral": ancestral,
    "ddim": ddim,
    "dpm_solver": dpm_solver,
}


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


def final(steps: Iterator[Step]) -> Tensor:
    """Run a path to its end and return the last sample."""
    step = None
    for step in steps:  # noqa: B007 - only the last one is wanted
        pass
    if step is None:
        raise ValueError("the sampler was given no times")
    return step.x


def _pairs(times: Sequence[int]) -> Iterator[tuple[int, int]]:
    return pairwise([*times, -1])


def _pick(options: dict, kind: str):
    if kind not in options:
        raise ValueError(f"parameterisation must be one of {PARAMETERISATIONS}, got {kind!r}")
    return options[kind]
