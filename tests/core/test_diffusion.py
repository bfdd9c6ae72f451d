"""The diffusion core: MONAI's schedulers, plain NumPy from the papers, exact Gaussian problems."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from monai.networks.schedulers import DDIMScheduler, DDPMScheduler

from lmidiff.diffusion import (
    PARAMETERISATIONS,
    SAMPLERS,
    SPACINGS,
    Schedule,
    SliceNoise,
    ancestral,
    ddim,
    dpm_solver,
    final,
    timesteps,
)

LINEAR = Schedule.linear()
BETAS = np.linspace(1e-4, 0.02, 1000)
SIGNAL = np.cumprod(1 - BETAS)
GRID = (1000, 250, 50, 10)

tensors = st.integers(0, 2**32 - 1).map(
    lambda seed: torch.randn(
        3, 2, 4, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64
    )
)


def in_double(scheduler):
    """A MONAI scheduler whose float32 coefficients are replaced by float64 ones."""
    scheduler.betas = torch.from_numpy(BETAS)
    scheduler.alphas = 1 - scheduler.betas
    scheduler.alphas_cumprod = torch.from_numpy(SIGNAL)
    return scheduler


def signal_at(t):
    """The product of (1 - beta) up to t; 1 for clean data."""
    return 1.0 if t < 0 else SIGNAL[t]


# --- schedule -------------------------------------------------------------------------------


def test_linear_schedule_is_monais():
    monai = DDPMScheduler(num_train_timesteps=1000, schedule="linear_beta")
    assert len(LINEAR) == 1000
    assert LINEAR.alphas_cumprod.dtype == torch.float64
    torch.testing.assert_close(
        LINEAR.alphas_cumprod.float(), monai.alphas_cumprod, rtol=2e-5, atol=0
    )


def test_linear_schedule_has_the_closed_form():
    np.testing.assert_allclose(LINEAR.alphas_cumprod.numpy(), SIGNAL, rtol=1e-13)
    # ln of the last product by the series of ln(1 - beta): the sum of 1000 betas is 10.05.
    log = -sum((BETAS**n).sum() / n for n in range(1, 8))
    assert math.log(LINEAR.alphas_cumprod[-1]) == pytest.approx(log, rel=1e-12)
    assert BETAS.sum() == pytest.approx(10.05)


def test_alpha_sigma_preserve_variance_and_clean_is_one_and_zero():
    alpha, sigma = LINEAR.alpha_sigma(torch.arange(1000))
    torch.testing.assert_close(alpha**2 + sigma**2, torch.ones(1000, dtype=torch.float64))
    assert [float(value) for value in LINEAR.alpha_sigma(-1)] == [1.0, 0.0]


@pytest.mark.parametrize("bad", [[0.9, 0.9], [0.5, 0.6], [[0.9, 0.8]]])
def test_schedule_must_fall(bad):
    with pytest.raises(ValueError, match="strictly decreasing"):
        Schedule(torch.tensor(bad))


def test_add_noise_is_monais_with_a_time_for_each_slice():
    monai = in_double(DDPMScheduler(num_train_timesteps=1000))
    x0, noise = torch.randn(2, 4, 1, 3, 3, dtype=torch.float64)
    times = torch.tensor([0, 20, 250, 999])
    torch.testing.assert_close(
        LINEAR.add_noise(x0, noise, times),
        monai.add_noise(original_samples=x0, noise=noise, timesteps=times),
    )


def test_velocity_target_is_monais():
    monai = in_double(DDPMScheduler(num_train_timesteps=1000))
    x0, noise = torch.randn(2, 4, 1, 3, 3, dtype=torch.float64)
    times = torch.tensor([0, 20, 250, 999])
    torch.testing.assert_close(
        LINEAR.training_target(x0, noise, times, "velocity"),
        monai.get_velocity(sample=x0, noise=noise, timesteps=times),
    )


@settings(max_examples=40, deadline=None)
@given(tensors, tensors, st.lists(st.integers(0, 999), min_size=3, max_size=3))
def test_parameterisations_go_round(x0, noise, times):
    times = torch.tensor(times)
    x_t = LINEAR.add_noise(x0, noise, times)
    for kind in PARAMETERISATIONS:
        target = LINEAR.training_target(x0, noise, times, kind)
        back = LINEAR.to_x0(target, x_t, times, kind)
        torch.testing.assert_close(back, x0, rtol=1e-9, atol=1e-9)
        torch.testing.assert_close(LINEAR.to_epsilon(back, x_t, times), noise, rtol=1e-7, atol=1e-7)
    # The velocity is the derivative of x_t by the angle arctan(sigma / alpha).
    angle = torch.acos(LINEAR.alphas_cumprod[times].sqrt()).view(-1, 1, 1, 1)
    by_angle = -angle.sin() * x0 + angle.cos() * noise
    torch.testing.assert_close(LINEAR.training_target(x0, noise, times, "velocity"), by_angle)


def test_unknown_parameterisation_is_named():
    x = torch.zeros(1, 1, 2, 2)
    for call in (
        lambda: LINEAR.to_x0(x, x, 3, "score"),
        lambda: LINEAR.training_target(x, x, 3, "score"),
    ):
        with pytest.raises(ValueError, match="'score'"):
            call()


# --- spacing of times -----------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(st.data(), st.integers(1, 1000))
def test_times_fall_from_the_start_and_end_a_stride_above_clean(data, length):
    schedule = Schedule(torch.linspace(0.99, 0.01, length, dtype=torch.float64))
    start = data.draw(st.integers(0, length - 1))
    steps = data.draw(st.integers(1, start + 1))
    times = schedule.timesteps(steps, start)
    strides = [t - s for t, s in pairwise([*times, -1])]
    assert len(times) == steps
    assert times[0] == start
    assert times[-1] >= 0
    assert min(strides) >= 1
    # Equal strides of (start + 1) / steps, each end rounded to the nearest whole time.
    assert all(abs(stride - (start + 1) / steps) <= 1 for stride in strides)


def test_times_start_at_the_last_and_no_steps_are_skipped_at_full_length():
    assert LINEAR.timesteps(1000) == list(range(999, -1, -1))
    assert LINEAR.timesteps(4) == [999, 749, 499, 249]
    assert LINEAR.timesteps(1) == [999]
    assert LINEAR.timesteps(2, start=9) == [9, 4]


@settings(max_examples=100, deadline=None)
@given(st.data(), st.integers(1, 1000), st.sampled_from(["quadratic", "log_snr"]))
def test_times_even_in_another_measure_are_as_many_and_fall_to_the_first(data, length, spacing):
    schedule = Schedule(torch.linspace(0.99, 0.01, length, dtype=torch.float64))
    start = data.draw(st.integers(0, length - 1))
    steps = data.draw(st.integers(1, start + 1))
    times = timesteps(schedule, steps, start, spacing)
    assert len(times) == steps
    assert times[0] == start
    assert times[-1] >= 0
    assert steps == 1 or times[-1] == 0
    assert all(t > s for t, s in pairwise(times))


@pytest.mark.parametrize("spacing", ["quadratic", "log_snr"])
def test_times_lie_nearest_to_even_places(spacing):
    log_snr = [math.log(signal_at(t) / (1 - signal_at(t))) for t in range(1000)]
    places = log_snr if spacing == "log_snr" else [math.sqrt(t) for t in range(1000)]
    times = timesteps(LINEAR, 11, 999, spacing)
    for number, time in enumerate(times):
        wanted = places[999] + number / 10 * (places[0] - places[999])
        distances = [abs(place - wanted) for place in places]
        assert distances[time] == min(distances)


def test_an_unknown_spacing_is_named():
    with pytest.raises(ValueError, match="spacing must be one of"):
        timesteps(LINEAR, 11, 999, "even")


@pytest.mark.parametrize(("steps", "start"), [(0, None), (1001, None), (11, 9)])
def test_too_few_or_too_many_steps_are_refused(steps, start):
    with pytest.raises(ValueError, match=f"got {steps}"):
        LINEAR.timesteps(steps, start)


# --- one step against MONAI -----------------------------------------------------------------


@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("t", [999, 500, 20, 1, 0])
def test_ancestral_step_is_monais(t, variance):
    monai = in_double(DDPMScheduler(1000, variance_type=f"fixed_{variance}", clip_sample=False))
    x, epsilon = torch.randn(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(t))

    def denoise(x_t, time):
        return LINEAR.to_x0(epsilon, x_t, time, "epsilon")

    # Two times, so that the first step goes from t to t - 1 and not to clean data.
    times = [t, t - 1] if t else [0]
    ours = next(ancestral(LINEAR, denoise, x, times, SliceNoise([7]), variance=variance))
    theirs, x0 = monai.step(epsilon, t, x, generator=torch.Generator().manual_seed(7))
    assert ours.t == t - 1
    torch.testing.assert_close(ours.x, theirs, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(ours.x0, x0, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("eta", [0.0, 0.4, 1.0])
@pytest.mark.parametrize("steps", [1000, 50])
def test_ddim_step_is_monais(steps, eta):
    monai = in_double(DDIMScheduler(1000, clip_sample=False, set_alpha_to_one=True))
    monai.num_inference_steps = steps
    for t in (999, 499, 1000 // steps - 1):  # the last one reaches clean data
        x, epsilon = torch.randn(2, 1, 1, 8, 8, generator=torch.Generator().manual_seed(t))

        def denoise(x_t, time, epsilon=epsilon):
            return LINEAR.to_x0(epsilon, x_t, time, "epsilon")

        s = t - 1000 // steps
        times = [t, s] if s >= 0 else [t]
        ours = next(ddim(LINEAR, denoise, x, times, SliceNoise([7]), eta=eta))
        generator = torch.Generator().manual_seed(7)
        theirs, _ = monai.step(epsilon, t, x, eta=eta, generator=generator)
        assert ours.t == s
        # MONAI's epsilon is the network's, ours goes through x0 in float32.
        torch.testing.assert_close(ours.x, theirs, rtol=1e-4, atol=2e-4)


# --- DPM-Solver++ 2M against the paper ------------------------------------------------------


def wavy(x, t):
    """A denoiser that is not linear and depends on time."""
    return np.tanh(1.3 * x + 0.2 * math.sin(0.01 * t)) * 0.8


def dpm_by_the_paper(x, times):
    """Algorithm 2 of Lu et al. 2022 (DPM-Solver++), data prediction, in the paper's symbols."""
    lam = [0.5 * math.log(SIGNAL[t] / (1 - SIGNAL[t])) for t in times]
    alpha = [math.sqrt(SIGNAL[t]) for t in times]
    sigma = [math.sqrt(1 - SIGNAL[t]) for t in times]
    older = buffer = wavy(x, times[0])
    for i in range(1, len(times)):
        h = lam[i] - lam[i - 1]
        if i == 1:
            d = buffer
        else:
            r = (lam[i - 1] - lam[i - 2]) / h
            d = (1 + 1 / (2 * r)) * buffer - 1 / (2 * r) * older
        x = sigma[i] / sigma[i - 1] * x - alpha[i] * (math.exp(-h) - 1) * d
        older, buffer = buffer, wavy(x, times[i])
    return x, buffer


@pytest.mark.parametrize("times", [LINEAR.timesteps(25), [999, 900, 400, 390, 50, 3]])
def test_dpm_solver_is_the_papers(times):
    x = torch.randn(2, 1, 4, 4, dtype=torch.float64)
    steps = list(dpm_solver(LINEAR, lambda x, t: torch.from_numpy(wavy(x.numpy(), t)), x, times))
    before_last, clean = dpm_by_the_paper(x.numpy(), times)
    np.testing.assert_allclose(steps[-2].x, before_last, rtol=1e-9, atol=1e-12)
    # Clean data: h is infinite, so x is the guess of x_0.
    np.testing.assert_allclose(steps[-1].x, clean, rtol=1e-9, atol=1e-12)


# --- Gaussian data: the best denoiser is known, every sampler is affine in x ------------------

MEAN, SPREAD = 0.4, 0.3


def best_guess(x, t, mean=MEAN, spread=SPREAD):
    """E[x_0 | x_t] for x_0 ~ N(mean, spread^2)."""
    alpha, variance = math.sqrt(signal_at(t)), 1 - signal_at(t)
    gain = alpha * spread**2 / (alpha**2 * spread**2 + variance)
    return mean + gain * (x - alpha * mean)


class UnitNoise:
    """Gives 1 to one slice at each draw, from the third slice on, and 0 to all others."""

    def __init__(self, count):
        self.count, self.drawn = count, 0

    def __call__(self, shape):
        draw = torch.zeros(self.count, *shape, dtype=torch.float64)
        draw[2 + self.drawn] = 1
        self.drawn += 1
        return draw


def moments(sampler, times, **options):
    """Exact mean and variance of a sampler's result from x ~ N(0, 1), run on a basis.

    The result is a x + b + sum_i c_i noise_i: slices 0 and 1 give b and a, the others the c_i.
    """
    count = len(times) + 2
    x = torch.zeros(count, 1, 1, 1, dtype=torch.float64)
    x[1] = 1
    noise = UnitNoise(count)
    end = final(SAMPLERS[sampler](LINEAR, best_guess, x, times, noise, **options)).flatten()
    offset = float(end[0])
    return offset, float((end[1:] - offset).square().sum())


def posterior_moments(times, large=False, final_noise=False):
    """The ancestral chain's mean and variance, by Bayes' rule for q(x_s | x_t, x_0)."""
    mean, variance = 0.0, 1.0
    for t, s in pairwise([*times, -1]):
        a = signal_at(t) / signal_at(s)
        # x_s | x_0 ~ N(sqrt(A_s) x_0, 1 - A_s) and x_t | x_s ~ N(sqrt(a) x_s, 1 - a).
        prior = 1 / (1 - signal_at(s)) if s >= 0 else math.inf
        likelihood = a / (1 - a)
        share = likelihood / (prior + likelihood) if s >= 0 else 0.0
        posterior = 1 / (prior + likelihood) if s >= 0 else 0.0
        offset, slope = best_guess(0.0, t), best_guess(1.0, t) - best_guess(0.0, t)
        gain = share / math.sqrt(a) + (1 - share) * math.sqrt(signal_at(s)) * slope
        shift = (1 - share) * math.sqrt(signal_at(s)) * offset
        noise = (1 - a) if large else posterior
        if s < 0 and not final_noise:
            noise = 0.0
        mean, variance = gain * mean + shift, gain**2 * variance + noise
    return mean, variance


def exact_flow(x, t, s):
    """The probability flow ODE from t to s, solved: it keeps x's standard score."""

    def scale(time):
        return math.sqrt(signal_at(time) * SPREAD**2 + 1 - signal_at(time))

    standard = (x - math.sqrt(signal_at(t)) * MEAN) / scale(t)
    return math.sqrt(signal_at(s)) * MEAN + scale(s) * standard


# Largest error of the mean, and of the standard deviation as a share of it, at 1000, 250, 50 and
# 10 steps, set just above what the recursions above and below give. Why there is an error: x starts
# as N(0, 1) in place of N(0.0025, 0.99996), which a deterministic sampler carries to the end as
# 8e-4 of the mean; the reverse steps are first order; the last one leaves out what sigma_t hides.
ERRORS = {
    ("ancestral", "small"): ([2e-6, 2e-6, 2e-6, 2e-6], [0.013, 0.045, 0.16, 0.43]),
    ("ancestral", "large"): ([2e-6, 2e-6, 2e-6, 2e-6], [0.004, 0.012, 0.046, 0.08]),
    ("ddim", ""): ([8e-4, 8e-4, 7e-4, 5e-4], [0.005, 0.019, 0.09, 0.39]),
    ("dpm_solver", ""): ([8e-4, 8e-4, 8e-4, 5e-4], [0.0003, 0.0003, 0.017, 0.36]),
}


@pytest.mark.parametrize(("sampler", "variance"), ERRORS)
@pytest.mark.parametrize("steps", GRID)
def test_gaussian_data_come_out_right(sampler, variance, steps):
    options = {"variance": variance} if variance else {}
    mean, spread_squared = moments(sampler, LINEAR.timesteps(steps), **options)
    means, spreads = ERRORS[sampler, variance]
    column = GRID.index(steps)
    assert abs(mean - MEAN) < means[column]
    assert abs(math.sqrt(spread_squared) / SPREAD - 1) < spreads[column]


def test_other_times_keep_the_spread_that_even_ones_lose():
    errors = {}
    for spacing in SPACINGS:
        times = timesteps(LINEAR, 25, 999, spacing)
        _, spread_squared = moments("dpm_solver", times)
        errors[spacing] = abs(math.sqrt(spread_squared) / SPREAD - 1)
    assert errors["log_snr"] < 0.01 < errors["quadratic"] < 0.05 < errors["trailing"]


@pytest.mark.parametrize("final_noise", [False, True])
@pytest.mark.parametrize("variance", ["small", "large"])
@pytest.mark.parametrize("steps", GRID)
def test_ancestral_moments_follow_bayes_rule(steps, variance, final_noise):
    times = LINEAR.timesteps(steps)
    ours = moments("ancestral", times, variance=variance, final_noise=final_noise)
    assert ours == pytest.approx(posterior_moments(times, variance == "large", final_noise))


@pytest.mark.parametrize("steps", GRID)
def test_ddim_moments_follow_the_angle_between_steps(steps):
    # For N(0, s^2) a step from t to r multiplies x by
    # (alpha_r alpha_t s^2 + sigma_r sigma_t) / (alpha_t^2 s^2 + sigma_t^2).
    times = LINEAR.timesteps(steps)
    gain = 1.0
    for t, s in pairwise([*times, -1]):
        (p, q), (a, b) = [(math.sqrt(signal_at(i)), math.sqrt(1 - signal_at(i))) for i in (s, t)]
        gain *= (p * a * SPREAD**2 + q * b) / (a**2 * SPREAD**2 + b**2)
    mean, variance = moments("ddim", times)
    assert variance == pytest.approx(gain**2, rel=1e-9)
    # An error of the start's mean, sqrt(A_999) m, is carried along by the same gain.
    assert mean == pytest.approx(MEAN * (1 - gain * math.sqrt(signal_at(999))), rel=1e-9)


def test_monte_carlo_agrees_with_the_moments():
    times = LINEAR.timesteps(50)
    noise = SliceNoise([3])
    x = noise((1, 100, 200))
    end = final(ancestral(LINEAR, best_guess, x, times, noise, variance="large"))
    mean, variance = moments("ancestral", times, variance="large")
    # Five standard errors at 20,000 values.
    assert float(end.mean()) == pytest.approx(mean, abs=5 * math.sqrt(variance / 20_000))
    assert float(end.var()) == pytest.approx(variance, rel=5 * math.sqrt(2 / 20_000))


@pytest.mark.parametrize(("sampler", "order"), [("ddim", 1), ("dpm_solver", 2)])
def test_error_falls_with_the_order_of_the_solver(sampler, order):
    x = torch.ones(1, 1, 1, 1, dtype=torch.float64)
    errors = []
    for stride in (40, 20, 10, 5):
        times = list(range(999, 198, -stride))
        steps = list(SAMPLERS[sampler](LINEAR, best_guess, x, times))
        assert steps[-2].t == 199
        errors.append(abs(float(steps[-2].x) - exact_flow(1.0, 999, 199)))
    ratios = [coarse / fine for coarse, fine in pairwise(errors)]
    assert ratios[1:] == pytest.approx([2.0**order] * 2, rel=0.12)


def test_dpm_solver_is_exact_for_a_constant_guess_however_few_steps():
    x = torch.randn(1, 1, 4, 4, dtype=torch.float64)
    guess = torch.full_like(x, 0.7)
    steps = list(dpm_solver(LINEAR, lambda *_: guess, x, [999, 300, 10]))
    epsilon = LINEAR.to_epsilon(guess, x, 999)
    torch.testing.assert_close(steps[1].x, LINEAR.add_noise(guess, epsilon, 10))
    assert torch.equal(steps[2].x, guess)


# --- switches, steps and noise --------------------------------------------------------------


def test_final_noise_adds_beta_once_and_nothing_else():
    x = torch.zeros(1, 1, 20, 20)
    plain, noisy = (
        list(
            ancestral(
                LINEAR,
                best_guess,
                x,
                LINEAR.timesteps(1000)[-5:],
                SliceNoise([1]),
                variance="large",
                final_noise=switch,
            )
        )
        for switch in (False, True)
    )
    assert all(torch.equal(a.x, b.x) for a, b in zip(plain[:-1], noisy[:-1], strict=True))
    stream = SliceNoise([1])
    draws = [stream((1, 20, 20)) for _ in range(5)]
    torch.testing.assert_close(noisy[-1].x - plain[-1].x, math.sqrt(1e-4) * draws[-1])


def test_ddim_with_eta_one_is_the_ancestral_sampler():
    x = torch.randn(2, 1, 8, 8)
    for steps in (1000, 20):
        times = LINEAR.timesteps(steps)[-20:]
        ends = [
            final(run(LINEAR, best_guess, x, times, SliceNoise([1, 2]), **options))
            for run, options in ((ancestral, {"variance": "small"}), (ddim, {"eta": 1.0}))
        ]
        torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("spacing", SPACINGS)
@pytest.mark.parametrize("variance", ["small", "large"])
def test_one_step_of_any_sampler_is_the_guess_from_pure_noise(spacing, variance):
    schedule, seeds = Schedule.linear(), [1, 2]
    x = SliceNoise(seeds)((1, 6, 6))
    times = timesteps(schedule, 1, 999, spacing)
    assert times == [999]

    def denoise(x, t):
        return (0.3 * x + t / 1000).sin()

    for name, sampler in SAMPLERS.items():
        options = {"variance": variance} if name == "ancestral" else {}
        (step,) = sampler(schedule, denoise, x, times, SliceNoise(seeds), **options)
        assert step.t == -1
        torch.testing.assert_close(step.x, denoise(x, 999), atol=1e-6, rtol=0)


@pytest.mark.parametrize("spacing", SPACINGS)
def test_two_steps_of_dpm_solver_are_two_of_ddim(spacing):
    """It has one guess only where its first step begins, and its last step is of first order."""
    schedule = Schedule.linear()
    x = SliceNoise([1, 2])((1, 6, 6)).double()
    times = timesteps(schedule, 2, 999, spacing)

    def denoise(x, t):
        return (0.3 * x + t / 1000).sin()

    solved, implicit = (list(s(schedule, denoise, x, times)) for s in (dpm_solver, ddim))
    assert [step.t for step in solved] == [step.t for step in implicit] == [times[1], -1]
    for one, other in zip(solved, implicit, strict=True):
        torch.testing.assert_close(one.x, other.x)
    three = timesteps(schedule, 3, 999, spacing)
    ends = [final(s(schedule, denoise, x, three)) for s in (dpm_solver, ddim)]
    assert (ends[0] - ends[1]).abs().max() > 1e-3


@pytest.mark.parametrize("sampler", SAMPLERS)
@pytest.mark.parametrize("times", [LINEAR.timesteps(7), [0], [500, 3]])
def test_samplers_yield_every_step_down_to_clean(sampler, times):
    asked = []

    def denoise(x, t):
        asked.append(t)
        return 0.5 * x

    steps = list(
        SAMPLERS[sampler](LINEAR, denoise, torch.ones(2, 1, 3, 3), times, SliceNoise([1, 2]))
    )
    assert asked == times
    assert [step.t for step in steps] == [*times[1:], -1]
    assert torch.equal(steps[-1].x, steps[-1].x0)
    assert all(step.x.shape == (2, 1, 3, 3) for step in steps)


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_samplers_are_lazy(sampler):
    asked = []
    run = SAMPLERS[sampler](
        LINEAR,
        lambda x, t: asked.append(t) or x,
        torch.ones(1, 1, 2, 2),
        [5, 4, 3],
        SliceNoise([1]),
    )
    next(run)
    assert asked == [5]


def test_noise_of_a_slice_knows_neither_batch_nor_order():
    together = SliceNoise([5, 6, 7])
    first, second = together((1, 4, 4)), together((1, 4, 4))
    for row, seed in enumerate((5, 6, 7)):
        alone = SliceNoise([seed])
        assert torch.equal(alone((1, 4, 4))[0], first[row])
        assert torch.equal(alone((1, 4, 4))[0], second[row])
    swapped = SliceNoise([7, 5, 6])
    assert torch.equal(swapped((1, 4, 4)), first[[2, 0, 1]])
    assert torch.equal(swapped((1, 4, 4)), second[[2, 0, 1]])
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    assert first.dtype == torch.float32


def test_noise_is_standard_normal():
    draw = SliceNoise([11])((1, 200, 200))
    assert float(draw.mean()) == pytest.approx(0, abs=0.025)
    assert float(draw.std()) == pytest.approx(1, abs=0.02)


def test_wrong_arguments_are_refused():
    x = torch.ones(1, 1, 2, 2)
    with pytest.raises(ValueError, match="'medium'"):
        next(ancestral(LINEAR, best_guess, x, [1, 0], SliceNoise([1]), variance="medium"))
    with pytest.raises(ValueError, match="needs a noise source"):
        next(ddim(LINEAR, best_guess, x, [1, 0], eta=0.5))
    with pytest.raises(ValueError, match="no times"):
        final(ddim(LINEAR, best_guess, x, []))
