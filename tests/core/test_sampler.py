"""The guided denoiser against its definition: what the network sees, what becomes of it."""

from itertools import pairwise

import pytest
import torch

from lmidiff import Guidance, GuidedDenoiser, Sampling, Schedule, draw
from lmidiff.diffusion import SAMPLERS, SliceNoise
from lmidiff.lmi import local_mutual_information
from lmidiff.options import SAMPLER_NAMES, SPACINGS
from lmidiff.sampler import path, times_of

SCHEDULE = Schedule.linear()
T = 400
ALPHA, SIGMA = (float(part) for part in SCHEDULE.alpha_sigma(T))


def slices(seed: int, count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed))


class Spy:
    """A network that remembers what it was shown and answers with a fixed number."""

    def __init__(self, answer: float = 0.1) -> None:
        self.answer, self.shown = answer, []

    def __call__(self, x, condition, times):
        self.shown.append((x, condition, times))
        return torch.full_like(x, self.answer)


@pytest.mark.parametrize(("range_", "low", "high"), [("signed", -1.0, 1.0), ("unit", 0.0, 1.0)])
def test_the_network_sees_maps_of_the_sample_as_intensities(range_, low, high):
    source, x = slices(1), low + (high - low) * slices(2)
    network = Spy()
    GuidedDenoiser(network, SCHEDULE, Guidance(condition="both"), source, range=range_)(x, T)
    ((seen, condition, times),) = network.shown
    assert torch.equal(seen, x)
    assert times.tolist() == [T] * len(x)
    sample = (x - low) / (high - low)
    cross = local_mutual_information(source, sample)
    own = local_mutual_information(source, source)
    torch.testing.assert_close(condition, torch.cat([cross, own], 1))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("velocity", lambda x, out: ALPHA * x - SIGMA * out),
        ("epsilon", lambda x, out: (x - SIGMA * out) / ALPHA),
        ("x0", lambda x, out: torch.full_like(x, out)),
    ],
)
def test_its_answer_is_taken_back_to_clean_data(kind, expected):
    source, x = slices(1), 4 * slices(2) - 2
    options = {"parameterisation": kind, "range": "signed"}
    guidance = Guidance(condition="none")
    free = GuidedDenoiser(Spy(), SCHEDULE, guidance, source, clip=False, **options)(x, T)
    torch.testing.assert_close(free, expected(x, 0.1))
    clipped = GuidedDenoiser(Spy(), SCHEDULE, guidance, source, **options)(x, T)
    torch.testing.assert_close(clipped, free.clamp(-1, 1))


def test_parts_see_their_own_source_and_are_counted():
    source, x = slices(1), slices(2)
    network, counts = Spy(), []
    guidance = Guidance(condition="both")
    whole = GuidedDenoiser(Spy(), SCHEDULE, guidance, source)(x, T)
    options = {"at_once": 2, "watch": counts.append}
    assert torch.equal(GuidedDenoiser(network, SCHEDULE, guidance, source, **options)(x, T), whole)
    assert counts == [2, 1]
    cross, own = network.shown[1][1].split(1, 1)
    sample = (x[2:] + 1) / 2
    torch.testing.assert_close(cross, local_mutual_information(source[2:], sample))
    torch.testing.assert_close(own, local_mutual_information(source[2:], source[2:]))


def test_a_path_begins_where_it_is_told_and_a_draw_is_its_mean():
    seeds, shape, begin = [[1, 2], [3, 4]], (1, 8, 8), 2 * slices(5, 2) - 1
    sampling = Sampling(sampler="ddim", steps=5, draws=2)

    def denoise(x, t):  # noqa: ARG001
        return 0.5 * x

    times = times_of(SCHEDULE, sampling, 0.4)
    assert times[0] == 399
    ends = []
    for of_draw in seeds:
        noise = SliceNoise(of_draw)
        first, *rest = path(SCHEDULE, denoise, sampling, noise, shape, times=times, begin=begin)
        drawn = SliceNoise(of_draw)(shape)
        torch.testing.assert_close(first.x, SCHEDULE.add_noise(begin, drawn, 399))
        assert [step.t for step in rest] == [*times[1:], -1]
        ends.append(((rest[-1].x + 1) / 2).clamp(0, 1))
    mean, spread = draw(SCHEDULE, denoise, sampling, seeds, shape, begin=begin, start=0.4)
    torch.testing.assert_close(mean, (ends[0] + ends[1]) / 2)
    torch.testing.assert_close(spread, (ends[0] - ends[1]).abs() / 2)
    one, none = draw(SCHEDULE, denoise, sampling, seeds[:1], shape, begin=begin, start=0.4)
    assert torch.equal(one, ends[0])
    assert none is None


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize(
    ("start", "steps", "made"),
    [(1.0, 8, 8), (0.2, 8, 8), (0.2, 1000, 200), (0.004, 8, 4), (0, 8, 1)],
)
def test_a_draw_makes_as_many_evaluations_wherever_it_starts(start, steps, made, spacing):
    times = times_of(SCHEDULE, Sampling(steps=steps, spacing=spacing), start)
    assert len(times) == made
    assert times[0] == max(round(1000 * start) - 1, 0)
    assert times[-1] >= 0
    assert all(after < before for before, after in pairwise(times))


def test_every_sampler_that_can_be_named_is_there():
    assert tuple(SAMPLERS) == SAMPLER_NAMES
