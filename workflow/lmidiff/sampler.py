"""The LMI-guided sampler: a denoiser that is told of the source at every step, and draws from it.

This file, :mod:`lmidiff.diffusion`, :mod:`lmidiff.guidance`, :mod:`lmidiff.lmi` and
:mod:`lmidiff.options` are the method. They need torch alone and can be lifted out as they are::

    schedule = Schedule.linear()
    denoise = GuidedDenoiser(network, schedule, Guidance(), source)
    image, spread = draw(schedule, denoise, Sampling(draws=2), [[1], [2]], source.shape[1:])
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import torch
from torch import Tensor

from lmidiff.diffusion import (
    PARAMETERISATIONS,
    SAMPLERS,
    Denoiser,
    Schedule,
    SliceNoise,
    Step,
    final,
    timesteps,
)
from lmidiff.guidance import condition_maps, static_maps
from lmidiff.options import Guidance, Sampling

RANGES = {"unit": (0.0, 1.0), "signed": (-1.0, 1.0)}
"""Intensities that a diffusion works in: the authors' 0..1, or -1..1."""


def resolve_precision(wanted: str, device: torch.device) -> str:
    """ "auto" is bfloat16 where the hardware multiplies in it, float32 elsewhere."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported() else "float32"
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return "bfloat16" if supported else "float32"


def autocast(precision: str, device: torch.device) -> AbstractContextManager:
    """Mixed precision for a network's forward pass; a no-op for float32."""
    if resolve_precision(precision, device) == "float32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def to_range(image: Tensor, name: str) -> Tensor:
    """Intensities 0..1 in a diffusion's range."""
    low, high = RANGES[name]
    return low + (high - low) * image


def to_image(x: Tensor, name: str) -> Tensor:
    """A diffusion's range as intensities 0..1, not clipped."""
    low, high = RANGES[name]
    return (x - low) / (high - low)


class GuidedDenoiser:
    """A function (x_t, t) -> x_0 that is guided by a source image: the method in one place.

    At every step the condition is computed from the source and the sample as it is then, the
    network is asked, and its answer taken back to x_0.

    Args:
        network: maps (x_t, condition or None, times) to what ``parameterisation`` says.
        schedule: alphas of every time.
        guidance: which maps the network sees.
        source: (N, 1, H, W) in 0..1, air exactly 0.
        parameterisation: what the network predicts: "epsilon", "velocity" or "x0".
        range: intensities the diffusion works in, a key of ``RANGES``.
        clip: clamp the guess of x_0 to the range.
        precision: of the network, see :func:`resolve_precision`.
        at_once: slices the network is given together; all if None.
        watch: told the number of slices after each such part.
    """

    def __init__(
        self,
        network: Callable[..., Tensor],
        schedule: Schedule,
        guidance: Guidance,
        source: Tensor,
        *,
        parameterisation: str = "velocity",
        range: str = "signed",
        clip: bool = True,
        precision: str = "float32",
        at_once: int | None = None,
        watch: Callable[[int], object] | None = None,
    ) -> None:
        if parameterisation not in PARAMETERISATIONS:
            raise ValueError(f"parameterisation must be one of {PARAMETERISATIONS}")
        if range not in RANGES:
            raise ValueError(f"range must be one of {tuple(RANGES)}")
        self.network, self.schedule, self.guidance = network, schedule, guidance
        self.source, self.static = source, static_maps(source, guidance)
        self.parameterisation, self.range, self.clip = parameterisation, range, clip
        self.precision, self.at_once, self.watch = precision, at_once, watch

    def __call__(self, x: Tensor, t: int) -> Tensor:
        """The guess of x_0, (N, 1, H, W) in the diffusion's range."""
        rows = torch.arange(len(x)).split(self.at_once or len(x))
        return torch.cat([self._part(x, t, slice(int(r[0]), int(r[-1]) + 1)) for r in rows])

    def _part(self, x: Tensor, t: int, rows: slice) -> Tensor:
        x, source = x[rows], self.source[rows]
        static = None if self.static is None else self.static[rows]
        condition = condition_maps(source, to_image(x, self.range), static, self.guidance)
        times = torch.full((len(x),), t, device=x.device)
        with autocast(self.precision, x.device):
            output = self.network(x, condition, times)
        x0 = self.schedule.to_x0(output.float(), x, t, self.parameterisation)
        if self.watch is not None:
            self.watch(len(x))
        return x0.clamp(*RANGES[self.range]) if self.clip else x0


def times_of(schedule: Schedule, sampling: Sampling, start: float = 1.0) -> list[int]:
    """The times visited, falling, from the share ``start`` of the schedule.

    A draw that starts late (SDEdit) makes as many evaluations as any other; fewer only where fewer
    times are left.
    """
    top = max(round(start * len(schedule)) - 1, 0)
    return timesteps(schedule, min(sampling.steps, top + 1), top, sampling.spacing)


def path(
    schedule: Schedule,
    denoise: Denoiser,
    sampling: Sampling,
    noise: SliceNoise,
    shape: Sequence[int],
    *,
    times: Sequence[int] | None = None,
    begin: Tensor | None = None,
) -> Iterator[Step]:
    """One draw, step by step: the beginning first, then what each evaluation leads to.

    Args:
        schedule: alphas of every time.
        denoise: maps (x_t, t) to x_0.
        sampling: sampler and times.
        noise: of each slice.
        shape: (1, H, W) of a slice.
        times: to visit; those of ``sampling`` over the whole schedule if None.
        begin: (N, 1, H, W) in the diffusion's range, noised to the first time, as SDEdit begins;
            pure noise if None.

    Yields:
        Steps; the first has no guess of x_0 yet, and repeats x in its place.
    """
    times = times_of(schedule, sampling) if times is None else list(times)
    x = noise(shape)
    if begin is not None:
        x = schedule.add_noise(begin, x, times[0])
    yield Step(times[0], x, x)
    run = SAMPLERS[sampling.sampler]
    yield from run(schedule, denoise, x, times, noise, **sampling.options())


def draw(
    schedule: Schedule,
    denoise: Denoiser,
    sampling: Sampling,
    seeds: Sequence[Sequence[int]],
    shape: Sequence[int],
    *,
    range: str = "signed",
    device: torch.device | str = "cpu",
    begin: Tensor | None = None,
    start: float = 1.0,
) -> tuple[Tensor, Tensor | None]:
    """The mean of several draws, and their standard deviation.

    Args:
        schedule, denoise, sampling, shape: see :func:`path`.
        seeds: of each draw, one a slice; a slice's noise depends on its seed alone.
        range: the diffusion's, a key of ``RANGES``.
        device: where to sample.
        begin, start: begin at this image noised to the share ``start`` of the schedule (SDEdit).

    Returns:
        Mean and deviation, (N, 1, H, W) in 0..1; no deviation of a single draw.
    """
    times = times_of(schedule, sampling, start)
    images = []
    for of_draw in seeds:
        noise = SliceNoise(of_draw, device)
        steps = path(schedule, denoise, sampling, noise, shape, times=times, begin=begin)
        images.append(to_image(final(steps), range).clamp(0, 1))
    stack = torch.stack(images)
    return stack.mean(0), stack.std(0, unbiased=False) if len(images) > 1 else None
